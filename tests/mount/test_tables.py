"""`tables/`: what can be asked, against astroquery's get_tables and get_table."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from astropy.io.votable import parse_single_table

from tests.rig import Mount, Server


def test_all_tables_cost_two_queries(mount: Mount, server: Server) -> None:
    from astroquery.cadc import CadcClass, conf, core

    place = mount.path / "tables"
    names = os.listdir(place)
    contents = {name: (place / name).read_bytes() for name in names}
    assert len(server.queries()) == 2
    assert all((place / name).stat().st_size == len(contents[name]) for name in names)
    core.get_access_url.caps = {}
    with conf.set_temp("CADC_REGISTRY_URL", server.registry_url):
        cadc = CadcClass()
        tables = cadc.get_tables(only_names=True)
        table = cadc.get_table("caom2.Plane")
    assert {f"{name}{ending}" for name in tables for ending in (".csv", ".vot")} == set(names)
    rows = list(csv.DictReader((place / "caom2.Plane.csv").read_text().splitlines()))
    columns = {column.name: column for column in table.columns}
    assert {row["name"] for row in rows} == set(columns)
    for row in rows:
        column = columns[row["name"]]
        assert row["unit"] == (column.unit or "")
        assert row["ucd"] == (column.ucd or "")
        assert row["utype"] == (column.utype or "")
        assert row["description"] == (column.description or "").strip()
        assert row["datatype"] == column.datatype.content
        assert ("indexed" in row["flags"].split()) == ("indexed" in column.flags)
    in_vot = parse_single_table(place / "caom2.Plane.vot").to_table()
    assert in_vot.colnames == list(rows[0])
    assert list(in_vot["name"]) == [row["name"] for row in rows]
    assert list(in_vot["description"]) == [row["description"] for row in rows]


def test_one_table_by_name(mount: Mount, server: Server) -> None:
    assert (mount.path / "tables/caom2.Artifact.csv").read_text().startswith("name,datatype,")
    assert len(server.queries()) == 2
    for name in ("caom2.NoSuch.csv", ".git", "caom2.Artifact.txt"):
        with pytest.raises(FileNotFoundError):
            Path(mount.path / "tables" / name).stat()
    assert len(server.queries()) == 2
    assert "tap_schema.columns" in (mount.path / "tables/.query").read_text()
