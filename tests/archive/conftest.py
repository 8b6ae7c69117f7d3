"""The embedded archive, small, built once and served over real sockets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from cadcfs.demo.archive import Archive, open_or_build
from cadcfs.demo.server import Served, serve


@pytest.fixture(scope="session")
def archive(request: pytest.FixtureRequest) -> Archive:
    """The small archive; kept between runs, since building it costs more than testing it."""
    given = os.environ.get("CADCFS_TEST_DATA")
    if given:
        return open_or_build(Path(given), small=True)
    cache = request.config.cache
    assert cache is not None
    return open_or_build(cache.mkdir("demo"), small=True)


@pytest.fixture
async def served(archive: Archive, nursery: trio.Nursery) -> Served:
    """A running server; it ends with the test."""
    served = await nursery.start(serve, archive)
    assert isinstance(served, Served)
    return served


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client that follows redirects."""
    async with httpx.AsyncClient(
        base_url=served.base_url, follow_redirects=True, timeout=120
    ) as client:
        yield client
