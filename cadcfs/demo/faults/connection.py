"""The socket below a request: how an application resets the connection of its own client.

ASGI hides it. But the process has it, and the request knows both its ends, so it is found among
the process's file descriptors.
"""

from __future__ import annotations

import ctypes
import os
import socket
from pathlib import Path

from starlette.types import Scope

_libc = ctypes.CDLL(None, use_errno=True)
# AF_UNSPEC as the address to connect to ends a connection at once, with RST (connect(2), Linux).
# SO_LINGER would not do: the server sends a FIN first when it closes.
_NOWHERE = bytes(16)


def reset(scope: Scope) -> None:
    """Send a TCP RST to the client of a request; what it has not read yet may be lost to it."""
    client, server = tuple(scope["client"])[:2], tuple(scope["server"])[:2]
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if not entry.is_socket():
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as copy:
                if _ends(copy) == (client, server):
                    _libc.connect(copy.fileno(), _NOWHERE, len(_NOWHERE))
                    return
        except OSError:
            continue  # Not connected, or closed meanwhile.


def _ends(connection: socket.socket) -> tuple[object, object] | None:
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return connection.getpeername()[:2], connection.getsockname()[:2]
