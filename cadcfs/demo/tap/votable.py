"""VOTable 1.4, streamed, with TABLEDATA or BINARY2 (sections 5.1 and 5.4), and error documents."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from cadcfs.demo.adql.catalogue import Field
from cadcfs.demo.tap.binary2 import Packer
from cadcfs.demo.tap.writer import REAL, Header, Row, clean, text_of

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE xmlns="http://www.ivoa.net/xml/VOTable/v1.3" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.4">\n'
    '<RESOURCE type="results">\n'
)
_FOOT = "</VOTABLE>\n"
# As at CADC, whose readers must know which of the two they get.
_WHOLE = '<INFO name="placeholder" value="ignore"/>\n'
_CUT = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>\n'


class _Document:
    """What both serializations share: everything but the rows."""

    tag = ""

    def __init__(self) -> None:
        self._services = ""

    def _begin(self, header: Header) -> str:
        infos = {"QUERY_STATUS": "OK", "QUERY_TIMESTAMP": header.timestamp, "QUERY": header.query}
        lines = [_HEAD]
        lines += [
            f'<INFO name="{name}" value={_attribute(text)}/>\n'
            for name, text in infos.items()
            if text
        ]
        lines.append("<TABLE>\n")
        seen: set[str] = set()
        for field in header.fields:
            lines.append(_field(field, "" if field.id in seen else field.id))
            seen.add(field.id)
        linked = [own_id for own_id in ("caomPublisherID", "ivoaPublisherID") if own_id in seen]
        self._services = "".join(_link_service(header.base_url, own_id) for own_id in linked)
        return "".join(lines) + f"<DATA>\n<{self.tag}>\n"

    def _end(self, *, overflow: bool) -> str:
        return (
            f"</{self.tag}>\n</DATA>\n</TABLE>\n{_CUT if overflow else _WHOLE}</RESOURCE>\n"
            f"{self._services}{_FOOT}"
        )


class TableData(_Document):
    """Rows as XML."""

    tag = "TABLEDATA"

    def __init__(self) -> None:
        """Write a document."""
        super().__init__()
        self._texts: tuple[tuple[Callable[[Any], str], str], ...] = ()

    def begin(self, header: Header) -> bytes:
        """Write everything up to the first row."""
        self._texts = tuple((_cell_text(field), _empty_cell(field)) for field in header.fields)
        return self._begin(header).encode()

    def rows(self, batch: Iterable[Row]) -> bytes:
        """Write rows; NULL is an empty cell, but for arrays that have a length to keep."""
        texts = self._texts
        return "".join(
            "<TR>"
            + "".join(
                [
                    empty if value is None else f"<TD>{text(value)}</TD>"
                    for (text, empty), value in zip(texts, row, strict=True)
                ]
            )
            + "</TR>\n"
            for row in batch
        ).encode()

    def end(self, *, overflow: bool) -> bytes:
        """Close the table; a cut result says so behind it (DALI 1.1, section 4.4.1)."""
        return self._end(overflow=overflow).encode()


class Binary2(_Document):
    """Rows as bytes in base64."""

    tag = "BINARY2"

    def __init__(self) -> None:
        """Write a document."""
        super().__init__()
        self._packer = Packer(())
        self._rest = b""

    def begin(self, header: Header) -> bytes:
        """Write everything up to the first row."""
        self._packer = Packer(header.fields)
        return (self._begin(header) + '<STREAM encoding="base64">\n').encode()

    def rows(self, batch: Iterable[Row]) -> bytes:
        """Write rows; three bytes make four letters, so that what is over waits."""
        data = self._rest + b"".join(self._packer.pack(row) for row in batch)
        whole = len(data) // 3 * 3
        self._rest = data[whole:]
        return base64.b64encode(data[:whole]) + b"\n" if whole else b""

    def end(self, *, overflow: bool) -> bytes:
        """Close the table; a cut result says so behind it."""
        last = base64.b64encode(self._rest) + b"\n</STREAM>\n"
        return last + self._end(overflow=overflow).encode()


def _attribute(text: str) -> str:
    return quoteattr(clean(text))


def _cell_text(field: Field) -> Callable[[Any], str]:
    plain = text_of(field)
    if plain is str:
        return lambda value: escape(clean(str(value)))
    return plain


def _empty_cell(field: Field) -> str:
    if field.datatype in REAL and field.arraysize.isdigit():
        return f"<TD>{' '.join(['NaN'] * int(field.arraysize))}</TD>"
    return "<TD/>"


def _field(field: Field, own_id: str) -> str:
    known = {
        "name": field.name, "datatype": field.datatype, "arraysize": field.arraysize,
        "ID": own_id, "ucd": field.ucd, "unit": field.unit, "utype": field.utype,
        "xtype": field.xtype,
    }  # fmt: skip
    written = " ".join(f"{key}={_attribute(value)}" for key, value in known.items() if value)
    if field.description:
        text = escape(clean(field.description))
        return f"<FIELD {written}>\n<DESCRIPTION>{text}</DESCRIPTION>\n</FIELD>\n"
    return f"<FIELD {written}/>\n"


def _link_service(base_url: str, own_id: str) -> str:
    """Describe the DataLink service for the column of publisher IDs (DataLink 1.1, section 4)."""
    address = escape(quote(f"{base_url}/caom2ops/datalink", safe=":/[]"))
    return (
        '<RESOURCE type="meta" utype="adhoc:service">\n'
        '<PARAM name="standardID" datatype="char" arraysize="*" '
        'value="ivo://ivoa.net/std/DataLink#links-1.1"/>\n'
        f'<PARAM name="accessURL" datatype="char" arraysize="*" value="{address}"/>\n'
        '<PARAM name="resourceIdentifier" datatype="char" arraysize="*" '
        'value="ivo://cadc.nrc.ca/caom2ops"/>\n'
        '<GROUP name="inputParams">\n'
        f'<PARAM name="ID" datatype="char" arraysize="*" ref="{own_id}" value=""/>\n'
        "</GROUP>\n</RESOURCE>\n"
    )


def fields_document(header: Header) -> str:
    """Write a VOTable that has columns and no rows, for formats that keep their metadata so."""
    columns = "".join(_field(field, "") for field in header.fields)
    return f"{_HEAD}<TABLE>\n{columns}</TABLE>\n</RESOURCE>\n{_FOOT}"


def error_document(message: str) -> str:
    """Write the VOTable that reports an error (DALI 1.1, section 4.2)."""
    info = f'<INFO name="QUERY_STATUS" value="ERROR">{escape(clean(message))}</INFO>\n'
    return f"{_HEAD}{info}</RESOURCE>\n{_FOOT}"
