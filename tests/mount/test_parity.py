"""The mount answers as astroquery.cadc does, asked the same questions of the same archive."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io.votable import parse_single_table
from astropy.table import Table
from astroquery.cadc import CadcClass, conf, core
from pyvo.dal import DALServiceError

from cadcfs.tree.names import directory_name
from tests.archive.vocabulary import in_the_cache_of_astropy
from tests.rig import Mount, Server

pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore:It looks like you.re using"
)

REGIONS = {
    "M31": "10.6847_41.2688_0.1",
    "M13": "250.4235_36.4613_0.05",
    "small circle": "10.6847_41.2688_0.001",
    "many collections": "150_2_0.5",
    "junk among the good": "184.74_47.304_0.1",
    "over the pole": "123_89.9_1",
    "beginning of right ascension": "359.95_-1.02_0.3",
    "a file held elsewhere": "30_-20_0.2",
    "galactic coordinates": "51.0408_58.1015_0.5",
    "nothing at all": "200_-85_0.01",
}
OF_COLLECTION = {
    "M31": ("CFHT", "10.6847_41.2688_0.1"),
    "a plane without artifacts": ("CFHT", "150.1_2.2_0.1"),
    "junk among the good": ("OMM", "184.74_47.304_0.1"),
    "one of many": ("GEMINI", "150_2_0.5"),
    "a dense survey": ("SIMSURVEY", "10_0_2"),
}
NAMES = ["m31", "M31", "HD  15", "star", "@ 104", "ngc", "deep", "binned", "Ar,Xe", "μ", "undated",
         "s field"]  # fmt: skip
TARGETS = [
    ("CFHT", "M31"), ("CFHT", "* alf UMi"), ("CFHT", "Undated"), ("CFHT", "Empty field"),
    ("GEMINI", "      6297.00"), ("GEMINI", "m31b"), ("DAO", "Fe/Ar @ 104 Her"),
    ("DAOCADC", "Fe/Ar @ 104 Her"), ("OMM", "NGC 4258"), ("HST", "HD  15082"),
    ("GEMINICADC", "Ar,Xe"),
    ("CFHT", "O'Neill's star"), ("CFHT", "η Carinae"), ("IRIS", None),
    ("NOAO", "DES field"), ("LOTSS", "P124+62"),
]  # fmt: skip


@pytest.fixture(scope="module")
def sky(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One mount for all questions, with the address of each file as an attribute."""
    root = tmp_path_factory.mktemp("parity")
    (root / "sky").mkdir()
    mounted = Mount(root / "sky", root / "cache", server.registry_url)
    mounted.start("-o", "xattr,stat_allowance=1000000")
    yield mounted.path
    mounted.stop()


@pytest.fixture
def cadc(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CadcClass]:
    monkeypatch.setattr(core.get_access_url, "caps", {})
    with conf.set_temp("CADC_REGISTRY_URL", server.registry_url), in_the_cache_of_astropy(tmp_path):
        yield CadcClass()
    gc.collect()


def circle(region: str) -> tuple[SkyCoord, u.Quantity]:
    """The numbers as they are typed: astroquery turns other frames into FK5."""
    ra, dec, radius = map(float, region.split("_"))
    return SkyCoord(ra, dec, unit="deg", frame="fk5"), radius * u.deg


def results_below(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if path.is_dir()]


def addresses(result: Path, *, with_junk: bool) -> set[str]:
    """The addresses of all files in a result and its views."""
    views = ["", "previews", "auxiliary"]
    if with_junk:
        views += [f"junk/{view}" for view in views]
    found = set()
    for view in views:
        for path in (result / view).iterdir() if (result / view).is_dir() else ():
            try:
                if "user.cadc.uri" in os.listxattr(path):
                    found.add(os.getxattr(path, "user.xdg.origin.url").decode())
            except OSError:
                # Held elsewhere, by an archive that cannot be reached: its name is all there is.
                found |= {line for line in lines([result], "urls.txt") if line.endswith(path.name)}
    return found


def lines(results: list[Path], name: str) -> set[str]:
    return {line for result in results for line in (result / name).read_text().splitlines()}


def urls(cadc: CadcClass, table: Table, **more: Any) -> set[str]:
    """get_data_urls(), plane by plane where a fault row at the archive ends all of it."""
    try:
        return set(cadc.get_data_urls(table, **more))
    except DALServiceError:
        if len(table) == 1:
            return set()
    return set().union(*(urls(cadc, table[i : i + 1], **more) for i in range(len(table))))


def told(table: Table) -> list[dict[str, str]]:
    """Rows as text, in an order of their own."""
    table = table.copy()
    rows = [
        {name: _text(row[name]) for name in table.colnames if name != "position_bounds"}
        for row in table
    ]
    return sorted(rows, key=lambda row: (row["publisherID"], row["planeID"]))


def _text(value: Any) -> str:
    return "" if value is np.ma.masked else str(value)


def compare(cadc: CadcClass, theirs: Table, results: list[Path], *, with_junk: bool) -> None:
    if not len(theirs):
        assert results == [] or lines(results, "urls.txt") == set()
        return
    assert lines(results, "urls.txt") == urls(cadc, theirs)
    everything = set().union(*(addresses(result, with_junk=with_junk) for result in results))
    assert everything == urls(cadc, theirs, include_auxiliaries=True)
    ours = [row for result in results for row in told(_votable(result))]
    assert sorted(map(str, ours)) == sorted(map(str, told(theirs)))


def _votable(result: Path) -> Table:
    return parse_single_table(result / "metadata.vot").to_table(use_names_over_ids=True)


@pytest.mark.parametrize("question", REGIONS)
def test_a_region(sky: Path, cadc: CadcClass, question: str) -> None:
    position, radius = circle(REGIONS[question])
    theirs = cadc.query_region(position, radius=radius)
    compare(cadc, theirs, results_below(sky / "region" / REGIONS[question]), with_junk=False)


@pytest.mark.parametrize("question", OF_COLLECTION)
def test_a_region_of_one_collection(sky: Path, cadc: CadcClass, question: str) -> None:
    collection, region = OF_COLLECTION[question]
    position, radius = circle(region)
    theirs = cadc.query_region(position, radius=radius, collection=collection)
    place = sky / "collections" / collection / "region" / region
    compare(cadc, theirs, [place], with_junk=False)


@pytest.mark.parametrize("text", NAMES)
def test_a_name(sky: Path, cadc: CadcClass, text: str) -> None:
    theirs = cadc.query_name(text)
    place = sky / "name" / directory_name(text)
    compare(cadc, theirs, results_below(place) if place.is_dir() else [], with_junk=True)


@pytest.mark.parametrize(("collection", "target"), TARGETS)
def test_a_target(sky: Path, cadc: CadcClass, collection: str, target: str | None) -> None:
    wanted = "IS NULL" if target is None else "= '" + target.replace("'", "''") + "'"
    theirs = cadc.exec_sync(
        "SELECT * FROM caom2.Observation o JOIN caom2.Plane p ON o.obsID = p.obsID"
        f" WHERE collection = '{collection}' AND target_name {wanted}"
    )
    place = sky / "collections" / collection / "by-target" / directory_name(target)
    compare(cadc, theirs, [place], with_junk=True)


@pytest.mark.parametrize(
    ("collection", "region"),
    [("CFHT", REGIONS["M31"]), ("CGPS", REGIONS["galactic coordinates"]),
     ("OMM", REGIONS["junk among the good"]), ("GEMINI", "150_2_0.01"),
     ("SIMDEEP", "200_10_0.001")],
)  # fmt: skip
def test_the_cutouts_of_a_region(sky: Path, cadc: CadcClass, collection: str, region: str) -> None:
    """get_image_list() of what get_images() would ask for."""
    position, radius = circle(region)
    images = cadc.query_region(position, radius=radius, collection=collection)
    images = images[images["dataProductType"] == "image"] if len(images) else images
    place = sky / "collections" / collection / "region" / region
    theirs = set(cadc.get_image_list(images, position, radius)) if len(images) else set()
    ours = lines([place], "cutout-urls.txt") if (place / "cutout-urls.txt").exists() else set()
    assert {_cut(url) for url in ours} == {_cut(url) for url in theirs}
    assert theirs or collection in ("SIMDEEP", "GEMINI")


def _cut(url: str) -> tuple[str, str, tuple[float, ...]]:
    """Service, artifact and circle of a cutout's address, however it is spelled."""
    parts = urlsplit(url)
    told = {name.upper(): value for name, value in parse_qsl(parts.query)}
    words = told["POS"].split()
    return parts.path, told["ID"], (*map(float, words[1:]),)


@pytest.mark.parametrize("question", REGIONS)
def test_cutouts(sky: Path, cadc: CadcClass, question: str) -> None:
    position, radius = circle(REGIONS[question])
    results = results_below(sky / "region" / REGIONS[question])
    with_cutouts = [result for result in results if (result / "cutouts").is_dir()]
    found = cadc.query_region(position, radius=radius)
    assert lines(with_cutouts, "cutout-urls.txt") == image_list(cadc, found, position, radius)
    images = found[found["dataProductType"] == "image"] if len(found) else found
    # A file of two collections is listed in both.
    listed = {name for result in with_cutouts for name in os.listdir(result / "cutouts")}
    assert len(listed) == len(image_list(cadc, images, position, radius))


def image_list(cadc: CadcClass, table: Table, *where: Any) -> set[str]:
    """get_image_list(), few planes at a time: the archive cuts longer lists and does not say so."""
    parts = (table[first : first + 5] for first in range(0, len(table), 5))
    return {url for part in parts for url in cadc.get_image_list(part, *where)}
