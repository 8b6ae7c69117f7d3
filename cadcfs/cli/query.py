"""`cadcfs query`: one query, its result in a file or a pipe.

Synchronously first, which has no limit of rows at CADC; as a job where the service says that the
time of a synchronous query ran out. Such a job is in `cadcfs jobs` until its result is here, so
that ^C, a crash or a reboot do not lose it.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cadcfs.cli.output import note
from cadcfs.cli.session import CacheDir, RegistryUrl, Session, ask
from cadcfs.errors import CadcfsError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadcfs.archive.scan import Summary
    from cadcfs.jobs.record import Job

PATIENCE = 4 * 3600.0
"""Seconds without a byte: the service's own limit ends a query earlier."""
RAN_OUT = re.compile(
    r"(?i)time[ds]?[ -]?out|out of (its )?time|time limit|statement timeout|HTTP 504|"
    r"execution ?(time|duration)|took too long"
)
"""How services say that the time for a query ran out; there is no code for it (DALI 1.1, 4.2)."""


def query(
    adql: Annotated[str, typer.Argument(help="The query; - reads it from standard input.")],
    upload: Annotated[
        list[str] | None,
        typer.Option("--upload", metavar="NAME=FILE", help="A table to bring along: "
                     "tap_upload.NAME. VOTable, FITS, ECSV or CSV."),
    ] = None,
    maxrec: Annotated[int | None, typer.Option(min=0, help="Rows at most.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", metavar="vot|csv|tsv|fits|parquet",
                                 help="Of the result; without it as FILE is called, else CSV."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to.")] = None,
    registry_url: RegistryUrl = None,
    cache_dir: CacheDir = None,
) -> None:  # fmt: skip
    """Run a query (ADQL) and print or write its result."""
    text = sys.stdin.read() if adql == "-" else adql
    if not text.strip():
        raise UserError("the query is empty")
    asked = Asked(text, dict(_named(upload or ())), maxrec, form, output)
    ask(asked.run, registry_url, cache_dir)


def _named(uploads: Iterable[str]) -> Iterator[tuple[str, Path]]:
    from cadcfs.archive.uploads import IDENTIFIER

    for upload in uploads:
        name, equals, file = upload.partition("=")
        if not equals or not IDENTIFIER.fullmatch(name):
            raise UserError(f"--upload {upload}: must be NAME=FILE")
        if not Path(file).is_file():
            raise UserError(f"--upload {upload}: there is no file {file}")
        yield name, Path(file)


class Asked:
    """One query and what is to be done with its result."""

    def __init__(
        self, adql: str, uploads: dict[str, Path], maxrec: int | None, form: str | None,
        target: Path | None,
    ) -> None:  # fmt: skip
        from cadcfs.cli.result import chosen, file_of

        target = file_of(target)
        self._adql = adql
        self._uploads = uploads
        self._maxrec = maxrec
        self._target = target
        self._is_chosen = form is not None
        self._form = chosen(form, target)

    async def run(self, session: Session) -> None:
        import tempfile

        from cadcfs.cli.result import put

        # On the cache's disk, which is made for results; /tmp may be in memory.
        place = session.desks.root
        with tempfile.TemporaryDirectory(dir=place, prefix="query-") as directory:
            result = Path(directory) / "result.vot"
            tables = await self._tables(Path(directory))
            try:
                summary = await self._at_once(session, tables, result)
                if summary.cut:
                    note(f"the result was cut{self._where(summary)}")
            except CadcfsError as exc:
                if not RAN_OUT.search(str(exc)):
                    raise
                note(f"{exc}; going on as a job")
                await self._as_job(session, tables, result)
            await put(result, self._form, self._target, is_chosen=self._is_chosen)

    def _where(self, summary: Summary) -> str:
        # Rows that came as a binary stream were not counted.
        after = f" after {summary.rows} rows" if summary.rows else ""
        told = self._maxrec is not None and summary.rows in (0, self._maxrec)
        return after + (", as --maxrec says" if told else " by the archive")

    async def _tables(self, directory: Path) -> dict[str, bytes]:
        import trio

        from cadcfs.archive.uploads import as_votable

        found = {}
        for name, file in self._uploads.items():
            made = directory / f"{name}.vot"
            await as_votable(file, made)
            found[name] = await trio.to_thread.run_sync(made.read_bytes)
        return found

    async def _at_once(self, session: Session, tables: dict[str, bytes], target: Path) -> Summary:
        from cadcfs.archive.tap import Tap
        from cadcfs.jobs.fetching import receive

        tap = Tap(session.engine.client, session.engine.services)
        body = tap.stream(self._adql, maxrec=self._maxrec, uploads=tables, seconds=PATIENCE)
        with progress("asking the archive"):
            return await receive(body, "the answer", target, session.desks.jobs.desk.threads)

    async def _as_job(self, session: Session, tables: dict[str, bytes], target: Path) -> None:
        import shutil

        import trio

        from cadcfs.cli.jobs import waited
        from cadcfs.jobs.folder import settle

        jobs = session.desks.jobs
        job = await jobs.add(time.strftime("query-%Y%m%dT%H%M%S"), self._adql)
        folder = jobs.folder(job)
        for name, content in tables.items():
            table = folder.tables / f"{name}.vot"
            await trio.to_thread.run_sync(table.write_bytes, content)
            await trio.to_thread.run_sync(settle, table)
        job = await jobs.run(await jobs.change(job, maxrec=self._maxrec))
        note(f"^C leaves it to the archive; then: cadcfs jobs wait {job.name}")
        job = await waited(jobs, job)
        _check(job)
        source = await session.desks.jobs.result(job.key)
        await trio.to_thread.run_sync(shutil.copyfile, source, target)
        await jobs.remove(job)
        with trio.move_on_after(30):
            await jobs.settled(job.key)


def _check(job: Job) -> None:
    from cadcfs.errors import BadRequest
    from cadcfs.jobs.record import Phase

    if job.phase is not Phase.COMPLETED:
        raise BadRequest((job.error or f"the job ended as {job.phase}").strip())
    if job.error:
        note(job.error.strip())


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show on a terminal that something is going on."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{what} ..."):
        yield
