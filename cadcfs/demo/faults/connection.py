"""The socket below a request: how an application ends the connection of its own client.

ASGI hides it. But the process has it, and the request knows both its ends, so it is found among
the process's file descriptors.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from starlette.types import Scope

_libc = ctypes.CDLL(None, use_errno=True)
# AF_UNSPEC as the address to connect to ends a connection at once, with RST (connect(2), Linux).
# SO_LINGER would not do: the server sends a FIN first when it closes.
_NOWHERE = bytes(16)


def reset(scope: Scope) -> None:
    """Send a TCP RST to the client of a request; what it has not read yet may be lost to it."""
    with _socket_of(scope) as connection:
        if connection is not None:
            _libc.connect(connection.fileno(), _NOWHERE, len(_NOWHERE))


def hang_up(scope: Scope) -> None:
    """Send a TCP FIN to the client of a request, and hear nothing more of it."""
    with _socket_of(scope) as connection, contextlib.suppress(OSError):
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _socket_of(scope: Scope) -> Iterator[socket.socket | None]:
    client, server = tuple(scope["client"])[:2], tuple(scope["server"])[:2]
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if not entry.is_socket():
                continue
            copy = socket.socket(fileno=os.dup(int(entry.name)))
        except OSError:
            continue  # Closed meanwhile.
        with copy:
            if _ends(copy) == (client, server):
                yield copy
                return
    yield None


def _ends(connection: socket.socket) -> tuple[object, object] | None:
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        return connection.getpeername()[:2], connection.getsockname()[:2]
    except OSError:
        return None  # It listens, or its other end has gone.
