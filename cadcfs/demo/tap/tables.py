"""VOSI tables (VOSI 1.1, section 6; VODataService 1.1): what can be queried, as XML."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.adql.catalogue import Catalogue, Field, Key, Table
from cadcfs.demo.tap.schema_tables import SCHEMAS, written_name

_SPACES = (
    'xmlns:vosi="http://www.ivoa.net/xml/VOSITables/v1.0" '
    'xmlns:vod="http://www.ivoa.net/xml/VODataService/v1.1" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_DETAILS = ("max", "min")


class TablesEndpoint:
    """Serves `/argus/tables` and `/argus/tables/<name>`."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Describe a catalogue."""
        self._catalogue = catalogue

    def routes(self) -> list[Route]:
        """Return the endpoint's routes."""
        return [
            Route("/argus/tables", self._all),
            Route("/argus/tables/{name}", self._one),
        ]

    async def _all(self, request: Request) -> Response:
        detail = request.query_params.get("detail", "max")
        if detail not in _DETAILS:
            return PlainTextResponse(f"invalid value: detail={detail}", 400)
        parts = [_DECLARATION, f"<vosi:tableset {_SPACES}>\n"]
        for schema in self._catalogue.schemas():
            parts.append(f"<schema>\n<name>{escape(schema)}</name>\n")
            parts.append(_element("description", SCHEMAS.get(schema, "")))
            parts += [
                self._table(table, whole=detail == "max")
                for table in self._catalogue.tables
                if table.schema == schema
            ]
            parts.append("</schema>\n")
        parts.append("</vosi:tableset>\n")
        return Response("".join(parts), media_type="text/xml")

    async def _one(self, request: Request) -> Response:
        name = request.path_params["name"]
        schema, _, short = name.partition(".")
        table = self._catalogue.find(schema, short)
        if table is None:
            return PlainTextResponse(f"not found: {name}", 404)
        document = self._table(table, f"vosi:table {_SPACES}").rstrip().removesuffix("</table>")
        return Response(f"{_DECLARATION}{document}</vosi:table>\n", media_type="text/xml")

    def _table(self, table: Table, tag: str = "table", *, whole: bool = True) -> str:
        inner = _element("name", table.full_name) + _element("description", table.description)
        if whole:
            inner += "".join(_column(field) for field in table.fields)
            keys = (key for key in self._catalogue.keys if key.source == table.full_name)
            inner += "".join(_foreign_key(key) for key in keys)
        return f'<{tag} type="output">\n{inner}</table>\n'


def _element(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text)}</{tag}>\n" if text else ""


def _column(field: Field) -> str:
    texts = {
        "name": written_name(field), "description": field.description, "unit": field.unit,
        "ucd": field.ucd, "utype": field.utype,
    }  # fmt: skip
    inner = "".join(_element(tag, text) for tag, text in texts.items())
    size = f" arraysize={quoteattr(field.arraysize)}" if field.arraysize else ""
    extra = f" extendedType={quoteattr(field.xtype)}" if field.xtype else ""
    std = ' std="true"' if "std" in field.flags else ""
    flags = "".join(_element("flag", f) for f in ("indexed", "principal") if f in field.flags)
    return (
        f'<column{std}>\n{inner}<dataType xsi:type="vod:VOTableType"{size}{extra}>'
        f"{field.datatype}</dataType>\n{flags}</column>\n"
    )


def _foreign_key(key: Key) -> str:
    return (
        f"<foreignKey>\n{_element('targetTable', key.target)}<fkColumn>\n"
        f"{_element('fromColumn', key.from_column)}{_element('targetColumn', key.target_column)}"
        f"</fkColumn>\n{_element('description', key.description)}</foreignKey>\n"
    )
