"""What the documents tell of exists, and what exists is told of.

Tests, settings, commands and their options, metrics, errnos.
"""

from __future__ import annotations

import errno
import json
import re
from dataclasses import fields
from pathlib import Path

from cadcfs.config import Settings
from cadcfs.kernel.errnos import ERRNOS
from cadcfs.metrics import COUNTERS, METRICS, PREFIX
from scripts.commands import Command, whole

ROOT = Path(__file__).parents[2]


def test_each_promise_names_a_test_that_exists() -> None:
    text = "".join(
        (ROOT / "docs" / name).read_text() for name in ("semantics.md", "demo.md", "security.md")
    )
    named = re.findall(r"`([\w/]*test_\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > 15
    for file, test in named:
        path = ROOT / file if file.startswith("tests/") else ROOT / "tests" / "mount" / file
        assert path.is_file(), file
        assert f"def {test}(" in path.read_text() or not test, (file, test)


def test_each_promise_has_a_test() -> None:
    for name in ("semantics.md", "security.md"):
        tables = re.findall(r"(?:^\|.*\n)+", (ROOT / "docs" / name).read_text(), re.MULTILINE)
        rows = [table.splitlines() for table in tables]
        promises = [row for lines in rows if lines[0].endswith("| test |") for row in lines[2:]]
        assert len(promises) > 15
        for row in promises:
            assert re.search(r"`[\w/]*test_\w+\.py", row), (name, row)


def test_each_module_that_is_named_exists() -> None:
    for place, text in documents().items():
        for name in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)", text):
            roots = (ROOT, ROOT / "cadcfs", ROOT / "cadcfs" / "demo")
            assert any((root / name).is_file() for root in roots), (place, name)


def documents() -> dict[str, str]:
    """All that is written for people, by name."""
    places = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return {str(place.relative_to(ROOT)): place.read_text() for place in places}


def commands() -> dict[str, Command]:
    """All commands, also those of groups, by what is typed."""
    found: dict[str, Command] = {}
    todo = [whole()]
    while todo:
        command = todo.pop()
        found[command.name] = command
        todo += command.below
    return found


def lines_of_commands(text: str) -> list[str]:
    """What is shown to be typed: in blocks of code, and in code in the middle of a text."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    code = "\n".join([*blocks, *re.findall(r"`([^`]+)`", rest)])
    return re.findall(r"^(?:\$ |sudo )*(cadcfs [a-z][^\n|#&>();]*)", code, re.MULTILINE)


def test_each_command_and_option_that_is_shown_exists() -> None:
    known = commands()
    shown = 0
    for place, text in documents().items():
        for line in lines_of_commands(text):
            words = line.split()
            name = next((n for n in (" ".join(words[:3]), " ".join(words[:2])) if n in known), "")
            assert name, (place, line)
            keys = [key for key, _ in (*known[name].options, *known["cadcfs"].options)]
            options = {word for key in keys for word in re.findall(r"--?[a-z][a-z-]*", key)}
            for word in words:
                option = re.fullmatch(r"(-[a-z]|--[a-z][a-z-]*)(=.*)?", word)
                if option is not None and option[1] not in ("-h", "--help"):
                    assert option[1] in options, (place, line, option[1])
            shown += 1
    assert shown > 40


def test_each_command_is_shown() -> None:
    text = documents()["docs/commands.md"]
    for name, command in commands().items():
        assert f"{name}" in text
        for option, _ in command.options:
            assert option in text, (name, option)


def test_each_metric_is_told_and_each_that_is_told_exists() -> None:
    names = METRICS | {f"{PREFIX}{name}_total" for name in COUNTERS}
    names |= {f"{PREFIX}{name}_total" for name in ("request_errors", "log_lines")}
    told = set(
        re.findall(r"^\| `(cadcfs_\w+)` \|", documents()["docs/monitoring.md"], re.MULTILINE)
    )
    assert told <= names
    assert {name.removesuffix("_total") for name in told} == METRICS
    dashboard = (ROOT / "docs/grafana.json").read_text()
    panels = json.loads(dashboard)["panels"]
    used = {n for p in panels for t in p["targets"] for n in re.findall(r"cadcfs_\w+", t["expr"])}
    assert len(used) > 15
    assert {re.sub(r"_(count|bucket)$", "", name) for name in used} <= names


def test_each_errno_is_told_and_each_that_is_told_is_given() -> None:
    given = {errno.errorcode[number] for number in ERRNOS.values()}
    told = set(re.findall(r"\| `(E[A-Z]+)` \|", documents()["docs/troubleshooting.md"]))
    assert told == given
    semantics = set(re.findall(r"\bE[A-Z]{3,}\b", documents()["docs/semantics.md"]))
    elsewhere = {"ENAMETOOLONG", "EINTR", "EPERM", "ENOTDIR", "EISDIR", "ENOSPC", "EMFILE"}
    assert {name for name in semantics if hasattr(errno, name)} <= given | elsewhere


def test_each_setting_that_is_told_exists_and_each_is_told() -> None:
    told = set(
        re.findall(r"^(?:\| |## |### )`(\w+)`", documents()["docs/configuration.md"], re.MULTILINE)
    )
    assert told == {field.name for field in fields(Settings)}
