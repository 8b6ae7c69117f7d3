"""What the documents promise exists: each test that they name, and each setting."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from cadcfs.config import Settings

ROOT = Path(__file__).parents[2]


def test_each_promise_names_a_test_that_exists() -> None:
    text = "".join((ROOT / "docs" / name).read_text() for name in ("semantics.md", "demo.md"))
    named = re.findall(r"`([\w/]*test_\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > 15
    for file, test in named:
        path = ROOT / file if file.startswith("tests/") else ROOT / "tests" / "mount" / file
        assert path.is_file(), file
        assert f"def {test}(" in path.read_text() or not test, (file, test)


def test_each_setting_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for field in fields(Settings):
        assert f"`{field.name}`" in text, field.name
