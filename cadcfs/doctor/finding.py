"""One thing that was looked at: how it is, why, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it is."""

    ok = "ok"
    warning = "warning"
    problem = "problem"


@dataclass(frozen=True)
class Finding:
    """*subject* in a word or two; *words* how it is or what is wrong; *cure* what to do."""

    level: Level
    subject: str
    words: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.words}; {self.cure}" if self.cure else self.words


def ok(subject: str, words: str) -> Finding:
    return Finding(Level.ok, subject, words)


def warning(subject: str, words: str, cure: str) -> Finding:
    return Finding(Level.warning, subject, words, cure)


def problem(subject: str, words: str, cure: str) -> Finding:
    return Finding(Level.problem, subject, words, cure)
