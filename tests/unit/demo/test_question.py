"""What a request may ask: parameters of TAP, in any case, and how many rows may go out."""

from __future__ import annotations

import pytest

from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.tap.question import Question
from cadcfs.demo.tap.submission import Submission


def question(**more: str) -> Question:
    pairs = {"lang": "ADQL-2.0", "Query": " select 1 ", **more}
    return Question.of(Submission(tuple(pairs.items())))


def test_names_of_parameters_mean_the_same_in_any_case() -> None:
    asked = question(MaxRec="7", format="csv")
    assert (asked.adql, asked.maxrec, asked.format.extension) == ("select 1", 7, "csv")
    assert question(FORMAT="csv", RESPONSEFORMAT="tsv").format.extension == "tsv"
    first = Submission((("LANG", "ADQL"), ("query", "one"), ("QUERY", "two")))
    assert Question.of(first).adql == "one"


@pytest.mark.parametrize(
    ("maxrec", "columns", "capped", "limit"),
    [
        ("", 3, False, None),
        ("5", 3, False, 5),
        ("", 1, True, 134217728 // 26),
        ("", 126, True, int(134217728 / (126 * 26))),
        ("10", 126, True, 10),
        ("99999999", 126, True, int(134217728 / (126 * 26))),
    ],
)
def test_async_results_are_capped_by_their_width(
    maxrec: str, columns: int, capped: bool, limit: int | None
) -> None:
    assert question(MAXREC=maxrec).limit(columns, capped=capped) == limit


def test_a_votable_by_its_old_parameter_is_reckoned_bigger() -> None:
    assert question(FORMAT="votable").limit(1, capped=True) == int(134217728 / (26 * 2.4))


@pytest.mark.parametrize("maxrec", ["-1", "x", "1.5", "2147483647", "9" * 30, "٣"])
def test_a_limit_that_is_none_is_refused(maxrec: str) -> None:
    with pytest.raises(AdqlError, match="Invalid MAXREC"):
        question(MAXREC=maxrec)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"REQUEST": "getCapabilities"}, "unknown REQUEST"),
        ({"lang": "SQL"}, "unknown LANG: SQL"),
        ({"Query": "  "}, "missing required parameter: QUERY"),
        ({"FORMAT": "fits"}, "unknown format: fits"),
        ({"FORMAT": "VOTable"}, "unknown format: VOTable"),
        ({"FORMAT": "application/x-votable+xml;serialization=fits"}, "unsupported serialization"),
    ],
)
def test_what_is_out_of_order_is_refused(more: dict[str, str], message: str) -> None:
    with pytest.raises(AdqlError, match=message):
        question(**more)
