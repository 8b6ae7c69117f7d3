"""What every result format does: write a table piece by piece, never holding it whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from cadcfs.demo.adql.catalogue import Field

Row: TypeAlias = Sequence[Any]

WHOLE = frozenset({"unsignedByte", "short", "int", "long"})
REAL = frozenset({"float", "double"})

_SHAPES = frozenset({"point", "circle", "polygon", "range", "interval"})
# What XML 1.0 cannot hold at all, in section 2.2.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Header:
    """What a result says of itself before its rows: columns, the query, the services behind."""

    fields: tuple[Field, ...]
    query: str = ""
    timestamp: str = ""
    base_url: str = ""


class Writer(Protocol):
    """Writes one result, piece by piece."""

    def begin(self, header: Header) -> bytes:
        """Return what comes before the rows."""

    def rows(self, batch: Iterable[Row]) -> bytes:
        """Return some rows."""

    def end(self, *, overflow: bool) -> bytes:
        """Return what comes after the rows."""


def clean(text: str) -> str:
    """Replace what XML cannot hold."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def number_text(value: float) -> str:
    """Write a floating-point number as VOTable does (VOTable 1.4, section 6)."""
    text = repr(value)
    if text[-1] in "fn":
        return {"inf": "+Inf", "-inf": "-Inf"}.get(text, "NaN")
    return text


def text_of(field: Field) -> Callable[[Any], str]:
    """Return the function that writes a column's values, none of them NULL, as plain text."""
    if field.arraysize or field.datatype == "char":
        return _bare if field.xtype in _SHAPES and field.datatype == "double" else str
    if field.datatype in WHOLE:
        return _whole
    if field.datatype in REAL:
        return _real
    return _boolean if field.datatype == "boolean" else str


def _bare(value: Any) -> str:  # noqa: ANN401 (any SQLite value)
    """Write a shape as its numbers alone: `circle 1 2 3` is `1 2 3` (DALI 1.1, section 3.3)."""
    text = str(value)
    return text.partition(" ")[2] if text[:1].isalpha() else text


def _whole(value: Any) -> str:  # noqa: ANN401
    return str(value) if type(value) is int else str(int(value))


def _real(value: Any) -> str:  # noqa: ANN401
    return number_text(float(value))


def _boolean(value: Any) -> str:  # noqa: ANN401
    return "true" if value in (1, "1", "true", "T") else "false"
