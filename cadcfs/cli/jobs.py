"""`cadcfs jobs`: asynchronous queries, with or without a mount that looks after them."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadcfs.cli import output
from cadcfs.cli.session import AsJson, CacheDir, RegistryUrl, Session, ask
from cadcfs.errors import CadcfsError, UserError

if TYPE_CHECKING:
    from cadcfs.jobs.engine import Jobs
    from cadcfs.jobs.record import Job

Name = Annotated[str, typer.Argument(help="Its name here, or the archive's id.")]
HEARING_TIME = 30.0
"""Seconds that a command waits for the archive to hear it; the next one goes on with it."""

app = typer.Typer(
    help="Asynchronous queries: list, show, wait for, fetch, abort and remove them.",
    invoke_without_command=True,
)


@app.callback()
def _top(
    context: typer.Context,
    registry_url: RegistryUrl = None,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    if context.invoked_subcommand is None:
        listed(registry_url, cache_dir, as_json)


@app.command("list")
def listed(
    registry_url: RegistryUrl = None, cache_dir: CacheDir = None, as_json: AsJson = False
) -> None:
    """List the jobs that were made here, and all of the account's at the archive."""

    async def work(session: Session) -> list[dict[str, Any]]:
        rows = []
        for jobs in session.all_jobs:
            desk = jobs.desk
            rows += [_facts(job) for job in await desk.in_thread(desk.registry.jobs)]
        try:
            elsewhere = await session.desks.jobs.elsewhere()
        except CadcfsError as exc:
            output.note(f"only jobs made here are listed: {exc}")
            elsewhere = []
        unknown = dict.fromkeys(("phase", "created", "maxrec", "query", "error"))
        return rows + [{"name": job_id, "id": job_id} | unknown for job_id in elsewhere]

    rows = ask(work, registry_url, cache_dir)
    output.table(("name", "phase", "id", "created", "query"), rows, as_json=as_json)


@app.command()
def show(
    name: Name,
    registry_url: RegistryUrl = None,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Say all that is known of a job."""

    async def work(session: Session) -> dict[str, Any]:
        return _facts((await _found(session, name))[1])

    facts = ask(work, registry_url, cache_dir)
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for key, value in facts.items():
        if value is not None:
            typer.echo(f"{key + ':':10} {str(value).strip()}")


@app.command()
def wait(name: Name, registry_url: RegistryUrl = None, cache_dir: CacheDir = None) -> None:
    """Wait until a job has ended, and print its phase; code 1 unless it is COMPLETED."""

    async def work(session: Session) -> Job:
        return await waited(*await _found(session, name))

    job = ask(work, registry_url, cache_dir)
    typer.echo(job.phase.value)
    if job.error:
        output.note(job.error.strip())
    if job.phase.value != "COMPLETED":
        sys.exit(1)


@app.command()
def result(
    name: Name,
    form: Annotated[
        str | None, typer.Option("--format", metavar="vot|csv|tsv|fits|parquet")
    ] = None,
    target: Annotated[Path | None, typer.Option("-o", "--output", help="Where to.")] = None,
    registry_url: RegistryUrl = None,
    cache_dir: CacheDir = None,
) -> None:
    """Print or write the result of a job that has ended."""
    from cadcfs.cli.result import chosen, file_of, put

    target = file_of(target)
    wanted = chosen(form, target)

    async def work(session: Session) -> None:
        import tempfile

        jobs, job = await _found(session, name)
        source = await jobs.result(job.key)
        with tempfile.TemporaryDirectory(dir=source.parent, prefix="query-") as directory:
            link = Path(directory) / source.name
            link.hardlink_to(source)
            await put(link, wanted, target, is_chosen=form is not None)
        if job.error:
            output.note(job.error.strip())

    ask(work, registry_url, cache_dir)


@app.command()
def abort(name: Name, registry_url: RegistryUrl = None, cache_dir: CacheDir = None) -> None:
    """Stop a job."""

    async def work(session: Session) -> None:
        jobs, job = await _found(session, name)
        await _heard(jobs, await jobs.abort(job))

    ask(work, registry_url, cache_dir)


@app.command()
def rm(
    names: Annotated[list[str], typer.Argument(help="Names here, or the archive's ids.")],
    registry_url: RegistryUrl = None,
    cache_dir: CacheDir = None,
) -> None:
    """Remove jobs and their results, at the archive, too."""

    async def work(session: Session) -> None:
        for name in names:
            jobs, job = await _found(session, name)
            await jobs.remove(job)
            await _heard(jobs, job)

    ask(work, registry_url, cache_dir)


async def waited(jobs: Jobs, job: Job) -> Job:
    """The job once it has ended; a line on a terminal says how far it is."""
    import trio

    if not sys.stderr.isatty():
        return await jobs.ended(job.key)
    from rich.console import Console

    with Console(stderr=True).status("") as line:
        began = time.time()
        async with trio.open_nursery() as nursery:

            async def tell() -> None:
                while True:
                    now = await jobs.get(job.key)
                    line.update(f"{now.name}: {now.phase}, {time.time() - began:.0f} s")
                    await trio.sleep(1)

            nursery.start_soon(tell)
            ended = await jobs.ended(job.key)
            nursery.cancel_scope.cancel()
    return ended


async def _found(session: Session, name: str) -> tuple[Jobs, Job]:
    """The job, and those that it is one of: the account's, or nobody's."""
    try:
        for jobs in session.all_jobs:
            if (job := await jobs.find(name)) is not None:
                return jobs, job
        return session.desks.jobs, await session.desks.jobs.adopt(name)
    except CadcfsError as exc:
        raise UserError(f"no job {name}: {exc}") from exc


async def _heard(jobs: Jobs, job: Job) -> None:
    import trio

    with trio.move_on_after(HEARING_TIME) as scope:
        await jobs.settled(job.key)
    if scope.cancelled_caught:
        output.note(f"the archive does not answer; it hears of {job.name} the next time that a "
                    "mount or a command comes to it")  # fmt: skip


def _facts(job: Job) -> dict[str, Any]:
    return {
        "name": job.name,
        "phase": job.phase.value,
        "id": job.archive_id,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(job.created)),
        "maxrec": job.maxrec,
        "query": job.adql,
        "error": job.error,
    }
