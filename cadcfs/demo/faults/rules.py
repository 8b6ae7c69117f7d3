"""Which faults are in force, and which requests they hit."""

from __future__ import annotations

import random
import re
import shlex
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from itertools import count
from typing import Any

from starlette.types import Scope

from cadcfs.demo.faults.kinds import FILTERS, KINDS, NOTHING, RANDOM, FaultError
from cadcfs.demo.requestlog import without_secrets

_FREE = re.compile("^/demo/")


class Fault:
    """One fault in force: what it does, whom it hits, how often it has."""

    def __init__(self, kind: str, told: Mapping[str, object]) -> None:
        """Check what is told; raise FaultError in one sentence."""
        if kind not in KINDS:
            raise FaultError(f"unknown fault: {kind}; there are {', '.join(KINDS)}")
        known = {**KINDS[kind].options, **FILTERS}
        for name in told:
            if name not in known:
                raise FaultError(f"{kind} takes no {name}; it takes {', '.join(known)}")
        self.kind = kind
        self.options: dict[str, Any] = {}
        for name, option in known.items():
            if option.required and told.get(name) is None:
                raise FaultError(f"{kind} needs {name}: {option.help}")
            given = told.get(name)
            try:
                self.options[name] = option.default if given is None else option.read(given)
            except (TypeError, ValueError) as error:
                raise FaultError(f"{kind}: {name} cannot be {given!r} ({option.help})") from error
        try:
            with warnings.catch_warnings(action="ignore", category=FutureWarning):
                self._path = re.compile(self.options["path"])
        except (re.error, OverflowError, RecursionError) as error:
            raise FaultError(f"{kind}: path is no regular expression: {error}") from error
        self.since = time.time()
        self.fired = 0
        self._seen: Counter[str] = Counter()
        self._line_free = 0.0

    @classmethod
    def from_text(cls, text: str) -> Fault:
        """Read `reset path=/minoc/ count=1 after=1000`, quoted as in a shell."""
        try:
            kind, *words = shlex.split(text)
        except ValueError as error:
            raise FaultError(f"not a fault: {text!r}") from error
        told = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                raise FaultError(f"{kind}: {word!r} is not NAME=VALUE")
            told[name] = value
        return cls(kind, told)

    def as_json(self, number: int) -> dict[str, Any]:
        """Describe it, with how often it has fired."""
        return {"id": number, "kind": self.kind, **self.options, "fired": self.fired}

    def hits(self, scope: Scope) -> bool:
        """Say whether a request is meant. The same request, asked again, is drawn again."""
        if self.is_spent or not self._path.search(scope["path"]):
            return False
        if self.options["method"] not in ("", scope["method"]):
            return False
        probability = self.options["probability"]
        return bool(probability >= 1 or self._draw(scope).random() < probability)

    @property
    def is_spent(self) -> bool:
        """It has fired as often as it may."""
        return bool(self.options["count"]) and self.fired >= self.options["count"]

    def claim(self) -> bool:
        """Take one of its turns, if any is left; to be called when it takes effect."""
        if self.is_spent:
            return False
        self.fired += 1
        return True

    def place(self, scope: Scope, length: int | None) -> int:
        """Return where in a body of *length* bytes it takes effect; -1 is before the headers."""
        after = self.options["after"]
        if after == NOTHING:
            return -1
        if after != RANDOM:
            return int(after)
        return random.Random(f"{self._key(scope)} {self.fired}").randrange(length or 1)

    def delay(self, scope: Scope) -> float:
        """Return how late an answer comes, in seconds."""
        jitter = float(self.options["jitter"])
        return float(self.options["seconds"]) + jitter * (
            self._draw(scope).random() if jitter else 0
        )

    def send_until(self, now: float, size: int) -> float:
        """Take *size* bytes' time on the line that all share; return when they are through."""
        self._line_free = max(now, self._line_free) + size / self.options["rate"]
        return self._line_free

    def _draw(self, scope: Scope) -> random.Random:
        # By what is asked, not by the order of arrival: that differs from run to run.
        key = self._key(scope)
        self._seen[key] += 1
        return random.Random(f"{key} {self._seen[key]}")

    def _key(self, scope: Scope) -> str:
        asked = next((v for k, v in scope["headers"] if k == b"range"), b"").decode("latin-1")
        path = without_secrets(scope["path"])
        query = scope["query_string"].decode("latin-1")
        return f"{self.options['seed']} {self.kind} {scope['method']} {path} {query} {asked}"


class Faults:
    """All faults in force, by number."""

    def __init__(self) -> None:
        """Nothing is wrong yet."""
        self._faults: dict[int, Fault] = {}
        self._numbers = count(1)

    def add(self, fault: Fault) -> int:
        """Put a fault into force; return its number."""
        number = next(self._numbers)
        self._faults[number] = fault
        return number

    def remove(self, number: int) -> Fault | None:
        """End a fault; return it, or nothing if there is none of that number."""
        return self._faults.pop(number, None)

    def items(self) -> tuple[tuple[int, Fault], ...]:
        """Return numbers and faults, oldest first."""
        return tuple(self._faults.items())

    def numbers(self) -> tuple[int, ...]:
        """Return the numbers, oldest first."""
        return tuple(self._faults)

    def hitting(self, scope: Scope) -> tuple[Fault, ...]:
        """Return the faults that a request meets; the control of the archive meets none."""
        if not self._faults or _FREE.match(scope["path"]):
            return ()
        return tuple(fault for fault in self._faults.values() if fault.hits(scope))
