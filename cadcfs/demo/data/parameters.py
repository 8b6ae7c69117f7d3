"""Parameters of a request as CADC's services read them: names in any case, values repeatable.

Cutouts: SODA 1.0, section 3; META and SUB are CADC's own (storage inventory, minoc).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from cadcfs.demo.data.axes import STATES
from cadcfs.demo.data.overlap import Cut
from cadcfs.demo.data.shapes import (
    ParameterError,
    Shape,
    parse_circle,
    parse_interval,
    parse_polygon,
    parse_shape,
)
from cadcfs.demo.tap.submission import Submission

_Value = TypeVar("_Value")
_SHAPES: dict[str, Callable[[str], Shape]] = {
    "POS": parse_shape,
    "CIRCLE": parse_circle,
    "POLYGON": parse_polygon,
}
_INTERVALS = ("BAND", "TIME")
_CUTTING = (*_SHAPES, *_INTERVALS, "POL")


def shapes_of(parameters: Submission) -> list[Shape]:
    """The regions of POS, CIRCLE and POLYGON; raise ParameterError."""
    return [
        read(value) for name, read in _SHAPES.items() for value in parameters.all(name)
    ]  # fmt: skip


def intervals_of(parameters: Submission, name: str) -> list[tuple[float, float]]:
    """The values of BAND or TIME; raise ParameterError."""
    return [parse_interval(value) for value in parameters.all(name)]


def states_named(parameters: Submission) -> tuple[str, ...]:
    """The values of POL, each once; raise ParameterError."""
    found = []
    for value in parameters.all("POL"):
        if value.upper() not in STATES:
            raise ParameterError(f"invalid POL: {value}")
        found.append(value.upper())
    return tuple(dict.fromkeys(found))


def is_operation(parameters: Submission) -> bool:
    """Whether a request for a file asks for something made of it."""
    return wants_headers(parameters) or any(parameters.all(name) for name in ("SUB", *_CUTTING))


def wants_headers(parameters: Submission) -> bool:
    """META=true; nothing but exactly `true` turns it on."""
    return parameters.get("META") == "true"


def conflicts_of(parameters: Submission) -> list[str]:
    """The parameters that cannot go together, as CADC lists them."""
    found = []
    if wants_headers(parameters) and parameters.all("SUB"):
        found += ["META", "SUB"]
    shapes = [name for name in ("CIRCLE", "POLYGON", "POS") if parameters.all(name)]
    return found + shapes if len(shapes) > 1 else found


def single_cut(parameters: Submission) -> Cut:
    """The one cutout that a request for a file describes; raise ParameterError."""
    for name in ("CIRCLE", "POLYGON", "POS", "BAND", "TIME"):
        if len(parameters.all(name)) > 1:
            raise ParameterError(f"More than one {name} provided.")
    return Cut(
        _only(shapes_of(parameters)),
        _only(intervals_of(parameters, "BAND")),
        _only(intervals_of(parameters, "TIME")),
        states_named(parameters),
    )


def _only(values: Iterable[_Value]) -> _Value | None:
    return next(iter(values), None)
