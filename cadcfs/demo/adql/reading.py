"""From ADQL text to a syntax tree, and the words for what cannot be read, with their place."""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from cadcfs.demo.adql.dialect import Adql
from cadcfs.demo.adql.scope import AdqlError

_LONGEST = 200_000
# Words that end a query in SQL and not in ADQL; the parser takes them for names.
_NOT_ADQL = re.compile(r"\b(limit|offset|fetch)\s+$", re.IGNORECASE)
_INNER_WORDS = re.compile(r"\s*but got <.*", re.DOTALL)


def read(adql: str) -> exp.Query:
    """Parse one SELECT; raise AdqlError with the place of what is wrong."""
    if len(adql) > _LONGEST:
        raise AdqlError("the query is too long")
    try:
        trees = [tree for tree in sqlglot.parse(adql, dialect=Adql) if tree is not None]
    except ParseError as trouble:
        raise AdqlError(_words(trouble)) from trouble
    except (SqlglotError, ValueError) as trouble:
        first = str(trouble).splitlines()[0] if str(trouble) else "it breaks off"
        raise AdqlError(f"cannot read the query: {first}") from trouble
    except RecursionError:
        raise AdqlError("the query is nested too deeply") from None
    if len(trees) != 1:
        found = str(len(trees)) if trees else "none"
        raise AdqlError(f"one statement is expected, found {found}")
    tree = trees[0]
    while isinstance(tree, exp.Subquery) and not tree.alias:
        tree = tree.this
    if not isinstance(tree, (exp.Select, exp.SetOperation)):
        raise AdqlError(f"only SELECT is allowed, not {tree.key.upper()}")
    return tree


def _words(trouble: ParseError) -> str:
    if not trouble.errors:
        return str(trouble).splitlines()[0]
    first = trouble.errors[0]
    highlight = str(first.get("highlight") or "")
    text = str(first.get("description") or "cannot read the query").rstrip(".")
    text = _INNER_WORDS.sub("", text)
    before = _NOT_ADQL.search(str(first.get("start_context") or ""))
    if before:
        text = f"invalid ADQL keyword: {before[1].upper()}"
    # The parser counts columns at the end of a word.
    column = int(first.get("col") or len(highlight)) - len(highlight) + 1
    return f'{text} at line {first.get("line")}, column {max(column, 1)}, near "{highlight}"'
