"""SODA's refusals, and the file service's, in CADC's words."""

from __future__ import annotations

import httpx
import pytest

MOSAIC = "cadc:CFHT/2376828p.fits.fz"
PLAIN = "cadc:CFHTSG/MegaPipe.016.263.G.MP9401.fits"
TEXT = "cadc:CFHTSG/MegaPipe.016.263.G.MP9401.cat"
CIRCLE = "CIRCLE 10.6847 41.2687 0.01"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "found 0 ID values, expected 1\n"),
        (f"ID={PLAIN}&ID={PLAIN}", "found 2 ID values, expected 1\n"),
        (f"ID={PLAIN}&POS={CIRCLE}&CIRCLE=1 2 3",
         "found 2 POS/CIRCLE/POLY values, expected 0-1\n"),
        (f"ID={PLAIN}&BAND=1 2&BAND=3 4", "found 2 BAND values, expected 0-1\n"),
        (f"ID={PLAIN}&TIME=1 2&TIME=3 4", "found 2 TIME values, expected 0-1\n"),
        (f"ID=no uri&POS={CIRCLE}", "invalid ID(s) found\ninvalid URI: no uri\n"),
        (f"ID={PLAIN}&POS=BOX 1 2 3 4", "unexpected shape: BOX"),
        (f"ID={PLAIN}&CIRCLE=1 2 x", 'For input string: "x"'),
        (f"ID={PLAIN}&POLYGON=1 2 3 4 5", "invalid polygon (odd number of coordinate values)"),
        (f"ID={PLAIN}&POLYGON=1 2 3 4", "invalid polygon (not enough points)"),
        (f"ID={PLAIN}&BAND=2 1", "invalid interval: 1.0 < 2.0"),
        (f"ID={PLAIN}&POL=Z", "invalid POL: Z"),
    ],
)  # fmt: skip
async def test_bad_parameters_are_refused_in_words(
    client: httpx.AsyncClient, query: str, text: str
) -> None:
    reply = await client.get(f"/caom2ops/sync?{query}")
    assert reply.status_code == 400
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text.startswith(text)


@pytest.mark.parametrize(
    ("uri", "more", "text"),
    [
        ("cadc:CFHT/nosuch.fits", {}, "NotFound: cadc:CFHT/nosuch.fits"),
        ("cadc:CFHT/shared.fits", {"CIRCLE": "10 10 0.1"},
         "NoContent: cadc:CFHT/shared.fits vs POS=circle 10.0 10.0 0.1"),
        (PLAIN, {"BAND": "1e-7 2e-7"}, f"NoContent: {PLAIN} vs BAND=1.0E-7 2.0E-7"),
        (PLAIN, {"POL": "I"}, f"NoContent: {PLAIN} vs POL=|I|"),
        (TEXT, {"POS": CIRCLE}, f"cutout not supported: {TEXT}"),
        ("cadc:SIMSURVEY/sim00000.fits", {"POS": CIRCLE},
         "cutout not supported: cadc:SIMSURVEY/sim00000.fits"),
        ("astron:LOTSS/P124+62/mosaic.fits", {"POS": CIRCLE},
         "no CutoutGenerator for astron:LOTSS/P124+62/mosaic.fits"),
    ],
)  # fmt: skip
async def test_what_is_not_there_is_said_by_another_address(
    client: httpx.AsyncClient, uri: str, more: dict[str, str], text: str
) -> None:
    asked = {"ID": uri, **more}
    first = await client.get("/caom2ops/sync", params=asked, follow_redirects=False)
    assert first.status_code == 303
    assert "/caom2ops/soda-echo/" in first.headers["location"]
    reply = await client.get(first.headers["location"])
    assert (reply.status_code, reply.text) == (400, f"{text}\n")


async def test_sync_sends_on_to_the_file_service(client: httpx.AsyncClient) -> None:
    asked = {"id": PLAIN, "pos": "CIRCLE 215.0 52.5 0.001", "RUNID": "abc"}
    first = await client.get("/caom2ops/sync", params=asked, follow_redirects=False)
    posted = await client.post("/caom2ops/sync", data=asked, follow_redirects=False)
    assert first.headers["location"] == posted.headers["location"]
    address = httpx.URL(first.headers["location"])
    assert address.path == f"/raven/files/{PLAIN}"
    assert list(address.params) == ["SUB"]
    assert address.params["SUB"].startswith("[0][")


async def test_other_shapes_cut_the_same_pixels(client: httpx.AsyncClient) -> None:
    shapes = (
        "POLYGON 215.002 52.499 215.002 52.501 214.998 52.501 214.998 52.499",
        "RANGE 214.998 215.002 52.499 52.501",
    )
    found = [
        (await client.get("/caom2ops/sync", params={"ID": PLAIN, "POS": shape})).content
        for shape in shapes
    ]
    assert found[0] == found[1]
    assert len(found[0]) > 2880


@pytest.mark.parametrize(
    ("uri", "query", "text"),
    [
        (PLAIN, "META=true&SUB=[0]", "Conflicting SODA parameters found: [META, SUB]"),
        (PLAIN, "CIRCLE=1 2 3&POS=CIRCLE 1 2 3",
         "Conflicting SODA parameters found: [CIRCLE, POS]"),
        (PLAIN, "CIRCLE=1 2 3&CIRCLE=1 2 3", "More than one CIRCLE provided."),
        (PLAIN, "BAND=1 2&BAND=1 2", "More than one BAND provided."),
        (PLAIN, "CIRCLE=10 10 0.1", "No overlap found."),
        (PLAIN, "SUB=[7]", "One or more requested slices could not be found:\n[[7]]"),
        (PLAIN, "SUB=[0][90000:90001,1:2]", "One or more requested slices could not be found:"),
        (PLAIN, "SUB=0", "No usable values from (0)."),
        (PLAIN, "SUB=[A,B,C]", "Specifying XTENSION return type is not supported."),
        (TEXT, "SUB=[0]", f"not a fits file: {TEXT}"),
        (f"{TEXT}:fo/x.txt", "META=true", f"not a fits file: {TEXT} aka x.txt"),
    ],
)  # fmt: skip
async def test_the_file_service_refuses_in_words(
    client: httpx.AsyncClient, uri: str, query: str, text: str
) -> None:
    reply = await client.get(f"/raven/files/{uri}?{query}")
    assert reply.status_code == 400
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text.startswith(text)


async def test_a_range_of_a_cutout_is_ignored(client: httpx.AsyncClient) -> None:
    address = f"/raven/files/{PLAIN}?SUB=[1:20,1:20]"
    whole = await client.get(address)
    part = await client.get(address, headers={"Range": "bytes=0-10"})
    assert (part.status_code, part.content) == (200, whole.content)


async def test_a_file_may_be_given_another_name(client: httpx.AsyncClient) -> None:
    reply = await client.get(f"/raven/files/{PLAIN}:fo/other.fits?SUB=[1:20,1:20]")
    named = reply.headers["content-disposition"]
    assert named == 'inline; filename="other.0__1_20_1_20.fits"'
    whole = await client.get(f"/raven/files/{PLAIN}:fo/other.fits")
    assert whole.headers["content-disposition"] == 'inline; filename="other.fits"'
