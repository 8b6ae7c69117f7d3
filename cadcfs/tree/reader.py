"""Open artifacts: who may read them, how large they are, and where their bytes come from."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cadcfs.archive.addresses import Addresses
from cadcfs.archive.files import Files
from cadcfs.archive.records import Artifact
from cadcfs.archive.storage import Head
from cadcfs.cache.blocks import Version
from cadcfs.cache.fetching import RangeSource, Sink
from cadcfs.cache.streams import Streams
from cadcfs.errors import CadcfsError, Forbidden, NotFound, RemoteChanged
from cadcfs.tree.node import Opened

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """Who has logged in, and what is there for the data of that account alone."""

    name: str
    streams: Streams
    files: Files


class Reader:
    """Reads artifacts through the cache: public ones as nobody, others as the account, if any.

    *note* is why nobody has logged in, where somebody was to be expected.
    """

    def __init__(
        self, streams: Streams, files: Files, addresses: Addresses, account: Account | None = None
    ) -> None:
        self._streams = streams
        self._files = files
        self._addresses = addresses
        self._account = account
        self.note = ""
        self._replaced: dict[str, tuple[frozenset[str], Artifact]] = {}
        self.replacements = 0
        """How often a file turned out to be another than its metadata said."""

    def current(self, artifact: Artifact) -> Artifact:
        """The artifact as the file service has it, where that is known to be newer."""
        known = self._replaced.get(artifact.uri)
        return known[1] if known is not None and artifact.version in known[0] else artifact

    @property
    def name(self) -> str:
        """The account; "" for nobody."""
        return self._account.name if self._account else ""

    def is_public(self, artifact: Artifact) -> bool:
        return artifact.is_public(datetime.now(UTC))

    def closed(self, artifact: Artifact) -> str | None:
        """Why *artifact* may not be read, and what to do; None if it may, or nobody knows."""
        if self.is_public(artifact):
            return None
        if self._account is not None and artifact.granted is not False:
            return None
        date = artifact.release
        when = f"public from {date:%Y-%m-%d}" if date else "no date set"
        advice = "data of your own needs a login (cadcfs login)"
        if self._account is not None:
            advice = f"it is not for {self._account.name}"
        elif self.note:
            advice = self.note
        return f"{artifact.uri} is proprietary, {when}; {advice}"

    def standing(self, artifact: Artifact) -> str:
        """Who may read it, in a word that is part of its identity."""
        if self.is_public(artifact):
            return "public"
        return "closed" if self.closed(artifact) else f"for {self.name}"

    def mode(self, artifact: Artifact) -> int:
        """Permission bits: what is not public is for the mounting user at most."""
        if self.is_public(artifact):
            return 0o444
        return 0 if self.closed(artifact) else 0o400

    async def measure(self, artifact: Artifact) -> tuple[int, str | None]:
        """Size in bytes and MD5 of a file whose metadata does not tell them."""
        head = await self._files_for(artifact).head(artifact.uri, await self._elsewhere(artifact))
        return head.size, head.md5

    async def url(self, artifact: Artifact) -> str:
        """The public address; "" where the archive cannot be asked for it."""
        try:
            return await self._elsewhere(artifact) or await self._files.url(artifact.uri)
        except CadcfsError:
            return ""

    async def _elsewhere(self, artifact: Artifact) -> str | None:
        """The address of a file that the file service does not hold; None for all others."""
        if not artifact.is_elsewhere:
            return None
        found = await self._addresses.of([artifact])
        if not found:
            raise NotFound(f"the archive tells no address of {artifact.uri}")
        return found[0]

    def _files_for(self, artifact: Artifact) -> Files:
        account = None if self.is_public(artifact) else self._account
        return self._files if account is None else account.files

    async def here(self, artifact: Artifact, version: Version) -> int:
        """Bytes of *version* that are in the cache."""
        account = None if self.is_public(artifact) else self._account
        return await (self._streams if account is None else account.streams).here(version)

    async def open(self, artifact: Artifact, version: Version) -> Opened:
        """An open file; `Forbidden` where it is not public."""
        if (reason := self.closed(artifact)) is not None:
            raise Forbidden(reason)
        if self.current(artifact) is not artifact:
            raise RemoteChanged(f"{artifact.uri} was replaced at the archive; look it up again")
        entry = await self._elsewhere(artifact)
        source = await self._files_for(artifact).source(
            artifact.uri, version.size, version.md5, entry
        )
        account = None if self.is_public(artifact) else self._account
        streams = self._streams if account is None else account.streams
        return await streams.open(version, _Watched(source, lambda: self._look(artifact)))

    async def _look(self, artifact: Artifact) -> None:
        """Find out what has taken the place of *artifact*, before the metadata tells."""
        try:
            entry = await self._elsewhere(artifact)
            head = await self._files_for(artifact).head(artifact.uri, entry)
        except CadcfsError as exc:
            log.info("%s: its replacement is not known: %s", artifact.uri, exc)
            return
        now = replace(artifact, size=head.size, md5=head.md5, modified=parse_http_date(head))
        if (now.size, now.md5) != (artifact.size, artifact.md5):
            before = self._replaced.get(artifact.uri, (frozenset(), now))[0]
            self._replaced[artifact.uri] = ((before | {artifact.version}) - {now.version}, now)
            self.replacements += 1


class _Watched:
    """A source that notices when the file is not the one that it was."""

    def __init__(self, source: RangeSource, changed: Callable[[], Awaitable[None]]) -> None:
        self._source = source
        self._changed = changed

    async def fetch(self, start: int, stop: int, sink: Sink) -> None:
        try:
            await self._source.fetch(start, stop, sink)
        except RemoteChanged:
            await self._changed()
            raise


def parse_http_date(head: Head) -> datetime | None:
    """When the file was modified (RFC 9110, 8.8.2); None where that is not told."""
    try:
        return parsedate_to_datetime(head.modified or "").astimezone(UTC)
    except ValueError:
        return None
