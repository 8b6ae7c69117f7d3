"""raven and minoc, over sockets."""

from __future__ import annotations

import hashlib
import sqlite3
from base64 import b64encode
from contextlib import closing

import httpx
import pytest

from cadcfs.demo.archive import Archive

PUBLIC = """
    SELECT a.uri FROM Artifact a JOIN Plane p ON a.planeID = p.planeID
    WHERE a.contentRelease IS NULL AND a.releaseType = 'data'
    AND p.dataRelease < '2020-12-31' AND p.metaRelease < '2020-12-31'
"""
PRIVATE = """
    SELECT uri FROM Artifact a JOIN Plane p ON a.planeID = p.planeID
    GROUP BY uri HAVING count(*) = 1 AND releaseType = 'data' AND contentRelease IS NULL
    AND (p.dataRelease IS NULL OR p.dataRelease > '2090-01-01')
"""


def _first(archive: Archive, sql: str) -> str:
    with (
        closing(sqlite3.connect(archive.inventory)) as inventory,
        closing(sqlite3.connect(archive.database)) as database,
    ):
        stored = {uri for (uri,) in inventory.execute("SELECT uri FROM Artifact")}
        found = [uri for (uri,) in database.execute(sql) if uri in stored]
    if not found:
        raise AssertionError("the archive has no such file")
    return str(found[0])


@pytest.fixture
def uri(archive: Archive) -> str:
    return _first(archive, PUBLIC)


async def test_raven_redirects_and_minoc_gives_the_bytes(
    client: httpx.AsyncClient, archive: Archive, uri: str
) -> None:
    first = await client.get(f"/raven/files/{uri}", follow_redirects=False)
    assert first.status_code == 303
    reply = await client.get(first.headers["location"])
    data = archive.path_of(uri).read_bytes()
    assert reply.content == data
    digest = b64encode(hashlib.md5(data).digest()).decode()
    head = await client.head(f"/raven/files/{uri}", follow_redirects=False)
    assert head.status_code == 200
    for headers in (reply.headers, head.headers):
        assert headers["digest"] == f"md5={digest}"
        assert headers["content-length"] == str(len(data))
        assert headers["accept-ranges"] == "bytes"
        assert headers["last-modified"].endswith(" GMT")
        assert "etag" not in headers


async def test_ranges(client: httpx.AsyncClient, archive: Archive, uri: str) -> None:
    data = archive.path_of(uri).read_bytes()
    size = len(data)
    for header, part in (
        ("bytes=0-9", data[:10]),
        ("bytes=100-", data[100:]),
        (f"bytes={size - 5}-{size + 5}", data[-5:]),
    ):
        reply = await client.get(f"/raven/files/{uri}", headers={"Range": header})
        assert reply.status_code == 206
        assert reply.content == part
        start = size - len(part) if header != "bytes=0-9" else 0
        assert reply.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{size}"
    suffix = await client.get(f"/minoc/files/{uri}", headers={"Range": "bytes=-5"})
    assert suffix.content == data[:6]
    for ignored in ("bytes=-", "bytes=0-1,3-4", "lines=0-1", "bytes=9-3"):
        reply = await client.get(f"/minoc/files/{uri}", headers={"Range": ignored})
        assert (reply.status_code, len(reply.content)) == (200, size)
    beyond = await client.get(f"/minoc/files/{uri}", headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


async def test_an_unchanged_file_is_not_sent_again(client: httpx.AsyncClient, uri: str) -> None:
    head = await client.head(f"/minoc/files/{uri}")
    since = {"If-Modified-Since": head.headers["last-modified"]}
    assert (await client.get(f"/minoc/files/{uri}", headers=since)).status_code == 304


async def test_what_cannot_be_had(client: httpx.AsyncClient, uri: str) -> None:
    missing = await client.get("/raven/files/cadc:NONE/none.fits")
    assert (missing.status_code, missing.text) == (404, "not available: cadc:NONE/none.fits")
    assert (await client.get("/raven/files/nonsense")).status_code == 400
    assert (await client.get(f"/minoc/files/wrong~token/{uri}")).status_code == 403


async def test_files_not_public_yet_are_forbidden(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    reply = await client.get(f"/raven/files/{_first(archive, PRIVATE)}")
    assert (reply.status_code, reply.text) == (403, "permission denied")
