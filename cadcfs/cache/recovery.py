"""What is on disk of a cache, told without the index: for eviction, after crashes and damage."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from cadcfs.cache.index import Entry, Index
from cadcfs.cache.presence import MAGIC


def data_path(root: Path, name: str) -> Path:
    return root / name[:2] / f"{name}.data"


def taken_by(root: Path, name: str) -> int:
    """Bytes on disk of one cached file with its map."""
    data = data_path(root, name)
    return space_of(data) + space_of(data.with_suffix(".map"))


def space_of(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def unlinked(root: Path, name: str) -> bool:
    """Remove a cached file, unless some process has it open."""
    data = data_path(root, name)
    try:
        fd = os.open(data, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        data.with_suffix(".map").unlink(missing_ok=True)
        return True
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        data.unlink()
        data.with_suffix(".map").unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def dismiss_dead(index: Index, root: Path, own: str) -> None:
    """Take back what was granted to processes that have died, and look what they left."""
    dead = [writer for writer in index.writers() if writer != own and _is_dead(root, writer)]
    if not dead:
        return
    for name in index.in_use():
        if data_path(root, name).exists():
            index.set_taken(name, taken_by(root, name))
        else:
            index.remove(name)
    _take_in(index, root)
    for writer in dead:
        index.dismiss(writer)
        (root / "writers" / writer).unlink(missing_ok=True)
        for path in (root / "new").glob(f"{writer}-*"):
            path.unlink(missing_ok=True)


def _take_in(index: Index, root: Path) -> None:
    """Write down files that nobody came to write down; those without a map are good for nothing."""
    known = set(index.names())
    for data in root.glob("??/*.data"):
        if data.stem not in known:
            try:
                index.put([_read_entry(root, data.with_suffix(".map"))], in_use=False)
            except (OSError, ValueError):
                unlinked(root, data.stem)


def _is_dead(root: Path, writer: str) -> bool:
    try:
        fd = os.open(root / "writers" / writer, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def rebuild(index: Index, root: Path) -> None:
    """Fill an empty index from the maps on disk."""
    with index.transaction():
        for path in root.glob("??/*.map"):
            with contextlib.suppress(OSError, ValueError):
                index.put([_read_entry(root, path)], in_use=False)


def _read_entry(root: Path, path: Path) -> Entry:
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError("not a map")
        size = int.from_bytes(file.read(8), "little")
        file.seek(4, os.SEEK_CUR)
        key = file.read(int.from_bytes(file.read(4), "little")).decode("utf-8", "surrogateescape")
    return Entry(path.stem, key, size, None, taken_by(root, path.stem), path.stat().st_mtime)
