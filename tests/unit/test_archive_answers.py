"""Questions as text, and answers as records."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadcfs.archive import queries
from cadcfs.archive.constraints import FACETS, Constraint, Question, days_of
from cadcfs.archive.pieces import Key, whole
from cadcfs.archive.services import TAP, access_url, parse_registry
from cadcfs.archive.votable import Answer, Field, parse_votable
from cadcfs.errors import BadRequest, Incomplete, Unavailable

TEXT_FACETS = sorted(set(FACETS) - {"by-date", "by-level", "region"})


def without_literals(adql: str) -> str:
    """The shape of a query: every string literal emptied, as ADQL's grammar reads them."""
    shape, inside, index = [], False, 0
    while index < len(adql):
        if adql[index] == "'":
            if inside and adql[index : index + 2] == "''":
                index += 2
                continue
            inside = not inside
            shape.append("'")
        elif not inside:
            shape.append(adql[index])
        index += 1
    assert not inside
    return "".join(shape)


@given(st.sampled_from(TEXT_FACETS), st.text(min_size=1))
def test_no_name_changes_the_shape_of_a_query(facet: str, value: str) -> None:
    plain = value.replace("_", "x").replace("'", "x")
    reference = "x" * len(value) if value.isascii() else "é"
    asked = queries.result(Question("C'X", (Constraint(facet, value),)))
    harmless = queries.result(
        Question("C", (Constraint(facet, "_" + reference if "_" in value else reference),))
    )
    assert without_literals(asked) == without_literals(harmless), plain


def test_a_target_is_asked_with_the_index() -> None:
    asked = queries.result(Question("CFHT", (Constraint("by-target", "M31"),)))
    assert "lower(o.target_name) = 'm31'" in asked
    assert "o.collection = 'CFHT'" in asked


@given(st.text(min_size=1))
def test_days_and_levels_are_numbers_or_refused(value: str) -> None:
    for facet in ("by-date", "by-level", "region"):
        try:
            asked = queries.result(Question("C", (Constraint(facet, value),)))
        except BadRequest:
            continue
        assert re.fullmatch(r"[-0-9.]+", value)
        assert without_literals(asked).count("'") == 2


def test_a_day_is_a_range_of_mjd() -> None:
    asked = queries.result(Question("C", (Constraint("by-date", "2019-01-07"),)))
    assert "p.time_bounds_lower >= 58490 AND p.time_bounds_lower < 58491" in asked
    assert days_of("2019-01-07..2019-01-09") == (58490, 58492)
    for wrong in ("2019-02-30", "2019-01-09..2019-01-07", "x", ""):
        with pytest.raises(BadRequest):
            days_of(wrong)


def test_constraints_in_any_order_are_one_question() -> None:
    one = Question("C").narrowed("by-type", "FLAT").narrowed("by-intent", "calibration")
    other = Question("C").narrowed("by-intent", "calibration").narrowed("by-type", "FLAT")
    assert one == other
    assert "by-type" not in one.free_facets()


HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">
<INFO name="QUERY_STATUS" value="OK"/><TABLE><FIELD name="a" datatype="char" arraysize="*"/>
<FIELD name="b" datatype="int"><VALUES null="-1"/></FIELD><DATA>"""
TAIL = "</DATA></TABLE>{}</RESOURCE></VOTABLE>\n"


def document(rows: str, after: str = "") -> bytes:
    return f"{HEAD}<TABLEDATA>{rows}</TABLEDATA>{TAIL.format(after)}".encode()


def test_rows_of_a_votable_are_text_and_null_is_empty() -> None:
    found = parse_votable(
        document(
            "<TR><TD>x &amp; &lt;&#233;</TD><TD>1</TD></TR>\n<TR><TD /><TD>-1</TD></TR>"
            "<TR><TD></TD><TD/></TR>"
        ),
        "u",
    )
    assert found.rows == [("x & <é", "1"), ("", ""), ("", "")]
    assert [field.name for field in found.fields] == ["a", "b"]
    assert not found.cut
    assert parse_votable(document(""), "u").rows == []


@pytest.mark.parametrize("cell", ['<TD encoding="x">x</TD>', "<TD>x</TD >", "<TD\n>x</TD>"])
def test_a_cell_may_be_written_with_attributes_and_spaces(cell: str) -> None:
    row = f"<TR>{cell}<TD>1</TD></TR><TR><TD>y</TD><TD/></TR>"
    assert parse_votable(document(row), "u").rows == [("x", "1"), ("y", "")]


def test_a_votable_says_that_it_was_cut_or_that_the_query_failed() -> None:
    row = "<TR><TD>x</TD><TD>1</TD></TR>"
    overflow = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>'
    assert parse_votable(document(row, overflow), "u").cut
    failed = '<INFO name="QUERY_STATUS" value="ERROR">out of memory</INFO>'
    with pytest.raises(BadRequest, match="out of memory"):
        parse_votable(document(row, failed), "u")


def test_what_is_written_otherwise_is_read_all_the_same() -> None:
    cdata = document("<TR><TD><![CDATA[<x>]]></TD><TD>1</TD></TR><TR><TD/><TD>-1</TD></TR>")
    assert parse_votable(cdata, "u").rows == [("<x>", "1"), ("", "")]
    from io import BytesIO

    from astropy.io.votable import from_table
    from astropy.table import MaskedColumn, Table

    table = Table({"a": ["x", "é"], "b": MaskedColumn([7, 8], mask=[False, True])})
    binary = BytesIO()
    from_table(table).to_xml(binary, tabledata_format="binary2")
    assert parse_votable(binary.getvalue(), "u").rows == [("x", "7"), ("é", "")]


def test_what_is_not_whole_is_an_error() -> None:
    whole_one = document("<TR><TD>x</TD><TD>1</TD></TR>")
    for broken in (
        b"", b"<html></html>", whole_one[:-20], whole_one[: len(whole_one) // 2],
        document("<TR><TD>x</TD></TR>"), document("<TR><TD>x</TD><TD>1</TD><TD>2</TD></TR>"),
        whole_one.replace(b"<RESOURCE", b"<RESOURCE <"), whole_one.replace(b">x<", b">\xff<"),
    ):  # fmt: skip
        with pytest.raises(Incomplete):
            parse_votable(broken, "u")


@given(
    st.lists(st.tuples(st.text("abé", max_size=2), st.text("xy", max_size=2)), max_size=60),
    st.integers(2, 9),
)
async def test_a_cut_answer_is_asked_in_pieces_until_it_is_whole(
    pairs: list[tuple[str, str]], limit: int
) -> None:
    import sqlite3

    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE t (a TEXT, b TEXT)")
        database.executemany("INSERT INTO t VALUES (?, ?)", [(a or None, b) for a, b in pairs])

        async def ask(piece: str) -> Answer:
            where = f" WHERE {piece}" if piece else ""
            rows = database.execute(f"SELECT coalesce(a, ''), b FROM t{where}").fetchall()
            return Answer((Field("a"), Field("b")), rows[:limit], len(rows) > limit)

        most = max((pairs.count(pair) for pair in pairs), default=0)
        keys = [Key(0, "a"), Key(1, "b")]
        if most > limit:
            with pytest.raises(Incomplete):
                await whole(ask, keys, "all")
        else:
            assert sorted(await whole(ask, keys, "all")) == sorted(pairs)


def test_the_registry_passes_over_what_is_no_entry() -> None:
    text = "#\n# text\n\nivo://a/b =  http://h/b/capabilities?x=y\n= x\nkey =\nplain line\n"
    assert parse_registry(text) == {"ivo://a/b": "http://h/b/capabilities?x=y"}


CAPABILITIES = """<?xml version="1.0"?>
<vosi:capabilities xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0">
  <capability standardID="ivo://ivoa.net/std/TAP">
    <interface><accessURL use="base">https://h/private</accessURL>
      <securityMethod standardID="ivo://ivoa.net/sso#cookie"/></interface>
    <interface><accessURL use="base"> https://h/tap </accessURL><securityMethod/></interface>
  </capability>
</vosi:capabilities>"""


def test_the_anonymous_interface_is_taken() -> None:
    assert access_url(CAPABILITIES, TAP, "u") == "https://h/tap"
    with pytest.raises(Unavailable, match="offers no"):
        access_url(CAPABILITIES, "ivo://other", "u")
    with pytest.raises(Incomplete):
        access_url("<broken", TAP, "u")


def long_answer(rows: int) -> bytes:
    cells = "".join(f"<TR><TD>é&amp;{n}</TD><TD>data{n % 3}</TD></TR>\n" for n in range(rows))
    return (
        '<?xml version="1.0"?><VOTABLE><RESOURCE><INFO name="QUERY_STATUS" value="OK"/><TABLE>'
        '<FIELD name="a" datatype="char"/><FIELD name="b" datatype="char"/>'
        f"<DATA><TABLEDATA>{cells}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    ).encode()


def test_an_answer_of_many_pieces_has_all_rows_and_equal_cells_once() -> None:
    answer = parse_votable(long_answer(60_000), "x")
    assert answer.rows == [(f"é&{n}", f"data{n % 3}") for n in range(60_000)]
    assert len({id(row[1]) for row in answer.rows}) == 3


def test_a_row_without_its_cell_in_a_later_piece_is_no_whole_answer() -> None:
    whole_answer = long_answer(60_000)
    with pytest.raises(Incomplete, match="rows that do not have 2 fields"):
        parse_votable(whole_answer.replace(b"&amp;59999</TD>", b""), "x")
    with pytest.raises(Incomplete, match="not UTF-8"):
        parse_votable(whole_answer.replace("é&amp;59999".encode(), b"\xe9"), "x")
