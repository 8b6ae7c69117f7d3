"""The tables that the embedded archive offers, column by column (CAOM 2.4 as CADC's TAP has it)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Column:
    """One column as TAP_SCHEMA describes it (TAP 1.1, 4.3); "" where nothing is said."""

    table: str
    name: str
    datatype: str
    arraysize: str
    xtype: str
    unit: str
    ucd: str
    utype: str
    principal: str
    indexed: str
    std: str
    description: str


TABLES = {
    "caom2.Observation": "what was observed: one row an observation",
    "caom2.Plane": "the products of the observations",
    "caom2.Artifact": "the files of the products",
    "caom2.Part": "the parts of the files, such as FITS extensions",
    "caom2.Chunk": "the data arrays of the parts and their WCS",
    "caom2.ObservationMember": "which observations went into a derived one",
    "caom2.ProvenanceInput": "which planes went into a plane",
    "caom2.EnumField": "how many planes share each combination of values",
    "caom2.ObsCoreEnumField": "how many rows of ivoa.ObsCore share each combination of values",
    "caom2.distinct_proposal_id": "all proposals",
    "caom2.distinct_proposal_pi": "all principal investigators",
    "caom2.distinct_proposal_title": "all titles of proposals",
    "caom2.HarvestState": "how far the metadata are harvested",
    "caom2.HarvestSkipURI": "what could not be harvested",
    "caom2.SIAv1": "images, as Simple Image Access 1.0 shows them",
    "ivoa.ObsCore": "science data, as ObsCore 1.1 describes them",
    "ivoa.ObsFile": "the files of the data in ivoa.ObsCore",
    "ivoa.ObsPart": "the parts of the files in ivoa.ObsFile",
}
"""Every table, in order, and what it holds."""


def _read() -> tuple[Column, ...]:
    text = resources.files("cadcfs.demo").joinpath("schema.csv").read_text()
    return tuple(Column(*row) for row in list(csv.reader(text.splitlines()))[1:])


COLUMNS: tuple[Column, ...] = _read()


@cache
def columns_of(table: str) -> tuple[Column, ...]:
    """The columns of `caom2.Plane` or `Plane`, in order."""
    full = table if "." in table else f"caom2.{table}"
    return tuple(column for column in COLUMNS if column.table == full)
