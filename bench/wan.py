"""A long way to the origin, as a model: a proxy with a round trip, a window and a shared link.

    python -m bench.wan PORT

Bytes to the client wait half a round trip, and no connection has more than its window under way,
which begins small and doubles with each round trip. All connections share one link. It shows what
ranges side by side can gain where one connection is limited by its window, and nothing else.
"""

from __future__ import annotations

import contextlib
import sys
from functools import partial

import trio

ROUND_TRIP = 0.05
WINDOW = 2 << 20
FIRST_WINDOW = 64 * 1024
LINK = 120e6
"""Bytes per second of all connections together."""
CHUNK = 64 * 1024


class Link:
    """The shared part of the way."""

    def __init__(self) -> None:
        self._free = 0.0

    def take(self, size: int) -> float:
        """When *size* bytes have left."""
        self._free = max(self._free, trio.current_time()) + size / LINK
        return self._free


class Window:
    """What one connection may have under way."""

    def __init__(self) -> None:
        self._limit = FIRST_WINDOW
        self._under_way = 0
        self._changed = trio.Event()

    async def room(self) -> int:
        while self._under_way >= self._limit:
            await self._changed.wait()
        return min(CHUNK, self._limit - self._under_way)

    def sent(self, size: int) -> None:
        self._under_way += size

    def acknowledged(self, size: int) -> None:
        self._under_way -= size
        self._limit = min(WINDOW, self._limit + size)
        self._changed.set()
        self._changed = trio.Event()


async def serve(client: trio.SocketStream, port: int, link: Link) -> None:
    await trio.sleep(ROUND_TRIP)  # of the handshake
    origin = await trio.open_tcp_stream("127.0.0.1", port)
    async with client, origin, trio.open_nursery() as nursery:
        nursery.start_soon(_requests, client, origin, nursery.cancel_scope)
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await _answers(client, origin, link)
        nursery.cancel_scope.cancel()


async def _requests(
    client: trio.SocketStream, origin: trio.SocketStream, scope: trio.CancelScope
) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in client:
            await trio.sleep(ROUND_TRIP / 2)
            await origin.send_all(data)
    scope.cancel()


async def _answers(client: trio.SocketStream, origin: trio.SocketStream, link: Link) -> None:
    window = Window()
    to_far_end, from_near_end = trio.open_memory_channel[tuple[float, bytes]](1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_deliver, client, from_near_end, window, nursery)
        async with to_far_end:
            while data := await origin.receive_some(await window.room()):
                window.sent(len(data))
                await to_far_end.send((link.take(len(data)) + ROUND_TRIP / 2, data))


async def _deliver(
    client: trio.SocketStream,
    arriving: trio.MemoryReceiveChannel[tuple[float, bytes]],
    window: Window,
    nursery: trio.Nursery,
) -> None:
    async for due, data in arriving:
        await trio.sleep_until(due)
        await client.send_all(data)
        nursery.start_soon(_acknowledge, window, len(data))


async def _acknowledge(window: Window, size: int) -> None:
    await trio.sleep(ROUND_TRIP / 2)
    window.acknowledged(size)


async def main(port: int) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(partial(serve, port=port, link=Link()), listeners)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
