"""astroquery.cadc, unmodified, judges the embedded archive: its answers against the database.

Only its registry's URL is set, and the DataLink vocabulary lies where astropy keeps downloads.
A call that tries to leave this machine fails the test.
"""

from __future__ import annotations

import gc
import socket
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import numpy as np
import pytest
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from astroquery.cadc import CadcClass, conf, core
from pyvo.dal.adhoc import DatalinkResults

from cadcfs.demo.auth.users import TEAM
from tests.archive.vocabulary import in_the_cache_of_astropy
from tests.rig import Server, running_server

pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning",
    "ignore:Radius should be",
    "ignore:It looks like you're using",
)

PUBLIC = "< '2026-01-01'"
BOTH = "Observation o JOIN Plane p USING (obsID)"
M31 = SkyCoord(10.6847, 41.2687, unit="deg")
M13 = SkyCoord(250.42, 36.46, unit="deg")


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The small archive in a process of its own."""
    assert request.config.cache is not None
    with running_server(request.config.cache.mkdir("demo"), "--small") as running:
        yield running


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever asks for another machine hears that there is none, and the test fails."""
    strangers: list[str] = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def checked(host: object) -> None:
        if str(host) not in ("127.0.0.1", "localhost", "::1"):
            strangers.append(str(host))
            raise OSError(f"{host} is not this machine")

    def connect_here(this: socket.socket, address: Any) -> None:
        if this.family in (socket.AF_INET, socket.AF_INET6):
            checked(address[0])
        connect(this, address)

    def resolve_here(host: Any, *more: Any, **options: Any) -> Any:
        checked(host)
        return resolve(host, *more, **options)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)
    yield
    assert strangers == []
    # Sessions of astroquery and pyvo are never closed; theirs may not trouble later tests.
    gc.collect()


@pytest.fixture
def registry(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """astroquery set up for the archive."""
    monkeypatch.setattr(core.get_access_url, "caps", {})
    with conf.set_temp("CADC_REGISTRY_URL", server.registry_url), in_the_cache_of_astropy(tmp_path):
        yield server.registry_url


@pytest.fixture
def cadc(registry: str) -> CadcClass:
    return CadcClass()


def rows(server: Server, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(server.archive.database)) as database:
        return database.execute(sql).fetchall()


def texts(table: Table, *names: str) -> list[tuple[str, ...]]:
    return sorted(tuple(str(row[name]) for name in names) for row in table)


def test_collections(cadc: CadcClass, server: Server) -> None:
    found = cadc.get_collections()
    enumerated = rows(server, "SELECT DISTINCT collection, energy_emBand FROM EnumField")
    assert set(found) == {collection for collection, _ in enumerated}
    for name, about in found.items():
        assert about["Description"] == f"The {name} collection at the CADC"
        bands = {band for collection, band in enumerated if collection == name and band}
        # A NULL in a VOTable's text column is an empty cell, which astroquery takes for a band.
        assert {str(band) for band in about["Bands"]} - {""} == bands
    assert "Optical" in found["CFHT"]["Bands"]


def test_region(cadc: CadcClass, server: Server) -> None:
    table = cadc.query_region(M31, radius=0.05 * u.deg)
    expected = rows(
        server,
        f"SELECT observationID, productID FROM {BOTH} WHERE observationID = '2376828'",
    )
    assert texts(table, "observationID", "productID") == sorted(expected)
    columns = rows(server, "SELECT count(*) FROM pragma_table_info('Observation')")[0][0]
    columns += rows(server, "SELECT count(*) FROM pragma_table_info('Plane')")[0][0]
    assert len(table.colnames) == columns
    assert {"obsID", "obsID2", "metaRelease2", "lastModified2"} <= set(table.colnames)
    assert table["energy_bandpassName"][0].startswith("g")
    shapes = rows(server, "SELECT position_bounds FROM Plane WHERE productID = '2376828p'")
    assert ("2376828p", *shapes[0]) in texts(table, "productID", "position_bounds")
    assert len(cadc.query_region(SkyCoord(80, -60, unit="deg"), radius="1 arcsec")) == 0


def test_region_of_a_collection_leaves_junk_out(cadc: CadcClass, server: Server) -> None:
    place = SkyCoord(184.74, 47.304, unit="deg")
    both = cadc.query_region(place, radius=0.05 * u.deg)
    junk = rows(server, "SELECT productID FROM Plane WHERE quality_flag = 'junk'")
    assert ("C170324_0054_SCI",) in junk
    assert not {product for (product,) in junk} & set(both["productID"])
    assert "C170324_0055_SCIRED" in set(both["productID"])
    assert set(cadc.query_region(place, radius=0.05, collection="OMM")["collection"]) == {"OMM"}
    assert len(cadc.query_region(place, radius=0.05 * u.deg, collection="JCMT")) == 0


def test_name(cadc: CadcClass, server: Server) -> None:
    for name in ("m31", "M 31", "HD  15082", "CARINAE"):
        expected = rows(
            server,
            f"SELECT observationID, productID FROM {BOTH} WHERE instr(lower(target_name),"
            f" lower('{name}')) AND o.metaRelease {PUBLIC} AND p.metaRelease {PUBLIC}",
        )
        assert expected
        assert texts(cadc.query_name(name), "observationID", "productID") == sorted(expected)
    assert len(cadc.query_name("no such target")) == 0


def test_tables(cadc: CadcClass, server: Server) -> None:
    names = cadc.get_tables(only_names=True)
    assert {"caom2.Observation", "caom2.Plane", "ivoa.ObsCore", "tap_schema.columns"} <= set(names)
    assert {table.name for table in cadc.get_tables()} == set(names)
    table = cadc.get_table("caom2.Plane")
    expected = rows(server, "SELECT name FROM pragma_table_info('Plane')")
    assert [column.name for column in table.columns] == [name for (name,) in expected]
    exposure = next(column for column in table.columns if column.name == "time_exposure")
    assert (exposure.datatype.content, exposure.unit) == ("double", "s")
    assert cadc.get_table("caom2.Nothing") is None


def test_sync(cadc: CadcClass, server: Server, tmp_path: Path) -> None:
    adql = (
        "SELECT p.productID, p.time_exposure, p.dataRelease FROM caom2.Plane AS p"
        " JOIN caom2.Observation AS o ON o.obsID = p.obsID WHERE o.collection = 'CFHT'"
    )
    table = cadc.exec_sync(adql)
    sql = (
        f"SELECT productID, time_exposure, dataRelease FROM {BOTH} WHERE collection = 'CFHT'"
        f" AND o.metaRelease {PUBLIC} AND p.metaRelease {PUBLIC}"
    )
    expected = {product: (exposure, release) for product, exposure, release in rows(server, sql)}
    assert {str(row["productID"]) for row in table} == set(expected)
    for row in table:
        exposure, release = expected[str(row["productID"])]
        assert (None if np.ma.is_masked(row["time_exposure"]) else row["time_exposure"]) == exposure
        assert (str(row["dataRelease"]) or None) == release
    assert table["time_exposure"].unit == u.s
    path = tmp_path / "result.csv"
    cadc.exec_sync(adql, output_file=path, output_format="csv")
    assert len(Table.read(path, format="ascii.csv")) == len(table)
    with pytest.raises(Exception, match="no_such_column"):
        cadc.exec_sync("SELECT no_such_column FROM caom2.Plane")


def test_jobs(cadc: CadcClass, server: Server) -> None:
    adql = "SELECT TOP 7 collection, observationID FROM caom2.Observation WHERE collection='CFHT'"
    job = cadc.create_async(adql)
    assert job.phase == "PENDING"
    job = job.run().wait()
    job.raise_if_error()
    table = job.fetch_result().to_table()
    assert len(table) == 7
    known = {name for (name,) in rows(server, "SELECT observationID FROM Observation")}
    assert {str(name) for name in table["observationID"]} <= known
    loaded = cadc.load_async_job(job.job_id)
    assert (loaded.phase, loaded.query) == ("COMPLETED", adql)
    assert (
        loaded.fetch_result().to_table()["observationID"].tolist()
        == table["observationID"].tolist()
    )
    failed = cadc.create_async("SELECT nothing FROM caom2.Plane").run().wait()
    assert failed.phase == "ERROR"
    with pytest.raises(Exception, match="nothing"):
        failed.raise_if_error()


def test_upload(cadc: CadcClass, server: Server) -> None:
    sent = Table({"name": ["2376828", "2376829", "none"], "weight": [1.5, 2.5, 3.5]})
    adql = (
        "SELECT u.name, u.weight, o.target_name FROM tap_upload.mine AS u"
        " JOIN caom2.Observation AS o ON o.observationID = u.name"
    )
    expected = [("2376828", "1.5", "M31"), ("2376829", "2.5", "M33")]
    assert texts(cadc.exec_sync(adql, uploads={"mine": sent}), "name", "weight", "target_name") == (
        expected
    )
    job = cadc.create_async(adql, uploads={"mine": sent}).run().wait()
    job.raise_if_error()
    assert texts(job.fetch_result().to_table(), "name", "weight", "target_name") == expected


def artifacts(server: Server, products: Iterable[str], kinds: str = "") -> list[str]:
    marks = ", ".join(f"'{product}'" for product in products)
    sql = f"SELECT uri FROM Artifact JOIN Plane USING (planeID) WHERE productID IN ({marks})"
    return sorted(uri for (uri,) in rows(server, sql + kinds))


def uris_in(urls: Iterable[str]) -> list[str]:
    return sorted(unquote(urlsplit(url).path).partition("/raven/files/")[2] for url in urls)


def test_data_urls(cadc: CadcClass, server: Server) -> None:
    found = cadc.query_region(M31, radius=0.01 * u.deg)
    products = {str(product) for product in found["productID"]}
    urls = cadc.get_data_urls(found)
    assert uris_in(urls) == artifacts(server, products, " AND productType = 'science'")
    everything = cadc.get_data_urls(found, include_auxiliaries=True)
    assert uris_in(everything) == artifacts(server, products)
    assert len(everything) > len(urls)
    with pytest.raises(AttributeError, match="Missing metadata"):
        cadc.get_data_urls(found[:0])
    with pytest.raises(AttributeError, match="publisherID"):
        cadc.get_data_urls(found["productID", "obsID"])
    for url in urls:
        (uri,) = uris_in([url])
        data = requests.get(url, timeout=120).content
        assert data == server.archive.path_of(uri).read_bytes()


def test_data_urls_of_many_planes_come_in_batches(cadc: CadcClass, server: Server) -> None:
    planes = cadc.exec_sync(
        "SELECT TOP 45 p.productID, p.publisherID FROM caom2.Plane AS p JOIN caom2.Observation"
        " AS o ON o.obsID = p.obsID WHERE o.collection = 'SIMSURVEY'"
    )
    server.forget()
    urls = cadc.get_data_urls(planes)
    assert uris_in(urls) == artifacts(server, map(str, planes["productID"]))
    asked = [r for r in server.requests() if str(r["path"]).endswith("/datalink")]
    assert [str(r["query"]).count("ID=") for r in asked] == [20, 20, 5]


def test_image_list(cadc: CadcClass, server: Server) -> None:
    found = cadc.query_region(M13, radius=0.01 * u.deg, collection="ASTROPY")
    urls = cadc.get_image_list(found, M13, 0.01 * u.deg)
    asked = [parse_qs(urlsplit(url).query) for url in urls]
    products = map(str, found["productID"])
    assert sorted(each["ID"][0] for each in asked) == artifacts(
        server, products, " AND productType = 'science'"
    )
    for url, each in zip(urls, asked, strict=True):
        assert urlsplit(url).path.endswith("/sync")
        shape, ra, dec, radius = each["POS"][0].split()
        assert shape == "CIRCLE"
        assert np.allclose([float(ra), float(dec), float(radius)], [250.42, 36.46, 0.01], atol=1e-4)


def test_images_are_cut_out_of_their_parents(cadc: CadcClass, server: Server) -> None:
    urls = cadc.get_images(M13, 0.005 * u.deg, get_url_list=True)
    images = cadc.get_images(M13, 0.005 * u.deg)
    assert len(images) == len(urls) >= 1
    for url, cutout in zip(urls, images, strict=True):
        uri = parse_qs(urlsplit(url).query)["ID"][0]
        with fits.open(server.archive.path_of(uri)) as parents:
            parent = next(hdu for hdu in parents if hdu.data is not None and hdu.data.ndim == 2)
            image = next(hdu for hdu in cutout if hdu.data is not None and hdu.data.ndim == 2)
            assert image.data.size < parent.data.size
            there = WCS(parent.header).world_to_array_index(M13)
            here = WCS(image.header).world_to_array_index(M13)
            assert image.data[here] == parent.data[there]
            assert WCS(image.header).pixel_to_world(0, 0).separation(M13) < 0.02 * u.deg


def test_a_mosaic_is_cut_in_each_extension_that_is_hit(cadc: CadcClass, server: Server) -> None:
    images = cadc.get_images(M31, 0.05 * u.deg, collection="CFHT")
    expected = artifacts(server, ("2376828o", "2376828p"), " AND productType = 'science'")
    assert len(images) == len(expected)
    for uri, cutout in zip(expected, images, strict=True):
        hit = [hdu for hdu in cutout if hdu.data is not None]
        assert 1 <= len(hit) < 36
        with fits.open(server.archive.path_of(uri)) as parent:
            for image in hit:
                corner = WCS(image.header).pixel_to_world(0, 0)
                there = WCS(parent[image.name].header).world_to_array_index(corner)
                assert image.data[0, 0] == parent[image.name].data[there]
                assert corner.separation(M31) < 0.3 * u.deg


def test_a_plane_without_files_is_a_fault(cadc: CadcClass) -> None:
    empty = cadc.query_name("Empty field")
    assert [str(product) for product in empty["productID"]] == ["2999002o"]
    (identifier,) = empty["publisherID"]
    links = DatalinkResults.from_result_url(f"{cadc.data_link_url}?{urlencode({'ID': identifier})}")
    assert [(row["semantics"], row["error_message"]) for row in links] == [
        ("#this", f"NotFoundFault: {identifier}")
    ]


def names_seen(cadc: CadcClass) -> set[str]:
    table = cadc.exec_sync("SELECT observationID FROM caom2.Observation WHERE collection = 'CFHT'")
    return {str(name) for name in table["observationID"]}


def hidden(server: Server) -> set[str]:
    sql = f"SELECT observationID FROM Observation WHERE metaReadGroups = '{TEAM}'"
    return {name for (name,) in rows(server, sql)}


def test_login_by_password(cadc: CadcClass, server: Server) -> None:
    assert not hidden(server) & names_seen(cadc)
    with pytest.raises(AttributeError, match="credentials missing"):
        cadc.login()
    with pytest.raises(requests.HTTPError, match="401"):
        cadc.login(user="demo", password="wrong")
    cadc.login(user="demo", password="demo")
    assert hidden(server) <= names_seen(cadc)
    begun = datetime.now(UTC) - timedelta(minutes=1)
    job = cadc.create_async("SELECT TOP 1 collection FROM caom2.Observation").run().wait()
    listed = cadc.list_async_jobs(phases=["COMPLETED"], after=begun, last=5)
    assert job.job_id in [each.jobid for each in listed]
    assert {each.ownerid for each in listed} == {"demo"}
    whole = cadc.list_async_jobs(last=1, short_description=False)
    assert [each.phase for each in whole] == ["COMPLETED"]
    job.delete()
    assert job.job_id not in [each.jobid for each in cadc.list_async_jobs()]
    cadc.logout()
    assert not hidden(server) & names_seen(cadc)
    users = {record["user"] for record in server.requests() if record["path"] == "/argus/sync"}
    assert {None, "demo"} <= users


def test_login_by_certificate(
    registry: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.certificates / "ca.pem"))
    with conf.set_temp("CADC_REGISTRY_URL", server.secure_registry_url):
        cadc = CadcClass()
        assert not hidden(server) & names_seen(cadc)
        cadc.login(certificate_file=str(server.certificates / "demo.pem"))
        assert hidden(server) <= names_seen(cadc)
        job = cadc.create_async("SELECT TOP 1 collection FROM caom2.Observation").run().wait()
        assert job.job_id in [each.jobid for each in cadc.list_async_jobs()]
        cadc.logout()
        assert not hidden(server) & names_seen(cadc)


def test_a_session_of_ones_own(registry: str, server: Server) -> None:
    token = requests.post(
        registry.replace("/reg/resource-caps", "/ac/login"),
        data={"username": "demo", "password": "demo"},
        timeout=120,
    ).text
    with requests.Session() as session:
        session.cookies.set("CADC_SSO", f'"{token}"')
        cadc = CadcClass(auth_session=session)
        assert hidden(server) <= names_seen(cadc)
