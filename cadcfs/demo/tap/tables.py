"""VOSI tables (VOSI 1.1, section 6; VODataService 1.1): what can be queried, as XML."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.adql.catalogue import Catalogue, Field, Table

_SPACES = (
    'xmlns:vosi="http://www.ivoa.net/xml/VOSITables/v1.0" '
    'xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


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

    async def _all(self, _request: Request) -> Response:
        parts = [_DECLARATION, f"<vosi:tableset {_SPACES}>\n"]
        for schema in self._catalogue.schemas():
            parts.append(f"<schema>\n<name>{escape(schema)}</name>\n")
            parts += [_table(t) for t in self._catalogue.tables if t.schema == schema]
            parts.append("</schema>\n")
        parts.append("</vosi:tableset>\n")
        return Response("".join(parts), media_type="text/xml")

    async def _one(self, request: Request) -> Response:
        name = request.path_params["name"]
        schema, _, short = name.partition(".")
        table = self._catalogue.find(schema, short)
        if table is None:
            return PlainTextResponse(f"not found: {name}", 404)
        document = _table(table, f"vosi:table {_SPACES}").rstrip().removesuffix("</table>")
        return Response(f"{_DECLARATION}{document}</vosi:table>\n", media_type="text/xml")


def _table(table: Table, tag: str = "table") -> str:
    columns = "".join(_column(field) for field in table.fields)
    name = escape(f"{table.schema}.{table.name}")
    return f'<{tag} type="table">\n<name>{name}</name>\n{columns}</table>\n'


def _column(field: Field) -> str:
    texts = {"description": field.description, "unit": field.unit, "ucd": field.ucd,
             "utype": field.utype}  # fmt: skip
    details = "".join(f"<{key}>{escape(text)}</{key}>" for key, text in texts.items() if text)
    size = f" arraysize={quoteattr(field.arraysize)}" if field.arraysize else ""
    extra = f" extendedType={quoteattr(field.xtype)}" if field.xtype else ""
    return (
        f"<column><name>{escape(field.name)}</name>{details}"
        f'<dataType xsi:type="vs:VOTableType"{size}{extra}>{field.datatype}</dataType></column>\n'
    )
