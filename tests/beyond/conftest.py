"""The tree without a mount, of the embedded archive."""

from __future__ import annotations

import fsspec
import pytest

from cadcfs.fsspec import CadcFileSystem
from tests.rig import Server


@pytest.fixture(scope="module")
def options(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Storage options of a file system with an empty cache."""
    cache = tmp_path_factory.mktemp("cadc")
    return {"registry_url": server.registry_url, "cache_dir": str(cache)}


@pytest.fixture(scope="module")
def cadc(options: dict[str, str]) -> CadcFileSystem:
    found = fsspec.filesystem("cadc", **options)
    assert isinstance(found, CadcFileSystem)
    return found
