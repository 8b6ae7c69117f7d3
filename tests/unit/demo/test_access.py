"""Release dates and read groups decide who sees what."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from cadcfs.demo.auth.access import file_condition, now_text, row_condition
from cadcfs.demo.auth.caller import ANONYMOUS, Caller, caller_of, set_caller
from cadcfs.demo.auth.users import TEAM, user_named

PAST, FUTURE = "2001-01-01T00:00:00.000", "2999-01-01T00:00:00.000"
MEMBER = Caller("demo", frozenset({TEAM}))
OTHER = Caller("guest", frozenset({"ivo://cadc.nrc.ca/gms?o'Other"}))


def true_of(condition: str, **columns: str | None) -> bool:
    """Evaluate a condition over one row of `a` and `p`."""
    plane = ("metaRelease", "metaReadGroups", "dataRelease", "dataReadGroups")
    artifact = ("releaseType", "contentRelease", "contentReadGroups")
    with closing(sqlite3.connect(":memory:")) as db:
        for name, fields in (("p", plane), ("a", artifact)):
            db.execute(f"CREATE TABLE {name} ({', '.join(fields)})")
            marks = ", ".join("?" * len(fields))
            values = [columns.get(field) for field in fields]
            db.execute(f"INSERT INTO {name} VALUES ({marks})", values)
        return bool(db.execute(f"SELECT 1 FROM a, p WHERE {condition}").fetchall())


@pytest.mark.parametrize(
    ("release", "groups", "anonymous", "member"),
    [
        (PAST, None, True, True),
        (FUTURE, None, False, False),
        (None, None, False, False),
        (None, TEAM, False, True),
        (FUTURE, f"ivo://cadc.nrc.ca/gms?X {TEAM}", False, True),
        (FUTURE, f"{TEAM}-2", False, False),
    ],
)
def test_rows(release: str | None, groups: str | None, anonymous: bool, member: bool) -> None:
    for caller, expected in ((ANONYMOUS, anonymous), (OTHER, anonymous), (MEMBER, member)):
        condition = row_condition(caller, now_text())
        assert true_of(condition, metaRelease=release, metaReadGroups=groups) is expected


def test_files_go_by_their_own_date_then_by_the_planes() -> None:
    private = {"releaseType": "data", "metaRelease": PAST, "dataRelease": FUTURE}
    now = now_text()
    assert not true_of(file_condition(ANONYMOUS, now), **private)
    assert true_of(file_condition(ANONYMOUS, now), **{**private, "releaseType": "meta"})
    assert true_of(file_condition(ANONYMOUS, now), **private, contentRelease=PAST)
    assert not true_of(
        file_condition(ANONYMOUS, now), **{**private, "dataRelease": PAST}, contentRelease=FUTURE
    )
    assert true_of(file_condition(MEMBER, now), **private, dataReadGroups=TEAM)
    assert not true_of(file_condition(OTHER, now), **private, dataReadGroups=TEAM)
    assert true_of(file_condition(MEMBER, now), **private, contentReadGroups=TEAM)


def test_a_request_without_a_caller_is_anonymous() -> None:
    scope: dict[str, object] = {}
    assert caller_of(scope) is ANONYMOUS
    known = user_named("demo")
    assert known is not None
    set_caller(scope, known.caller)
    assert caller_of(scope) == MEMBER
    assert not caller_of(scope).is_anonymous


def test_jobs_are_their_owners() -> None:
    assert ANONYMOUS.may_use(None)
    assert MEMBER.may_use(None)
    assert MEMBER.may_use("demo")
    assert not ANONYMOUS.may_use("demo")
    assert not OTHER.may_use("demo")
