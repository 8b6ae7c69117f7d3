"""Shared rules: a log line at WARNING or above that a test did not expect fails it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator

import pytest

ExpectLog = Callable[[str], None]


@pytest.fixture
def expected_log() -> list[str]:
    """Patterns of the warnings that the test means to cause."""
    return []


@pytest.fixture
def expect_log(expected_log: list[str]) -> ExpectLog:
    """Call it with a pattern of each warning that the test means to cause."""
    return expected_log.append


@pytest.fixture(autouse=True)
def no_unexpected_warnings(
    caplog: pytest.LogCaptureFixture, expected_log: list[str]
) -> Iterator[None]:
    yield
    lines = [
        f"{record.name}: {record.getMessage()}"
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING and record.name.startswith("cadcfs")
    ]
    unexpected = [line for line in lines if not any(re.search(p, line) for p in expected_log)]
    assert not unexpected, f"unexpected log lines: {unexpected}"
