"""The functions an ADQL query may call, as SQLite user functions (ADQL 2.1, sections 2.3 and 4).

`SIGNATURES` is the one list of them: the gate refuses every other name, the result's metadata
takes its datatypes from it, and `install` gives SQLite the bodies.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from cadcfs.demo.adql import geometry, stc

# What SQLite hands over: text, a number or None.
Value: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Signature:
    """A function: what it gives, how many arguments it takes, and its body."""

    datatype: str
    fewest: int
    most: int
    body: Callable[..., Any]
    xtype: str = ""
    arraysize: str = ""
    unit: str = ""
    # Whether the result has the datatype of the first argument.
    like_argument: bool = False


def _strict(body: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function give NULL when any argument is NULL, as SQL demands."""

    def wrapped(*values: Value) -> Value:
        return None if None in values else body(*values)

    return wrapped


def _real(body: Callable[..., float]) -> Callable[..., Any]:
    """Make a function of numbers give NULL outside its domain instead of breaking the query."""

    def wrapped(*values: Value) -> Value:
        if None in values:
            return None
        try:
            return body(*(float(value) for value in values))
        except (ValueError, OverflowError, ZeroDivisionError):
            return None

    return wrapped


def _numbers(values: tuple[Any, ...]) -> tuple[float, ...]:
    # The coordinate system of ADQL 2.0 comes first and is always ICRS here.
    rest = values[1:] if values and isinstance(values[0], str) else values
    return tuple(float(value) for value in rest)


def _shape(kind: str) -> Callable[..., Any]:
    def build(*values: Value) -> str:
        return geometry.shape_text(kind, _numbers(values))

    return _strict(build)


def _box(*values: Value) -> str:
    return geometry.box_text(*_numbers(values))


def _region(value: Value) -> geometry.Region | geometry.Interval:
    if isinstance(value, (int, float)):
        return geometry.Interval(float(value), float(value))
    return geometry.parse(value)


def _body(value: Value) -> geometry.Region:
    shape = geometry.parse(value)
    if isinstance(shape, geometry.Interval):
        raise geometry.ShapeError(f"a region is needed, not an interval: {value}")
    return shape


def _contains(inner: Value, outer: Value) -> int:
    return int(geometry.contains(_region(inner), _region(outer)))


def _intersects(a: Value, b: Value) -> int:
    return int(geometry.intersects(_region(a), _region(b)))


def _distance(*values: Value) -> float:
    if len(values) == 4:
        first = geometry.shape_text("point", _numbers(values[:2]))
        second = geometry.shape_text("point", _numbers(values[2:]))
        return geometry.separation(_body(first), _body(second))
    return geometry.separation(_body(values[0]), _body(values[1]))


def _centroid(shape: Value) -> str:
    return geometry.shape_text("point", _body(shape).center)


def _area(shape: Value) -> float:
    return geometry.area(_body(shape))


def _coordinate(index: int) -> Callable[..., Any]:
    def pick(shape: Value) -> float:
        return _body(shape).center[index]

    return _strict(pick)


def _round(value: float, places: float = 0.0) -> float:
    # Halves go away from zero, as in PostgreSQL; Python would go to the even neighbour.
    scale = 10.0 ** int(places)
    return math.copysign(math.floor(abs(value) * scale + 0.5) / scale, value)


def _mod(a: Value, b: Value) -> Value:
    return None if b == 0 else math.fmod(a, b) if float in (type(a), type(b)) else _int_mod(a, b)


def _int_mod(a: int, b: int) -> int:
    return int(math.copysign(abs(a) % abs(b), a)) if a else 0


def _substring(text: Value, start: int, length: int | None = None) -> str:
    first = max(int(start) - 1, 0)
    return str(text)[first:] if length is None else str(text)[first : int(start) - 1 + int(length)]


def _split_part(text: Value, separator: str, place: int) -> str:
    parts = str(text).split(separator)
    return parts[int(place) - 1] if 0 < int(place) <= len(parts) else ""


def _replaced() -> str:
    raise AssertionError("install puts another body in its place")


def _number(fewest: int, body: Callable[..., Any], most: int = 0) -> Signature:
    return Signature("double", fewest, most or fewest, body)


def _like(fewest: int, body: Callable[..., Any], most: int = 0) -> Signature:
    return Signature("double", fewest, most or fewest, body, like_argument=True)


def _text(fewest: int, most: int, body: Callable[..., Any]) -> Signature:
    return Signature("char", fewest, most, _strict(body), arraysize="*")


def _region_of(text: Value) -> str:
    return stc.shape_text(str(text))


SIGNATURES: dict[str, Signature] = {
    "ABS": _like(1, _strict(abs)),
    "CEILING": _like(1, _real(lambda x: float(math.ceil(x)))),
    "FLOOR": _like(1, _real(lambda x: float(math.floor(x)))),
    "DEGREES": Signature("double", 1, 1, _real(math.degrees), unit="deg"),
    "RADIANS": Signature("double", 1, 1, _real(math.radians), unit="rad"),
    "EXP": _number(1, _real(math.exp)),
    "LN": _number(1, _real(math.log)),
    "LOG": _number(1, _real(math.log)),
    "LOG10": _number(1, _real(math.log10)),
    "POWER": _number(2, _real(math.pow)),
    "SQRT": _number(1, _real(math.sqrt)),
    "ROUND": _like(1, _real(_round), 2),
    "MOD": _like(2, _strict(_mod)),
    "SIN": _number(1, _real(math.sin)),
    "COS": _number(1, _real(math.cos)),
    "TAN": _number(1, _real(math.tan)),
    "COT": _number(1, _real(lambda x: 1 / math.tan(x))),
    "ASIN": _number(1, _real(math.asin)),
    "ACOS": _number(1, _real(math.acos)),
    "ATAN": _number(1, _real(math.atan)),
    "ATAN2": _number(2, _real(math.atan2)),
    "SUBSTRING": _text(2, 3, _substring),
    "SPLIT_PART": _text(3, 3, _split_part),
    "POINT": Signature("double", 2, 3, _shape("point"), "point", "2", "deg"),
    "CIRCLE": Signature("double", 3, 4, _shape("circle"), "circle", "3", "deg"),
    "POLYGON": Signature("double", 6, 1000, _shape("polygon"), "polygon", "*", "deg"),
    "BOX": Signature("double", 4, 5, _strict(_box), "polygon", "*", "deg"),
    "RANGE_S2D": Signature("double", 4, 4, _shape("range"), "range", "4", "deg"),
    "REGION": Signature("char", 1, 1, _strict(_region_of), "shape", "*", "deg"),
    "INTERVAL": Signature("double", 2, 2, _shape("interval"), "interval", "2"),
    "CONTAINS": Signature("int", 2, 2, _strict(_contains)),
    "INTERSECTS": Signature("int", 2, 2, _strict(_intersects)),
    "DISTANCE": Signature("double", 2, 4, _strict(_distance), unit="deg"),
    "AREA": Signature("double", 1, 1, _strict(_area), unit="deg**2"),
    "CENTROID": Signature("double", 1, 1, _strict(_centroid), "point", "2", "deg"),
    "COORD1": Signature("double", 1, 1, _coordinate(0), unit="deg"),
    "COORD2": Signature("double", 1, 1, _coordinate(1), unit="deg"),
    "COORDSYS": Signature("char", 1, 1, lambda _shape: None, arraysize="16*"),
    "NOW": Signature("char", 0, 0, _replaced, "timestamp", "23*"),
    "ISDOWNLOADABLE": Signature("int", 1, 1, _strict(lambda _plane: 0)),
    "STDDEV": _number(1, _replaced),
    "VARIANCE": _number(1, _replaced),
}


class Variance:
    """The sample variance of a column (Welford's method), as PostgreSQL's `variance`."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0

    def step(self, value: Value) -> None:
        """Take one value in; NULL does not count."""
        if value is not None:
            self._count += 1
            difference = float(value) - self._mean
            self._mean += difference / self._count
            self._squares += difference * (float(value) - self._mean)

    def finalize(self) -> float | None:
        """Return the variance; none of fewer than two values."""
        return self._squares / (self._count - 1) if self._count > 1 else None


class Deviation(Variance):
    """The square root of the sample variance."""

    def finalize(self) -> float | None:
        """Return the standard deviation."""
        variance = super().finalize()
        return None if variance is None else math.sqrt(variance)


_AGGREGATES: dict[str, Callable[[], Any]] = {"STDDEV": Deviation, "VARIANCE": Variance}


def install(
    connection: sqlite3.Connection, now: str, is_downloadable: Callable[[str], bool]
) -> None:
    """Register every function with one connection; `now` stands still during the query."""
    for name, aggregate in _AGGREGATES.items():
        connection.create_aggregate(name, 1, aggregate)
    for name, signature in SIGNATURES.items():
        if name in _AGGREGATES:
            continue
        body = signature.body
        if name == "NOW":
            body = _constant(now)
        elif name == "ISDOWNLOADABLE":
            body = _strict(lambda plane: int(is_downloadable(str(plane))))
        for count in {signature.fewest, *range(signature.fewest, min(signature.most, 5) + 1)}:
            connection.create_function(name, count, body, deterministic=True)
        if signature.most > 5:
            connection.create_function(name, -1, body, deterministic=True)


def _constant(value: str) -> Callable[[], str]:
    return lambda: value
