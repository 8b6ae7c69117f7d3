"""What `.cadcfs/` tells of a mount, and the switches in it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import trio

from cadcfs import config, logs, summary
from cadcfs.config import Settings
from cadcfs.errors import BadRequest
from cadcfs.metrics import exposition
from cadcfs.network.hosts import Hosts
from cadcfs.status import Status
from cadcfs.tree.root import Told
from cadcfs.tree.switch import turning


class Reports:
    """The texts of one mount; each is made when its file is opened."""

    def __init__(
        self, settings: Settings, status: Status, hosts: Hosts, recent: logs.RecentLines
    ) -> None:
        self._settings = settings
        self._status = status
        self._hosts = hosts
        self._recent = recent

    def told(self) -> Told:
        texts: dict[str, Callable[[], Awaitable[str]]] = {
            "status": self._summary,
            "status.json": self._json,
            "metrics": self._metrics,
            "config": self._config,
            "log": self._log,
        }
        choices = {
            "offline": (self._offline, turning(lambda on: self._hosts.switch(offline=on))),
            "log_level": (logs.level, _choose_level),
        }
        return Told(texts, choices, self._status.description, self._status.login)

    async def _summary(self) -> str:
        return summary.text(asdict(await self._status.snapshot()))

    async def _json(self) -> str:
        return json.dumps(asdict(await self._status.snapshot()), ensure_ascii=False) + "\n"

    async def _metrics(self) -> str:
        return await trio.to_thread.run_sync(exposition, await self._status.snapshot())

    async def _config(self) -> str:
        return config.toml(config.shown(self._settings))

    async def _log(self) -> str:
        return self._recent.text()

    def _offline(self) -> str:
        return "on" if self._hosts.is_offline else "off"


def _choose_level(word: str) -> None:
    try:
        logs.set_level(word)
    except ValueError as exc:
        raise BadRequest(str(exc)) from exc
