"""One total table, error -> errno: for the kernel's side and for programs that come without it."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from cadcfs import errors

ERRNOS: Mapping[type[errors.CadcfsError], int] = {
    errors.CadcfsError: errno.EIO,
    errors.NotFound: errno.ENOENT,
    errors.NoContent: errno.ENOENT,
    errors.Forbidden: errno.EACCES,
    errors.Unauthorized: errno.EACCES,
    errors.BadRequest: errno.EINVAL,
    errors.Exists: errno.EEXIST,
    errors.NotEmpty: errno.ENOTEMPTY,
    errors.ReadOnly: errno.EROFS,
    errors.Incomplete: errno.EIO,
    errors.Pending: errno.EAGAIN,
    errors.Unavailable: errno.EIO,
    errors.TimedOut: errno.EIO,
    errors.Offline: errno.EHOSTUNREACH,
    errors.Busy: errno.EBUSY,
    errors.NotAdmitted: errno.EBUSY,
    errors.RemoteChanged: errno.ESTALE,
    errors.Corrupt: errno.EIO,
    errors.UserError: errno.EIO,
}


def sole_cause(exc: Exception) -> Exception:
    """The one error inside nested groups: a nursery wraps even a single failure."""
    while isinstance(exc, ExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc
