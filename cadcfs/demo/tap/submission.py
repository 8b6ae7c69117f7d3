"""What a client sent: parameters in any of HTTP's forms, and files beside them (DALI 1.1, 3).

Names of parameters mean the same in any case of letters; where one comes twice, the first value
counts. Files come as parts of `multipart/form-data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive

UPLOAD_BYTES = 32 * 1024 * 1024
"""What a request may bring along at most, as CADC's capabilities say (`uploadLimit`)."""

_TEXT_BYTES = 1024 * 1024
_PARTS = 1_000

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Submission:
    """Parameters in the order sent, and files by the name of their part."""

    pairs: Pairs
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many bytes the files have together."""
        return sum(map(len, self.files.values()))

    def get(self, name: str) -> str | None:
        """Return the first value of a parameter, by its name in upper case."""
        return next((value for key, value in self.pairs if key.upper() == name), None)

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter, by its name in upper case."""
        return [value for key, value in self.pairs if key.upper() == name]


async def submission_of(request: Request) -> Submission:
    """Read a request's query string and body; raise HTTPException 400 or 413."""
    pairs = list(request.query_params.multi_items())
    files: dict[str, bytes] = {}
    if request.method in ("POST", "PUT"):
        limited = Request(request.scope, _limited(request.receive))
        if request.headers.get("content-type", "").startswith("multipart/"):
            await _read_parts(limited, pairs, files)
        else:
            body = (await limited.body()).decode("utf-8", "replace")
            try:
                pairs += parse_qsl(body, keep_blank_values=True, max_num_fields=_PARTS)
            except ValueError as trouble:
                raise HTTPException(400, str(trouble)) from trouble
    return Submission(tuple(pairs), files)


async def _read_parts(
    request: Request, pairs: list[tuple[str, str]], files: dict[str, bytes]
) -> None:
    async with request.form(max_files=_PARTS, max_fields=_PARTS, max_part_size=_TEXT_BYTES) as form:
        for key, value in form.multi_items():
            if isinstance(value, UploadFile):
                files.setdefault(key, await value.read())
            else:
                pairs.append((key, value))


def _limited(receive: Receive) -> Receive:
    """Let no more of a body through than uploads may have, and some parameters."""
    left = UPLOAD_BYTES + _TEXT_BYTES

    async def counting() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"upload limit exceeded: {UPLOAD_BYTES} bytes")
        return message

    return counting
