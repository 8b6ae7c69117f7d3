"""Whole or not: VOTables read along as they arrive, and cut into parts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io.votable import parse
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from cadcfs.archive.scan import Scan, in_parts, scanned
from cadcfs.errors import BadRequest, Incomplete


def document(rows: int, *, prefix: str = "", after: str = "", body: str | None = None) -> bytes:
    cells = "".join(
        f"<{prefix}TR >\n<{prefix}TD>{i}</{prefix}TD><{prefix}TD/></{prefix}TR >"
        for i in range(rows)
    )
    name = f"xmlns:{prefix[:-1]}" if prefix else "xmlns"
    data = f"<{prefix}TABLEDATA>{cells}</{prefix}TABLEDATA>" if body is None else body
    return (
        f'<{prefix}VOTABLE version="1.4" {name}="http://www.ivoa.net/xml/VOTable/v1.3">'
        f'<{prefix}RESOURCE type="results"><{prefix}INFO name="QUERY_STATUS" value="OK"/>'
        f'<{prefix}TABLE><{prefix}FIELD name="n" datatype="int"/>'
        f'<{prefix}FIELD name="é" datatype="char" arraysize="*"/>'
        f"<{prefix}DATA>{data}</{prefix}DATA></{prefix}TABLE>{after}</{prefix}RESOURCE>"
        f"</{prefix}VOTABLE>"
    ).encode()


def fed(content: bytes, piece: int) -> Scan:
    scan = Scan("test")
    for start in range(0, len(content), piece):
        scan.feed(content[start : start + piece])
    return scan


@given(st.integers(0, 40), st.integers(1, 500), st.sampled_from(["", "vot:"]))
def test_rows_are_counted_however_they_arrive(rows: int, piece: int, prefix: str) -> None:
    summary = fed(document(rows, prefix=prefix), piece).close()
    assert (summary.rows, summary.columns, summary.cut) == (rows, 2, False)


@given(st.data())
def test_nothing_cut_short_is_whole(data: st.DataObject) -> None:
    content = document(5)
    length = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(Incomplete):
        fed(content[:length], 64).close()


def test_overflow_error_and_ragged_rows_are_told() -> None:
    assert fed(document(2, after='<INFO name="QUERY_STATUS" value="OVERFLOW"/>'), 99).close().cut
    failed = document(2, after='<INFO name="QUERY_STATUS" value="ERROR">out of &lt;disk></INFO>')
    with pytest.raises(BadRequest, match="out of <disk>"):
        fed(failed, 7).close()
    ragged = document(1, body="<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA>")
    with pytest.raises(Incomplete, match="do not have 2 cells"):
        fed(ragged, 50).close()
    with pytest.raises(Incomplete, match="document of html"):
        fed(b"<html><body/></html>", 50)


@pytest.mark.parametrize("prefix", ["", "vot:"])
@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 16])
def test_parts_have_the_same_rows(tmp_path: Path, rows: int, prefix: str) -> None:
    file = tmp_path / "t.vot"
    file.write_bytes(document(rows, prefix=prefix))
    found: list[int] = []
    parts = list(in_parts(file, 8))
    assert len(parts) == max(1, -(-rows // 8))
    for part in parts:
        table = parse(io.BytesIO(part), verify="ignore").get_first_table()
        assert [f.name for f in table.fields] == ["n", "é"]
        found += table.array["n"].tolist()
    assert found == list(range(rows))


def test_an_empty_element_and_no_data_at_all(tmp_path: Path) -> None:
    for body in ("<TABLEDATA/>", ""):
        file = tmp_path / "t.vot"
        file.write_bytes(document(0, body=body))
        assert scanned(file).rows == 0
        (part,) = in_parts(file, 8)
        assert len(parse(io.BytesIO(part), verify="ignore").get_first_table().array) == 0


@pytest.mark.parametrize("serialization", ["binary", "binary2"])
async def test_binary_serializations_are_converted_whole(
    tmp_path: Path, serialization: str
) -> None:
    from cadcfs.archive.conversion import Format, convert

    table = Table({"n": np.arange(5, dtype="i4"), "x": np.linspace(0, 1, 5), "s": list("abcdé")})
    file = tmp_path / "t.vot"
    table.write(file, format="votable", tabledata_format=serialization)
    assert scanned(file).columns == 3
    for form in (Format.CSV, Format.FITS, Format.PARQUET):
        await convert(file, tmp_path / f"t.{form}", form)
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0] == "n,x,s"
    assert lines[5] == "4,1.0,é"
    assert list(Table.read(tmp_path / "t.fits")["n"]) == list(range(5))
