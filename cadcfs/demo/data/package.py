"""`/caom2ops/pkg`: the files of planes in one tar stream, previews and thumbnails left out.

Planes that are unknown, hidden or without files are passed over, so that a request for nothing
but such gets 200 and no bytes, as at CADC.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.auth.caller import Caller, caller_of
from cadcfs.demo.data.bodies import MadeBody
from cadcfs.demo.data.holdings import Holding, Holdings
from cadcfs.demo.data.metadata import PLANE, Metadata
from cadcfs.demo.data.shapes import ParameterError
from cadcfs.demo.tap.submission import Submission, submission_of

_LEFT_OUT = ("preview", "thumbnail")
_CHUNK = 512 * 1024
_END = b"\0" * (2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the package: the part of its URI after the scheme, and its bytes."""

    name: str
    holding: Holding


class PackageService:
    """Serves `/caom2ops/pkg`."""

    def __init__(
        self, metadata: Metadata, holdings: Holdings, limiter: trio.CapacityLimiter
    ) -> None:
        """Pack the planes of an archive."""
        self._metadata = metadata
        self._holdings = holdings
        self._limiter = limiter

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/caom2ops/pkg", self._answer, methods=["GET", "POST"])]

    async def _answer(self, request: Request) -> Response:
        try:
            parameters = await submission_of(request)
            numbers = parameters.all("ID")
            for number in numbers:
                if PLANE.fullmatch(number) is None:
                    raise ParameterError(f"invalid URI found: {number}")
        except ParameterError as error:
            return PlainTextResponse(f"{error}\n", 400)
        entries = self._entries(numbers, caller_of(request.scope))
        headers = {
            "Content-Type": "application/x-tar",
            "Content-Disposition": f'inline; filename="{package_name(parameters)}.tar"',
        }
        return MadeBody(_packed(entries), self._limiter, headers)

    def _entries(self, numbers: Sequence[str], caller: Caller) -> Iterator[Entry]:
        seen = set()
        for number in numbers:
            for artifact in self._metadata.of_plane(number, caller):
                if artifact.product_type in _LEFT_OUT or artifact.uri in seen:
                    continue
                seen.add(artifact.uri)
                holding = self._holdings.find(artifact.uri) if artifact.is_readable else None
                if holding is not None:
                    name = artifact.uri.partition(":")[2].lstrip("/")
                    yield Entry(name, holding)


def package_name(parameters: Submission) -> str:
    """`COLLECTION-observation-product` of one plane, else `cadc-download-` and the RUNID."""
    numbers = parameters.all("ID")
    if len(numbers) == 1:
        start, _, rest = numbers[0].rpartition("?" if "?" in numbers[0] else ":")
        names = [start.rpartition("/")[2], *rest.split("/")] if "?" in numbers[0] else [rest]
        return "-".join(names).replace("/", "-").replace('"', "")
    run = parameters.get("RUNID") or hashlib.sha256("".join(numbers).encode()).hexdigest()[:16]
    return "cadc-download-" + "".join(c for c in run if c.isascii() and (c.isalnum() or c in "-_"))


def _packed(entries: Iterator[Entry]) -> Iterator[bytes]:
    """Yield the stream of a tar file (POSIX.1-2001, pax), piece by piece."""
    empty = True
    for entry in entries:
        empty = False
        head = tarfile.TarInfo(entry.name)
        head.size = entry.holding.length
        head.mtime = int(entry.holding.modified.timestamp())
        head.mode = 0o644
        yield head.tobuf(tarfile.PAX_FORMAT)
        yield from _content(entry.holding.path, entry.holding.length)
        yield b"\0" * (-entry.holding.length % tarfile.BLOCKSIZE)
    if not empty:
        yield _END


def _content(path: Path, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while length:
            piece = file.read(min(_CHUNK, length))
            if not piece:
                raise EOFError(f"{path} is shorter than the inventory says")
            length -= len(piece)
            yield piece
