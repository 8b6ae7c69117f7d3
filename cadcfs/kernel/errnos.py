"""The border round every handler.

pyfuse3 lets nothing but FUSEError through: any other exception would end the mount. So the
decorator here turns everything else into an errno and one log line.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

import trio
from pyfuse3 import FUSEError

from cadcfs import errors
from cadcfs.errnos import ERRNOS, sole_cause
from cadcfs.kernel.inodes import StaleInodeError
from cadcfs.kernel.requests import Requests

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

OF_THE_DISK = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG, errno.EXDEV, errno.EMFILE,
        errno.EROFS,
    }
)  # fmt: skip
"""What is handed on as it is: the caller can see to it. Nothing here means "does not exist"."""

QUIET = (errors.NotFound, errors.NotAdmitted)
"""What is part of a normal day and worth a line only when somebody looks closely."""


def errno_of(exc: Exception) -> int:
    """The errno for *exc*, with the log line that explains it."""
    cause = sole_cause(exc)
    for kind in type(cause).__mro__:
        if kind in ERRNOS:
            number = ERRNOS[kind]
            level = logging.DEBUG if isinstance(cause, QUIET) else logging.WARNING
            log.log(level, "%s: %s", errno.errorcode[number], cause)
            return number
    if isinstance(cause, OSError) and cause.errno in OF_THE_DISK:
        log.warning("%s: %s", errno.errorcode[cause.errno], cause)
        return cause.errno
    if isinstance(cause, trio.TooSlowError):
        log.warning("EIO: a call took longer than any call may")
        return errno.EIO
    log.error("EIO: unforeseen failure; please report this", exc_info=cause)
    return errno.EIO


@runtime_checkable
class Noting(Protocol):
    """Whose handlers remember what went wrong."""

    def note_failure(self, handler: str, place: object, number: int, reason: str) -> None:
        """*handler* failed with errno *number*; *place* is its first argument."""


@runtime_checkable
class Finding(Protocol):
    """Whose handlers may ask for a node that has to be found anew."""

    async def find_anew(self, inode: int) -> None:
        """Have the node of *inode* at hand, or raise FUSEError."""


def answers_errno(
    handler: Callable[P, Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    """Let *handler* fail with nothing but FUSEError; trio.Cancelled passes."""

    name = handler.__name__

    @wraps(handler)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        requests: Requests | None = getattr(args[0], "requests", None) if args else None
        request = None if requests is None else requests.begin(name, args)
        try:
            while True:
                try:
                    return await handler(*args, **kwargs)
                except StaleInodeError as exc:
                    # Raised before the handler has done anything.
                    assert isinstance(args[0], Finding)
                    await args[0].find_anew(exc.inode)
        except FUSEError as exc:
            if requests is not None:
                requests.failed(exc.errno)
            raise
        except Exception as exc:
            number = errno_of(exc)
            if requests is not None:
                requests.failed(number)
            if len(args) > 1 and isinstance(args[0], Noting):
                args[0].note_failure(name, args[1], number, str(sole_cause(exc)))
            raise FUSEError(number) from exc
        finally:
            if requests is not None and request is not None:
                requests.end(request)

    return guarded
