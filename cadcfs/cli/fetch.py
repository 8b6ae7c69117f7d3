"""`cadcfs fetch`: bring files, into the cache or to a directory; goes on where it was ended."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cadcfs.cli.output import note
from cadcfs.cli.session import AsJson
from cadcfs.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cadcfs.cli.fetch_plan import Plan, Wanted

MUCH = 100 * 10**9
"""Bytes above which a person is asked."""
AT_ONCE = 4
"""Files that are read side by side."""
NAME = 24
"""Characters of a file's name beside its bar, so that all fits into 80 columns."""


def fetch(
    paths: Annotated[
        list[str], typer.Argument(help="Files or results below a mount; - reads paths, one a line.")
    ],
    match: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Only files with such names.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="DEST", help="Copy into this directory.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be brought, and end.")
    ] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask above 100 GB.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring files whole: into the cache of the mount, or with --to out of it.

    Says first how many files and bytes it will be. What came before it was ended does not come
    again; each file is checked against the archive's checksum. Files that are proprietary, and
    those in junk/ (unless it is named itself), are left out and counted. In a pipe nothing is
    printed but what fails.
    """
    from cadcfs.cli.fetch_plan import planned

    plan = planned(_paths(paths), match, note)
    if to is not None:
        plan.check_targets()
    shown = sys.stdout.isatty() or dry_run
    if shown and not as_json:
        typer.echo(_told(plan))
    if dry_run:
        _list(plan, as_json=as_json)
        return
    is_much = plan.size > MUCH and sys.stdin.isatty() and not yes
    if is_much and not typer.confirm("That is more than 100 GB. Go on?"):
        raise typer.Exit(1)
    run = _Run(plan, to)
    try:
        run.run()
    except KeyboardInterrupt:
        note("ended; the same command goes on from here")
        # Threads that wait for the archive would be waited for.
        sys.stderr.flush()
        os._exit(130)
    if as_json:
        typer.echo(json.dumps(run.facts(), ensure_ascii=False))
    elif shown:
        failed = f", {len(run.failures)} failed" if run.failures else ""
        typer.echo(f"{run.came} fetched, {run.there} were there{failed}")
    if run.failures:
        sys.exit(1)


def _paths(words: list[str]) -> Iterator[Path]:
    for word in words:
        if word == "-":
            yield from (Path(line.rstrip("\n")) for line in sys.stdin if line.strip())
        else:
            yield Path(word)


def _told(plan: Plan) -> str:
    from rich.filesize import decimal

    files = "1 file" if len(plan.files) == 1 else f"{len(plan.files)} files"
    told = [f"{files}, {decimal(plan.size)}"]
    if plan.unmade:
        told.append(f"{plan.unmade} of them of a size that shows when they come")
    if plan.proprietary:
        told.append(f"{plan.proprietary} proprietary, left out")
    if plan.junk:
        told.append(f"{plan.junk} junk, left out")
    return "; ".join(told)


def _list(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        files = [{"path": str(file.path), "size": file.size} for file in plan.files]
        typer.echo(json.dumps(_counts(plan) | {"paths": files}, ensure_ascii=False))
    elif not sys.stdout.isatty():
        for file in plan.files:
            typer.echo(f"{'' if file.size is None else file.size}\t{file.path}")


def _counts(plan: Plan) -> dict[str, object]:
    return {
        "files": len(plan.files), "bytes": plan.size,
        "proprietary": plan.proprietary, "junk": plan.junk,
    }  # fmt: skip


class _Run:
    """One going through a plan."""

    def __init__(self, plan: Plan, destination: Path | None) -> None:
        self._plan = plan
        self._destination = destination
        self.came = self.there = 0
        self.failures: list[tuple[Path, str]] = []

    def run(self) -> None:
        """Bring all files; ^C does not wait for those that are on their way."""
        threads = ThreadPoolExecutor(AT_ONCE, "fetch")
        try:
            with _bars(self._plan) as bars:
                self._feed(threads, bars)
        except KeyboardInterrupt:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
        threads.shutdown()

    def _feed(self, threads: ThreadPoolExecutor, bars: _Bars) -> None:
        todo = iter(self._plan.files)
        under_way: dict[Future[bool], Wanted] = {}
        while True:
            # A few at a time: a plan may have a million files.
            while len(under_way) < AT_ONCE and (file := next(todo, None)) is not None:
                under_way[threads.submit(self._bring, file, bars)] = file
            if not under_way:
                break
            for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                self._count(done, under_way.pop(done), bars)

    def _bring(self, file: Wanted, bars: _Bars) -> bool:
        from cadcfs.cli.fetch_copy import bring

        with bars.of(file) as told:
            return bring(file, self._destination, told, lambda words: bars.tell(file, words))

    def _count(self, done: Future[bool], file: Wanted, bars: _Bars) -> None:
        from cadcfs.cli.fetch_copy import words_of

        try:
            if done.result():
                self.came += 1
            else:
                self.there += 1
        except (OSError, UserError) as exc:
            words = words_of(exc, file.path)
            self.failures.append((file.path, words))
            bars.note(f"{file.path}: {words}")

    def facts(self) -> dict[str, object]:
        failed = [{"path": str(path), "error": words} for path, words in self.failures]
        return _counts(self._plan) | {
            "fetched": self.came, "were_there": self.there, "failed": failed,
        }  # fmt: skip


class _Bars:
    """Progress of all and of each file; nothing without a terminal."""

    def __init__(self, plan: Plan, progress: Progress | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._total = plan.size
        self._all: TaskID | None = None
        self._done = 0
        self._files = len(plan.files)
        if progress is not None:
            self._all = progress.add_task(self._count(), total=self._total)

    def _count(self) -> str:
        return f"{self._done} of {self._files} files"

    def note(self, text: str) -> None:
        """Say something above the bars, which would else be drawn over it."""
        if self._progress is None:
            note(text)
        else:
            self._progress.console.print(
                f"cadcfs: {text}", markup=False, highlight=False, soft_wrap=True
            )

    def tell(self, file: Wanted, words: str) -> None:
        """Say on a terminal why a file is slow; in a pipe only its failure is said."""
        if self._progress is not None:
            self.note(f"{file.path.name}: {words}")

    @contextmanager
    def of(self, file: Wanted) -> Iterator[Callable[[int, int], None]]:
        """What is told of one file's bytes."""
        progress = self._progress
        if progress is None or self._all is None:
            yield lambda _came, _size: None
            return
        task = progress.add_task(_short(file.path.name), total=file.size)
        known = file.size

        def told(came: int, size: int) -> None:
            nonlocal known
            if known != size:
                with self._lock:
                    self._total += size - (known or 0)
                    progress.update(self._all, total=self._total)  # type: ignore[arg-type]
                progress.update(task, total=size)
                known = size
            progress.advance(task, came)
            progress.advance(self._all, came)  # type: ignore[arg-type]

        try:
            yield told
        finally:
            progress.remove_task(task)
            with self._lock:
                self._done += 1
                progress.update(self._all, description=self._count())


@contextmanager
def _bars(plan: Plan) -> Iterator[_Bars]:
    if not sys.stderr.isatty() or not sys.stdout.isatty():
        yield _Bars(plan, None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=None), DownloadColumn(),
        TransferSpeedColumn(), TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=5) as progress:
        yield _Bars(plan, progress)


def _short(name: str) -> str:
    """A name that fits beside its bar; its end tells more than its middle."""
    half = NAME // 2
    return name if len(name) <= NAME else f"{name[: half - 1]}…{name[-half:]}"
