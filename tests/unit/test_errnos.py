"""Every error has an errno, and nothing but FUSEError crosses the border."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from pyfuse3 import FUSEError

from cadcfs import errors
from cadcfs.kernel.errnos import ERRNOS, answers_errno


def all_kinds(kind: type[errors.CadcfsError] = errors.CadcfsError) -> Iterator[type]:
    if kind.__module__ == "cadcfs.errors":
        yield kind
    for child in kind.__subclasses__():
        yield from all_kinds(child)


def test_the_table_is_total() -> None:
    assert set(all_kinds()) == set(ERRNOS)


def test_the_contract() -> None:
    assert ERRNOS[errors.NotFound] == errno.ENOENT
    assert ERRNOS[errors.Forbidden] == errno.EACCES
    assert ERRNOS[errors.BadRequest] == errno.EINVAL
    assert ERRNOS[errors.Pending] == errno.EAGAIN
    assert ERRNOS[errors.Offline] == errno.EHOSTUNREACH
    assert ERRNOS[errors.RemoteChanged] == errno.ESTALE


@pytest.mark.parametrize(
    ("raised", "number"),
    [
        (errors.Forbidden("no"), errno.EACCES),
        (ExceptionGroup("one", [errors.RemoteChanged("new")]), errno.ESTALE),
        (ZeroDivisionError("bug"), errno.EIO),
        (FUSEError(errno.EROFS), errno.EROFS),
    ],
)
async def test_a_handler_fails_with_an_errno_only(
    raised: Exception, number: int, expect_log: Callable[[str], None]
) -> None:
    expect_log("EACCES|ESTALE|EIO")

    @answers_errno
    async def handler() -> None:
        raise raised

    with pytest.raises(FUSEError) as caught:
        await handler()
    assert caught.value.errno == number
