"""Who sees what: rows by their metadata's release, bytes by their data's, groups before that."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest
from astropy.io.votable import parse

from cadcfs.demo.archive import Archive
from cadcfs.demo.auth.users import TEAM
from cadcfs.demo.server import Served

PEOPLE = ("", "guest", "demo")
Headers = dict[str, dict[str, str]]


@pytest.fixture
async def people(client: httpx.AsyncClient) -> Headers:
    """What each person's requests carry."""
    found: Headers = {"": {}}
    for name in PEOPLE[1:]:
        reply = await client.post("/ac/login", data={"username": name, "password": name})
        found[name] = {"Authorization": f"Bearer {reply.text}"}
    return found


def ask(archive: Archive, sql: str) -> list[str]:
    with closing(sqlite3.connect(archive.database)) as database:
        return sorted(str(value) for (value,) in database.execute(sql))


async def column(client: httpx.AsyncClient, adql: str, headers: dict[str, str]) -> list[str]:
    query = {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": adql}
    reply = await client.get("/argus/sync", params=query, headers=headers)
    assert reply.status_code == 200, reply.text
    return sorted(reply.text.splitlines()[1:])


async def test_rows_before_their_release_are_their_teams(
    client: httpx.AsyncClient, archive: Archive, people: Headers
) -> None:
    for table, name in (("Observation", "observationURI"), ("Plane", "planeURI")):
        public = ask(archive, f"SELECT {name} FROM {table} WHERE metaRelease < '2026-01-01'")
        ours = ask(archive, f"SELECT {name} FROM {table} WHERE metaReadGroups = '{TEAM}'")
        assert ours
        adql = f"select {name} from caom2.{table}"
        assert await column(client, adql, people[""]) == public
        assert await column(client, adql, people["guest"]) == public
        assert await column(client, adql, people["demo"]) == sorted(public + ours)


async def test_the_service_says_what_can_be_downloaded(
    client: httpx.AsyncClient, archive: Archive, people: Headers
) -> None:
    (plane,) = ask(archive, "SELECT planeURI FROM Plane WHERE productID = '2999001o'")
    adql = f"select isDownloadable(planeURI) from caom2.Plane where planeURI = '{plane}'"
    found = {name: await column(client, adql, people[name]) for name in PEOPLE}
    assert found == {"": ["0"], "guest": ["0"], "demo": ["1"]}


@pytest.mark.parametrize("product", ["2999001o", "2999004o"])
async def test_proprietary_bytes_are_their_teams(
    client: httpx.AsyncClient, archive: Archive, people: Headers, product: str
) -> None:
    uri = f"cadc:CFHT/{product}.fits"
    for name in ("", "guest"):
        for method in ("GET", "HEAD"):
            for service in ("raven", "minoc"):
                reply = await client.request(
                    method, f"/{service}/files/{uri}", headers=people[name]
                )
                assert reply.status_code == 403
                assert reply.text == ("" if method == "HEAD" else "permission denied")
                assert ("www-authenticate" in reply.headers) is (name == "")
                assert reply.headers.get("x-vo-authenticated", "") == name
    reply = await client.get(f"/raven/files/{uri}", headers=people["demo"])
    assert reply.content == archive.path_of(uri).read_bytes()
    (preview,) = ask(archive, "SELECT uri FROM Artifact WHERE uri LIKE '%2999001o_preview%'")
    assert (await client.get(f"/raven/files/{preview}")).status_code == 200


async def test_what_no_group_is_named_for_is_nobodys(
    client: httpx.AsyncClient, archive: Archive, people: Headers
) -> None:
    (plane,) = ask(archive, "SELECT planeURI FROM Plane WHERE productID = '2999003o'")
    adql = f"select isDownloadable(planeURI) from caom2.Plane where planeURI = '{plane}'"
    assert await column(client, adql, people["demo"]) == ["0"]


async def test_an_address_with_a_token_lets_in_whoever_has_it(
    client: httpx.AsyncClient, archive: Archive, people: Headers, served: Served
) -> None:
    uri, other = "cadc:CFHT/2999001o.fits", "cadc:CFHT/2999004o.fits"
    first = await client.get(f"/raven/files/{uri}", headers=people["demo"], follow_redirects=False)
    address = first.headers["location"]
    token = urlsplit(address).path.partition("/files/")[2].partition("/")[0]
    assert 700 < len(token) < 1200
    assert (await client.get(address)).content == archive.path_of(uri).read_bytes()
    wrong = (address.replace(uri, other), address.replace(token, token[:-2] + "AA"))
    login = people["demo"]["Authorization"].removeprefix("Bearer ")
    for bad in (*wrong, address.replace(token, login)):
        assert bad != address
        reply = await client.get(bad)
        assert (reply.status_code, reply.text) == (403, "invalid auth token")
    assert not [r for r in served.log.records() if token in r.path]


async def test_jobs_are_their_owners(client: httpx.AsyncClient, people: Headers) -> None:
    form = {"LANG": "ADQL", "QUERY": "select top 1 collection from caom2.Observation"}
    job = (await client.post("/argus/async", data=form, headers=people["demo"])).url
    assert (await client.get(job, headers=people["demo"])).status_code == 200
    for name in ("", "guest"):
        refused = await client.get(job, headers=people[name])
        assert (refused.status_code, refused.text) == (403, "permission denied")
    free = (await client.post("/argus/async", data=form)).url
    assert (await client.get(free, headers=people["guest"])).status_code == 200
    listing = await client.get("/argus/async", headers=people["demo"])
    assert f'id="{str(job).rpartition("/")[2]}"' in listing.text
    assert str(free).rpartition("/")[2] not in listing.text
    empty = await client.get("/argus/async")
    assert (empty.status_code, empty.text) == (403, "anonymous job listing not permitted")
    await client.delete(job, headers=people["demo"])


async def test_links_and_cutouts_are_for_whom_they_are(
    client: httpx.AsyncClient, people: Headers
) -> None:
    known, unknown = (f"ivo://cadc.nrc.ca/CFHT?{n}/{n}o" for n in ("2999001", "2999004"))
    for name in PEOPLE:
        links: dict[str, list[dict[str, str]]] = {}
        for number in (known, unknown):
            reply = await client.get(
                "/caom2ops/datalink", params={"ID": number}, headers=people[name]
            )
            table = parse(io.BytesIO(reply.content)).get_first_table().to_table()
            links[number] = [{key: str(row[key]) for key in table.colnames} for row in table]
        said = {link["semantics"]: link["link_authorized"] for link in links[known]}
        assert said["#this"] == str(name == "demo")
        assert said["#preview"] == "True"
        faults = [link["error_message"] for link in links[unknown] if link["error_message"]]
        assert faults == ([] if name == "demo" else [f"NotFoundFault: {unknown}"])
        cutout = await client.get(
            "/caom2ops/sync",
            params={"ID": "cadc:CFHT/2999004o.fits", "CIRCLE": "150 2 0.1"},
            headers=people[name],
        )
        hidden = cutout.text.startswith("NotFound: ")
        assert (cutout.status_code, hidden) == (400, name != "demo")
        package = await client.get("/caom2ops/pkg", params={"ID": known}, headers=people[name])
        assert (len(package.content) > 10_000) is (name == "demo")
