"""What a caller may see: CAOM's release dates and read groups, as conditions in SQL.

A date in the past opens to everybody; NULL never does. Before it, members of one of the groups in
the matching `...ReadGroups` column (identifiers parted by spaces) are let in. Observation, Plane,
Chunk and the views made of them go by metaRelease and metaReadGroups: other rows are absent, never
an error. Artifact and Part are not filtered (CADC's TAP). Bytes go by `file_condition`.

Times are text, `2026-01-01T00:00:00.000` in UTC, as the database holds them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cadcfs.demo.auth.caller import Caller


def now_text(moment: datetime | None = None) -> str:
    """Write a moment (now, when none is given) as the database writes times."""
    return f"{(moment or datetime.now(UTC)):%Y-%m-%dT%H:%M:%S}.000"


def row_condition(
    caller: Caller, now: str, release: str = "metaRelease", groups: str = "metaReadGroups"
) -> str:
    """SQL that is true for what a caller may see, by the two columns that say so.

    For rows whose metadata decide: `row_condition(caller, now)`. For the data of planes:
    `row_condition(caller, now, "dataRelease", "dataReadGroups")`. Any SQL expression stands for a
    column, also with the alias of a table in front. NULL (false) where nothing is said.
    """
    terms = [f"{release} <= {_quoted(now)}"]
    terms += [
        f"instr(' ' || {groups} || ' ', {_quoted(f' {group} ')}) > 0"
        for group in sorted(caller.groups)
    ]
    return f"({' OR '.join(terms)})"


def file_condition(caller: Caller, now: str, artifact: str = "a", plane: str = "p") -> str:
    """SQL that is true where a caller may read an artifact's bytes through one plane.

    Parameters name the aliases of Artifact and Plane in the query. What the artifact itself says
    (contentRelease, contentReadGroups) goes before its plane's; releaseType chooses between the
    plane's meta and data columns (CAOM 2.4). A file that belongs to several planes is readable
    if it is through any of them.
    """

    def effective(own: str, meta: str, data: str) -> str:
        return (
            f"coalesce({artifact}.{own}, CASE {artifact}.releaseType"
            f" WHEN 'meta' THEN {plane}.{meta} ELSE {plane}.{data} END)"
        )

    return row_condition(
        caller,
        now,
        effective("contentRelease", "metaRelease", "dataRelease"),
        effective("contentReadGroups", "metaReadGroups", "dataReadGroups"),
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
