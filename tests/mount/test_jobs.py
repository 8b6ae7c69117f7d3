"""Asynchronous queries as files, with the programs that people write files with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from astropy.io.votable import parse_single_table
from astropy.table import Table

from tests.rig import Mount, Run, Server, until, wait_for_end

QUERY = "SELECT TOP 5 observationID, target_name FROM caom2.Observation ORDER BY observationID"
SLOW = (
    "SELECT count(*) AS pairs FROM caom2.Observation a JOIN caom2.Observation b "
    "ON a.observationID < b.observationID "
    "WHERE a.observationID LIKE '%5' OR a.observationID LIKE '%7'"
)
"""Takes some seconds."""
ENDS = 90
"""Seconds: no job of these tests takes as long."""


@pytest.fixture
def jobs(mount: Mount) -> Path:
    return mount.path / "jobs"


@pytest.fixture(scope="module")
def shared(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`jobs/` of a mount for the tests that leave nothing behind and warn of nothing."""
    place = tmp_path_factory.mktemp("shared")
    (place / "sky").mkdir()
    mounted = Mount(place / "sky", place / "cache", server.registry_url)
    mounted.start()
    yield mounted.path / "jobs"
    mounted.stop()
    assert mounted.warnings() == []


@pytest.fixture
def query(tmp_path: Path) -> Path:
    path = tmp_path / "q.adql"
    path.write_text(f"{QUERY}\n")
    return path


def sh(script: str, where: Path, *, timeout: float = ENDS) -> subprocess.CompletedProcess[str]:
    """What a person types, in bash."""
    return subprocess.run(
        ["bash", "-c", script], cwd=where, capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip


def typed(script: str, where: Path) -> str:
    done = sh(script, where)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def ended(job: Path) -> str:
    done = subprocess.run(
        ["cat", job / ".wait"], capture_output=True, text=True, timeout=ENDS, check=True
    )
    return done.stdout.strip()


def ran(job: Path) -> str:
    (job / "phase").write_text("RUN\n")
    return ended(job)


def rows(job: Path) -> list[list[str]]:
    import csv

    return list(csv.reader((job / "result.csv").read_text().splitlines()))


def methods(server: Server, part: str) -> list[str]:
    return [str(r["method"]) for r in server.requests() if part in str(r["path"])]


def written(where: Path, inputs: Path, adql: str) -> None:
    """The first half of the transcript: a job `bright` with an upload, told to run."""
    (inputs / "mytable.vot").write_text(upload_of(["CFHT"]))
    (inputs / "q.adql").write_text(f"{adql}\n")
    typed("mkdir jobs/bright", where)
    assert typed("cat jobs/bright/phase", where) == "PENDING\n"
    typed(f"cp {inputs}/mytable.vot jobs/bright/uploads/", where)
    typed(f"cp {inputs}/q.adql jobs/bright/query.adql", where)
    typed("echo 3 > jobs/bright/maxrec", where)
    typed("echo RUN > jobs/bright/phase", where)


def fetched(where: Path, outputs: Path, server: Server) -> Table:
    """The second half: waits, fetches all, removes the job; returns the result."""
    assert typed("cat jobs/bright/.wait", where) == "COMPLETED\n"
    assert typed("cat jobs/bright/phase", where) == "COMPLETED\n"
    for form in ("vot", "csv", "tsv", "fits", "parquet"):
        typed(f"cp jobs/bright/result.{form} {outputs}", where)
    result = parse_single_table(outputs / "result.vot").to_table()
    rows = (outputs / "result.csv").read_text().splitlines()
    assert len(rows) - 1 == len(result) == len(Table.read(outputs / "result.fits"))
    assert len(result) == pq.read_table(outputs / "result.parquet").num_rows
    assert (outputs / "result.tsv").read_text().splitlines() == [
        row.replace(",", "\t") for row in rows
    ]
    job_id = typed("cat jobs/bright/id", where).strip()
    assert job_id in typed("cat jobs/bright/job.xml", where)
    assert typed(f"ls jobs/{job_id}", where) == typed("ls jobs/bright", where)
    shown = set(typed("ls jobs/bright", where).split()) - {"error.txt"}
    assert shown == {
        "id", "job.xml", "maxrec", "phase", "query.adql", "result.csv", "result.fits",
        "result.parquet", "result.tsv", "result.vot", "uploads",
    }  # fmt: skip
    assert typed("ls jobs/bright/uploads", where) == "mytable.vot\n"
    typed("rm -r jobs/bright", where)
    assert "bright" not in typed("ls jobs", where)
    until(lambda: "DELETE" in methods(server, job_id))
    return result


def test_the_transcript(mount: Mount, server: Server, query: Path, tmp_path: Path) -> None:
    where = mount.path
    written(
        where, tmp_path,
        "SELECT o.observationID FROM caom2.Observation o JOIN tap_upload.mytable t "
        "ON o.collection = t.name",
    )  # fmt: skip
    until(lambda: (where / "jobs/bright/phase").read_text() == "COMPLETED\n")
    assert "OVERFLOW" in typed("cat jobs/bright/error.txt", where)
    assert len(fetched(where, tmp_path, server)) == 3
    query.write_text(QUERY)
    typed(f"cp {query} jobs/faint.adql", where)
    assert typed("cat jobs/faint/.wait", where) == "COMPLETED\n"
    assert typed("ls jobs", where).split() == ["faint", "faint.adql"]
    typed("rm jobs/faint.adql", where)
    assert typed("ls jobs", where).split() == ["faint"]


def upload_of(names: list[str]) -> str:
    cells = "".join(f"<TR><TD>{name}</TD></TR>" for name in names)
    return (
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>'
        '<FIELD name="name" datatype="char" arraysize="*"/>'
        f"<DATA><TABLEDATA>{cells}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )


EDITORS = {
    "echo": 'echo "$Q" > query.adql',
    "echo twice": "echo 'SELECT TOP 5' > query.adql; echo \"${Q#SELECT TOP 5}\" >> query.adql",
    "cp": 'cp "$FILE" query.adql',
    "tee": 'cat "$FILE" | tee query.adql > /dev/null',
    "sed -i": "sed 's/TOP 5/TOP 9/' \"$FILE\" > query.adql; sed -i 's/TOP 9/TOP 5/' query.adql",
    "vi again": 'cp "$FILE" query.adql; sed -i s/5/9/ query.adql; '
    "vi -e -s -u NONE -c 'set swapfile backup backupskip=' -c '%s/TOP 9/TOP 5/' -c wq query.adql; "
    "test -e query.adql~",
    "python": "python3 -c \"open('query.adql', 'w').write(open('$FILE').read())\"",
    "mv": 'cp "$FILE" q.tmp; mv q.tmp query.adql',
    "dd": 'dd if="$FILE" of=query.adql bs=7 status=none',
    "touch": 'cp -p "$FILE" query.adql; touch query.adql; chmod 600 query.adql; sync query.adql',
}


@pytest.mark.parametrize("editor", EDITORS)
def test_what_an_editor_writes_runs(shared: Path, query: Path, editor: str) -> None:
    job = shared / "edited"
    job.mkdir()
    done = subprocess.run(
        ["bash", "-c", f"set -e; {EDITORS[editor]}"], cwd=job, capture_output=True, text=True,
        timeout=ENDS, check=False, env=os.environ | {"Q": QUERY, "FILE": str(query)},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (job / "query.adql").read_text().split() == QUERY.split()
    assert ran(job) == "COMPLETED"
    assert len(rows(job)) == 6
    assert sh("rm -r edited", shared).stderr == ""
    assert os.listdir(shared) == []


SHORT_FORMS = {
    "echo": 'echo "$Q" > one.adql',
    "tee": 'tee one.adql < "$FILE" > /dev/null',
    "python": "python3 -c \"open('one.adql', 'w').write('$Q')\"",
    "mv": 'cp "$FILE" /tmp/one.$$.adql; mv /tmp/one.$$.adql one.adql',
    "install": 'install -m 600 "$FILE" one.adql',
    "touch": 'touch one.adql; > one.adql; cp "$FILE" one.adql',
    "vi": "vi -e -s -u NONE -c 'set backup' -c \"normal i$Q\" -c wq one.adql",
}


def test_the_short_form_by_other_programs(jobs: Path, query: Path, expected_log: list[str]) -> None:
    expected_log += ["EROFS"]
    for program, script in SHORT_FORMS.items():
        done = subprocess.run(
            ["bash", "-c", f"set -e; {script}"], cwd=jobs, capture_output=True, text=True,
            timeout=ENDS, env=os.environ | {"Q": QUERY, "FILE": str(query)}, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, (program, done.stderr)
        assert ended(jobs / "one") == "COMPLETED", program
        assert len(rows(jobs / "one")) == 6
        assert (jobs / "one.adql").read_text().split() == QUERY.split()
        refused("echo x > one.adql", jobs, "Read-only")
        typed("rm -r one one.adql", jobs)


ON_A_TERMINAL = {
    "vi": [(b"query.adql", b"i" + QUERY.encode() + b"\x1b:wq\r")],
    "nano --ignorercfiles": [
        (b"query.adql", QUERY.encode()),
        (b"Modified", b"\x0f"),
        (b"Write", b"\r"),
        (b"Wrote", b"\x18"),
    ],
}
"""What an editor shows, and what is typed then."""


@pytest.mark.parametrize("editor", ON_A_TERMINAL)
def test_an_editor_on_a_terminal(shared: Path, editor: str) -> None:
    job = shared / "typed"
    job.mkdir()
    main, side = os.openpty()
    process = subprocess.Popen(
        [*editor.split(), "query.adql"], cwd=job, stdin=side, stdout=side, stderr=side,
        start_new_session=True, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(side)
    try:
        for shown, keys in ON_A_TERMINAL[editor]:
            told(main, shown)
            os.write(main, keys)
        assert process.wait(timeout=ENDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(main)
    assert (job / "query.adql").read_text() == f"{QUERY}\n"
    assert ran(job) == "COMPLETED"
    shutil.rmtree(job)


def told(terminal: int, words: bytes) -> None:
    """Read what a terminal shows until *words* have come."""
    import select

    seen = b""
    end = time.monotonic() + ENDS
    while words not in seen:
        assert time.monotonic() < end, seen
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096)


def test_the_transcript_goes_on_while_the_daemon_is_dead(
    mount: Mount, server: Server, tmp_path: Path
) -> None:
    where, job = mount.path, mount.path / "jobs/bright"
    written(where, tmp_path, SLOW)
    until(lambda: (job / "phase").read_text() == "EXECUTING\n")
    waiter = subprocess.Popen(
        ["cat", job / ".wait"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pid = mount.pid()
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert waiter.communicate(timeout=ENDS)[0] == ""
    assert waiter.returncode != 0
    mount.start()
    assert typed("cat jobs/bright/phase", where) in ("EXECUTING\n", "COMPLETED\n")
    assert typed("cat jobs/bright/query.adql", where) == f"{SLOW}\n"
    assert typed("cat jobs/bright/maxrec", where) == "3\n"
    assert os.readlink(mount.path / "jobs" / (job / "id").read_text().strip()) == "bright"
    assert fetched(where, tmp_path, server)["pairs"][0] > 0
    creations = [r for r in server.requests() if r["method"] == "POST" and
                 str(r["path"]).partition("?")[0].endswith("/async")]  # fmt: skip
    assert len(creations) == 1


def test_run_is_remembered_when_the_daemon_dies_at_once(mount: Mount, server: Server) -> None:
    job = mount.path / "jobs/sudden"
    job.mkdir()
    (job / "query.adql").write_text(QUERY)
    pid = mount.pid()
    server.process.send_signal(signal.SIGSTOP)
    try:
        (job / "phase").write_text("RUN\n")
        assert (job / "phase").read_text() == "QUEUED\n"
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    finally:
        server.process.send_signal(signal.SIGCONT)
    mount.start()
    assert ended(job) == "COMPLETED"
    assert len(rows(job)) == 6


def test_a_query_that_was_written_runs_although_the_daemon_dies(mount: Mount, query: Path) -> None:
    """The short form runs at the last release; here the daemon dies before it."""
    writer = subprocess.Popen(
        ["bash", "-c", f"exec 3> {mount.path}/jobs/held.adql; cat {query} >&3; read -r"],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    job = mount.path / "jobs/held"
    until((job / "query.adql").exists)
    assert (job / "phase").read_text() == "PENDING\n"
    pid = mount.pid()
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    writer.communicate(timeout=ENDS)
    mount.start()
    assert ended(job) == "COMPLETED"
    assert len(rows(job)) == 6


def test_waiting_is_interrupted_alone(jobs: Path) -> None:
    job = jobs / "slow"
    job.mkdir()
    (job / "query.adql").write_text(SLOW)
    (job / "phase").write_text("RUN\n")
    waiters = [
        subprocess.Popen(["cat", job / ".wait"], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for waiter in waiters:
        until(lambda: "request_wait" in Path(f"/proc/{waiter.pid}/wchan").read_text())  # noqa: B023
    waiters[0].send_signal(signal.SIGINT)
    waiters[1].send_signal(signal.SIGKILL)
    assert waiters[0].wait(timeout=120) == -signal.SIGINT
    assert waiters[1].wait(timeout=120) == -signal.SIGKILL
    assert waiters[2].communicate(timeout=ENDS)[0] == "COMPLETED\n"
    for waiter in waiters[:2]:
        assert waiter.stdout is not None
        waiter.stdout.close()


def test_abort_and_removal_reach_the_archive(jobs: Path, server: Server) -> None:
    for name in ("stopped", "removed"):
        (jobs / name).mkdir()
        (jobs / name / "query.adql").write_text(SLOW)
        (jobs / name / "phase").write_text("RUN\n")
        until(lambda: (jobs / name / "phase").read_text() == "EXECUTING\n")  # noqa: B023
    (jobs / "stopped/phase").write_text("ABORT\n")
    assert ended(jobs / "stopped") == "ABORTED"
    assert "ABORTED" in (jobs / "stopped/job.xml").read_text()
    job_id = (jobs / "removed/id").read_text().strip()
    shutil.rmtree(jobs / "removed")
    assert os.listdir(jobs) == ["stopped"]
    until(lambda: "DELETE" in methods(server, job_id))


def test_refused_adql_is_told(mount: Mount, run: Run, expected_log: list[str]) -> None:
    expected_log += ["NoSuchTable", "nosuch"]
    job = mount.path / "jobs/wrong"
    job.mkdir()
    (job / "query.adql").write_text("SELECT x FROM caom2.NoSuchTable")
    assert ran(job) == "ERROR"
    assert "NoSuchTable".lower() in (job / "error.txt").read_text().lower()
    done = run("cat", job / "result.vot")
    assert done.returncode == 1
    assert "No such file" in done.stderr
    assert "/jobs/wrong/result.vot: no result: the job is ERROR" in mount.log()
    assert (job / ".query").read_text().startswith("SELECT x FROM caom2.NoSuchTable\n-- made 2")


def refused(script: str, where: Path, words: str) -> None:
    done = sh(script, where)
    assert done.returncode != 0
    assert words in done.stderr


def test_bad_input(jobs: Path, tmp_path: Path, expected_log: list[str]) -> None:
    expected_log += ["EINVAL", "EEXIST", "EROFS", "ENOTEMPTY"]
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("a,b\n1,2\n3\n")
    (tmp_path / "cut.vot").write_text(upload_of(["M31"])[:-12])
    refused("mkdir .hidden", jobs, "Invalid argument")
    refused("mkdir e3h6rssb161oyf7j", jobs, "File exists")
    refused("mkdir name.adql", jobs, "Invalid argument")
    refused("touch plain", jobs, "Read-only")
    refused("ls e3h6rssb161oyf7j", jobs, "No such file")
    typed("mkdir one", jobs)
    refused("mkdir one", jobs, "File exists")
    refused("echo RUN > one/phase", jobs, "Invalid argument")
    refused("echo GO > one/phase", jobs, "Invalid argument")
    refused("echo many > one/maxrec", jobs, "Invalid argument")
    refused("echo 99999999999999999999 > one/maxrec", jobs, "Invalid argument")
    refused("mkdir one/more", jobs, "Read-only")
    refused("touch one/result.vot", jobs, "Read-only")
    for file in (picture, ragged, tmp_path / "cut.vot"):
        refused(f"cp {file} one/uploads/", jobs, "Invalid argument")
    refused("touch one/uploads/9lives.vot", jobs, "Invalid argument")
    typed("rm one/uploads/* one/maxrec", jobs)
    typed(f"echo '{QUERY}' > one/query.adql", jobs)
    (tmp_path / "blank").write_text(" \n")
    refused(f"cp {tmp_path}/blank two.adql", jobs, "Invalid argument")
    refused("rmdir one", jobs, "not empty")
    typed("echo RUN > one/phase", jobs)
    refused("echo RUN > one/phase", jobs, "Invalid argument")
    assert ended(jobs / "one") == "COMPLETED"
    refused("echo ABORT > one/phase", jobs, "Invalid argument")
    refused("echo x > one/query.adql", jobs, "Read-only")
    refused("cp one/query.adql one.adql", jobs, "File exists")
    refused("ln -s a one/b", jobs, "not permitted")
    assert (jobs / "one/query.adql").read_text() == f"{QUERY}\n"
    typed("mv one three; rm -r three", jobs)


def test_a_job_that_is_gone_at_the_archive_says_so(
    mount: Mount, server: Server, expected_log: list[str]
) -> None:
    expected_log += ["does not know this job"]
    job = mount.path / "jobs/orphan"
    job.mkdir()
    (job / "query.adql").write_text(SLOW)
    (job / "phase").write_text("RUN\n")
    until(lambda: (job / "phase").read_text() == "EXECUTING\n")
    job_id = (job / "id").read_text().strip()
    mount.stop()
    assert httpx.delete(f"{uws(server)}/{job_id}", timeout=120).status_code == 303
    mount.start()
    assert ended(job) == "ERROR"
    assert "does not know this job" in (job / "error.txt").read_text()
    assert (job / "query.adql").read_text() == SLOW


def uws(server: Server) -> str:
    return server.registry_url.replace("/reg/resource-caps", "/argus/async")


def test_a_job_made_elsewhere(jobs: Path, server: Server) -> None:
    form = {"LANG": "ADQL", "QUERY": QUERY, "PHASE": "RUN"}
    job_id = httpx.post(uws(server), data=form, timeout=120).headers["location"].rpartition("/")[2]
    assert "COMPLETED" in httpx.get(f"{uws(server)}/{job_id}?WAIT=30", timeout=120).text
    server.forget()
    assert os.path.isdir(jobs / job_id)
    assert server.requests() == []
    listings = [
        subprocess.Popen(["ls", jobs / job_id], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    listed = [listing.communicate(timeout=ENDS)[0].split() for listing in listings]
    # Who comes second may see it while its result arrives.
    assert all({"id", "job.xml", "phase", "query.adql"} <= set(names) for names in listed)
    assert any("result.vot" in names for names in listed)
    assert len(parse_single_table(jobs / job_id / "result.vot").array) == 5
    assert (jobs / job_id / "phase").read_text() == "COMPLETED\n"
    assert ended(jobs / job_id) == "COMPLETED"
    assert len(rows(jobs / job_id)) == 6
    assert (jobs / job_id / "query.adql").read_text() == QUERY
    assert os.listdir(jobs) == []


def test_a_full_disk_is_told_and_tried_again(
    server: Server, tmp_path: Path, expected_log: list[str]
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "none", small]).returncode:
        pytest.fail("this test needs root for a disk of its own")
    path = tmp_path / "sky"
    path.mkdir()
    mounted = Mount(path, small / "cache", server.registry_url)
    try:
        mounted.start()
        job = path / "jobs/large"
        job.mkdir()
        (job / "query.adql").write_text("SELECT * FROM caom2.Artifact")
        (small / "ballast").write_bytes(bytes(2 << 20))
        assert ran(job) == "COMPLETED"
        assert "No space left" in (job / "error.txt").read_text()
        with pytest.raises(OSError, match="No space left"):
            (job / "result.vot").read_bytes()
        (small / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=400M", small], check=True)
        assert len(parse_single_table(job / "result.vot").array) > 1000
        assert not (job / "error.txt").exists()
    finally:
        if mounted.is_mounted():
            mounted.stop()
        subprocess.run(["umount", "-l", small], check=True)


def test_a_job_can_be_packed_and_copied(shared: Path, query: Path, tmp_path: Path) -> None:
    job = shared / "packed"
    typed(f"rsync {query} {shared}/packed.adql --inplace", tmp_path)
    assert ended(job) == "COMPLETED"
    # What ls shows of a result that is not made yet is as old as the job.
    dates = typed("ls -l --time-style=+%s packed", shared).splitlines()[1:]
    assert all(abs(int(line.split()[5]) - time.time()) < ENDS for line in dates), dates
    for name in ("result.csv", "result.fits"):
        assert (job / name).stat().st_size == len((job / name).read_bytes()) > 0
    assert (job / "job.xml").stat().st_size == len((job / "job.xml").read_bytes())
    typed(f"tar cf packed.tar -C {shared} packed && tar xf packed.tar", tmp_path)
    typed(f"cp -a {job} copy", tmp_path)
    for name in ("query.adql", "id", "result.vot", "result.csv", "job.xml"):
        for copy in ("packed", "copy"):
            assert (tmp_path / copy / name).read_bytes() == (job / name).read_bytes()
    # rm asks about what cannot be written, and root can write everything.
    modes = {path.name: path.stat().st_mode & 0o222 for path in job.iterdir()}
    assert all(modes.values()), modes
    typed("rm -r packed packed.adql", shared)
