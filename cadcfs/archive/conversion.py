"""A VOTable as CSV, TSV, FITS or Parquet, in a process of its own and in parts.

`convert` starts the worker (`python -m cadcfs.archive.conversion`), so that neither astropy nor
the table ever is in the memory of the mount; the worker takes some thousand rows at a time, so
that its own memory does not grow with the result, either. Column names are unique as pyvo and
astroquery make them: a second `obsID` is `obsID2`.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from cadcfs.archive.scan import in_parts
from cadcfs.archive.votable import parse_votable
from cadcfs.errors import Corrupt

if TYPE_CHECKING:
    from astropy.io.votable.tree import TableElement

PART = 20_000
"""Rows in memory at a time."""
CELLS = 400_000
"""Cells in memory at a time: of a wide table fewer rows."""
DISK = "errno "
"""What the worker's last word begins with when the disk is to blame."""


class Format(StrEnum):
    """What a result can be had as; the values are the endings of file names."""

    VOT = "vot"
    CSV = "csv"
    TSV = "tsv"
    FITS = "fits"
    PARQUET = "parquet"


async def convert(source: Path, target: Path, form: Format) -> None:
    """Write the VOTable *source* as *form* to *target*.

    Raises
    ------
    Corrupt
        It cannot be converted; in the worker's words.
    OSError
        The disk is full, or *target* cannot be written.
    """
    await work(__name__, form.value, str(source), str(target))


async def work(module: str, *arguments: str) -> None:
    """Run *module* in a process of its own to its end; cancelling ends it."""
    command = ["nice", sys.executable, "-m", module, *arguments]
    done = await trio.run_process(command, capture_stderr=True, check=False)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        words = lines[-1] if lines else f"the conversion ended with {done.returncode}"
        if words.startswith(DISK):
            number, _, reason = words.removeprefix(DISK).partition(" ")
            raise OSError(int(number), reason)
        raise Corrupt(words)


def main(job: Callable[[], None]) -> None:
    """Run *job*, and tell why not on standard error."""
    try:
        job()
    except OSError as exc:
        sys.exit(f"{DISK}{exc.errno or 5} {exc.strerror or exc}")
    except Exception as exc:  # noqa: BLE001  (the worker's last word, whatever it is)
        sys.exit(f"{type(exc).__name__}: {' '.join(str(exc).split())}")


def unique(names: Sequence[str]) -> list[str]:
    """Names that tell columns apart, as pyvo makes them."""
    told: list[str] = []
    for name in names:
        new, number = name, 2
        while new in told:
            new, number = f"{name}{number}", number + 1
        told.append(new)
    return told


def parts(source: Path) -> Iterator[TableElement]:
    """The table of a document in parts, as astropy reads them."""
    import io

    from astropy.io.votable import parse

    for document in in_parts(source, _rows_of_a_part(source)):
        yield parse(io.BytesIO(document), verify="ignore").get_first_table()


def _rows_of_a_part(source: Path) -> int:
    with source.open("rb") as opened:
        columns = opened.read(1 << 20).count(b"FIELD ") or 1
    return max(1, min(PART, CELLS // columns))


def _write_text(source: Path, target: Path, delimiter: str) -> None:
    with target.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, delimiter=delimiter, lineterminator="\n")
        for index, document in enumerate(in_parts(source, _rows_of_a_part(source))):
            answer = parse_votable(document, source.name)
            if index == 0:
                writer.writerow(unique([field.name for field in answer.fields]))
            writer.writerows(answer.rows)


def _write(form: Format, source: Path, target: Path) -> None:
    if form is Format.FITS:
        from cadcfs.archive.fits_table import write_fits

        write_fits(parts(source), target)
    elif form is Format.PARQUET:
        from cadcfs.archive.parquet_table import write_parquet

        write_parquet(parts(source), target)
    else:
        _write_text(source, target, "\t" if form is Format.TSV else ",")


if __name__ == "__main__":
    main(lambda: _write(Format(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
