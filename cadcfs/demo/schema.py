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
    description: str = ""


def _read() -> tuple[Column, ...]:
    text = resources.files("cadcfs.demo").joinpath("schema.csv").read_text()
    return tuple(Column(*row) for row in list(csv.reader(text.splitlines()))[1:])


COLUMNS: tuple[Column, ...] = _read()


@cache
def columns_of(table: str) -> tuple[Column, ...]:
    """The columns of `caom2.Plane` or `Plane`, in order."""
    full = table if "." in table else f"caom2.{table}"
    return tuple(column for column in COLUMNS if column.table == full)
