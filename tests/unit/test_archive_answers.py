"""Questions as text, and answers as records."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadcfs.archive import queries
from cadcfs.archive.queries import Constraint, Question
from cadcfs.archive.services import TAP, access_url, parse_registry
from cadcfs.archive.tap import parse_csv
from cadcfs.errors import BadRequest, Incomplete, Unavailable

TEXT_FACETS = sorted(set(queries.FACETS) - {"by-date", "by-level"})


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
    for facet in ("by-date", "by-level"):
        try:
            asked = queries.result(Question("C", (Constraint(facet, value),)))
        except BadRequest:
            continue
        assert re.fullmatch(r"[-0-9.]+", value)
        assert without_literals(asked).count("'") == 2


def test_a_day_is_a_range_of_mjd() -> None:
    asked = queries.result(Question("C", (Constraint("by-date", "2019-01-07"),)))
    assert "p.time_bounds_lower >= 58490 AND p.time_bounds_lower < 58491" in asked
    assert queries.days_of("2019-01-07..2019-01-09") == (58490, 58492)
    for wrong in ("2019-02-30", "2019-01-09..2019-01-07", "x", ""):
        with pytest.raises(BadRequest):
            queries.days_of(wrong)


def test_constraints_in_any_order_are_one_question() -> None:
    one = Question("C").narrowed("by-type", "FLAT").narrowed("by-intent", "calibration")
    other = Question("C").narrowed("by-intent", "calibration").narrowed("by-type", "FLAT")
    assert one == other
    assert "by-type" not in one.free_facets()


def test_csv_rows_are_whole_or_an_error() -> None:
    assert parse_csv(b'a,b\n1,"x,\ny"\n,\n', "u") == [["1", "x,\ny"], ["", ""]]
    assert parse_csv(b"a\nx\n\ny\n", "u") == [["x"], [""], ["y"]]
    assert parse_csv(b"a,b\n", "u") == []
    for broken in (b"", b"a,b\n1\n", b"a,b\n1,2,3\n", b"a\n\xff\n"):
        with pytest.raises(Incomplete):
            parse_csv(broken, "u")


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
