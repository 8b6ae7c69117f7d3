"""`cadcfs fetch`: whole, verified, once; silent in a pipe, readable on a terminal, resumable."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rig import CADCFS, Mount, Server, until

M31 = "collections/CFHT/by-target/M31"
NAMES = ("2376828o.fits.fz", "2376828p.fits.fz")
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def sky(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    place = tmp_path_factory.mktemp("fetch")
    (place / "sky").mkdir()
    mounted = Mount(place / "sky", place / "cache", server.registry_url)
    mounted.start()
    yield mounted
    mounted.stop()


def fetch(*words: object, code: int = 0, said: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*CADCFS, "fetch", *map(str, words)],
        capture_output=True, text=True, timeout=120, check=False, input=said,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def test_a_result_comes_into_the_cache_once_and_without_a_word(sky: Mount, server: Server) -> None:
    server.forget()
    done = fetch(sky.path / M31)
    assert (done.stdout, done.stderr) == ("", "")
    sizes = [(sky.path / M31 / name).stat().st_size for name in NAMES]
    assert server.bytes_sent("/minoc/") == sum(sizes)
    told = subprocess.run(
        [*CADCFS, "info", "--json", *(sky.path / M31 / name for name in NAMES)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert [json.loads(line)["cached"] for line in told.stdout.splitlines()] == [
        str(size) for size in sizes
    ]
    server.forget()
    again = json.loads(fetch("--json", sky.path / M31).stdout)
    assert (again["fetched"], again["were_there"], again["failed"]) == (0, 2, [])
    assert server.bytes_sent("/minoc/") == 0


def test_what_was_cleared_comes_again_though_the_kernel_has_it(sky: Mount, server: Server) -> None:
    source = sky.path / M31 / NAMES[1]
    fetch(source)
    assert len(source.read_bytes()) == source.stat().st_size

    def is_cleared() -> bool:
        # The kernel tells a moment later that a file is closed; until then it stays.
        for words in (["cache", "clear", source], ["info", "--json", source]):
            done = subprocess.run([*CADCFS, *words], capture_output=True, timeout=120, check=False)
        return bool(json.loads(done.stdout)["cached"] == "0")

    until(is_cleared)
    server.forget()
    assert json.loads(fetch("--json", source).stdout)["fetched"] == 1
    assert server.bytes_sent("/minoc/") >= source.stat().st_size
    assert json.loads(fetch("--json", source).stdout)["were_there"] == 1


def test_copies_are_whole_and_keep_their_time(sky: Mount, tmp_path: Path) -> None:
    source = sky.path / M31 / NAMES[1]
    told = json.loads(
        fetch("--json", "--to", tmp_path, "--match", "*p.fits.fz", sky.path / M31).stdout
    )
    assert (told["files"], told["fetched"]) == (1, 1)
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[1]]
    copy = tmp_path / NAMES[1]
    assert copy.read_bytes() == source.read_bytes()
    assert copy.stat().st_mtime_ns == source.stat().st_mtime_ns
    # Paths from standard input: as many as there are.
    again = json.loads(fetch("--json", "--to", tmp_path, "-", said=f"{source}\n").stdout)
    assert again["were_there"] == 1


def test_it_goes_on_after_kill_9(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sky").mkdir()
    mounted = Mount(tmp_path / "sky", tmp_path / "cache", server.registry_url)
    mounted.start()
    source, out = mounted.path / M31 / NAMES[1], tmp_path / "out"
    size = source.stat().st_size
    server.forget()
    fault = server.fault("bandwidth", rate=2e6)
    try:
        process = subprocess.Popen([*CADCFS, "fetch", "--to", str(out), str(source)])
        until(
            lambda: (
                process.poll() is not None
                or any(p.stat().st_size > 2 << 20 for p in out.glob(".*.part"))
            )
        )
        process.kill()
        assert process.wait(timeout=120) == -9
        server.mend(fault)
        assert not (out / NAMES[1]).exists()
        fetch("--to", out, source)
        assert [path.name for path in out.iterdir()] == [NAMES[1]]
        assert (out / NAMES[1]).read_bytes() == source.read_bytes()
        # What was under way when it was killed may have come twice.
        assert server.bytes_sent("/minoc/") < 1.5 * size
    finally:
        server.mend()
        mounted.stop()


def test_an_interrupt_waits_for_nothing(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sky").mkdir()
    mounted = Mount(tmp_path / "sky", tmp_path / "cache", server.registry_url)
    mounted.start()
    source, out = mounted.path / M31 / NAMES[1], tmp_path / "out"
    # All of it would need minutes.
    fault = server.fault("bandwidth", rate=1e5)
    try:
        command = [*CADCFS, "fetch", "--to", str(out), str(source)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        until(lambda: any(out.glob(".*.part")))
        process.send_signal(signal.SIGINT)
        assert "the same command goes on" in process.communicate(timeout=120)[1]
        assert process.returncode == 130
    finally:
        server.mend(fault)
        mounted.stop()


def test_what_came_before_is_not_trusted(sky: Mount, tmp_path: Path) -> None:
    source = sky.path / M31 / NAMES[0]
    fetch("--to", tmp_path, source)
    (tmp_path / NAMES[0]).unlink()
    facts = subprocess.run(
        [*CADCFS, "info", "--json", source], capture_output=True, text=True, timeout=120, check=True
    )
    md5 = json.loads(facts.stdout)["checksum"].removeprefix("md5:")
    (tmp_path / f".{NAMES[0]}.{md5[:12]}.part").write_bytes(b"something else")
    done = fetch("--to", tmp_path, source, code=1)
    assert done.stdout == ""
    assert "do not match its checksum" in done.stderr
    assert list(tmp_path.iterdir()) == []
    fetch("--to", tmp_path, source)
    assert (tmp_path / NAMES[0]).read_bytes() == source.read_bytes()


def test_what_is_left_out_is_counted(sky: Mount, server: Server) -> None:
    with sqlite3.connect(server.archive.database) as database:
        bounds, collection = database.execute(
            "SELECT p.position_bounds, o.collection FROM Observation o JOIN Plane p"
            " ON o.obsID = p.obsID WHERE p.quality_flag = 'junk' AND p.position_bounds IS NOT NULL"
        ).fetchone()
        closed = database.execute(
            "SELECT o.collection, o.observationID FROM Observation o "
            "JOIN Plane p ON o.obsID = p.obsID JOIN Artifact a ON p.planeID = a.planeID "
            "WHERE p.dataRelease > strftime('%Y-%m-%dT%H:%M:%S', 'now') "
            "AND o.metaRelease < strftime('%Y-%m-%dT%H:%M:%S', 'now') "
            "AND p.metaRelease < strftime('%Y-%m-%dT%H:%M:%S', 'now') "
            "AND a.releaseType = 'data' AND a.productType = 'science'"
        ).fetchone()
    _, ra, dec, *_ = bounds.split()
    region = sky.path / "region" / f"{float(ra):.7g}_{float(dec):.7g}_0.5"
    told = json.loads(fetch("--json", "--dry-run", region).stdout)
    paths = [Path(file["path"]) for file in told["paths"]]
    assert told["files"] == len(paths) > 0
    assert told["bytes"] == sum(path.stat().st_size for path in paths)
    assert told["junk"] >= len(os.listdir(region / collection / "junk")) > 0
    assert not any(path.parent.name == "junk" for path in paths)
    observation = sky.path / "collections" / closed[0] / "by-observation" / closed[1]
    told = json.loads(fetch("--json", "--dry-run", observation).stdout)
    assert told["proprietary"] > 0
    words = fetch("--dry-run", observation).stdout.splitlines()[0]
    assert f"{told['proprietary']} proprietary, left out" in words


def test_a_result_without_files_is_none_to_bring(sky: Mount) -> None:
    empty = sky.path / "collections/CFHT/by-target/Empty field"
    told = json.loads(fetch("--json", "--dry-run", empty).stdout)
    assert (told["files"], told["bytes"]) == (0, 0)


def test_a_file_whose_size_cannot_be_known_does_not_keep_the_others(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "a.fits").write_bytes(b"abc")
    (tmp_path / "result" / "b.fits").symlink_to("nowhere")
    told = json.loads(fetch("--json", "--dry-run", tmp_path / "result").stdout)
    assert (told["files"], told["bytes"]) == (2, 3)


def test_mistakes_are_one_sentence(sky: Mount, tmp_path: Path) -> None:
    for words in ([sky.path / "collections/CFHT"], [sky.path / M31 / "none.fits"]):
        done = fetch(*words, code=1)
        assert done.stderr.startswith("cadcfs: ")
        assert len(done.stderr.splitlines()) == 1


def test_the_progress_fits_into_a_terminal_of_80_columns(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sky").mkdir()
    mounted = Mount(tmp_path / "sky", tmp_path / "cache", server.registry_url)
    mounted.start()
    fault = server.fault("bandwidth", rate=2e7)
    try:
        shown = on_terminal("fetch", str(mounted.path / M31))
    finally:
        server.mend(fault)
        mounted.stop()
    lines = [line.rstrip() for line in re.split(rb"[\r\n]+", ESCAPES.sub(b"", shown))]
    text = [line.decode() for line in lines if line]
    assert text[0].startswith("2 files, ")
    assert max(map(len, text)) <= 80
    bars = [line for line in text if line.startswith(NAMES[1])]
    assert any(re.search(r"[\d.]+/[\d.]+ MB [\d.]+ MB/s", line) for line in bars), text
    assert any(line.startswith("2 of 2 files") for line in text)
    assert text[-1] == "2 fetched, 0 were there"


def test_on_a_terminal_what_fails_is_told_above_the_bars(tmp_path: Path) -> None:
    result = tmp_path / "result"
    result.mkdir()
    (result / "a.fits").symlink_to("nowhere")
    shown = ESCAPES.sub(b"", on_terminal("fetch", "--to", str(tmp_path / "out"), result, code=1))
    assert b"a.fits: No such file or directory" in shown.replace(b"\r\n", b"")
    assert shown.rstrip().endswith(b"0 fetched, 0 were there, 1 failed")


def test_on_a_terminal_it_is_told_why_a_file_is_tried_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sky").mkdir()
    mounted = Mount(tmp_path / "sky", tmp_path / "cache", server.registry_url)
    mounted.start("-o", "read_time=2")
    server.fault("reset", path="/zero.fits", after=1000)
    source = mounted.path / "collections/APASS/by-target/Zero/zero.fits"

    def mend(shown: bytes) -> None:
        if b"again in" in shown:
            server.mend()

    try:
        shown = ESCAPES.sub(b"", on_terminal("fetch", source, seen=mend))
    finally:
        server.mend()
        mounted.stop()
    assert re.search(rb"cadcfs: zero\.fits: [\w/ ]+; again in 1 s", shown), shown
    assert shown.rstrip().endswith(b"1 fetched, 0 were there")


def test_in_a_pipe_what_fails_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sky").mkdir()
    mounted = Mount(tmp_path / "sky", tmp_path / "cache", server.registry_url)
    mounted.start()
    fault = server.fault("busy", path="/zero.fits", status=403)
    source = mounted.path / "collections/APASS/by-target/Zero/zero.fits"
    try:
        done = fetch(source, code=1)
    finally:
        server.mend(fault)
        mounted.stop()
    told = f"cadcfs: {source}: Permission denied; .error beside it tells why\n"
    assert (done.stdout, done.stderr) == ("", told)


def on_terminal(
    *words: str | Path, code: int = 0, seen: Callable[[bytes], None] = lambda _: None
) -> bytes:
    """What a command shows on a terminal of 80 columns; *seen* is called with what came so far."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
        os.execv(CADCFS[0], [*CADCFS, *map(str, words)])
    shown = b""
    while True:
        assert select.select([terminal], [], [], 120)[0], shown
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            break
        seen(shown)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code, shown
    return shown
