"""One trio loop in a thread for each process, and calls into it from any other thread."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import trio

from cadcfs import config
from cadcfs.config import Settings
from cadcfs.errnos import sole_cause
from cadcfs.fsspec.window import Window, looking

T = TypeVar("T")

GRACE = 0.5
"""Seconds for the layers below to say in words that the time is up."""
CLOSING_TIME = 8.0
"""Seconds that a process waits at its end until what has arrived is written down."""


class _Call(Generic[T]):
    """Work in the loop that a thread waits for."""

    def __init__(self, work: Callable[[Window], Awaitable[T]], limit: float) -> None:
        self._work = work
        self._limit = limit
        self.scope = trio.CancelScope()
        self.done: Future[T] = Future()

    async def run(self, window: Window) -> None:
        """Settle `done`, come what may: who waits for it may not wait for ever."""
        try:
            with self.scope:
                self.scope.deadline = trio.current_time() + self._limit
                self.done.set_result(await self._work(window))
            if not self.done.done():
                self.done.set_exception(TimeoutError(f"no answer within {self._limit:g} s"))
        except Exception as exc:  # noqa: BLE001  (raised in the thread that asks)
            self.done.set_exception(sole_cause(exc))
        finally:
            if not self.done.done():
                self.done.set_exception(_closed())


class Portal:
    """A loop in a thread with the tree of one set of settings; it ends with the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="cadcfs", daemon=True)
        self._begun: Future[None] = Future()
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._window: Window | None = None
        self._thread.start()

    def call(self, work: Callable[[Window], Awaitable[T]], seconds: float | None = None) -> T:
        """What *work* returns in the loop, within *seconds* (as long as a listing may take).

        Whoever is interrupted meanwhile (^C) leaves nothing behind that waits.

        Raises
        ------
        CadcfsError
        TimeoutError
            The time is up.
        """
        self._begun.result()
        assert self._token is not None
        limit = (self._settings.listing_time if seconds is None else seconds) + GRACE
        call = _Call(work, limit)

        def start() -> None:
            if self._nursery is None or self._window is None:
                call.done.set_exception(_closed())
            else:
                self._nursery.start_soon(call.run, self._window)

        try:
            self._token.run_sync_soon(start)
        except trio.RunFinishedError as exc:
            raise _closed() from exc
        try:
            return call.done.result()
        except BaseException:
            if not call.done.done():
                self._token.run_sync_soon(call.scope.cancel)
            raise

    def leave(self, work: Callable[[], Awaitable[None]]) -> None:
        """Let *work* be done some time, if this loop still runs in this process; never waits."""
        if os.getpid() != self._process or self._token is None:
            return

        def start() -> None:
            if self._nursery is not None:
                self._nursery.start_soon(work)

        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(start)

    def close(self) -> None:
        """Write down what has arrived, and end the loop."""
        if self._token is None or not self._thread.is_alive():
            return
        try:
            self._token.run_sync_soon(self._end)
        except trio.RunFinishedError:
            return
        self._thread.join(CLOSING_TIME)

    def _end(self) -> None:
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
            self._nursery = None

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as exc:  # noqa: BLE001
            # Also a mistake in the settings: it is told to the first caller, not to the terminal.
            if not self._begun.done():
                cause = sole_cause(exc) if isinstance(exc, Exception) else exc
                self._begun.set_exception(cause)

    async def _serve(self) -> None:
        async with looking(self._settings) as window, trio.open_nursery() as nursery:
            self._window, self._nursery = window, nursery
            self._token = trio.lowlevel.current_trio_token()
            self._begun.set_result(None)
            await trio.sleep_forever()


class Portals:
    """The portals of this process, by settings: threads share one, a forked child has its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Settings, Portal] = {}
        self._of_parents: list[dict[Settings, Portal]] = []
        self._ended = False
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._close)

    def of(self, settings: Settings) -> Portal:
        with self._lock:
            if self._ended:
                raise RuntimeError("the process ends")
            if settings not in self._open:
                self._open[settings] = Portal(settings)
            return self._open[settings]

    def drop(self, settings: Settings) -> None:
        """Close one; the next call opens another."""
        with self._lock:
            portal = self._open.pop(settings, None)
        if portal is not None:
            portal.close()

    def _forget(self) -> None:
        # Kept, not collected: closing the parent's files and databases is the parent's business.
        self._of_parents.append(self._open)
        self._lock, self._open = threading.Lock(), {}

    def _close(self) -> None:
        self._ended = True
        for settings in list(self._open):
            self.drop(settings)


PORTALS = Portals()
"""A process has one, as it has one network: instances come and go with threads and pickles."""


def portal_of(options: dict[str, object]) -> Portal:
    """The portal of this process with *options* over the settings of its own user and machine."""
    return PORTALS.of(config.load(options))


def _closed() -> RuntimeError:
    return RuntimeError("the file system has been closed")
