"""A TAP request, checked: what to ask, in which format, how many rows (TAP 1.1, section 2.7)."""

from __future__ import annotations

from dataclasses import dataclass

from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.tap.formats import Format, format_of
from cadcfs.demo.tap.submission import Submission

LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")

_LARGEST = 2_147_483_647
# CADC reckons an asynchronous result's size by its columns, and stops at 128 MiB.
_RESULT_BYTES = 128 * 1024 * 1024
_COLUMN_BYTES = 26.0
_XML_BLOAT = 2.4


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is in order so far; the query itself is not parsed yet."""

    adql: str
    maxrec: int | None
    format: Format
    bloated: bool = False

    @classmethod
    def of(cls, submission: Submission) -> Question:
        """Check DALI's and TAP's parameters; raise AdqlError."""
        request = submission.get("REQUEST")
        if request not in (None, "doQuery"):
            raise AdqlError(f"unknown REQUEST: {request}")
        language = submission.get("LANG")
        if not language:
            raise AdqlError("missing required parameter: LANG")
        if language not in LANGUAGES:
            raise AdqlError(f"unknown LANG: {language}")
        adql = (submission.get("QUERY") or "").strip()
        if not adql:
            raise AdqlError("missing required parameter: QUERY")
        maxrec = _maxrec(submission.get("MAXREC"))
        bloated = submission.get("FORMAT") == "votable"
        return cls(adql, maxrec, format_of(format_name(submission)), bloated)

    def limit(self, columns: int, *, capped: bool) -> int | None:
        """Return how many rows may go out; async results are capped by their width."""
        if not capped:
            return self.maxrec
        row = columns * _COLUMN_BYTES * (_XML_BLOAT if self.bloated else 1.0)
        cap = int(_RESULT_BYTES / row)
        return cap if self.maxrec is None else min(cap, self.maxrec)


def format_name(submission: Submission) -> str:
    """Return the format that was asked for; RESPONSEFORMAT wins over FORMAT."""
    return submission.get("RESPONSEFORMAT") or submission.get("FORMAT") or "votable"


def _maxrec(text: str | None) -> int | None:
    if text is None or not text.strip():
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) >= _LARGEST:
        raise AdqlError(f"Invalid MAXREC: {text}")
    return int(text)
