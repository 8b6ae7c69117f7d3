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

from cadcfs.demo.adql import geometry

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


def _text_of_now() -> str:
    raise AssertionError("replaced for every query")


SIGNATURES: dict[str, Signature] = {
    "ABS": Signature("double", 1, 1, _strict(abs)),
    "CEILING": Signature("double", 1, 1, _real(lambda x: float(math.ceil(x)))),
    "CEIL": Signature("double", 1, 1, _real(lambda x: float(math.ceil(x)))),
    "FLOOR": Signature("double", 1, 1, _real(lambda x: float(math.floor(x)))),
    "DEGREES": Signature("double", 1, 1, _real(math.degrees)),
    "RADIANS": Signature("double", 1, 1, _real(math.radians)),
    "EXP": Signature("double", 1, 1, _real(math.exp)),
    "LOG": Signature("double", 1, 1, _real(math.log)),
    "LOG10": Signature("double", 1, 1, _real(math.log10)),
    "POWER": Signature("double", 2, 2, _real(lambda x, y: x**y)),
    "SQRT": Signature("double", 1, 1, _real(math.sqrt)),
    "ROUND": Signature("double", 1, 2, _real(_round)),
    "MOD": Signature("double", 2, 2, _strict(_mod)),
    "SIN": Signature("double", 1, 1, _real(math.sin)),
    "COS": Signature("double", 1, 1, _real(math.cos)),
    "TAN": Signature("double", 1, 1, _real(math.tan)),
    "COT": Signature("double", 1, 1, _real(lambda x: 1 / math.tan(x))),
    "ASIN": Signature("double", 1, 1, _real(math.asin)),
    "ACOS": Signature("double", 1, 1, _real(math.acos)),
    "ATAN": Signature("double", 1, 1, _real(math.atan)),
    "ATAN2": Signature("double", 2, 2, _real(math.atan2)),
    "SUBSTRING": Signature("char", 2, 3, _strict(_substring)),
    "SPLIT_PART": Signature("char", 3, 3, _strict(_split_part)),
    "POINT": Signature("char", 2, 3, _shape("point"), "point"),
    "CIRCLE": Signature("char", 3, 4, _shape("circle"), "circle"),
    "POLYGON": Signature("char", 6, 1000, _shape("polygon"), "polygon"),
    "INTERVAL": Signature("char", 2, 2, _shape("interval"), "interval"),
    "BOX": Signature("char", 4, 5, _strict(_box), "polygon"),
    "RANGE_S2D": Signature("char", 4, 4, _strict(geometry.range_text), "polygon"),
    "CONTAINS": Signature("int", 2, 2, _strict(_contains)),
    "INTERSECTS": Signature("int", 2, 2, _strict(_intersects)),
    "DISTANCE": Signature("double", 2, 4, _strict(_distance)),
    "AREA": Signature("double", 1, 1, _strict(_area)),
    "CENTROID": Signature("char", 1, 1, _strict(_centroid), "point"),
    "COORD1": Signature("double", 1, 1, _coordinate(0)),
    "COORD2": Signature("double", 1, 1, _coordinate(1)),
    "COORDSYS": Signature("char", 1, 1, lambda _shape: None),
    "NOW": Signature("char", 0, 0, _text_of_now, "timestamp"),
    "ISDOWNLOADABLE": Signature("int", 1, 1, _strict(lambda _plane: 0)),
}


def install(
    connection: sqlite3.Connection, now: str, is_downloadable: Callable[[str], bool]
) -> None:
    """Register every function with one connection; `now` stands still during the query."""
    for name, signature in SIGNATURES.items():
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
