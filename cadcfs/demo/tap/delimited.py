"""CSV (RFC 4180) and TSV with a header row; a result that was cut is not marked, as at CADC."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from typing import Any

from cadcfs.demo.tap.writer import Header, Row, text_of


class Delimited:
    """Writes values with a comma or a tab between; NULL is an empty value."""

    def __init__(self, delimiter: str) -> None:
        """Write with this delimiter."""
        self._delimiter = delimiter
        self._texts: tuple[Callable[[Any], str], ...] = ()

    def begin(self, header: Header) -> bytes:
        """Write the header row."""
        self._texts = tuple(text_of(field) for field in header.fields)
        return self._text([[field.name for field in header.fields]])

    def rows(self, batch: Iterable[Row]) -> bytes:
        """Write rows."""
        texts = self._texts
        return self._text(
            [None if v is None else text(v) for text, v in zip(texts, row, strict=True)]
            for row in batch
        )

    def end(self, *, overflow: bool) -> bytes:  # noqa: ARG002 - these formats cannot say it
        """Write nothing."""
        return b""

    def _text(self, rows: Iterable[Iterable[str | None]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="\r\n").writerows(rows)
        return text.getvalue().encode()
