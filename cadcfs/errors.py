"""What can go wrong, in the archive's terms; kernel/errnos.py turns each into an errno.

CadcfsError
 ├─ NotFound          the archive, complete listing in hand, has no such thing
 │   └─ NoContent     ... and will not have it: the file is there, but not what was asked of it
 ├─ Forbidden         not public, or not for this identity
 │   └─ Unauthorized  the archive does not take the credentials (any more)
 ├─ BadRequest        the archive refused the question itself
 ├─ Exists            the name is taken
 ├─ NotEmpty          a directory with something in it
 ├─ ReadOnly          it cannot be changed, or not any more
 ├─ Incomplete        an answer that is not whole; nothing of it may be shown
 │   └─ Pending       ... because it needs longer; it goes on behind
 ├─ Unavailable       no answer: busy, broken or unreachable, after retries
 │   ├─ TimedOut      ... within the time that was granted
 │   └─ Offline       ... and nothing is remembered that could stand in
 ├─ Busy              a turn that would come too late
 ├─ RemoteChanged     the file was replaced at the archive
 ├─ Corrupt           bytes that do not match their checksum
 └─ UserError         a mistake at the command line: one sentence, no traceback
"""

from __future__ import annotations


class CadcfsError(Exception):
    """Base of all errors that cadcfs raises on purpose."""


class NotFound(CadcfsError):
    """There is no such collection, target, file or service."""


class NoContent(NotFound):
    """The file is there, but holds nothing of what was asked: a circle beside its pixels."""


class Forbidden(CadcfsError):
    """The archive refuses: proprietary data, or an identity that may not see it."""


class Unauthorized(Forbidden):
    """The archive does not take the credentials, or not any more (401)."""


class BadRequest(CadcfsError):
    """The archive refused the question itself (malformed ADQL, region or name)."""


class Exists(CadcfsError):
    """The name is taken, or kept for the archive's own."""


class NotEmpty(CadcfsError):
    """A directory that has something in it is not removed."""


class ReadOnly(CadcfsError):
    """What the archive holds cannot be changed, nor a query that has been run."""


class Incomplete(CadcfsError):
    """An answer that broke off, was cut or could not be parsed: never shown as a short listing."""


class Pending(Incomplete):
    """A listing that needs longer than its time; the question goes on behind."""


class Unavailable(CadcfsError):
    """No answer after retries: busy (429, 5xx), reset, or no network."""

    retry_after: float | None = None
    """Seconds after which the service wants to be asked again, where it says so."""


class TimedOut(Unavailable):
    """No answer within the time that was granted."""


class Offline(Unavailable):
    """Unreachable, and never seen before, so nothing can stand in."""


class Busy(CadcfsError):
    """The caller's allowance is used up, and its next turn would come after its deadline."""


class NotAdmitted(Busy):
    """A program that never gets more than is cached; told once by who refuses it."""


class RemoteChanged(CadcfsError):
    """The file at the archive is not the version that was opened."""


class Corrupt(CadcfsError):
    """Bytes that do not match the archive's checksum, also after fetching them again."""


class UserError(CadcfsError):
    """A mistake that the user can mend; printed as one sentence with an exit code."""
