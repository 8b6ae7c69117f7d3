"""`cadc://` shows what the mount shows, to everything that speaks fsspec."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest
from astropy.io import fits
from upath import UPath

from cadcfs.fsspec import CadcFileSystem
from tests.rig import Mount, Server

M31 = "collections/CFHT/by-target/M31"
MOSAIC = f"{M31}/2376828p.fits.fz"
INFO = re.compile(rb"<INFO[^>]*>")
LOOKED_AT = ["", "collections", "collections/OMM/by-target", "tables", M31, f"{M31}/where",
             "collections/HST/by-target", "region/10.6847_41.2688_0.05/CFHT",
             "name/m31"]  # fmt: skip


@pytest.fixture(scope="module")
def sky(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("beside")
    (root / "sky").mkdir()
    mounted = Mount(root / "sky", root / "cache", server.registry_url)
    mounted.start("-o", "stat_allowance=1000000")
    yield mounted.path
    mounted.stop()


def walked(sky: Path, begin: list[str], most: int, deep: int = 3) -> Iterator[str]:
    """Paths below *sky*, breadth first from *begin*; one after the other, each once."""
    seen, queue = set(begin), [(path, deep) for path in begin]
    while queue and most:
        path, left = queue.pop(0)
        yield path
        most -= 1
        place = sky / path
        if left and os.path.isdir(place) and not place.is_symlink():
            children = sorted(os.listdir(place))
            random.Random(path).shuffle(children)
            for name in children[:12]:
                child = f"{path}/{name}" if path else name
                if child not in seen and child != "jobs":
                    seen.add(child)
                    queue.append((child, left - 1))


def errno_of(call: Callable[[], object]) -> int | None:
    try:
        call()
    except OSError as exc:
        return exc.errno
    return None


def compare(sky: Path, cadc: CadcFileSystem, path: str, largest: int) -> None:
    """The same kind, names, size, mode and bytes through both."""
    place = sky / path
    if failure := errno_of(place.stat):
        # A file of another archive that is not there: its size is not known to anybody.
        assert errno_of(lambda: cadc.info(path)) == failure, path
        return
    found = cadc.info(path)
    if place.is_dir():
        assert found["type"] == "directory"
        names = [one.rpartition("/")[2] for one in cadc.ls(path, detail=False)]
        assert sorted(names) == sorted(os.listdir(place)), path
        return
    told = place.stat()
    assert (found["type"], found["size"]) == ("file", told.st_size), path
    assert found["mode"] == told.st_mode, path
    if not stat.S_IMODE(told.st_mode):
        with pytest.raises(PermissionError):
            cadc.cat_file(path)
    elif told.st_size <= largest:
        if failure := errno_of(place.read_bytes):
            assert errno_of(lambda: cadc.cat_file(path)) == failure, path
            return
        mine, theirs = cadc.cat_file(path), place.read_bytes()
        if path.endswith(".vot"):
            # Each has asked for its own copy, and an answer says when it was given.
            mine, theirs = INFO.sub(b"", mine), INFO.sub(b"", theirs)
        assert hashlib.md5(mine).digest() == hashlib.md5(theirs).digest(), path


def compare_all(sky: Path, cadc: CadcFileSystem, most: int, largest: int) -> int:
    paths = list(walked(sky, LOOKED_AT, most))
    for path in paths:
        compare(sky, cadc, path, largest)
    return len(paths)


def test_the_same_paths_as_through_a_mount(sky: Path, cadc: CadcFileSystem) -> None:
    assert compare_all(sky, cadc, 60, 4 << 20) == 60


@pytest.mark.soak
def test_five_hundred_paths_as_through_a_mount(sky: Path, cadc: CadcFileSystem) -> None:
    assert compare_all(sky, cadc, 500, 64 << 20) == 500


def test_astropy_reads_a_section(cadc: CadcFileSystem, options: dict[str, str]) -> None:
    with fits.open(f"cadc://{MOSAIC}", use_fsspec=True, fsspec_kwargs=options) as mosaic:
        assert len(mosaic) == 41
        name = mosaic[3].header["EXTNAME"]
        section = mosaic[3].section[10:20, 10:20]
    with cadc.open(MOSAIC) as file, fits.open(file) as whole:
        assert (section == whole[name].data[10:20, 10:20]).all()


def test_pandas_reads_a_table(options: dict[str, str], cadc: CadcFileSystem) -> None:
    table = pd.read_csv(f"cadc://{M31}/metadata.csv", storage_options=options)
    lines = cadc.cat_file(f"{M31}/metadata.csv").decode().splitlines()
    assert len(table) == len(lines) - 1 > 0
    assert set(table["target_name"]) == {"M31"}


def test_paths_of_universal_pathlib(options: dict[str, str]) -> None:
    target = UPath(f"cadc://{M31}", **options)
    assert {path.name for path in target.iterdir()} >= {"metadata.csv", "previews"}
    assert (target / "about.txt").read_text()
    assert [path.name for path in target.glob("2376828p*")] == ["2376828p.fits.fz"]


def test_other_spellings_lead_to_the_same_file(cadc: CadcFileSystem) -> None:
    cadc.ls("collections/CFHT/by-target")
    assert cadc.ls("cadc://collections/CFHT/by-target/m31", detail=False)
    assert cadc.cat_file(MOSAIC, 0, 6) == cadc.cat_file(f"cadc:///{MOSAIC}", 0, 6) == b"SIMPLE"


def test_errors_have_the_errno_of_the_mount(cadc: CadcFileSystem) -> None:
    with pytest.raises(FileNotFoundError, match="NOWHERE"):
        cadc.info("collections/NOWHERE/by-target")
    with pytest.raises(NotADirectoryError):
        cadc.info(f"{MOSAIC}/more")
    with pytest.raises(IsADirectoryError):
        cadc.open(M31)
    for write in (lambda: cadc.open("new", "wb"), lambda: cadc.rm(M31), lambda: cadc.mkdir("new")):
        with pytest.raises(OSError, match="Read-only"):
            write()
    assert not cadc.exists("collections/NOWHERE")
    with pytest.raises(ValueError, match="unknown setting"):
        fsspec.filesystem("cadc", registri_url="http://127.0.0.1:1")


def test_ranges_cost_no_more_requests_than_through_a_mount(
    sky: Path, server: Server, cadc: CadcFileSystem
) -> None:
    path, generator = f"{M31}/2376828o.fits.fz", random.Random(1)
    starts = [generator.randrange(0, 19_000_000) for _ in range(60)]

    def requests() -> int:
        asked = [r for r in server.requests() if "minoc/files" in str(r["path"])]
        server.forget()
        return len(asked)

    server.forget()
    mine = cadc.cat_ranges([path] * 60, starts, [start + 3000 for start in starts])
    through_cadc = requests()
    with (sky / path).open("rb", buffering=0) as file:
        theirs = [os.pread(file.fileno(), 3000, start) for start in starts]
    through_the_mount = requests()
    assert mine == theirs
    assert 0 < through_cadc <= through_the_mount


def test_ranges_in_every_form(cadc: CadcFileSystem) -> None:
    whole = cadc.cat_file(f"{M31}/metadata.csv")
    path, missing = f"{M31}/metadata.csv", f"{M31}/missing.fits"
    found = cadc.cat_ranges([path, path, missing, path], [0, -10, 0, 5], [10, None, 10, -5])
    assert (found[0], found[1], found[3]) == (whole[:10], whole[-10:], whole[5:-5])
    assert isinstance(found[2], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        cadc.cat_ranges([missing], 0, 10, on_error="raise")


def first_bytes(cadc: CadcFileSystem) -> tuple[int, bytes]:
    return os.getpid(), cadc.cat_file(MOSAIC, 0, 6)


def read_on(file: Any) -> bytes:
    return bytes(file.read(6))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pickles_to_other_processes(cadc: CadcFileSystem, method: str) -> None:
    with ProcessPoolExecutor(1, get_context(method)) as pool:
        process, first = pool.submit(first_bytes, cadc).result(60)
        assert process != os.getpid()
        with cadc.open(MOSAIC) as file:
            assert pool.submit(read_on, file).result(60) == first == b"SIMPLE"


def test_pickles_hold_no_more_than_the_options(
    cadc: CadcFileSystem, options: dict[str, str]
) -> None:
    assert pickle.loads(pickle.dumps(cadc)) is cadc
    assert cadc.storage_options == options


def test_threads_share_one_loop(cadc: CadcFileSystem, options: dict[str, str]) -> None:
    def portal(_: int) -> object:
        return fsspec.filesystem("cadc", **options).portal

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(portal, range(8))) == {cadc.portal}


def test_it_costs_little_to_import() -> None:
    script = (
        "import sys, cadcfs.fsspec\n"
        "heavy = {'pyfuse3', 'astropy', 'pyvo', 'numpy', 'httpx', 'diskcache', 'trio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_what_reads_while_the_interpreter_ends_is_read_to_its_end(
    server: Server, cadc: CadcFileSystem, tmp_path: Path
) -> None:
    script = (
        "import fsspec\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        f"fs = fsspec.filesystem('cadc', registry_url={server.registry_url!r},\n"
        f"                       cache_dir={str(tmp_path)!r})\n"
        "threads = ThreadPoolExecutor(2)\n"
        f"read = lambda: print(len(fs.cat_file({MOSAIC!r})), flush=True)\n"
        "for _ in range(2): threads.submit(read)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    size = str(cadc.info(MOSAIC)["size"])
    assert done.stdout.count(size) == 2, done.stderr
    assert not done.stderr


def test_nothing_is_made_to_tell_files_from_directories(cadc: CadcFileSystem) -> None:
    cutouts = "region/10.6847_41.2688_0.02/CFHT/cutouts"
    unknown = [one["name"] for one in cadc.ls(cutouts) if one["size"] is None]
    assert unknown
    for path in unknown:
        assert (cadc.isfile(path), cadc.isdir(path), cadc.exists(path)) == (True, False, True)
    assert [one["name"] for one in cadc.ls(cutouts) if one["size"] is None] == unknown
    assert (cadc.isfile(cutouts), cadc.isdir(cutouts)) == (False, True)
    assert not cadc.isdir(f"{cutouts}/missing.fits")


def test_a_read_works_without_the_kernels_side(options: dict[str, str]) -> None:
    script = (
        "import sys, fsspec\n"
        f"fs = fsspec.filesystem('cadc', **{options!r})\n"
        f"print(fs.cat_file({MOSAIC!r}, 0, 6), 'pyfuse3' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "b'SIMPLE' False"
