"""What processes that were killed have left behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cadcfs.jobs.folder import LEFT_OVER, drop_leftovers


def test_what_nobody_writes_any_more_goes(tmp_path: Path) -> None:
    (tmp_path / "7/work").mkdir(parents=True)
    old = ["7/result.vot.99.part", "query-abc", "7/query-def"]
    kept = ["7/result.vot", "7/work/mine.part", "7/result.csv.98.part"]
    for name in ("query-abc", "7/query-def"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.vot").touch()
    for name in (old[0], *kept):
        (tmp_path / name).touch()
    before = time.time() - LEFT_OVER - 60
    for name in (*old, *kept[:2]):
        os.utime(tmp_path / name, (before, before))
    drop_leftovers(tmp_path)
    assert [name for name in old if (tmp_path / name).exists()] == []
    assert all((tmp_path / name).exists() for name in kept)
