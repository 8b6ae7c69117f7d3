"""fsspec's own suite for reading (`get`), over a tree of the shape that it asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import md5

import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from cadcfs.config import Settings
from cadcfs.fsspec import CadcFileSystem, portal
from cadcfs.fsspec.window import Window
from cadcfs.tree.node import Node
from cadcfs.tree.plain import FixedDirectory, FixedFile

SCENARIO = ["file1", "file2", "subdir/subfile1", "subdir/subfile2", "subdir/nesteddir/nestedfile"]
EDGES = ["file1", "file2", *(f"subdir{n}/{name}" for n in (0, 1)
         for name in ("subfile1", "subfile2", "nesteddir/nestedfile"))]  # fmt: skip


def directory(key: str, files: dict[str, str]) -> FixedDirectory:
    children: dict[str, Node] = {}
    for name in {path.partition("/")[0] for path in files}:
        below = {p.partition("/")[2]: t for p, t in files.items() if p.startswith(f"{name}/")}
        node: Node = FixedFile(f"{key}/{name}", files.get(name, ""), 0)
        children[name] = directory(f"{key}/{name}", below) if below else node
    return FixedDirectory(key, children)


HASHED = {f"{md5(str(n).encode()).hexdigest()}.txt": str(n) for n in range(10)}
ROOT = {
    **{f"bulk/{name}": "" for name in SCENARIO},
    **{f"edges/{name}": "" for name in EDGES},
    **{f"hashed/{name}": text for name, text in HASHED.items()},
    "prefix/subdir.txt": "",
    "prefix/subdir/subfile.txt": "",
}


@asynccontextmanager
async def looking(settings: Settings) -> AsyncIterator[Window]:
    window = Window(settings)
    window._root = directory("", ROOT)
    yield window


class TestGet(AbstractFixtures, AbstractGetTests):  # type: ignore[misc]
    test_get_directory_recursive = None  # makes by this file system what it reads

    @pytest.fixture(scope="class")
    @classmethod
    def fs(cls) -> Iterator[CadcFileSystem]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(portal, "looking", looking)
            yield CadcFileSystem(registry_url="http://127.0.0.1:1/shape")
            portal.PORTALS.drop(portal.config.load({"registry_url": "http://127.0.0.1:1/shape"}))

    @pytest.fixture
    def fs_path(self) -> str:
        return ""

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self) -> str:
        return "bulk"

    @pytest.fixture
    def fs_glob_edge_cases_files(self) -> str:
        return "edges"

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self) -> str:
        return "prefix"

    @pytest.fixture
    def fs_10_files_with_hashed_names(self) -> str:
        return "hashed"
