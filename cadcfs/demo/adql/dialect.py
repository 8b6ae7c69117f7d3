"""The ADQL grammar as a sqlglot dialect (IVOA ADQL 2.1, section 2).

Only what differs from standard SQL is said here: TOP instead of LIMIT, INTERVAL as an ordinary
function, and almost no built-in function known by meaning, so that LOG, MOD, TRUNCATE and the
geometry reach SQLite under the names that functions.py registers.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlglot import parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.tokenizer_core import TokenType

_ABSENT = frozenset({"INTERVAL", "LIMIT", "OFFSET", "FETCH", "QUALIFY"})
_KNOWN = ("COUNT", "SUM", "MIN", "MAX", "AVG", "LOWER", "UPPER")


class Adql(Dialect):
    """ADQL as CADC's TAP service takes it."""

    # a / b of two integers is an integer, as in PostgreSQL behind CADC's service.
    TYPED_DIVISION = True
    # NULL comes last in ascending order, likewise.
    NULL_ORDERING = "nulls_are_large"

    class Tokenizer(tokens.Tokenizer):
        """Double quotes delimit names; LIMIT and INTERVAL are no keywords."""

        IDENTIFIERS: ClassVar[list[str | tuple[str, str]]] = ['"']
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            **{
                word: kind
                for word, kind in tokens.Tokenizer.KEYWORDS.items()
                if word not in _ABSENT
            },
            "TOP": TokenType.TOP,
        }

    class Parser(parser.Parser):
        """Functions stay calls by name, except those whose meaning the gate needs."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {
            name: parser.Parser.FUNCTIONS[name] for name in _KNOWN
        }
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            "CAST": parser.Parser.FUNCTION_PARSERS["CAST"]
        }
        NO_PAREN_FUNCTIONS: ClassVar[dict[TokenType, Any]] = {}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            "CASE": parser.Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]
        }
