"""Pixel cutouts as SUB writes them: `[1]`, `[1][10:120,20:30]`, `[SCI,2][*,512:256]`.

Pixels count from 1, both ends belong to the range, as in cfitsio's image sections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cadcfs.demo.data.shapes import ParameterError

_GROUPS = re.compile(r"\s*\[([^\[\]]*)\]\s*(?:\[([^\[\]]*)\])?\s*")
_RANGE = re.compile(r"(?:(-?\*)|(-?\d+)(?::(-?\d+))?)(?::(-?\d+))?")
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class PixelRange:
    """Pixels of one axis. `first` > `last` reverses the axis; None and None is all of it."""

    first: int | None = None
    last: int | None = None
    step: int = 1
    reversed: bool = False

    def __str__(self) -> str:
        step = f":{self.step}" if self.step != 1 else ""
        if self.first is None:
            return f"{'-' if self.reversed else ''}*{step}"
        return f"{self.first}:{self.last}{step}"

    def within(self, length: int) -> tuple[int, int, int] | None:
        """First and last pixel (from 1, first > last if reversed) and step on an axis, or None."""
        if self.first is None or self.last is None:
            return (length, 1, self.step) if self.reversed else (1, length, self.step)
        low, high = sorted((self.first, self.last))
        if high < 1 or low > length:
            return None
        low, high = max(low, 1), min(high, length)
        return (high, low, self.step) if self.first > self.last else (low, high, self.step)


@dataclass(frozen=True, slots=True)
class ExtensionSlice:
    """Some pixels of one extension, by number or by EXTNAME; no ranges stand for all of it."""

    number: int | None = None
    name: str = ""
    version: int | None = None
    ranges: tuple[PixelRange, ...] = ()

    def __str__(self) -> str:
        extension = self.name if self.number is None else str(self.number)
        if self.number is None and self.version is not None:
            extension += f",{self.version}"
        pixels = f"[{','.join(map(str, self.ranges))}]" if self.ranges else ""
        return f"[{extension}]{pixels}"


def parse_slice(text: str) -> ExtensionSlice:
    """Read one value of SUB.

    Raises
    ------
    ParameterError
        It is not of that form.
    """
    match = _GROUPS.fullmatch(text)
    if match is None:
        raise ParameterError(f"No usable values from ({text}).")
    first, second = match[1].strip(), match[2]
    # One pair of brackets names an extension, unless it can only be pixels of the first.
    if second is None and (":" in first or "*" in first):
        return ExtensionSlice(0, ranges=_ranges(first, text))
    number, name, version = _extension(first, text)
    ranges = () if second is None else _ranges(second, text)
    return ExtensionSlice(number, name, version, ranges)


def _extension(text: str, whole: str) -> tuple[int | None, str, int | None]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 2:
        raise ParameterError("Specifying XTENSION return type is not supported.")
    if not parts[0]:
        raise ParameterError(f"No usable values from ({whole}).")
    if len(parts) == 1:
        if parts[0].isdecimal():
            return _number(parts[0]), "", None
        return None, parts[0], None
    if not parts[1].isdecimal():
        raise ParameterError(f'For input string: "{parts[1]}"')
    return None, parts[0], _number(parts[1]) or 1


def _ranges(text: str, whole: str) -> tuple[PixelRange, ...]:
    found = []
    for part in text.replace(" ", "").split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ParameterError(f"No usable values from ({whole}).")
        step = _number(match[4] or "1")
        if step < 1:
            raise ParameterError(f"invalid step: {step}")
        if match[1]:
            found.append(PixelRange(step=step, reversed=match[1] == "-*"))
        else:
            first = _number(match[2])
            found.append(PixelRange(first, _number(match[3] or match[2]), step))
    return tuple(found)


def _number(text: str) -> int:
    # Ten digits are more than enough, and Python refuses to read thousands of them.
    value = int(text) if len(text) <= 12 else _LARGEST + 1
    if abs(value) > _LARGEST:
        raise ParameterError(f'For input string: "{text}"')
    return value
