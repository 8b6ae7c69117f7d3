"""Parameters of a request as CADC's services read them: names in any case, values repeatable.

Cutouts: SODA 1.0, section 3; META and SUB are CADC's own (storage inventory, minoc).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

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

_Value = TypeVar("_Value")
_SHAPES: dict[str, Callable[[str], Shape]] = {
    "POS": parse_shape,
    "CIRCLE": parse_circle,
    "POLYGON": parse_polygon,
}
_INTERVALS = ("BAND", "TIME")
_CUTTING = (*_SHAPES, *_INTERVALS, "POL")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_FORM_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Parameters:
    """All parameters of a request, in the order in which they came."""

    pairs: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return [value for key, value in self.pairs if key.upper() == name]

    def first(self, name: str) -> str | None:
        """The first value of a parameter, or None."""
        return next(iter(self.all(name)), None)


async def parameters_of(request: Request) -> Parameters:
    """Read the parameters in the address and, of a POST, in the form."""
    pairs = [*request.query_params.multi_items()]
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and kind in _FORMS:
        try:
            form = await request.form(max_files=0, max_part_size=_FORM_BYTES)
        except (HTTPException, ValueError) as error:
            raise ParameterError(f"malformed form: {error}") from error
        pairs += [(key, value) for key, value in form.multi_items() if isinstance(value, str)]
    return Parameters(tuple(pairs))


def shapes_of(parameters: Parameters) -> list[Shape]:
    """The regions of POS, CIRCLE and POLYGON; raise ParameterError."""
    return [
        read(value) for name, read in _SHAPES.items() for value in parameters.all(name)
    ]  # fmt: skip


def intervals_of(parameters: Parameters, name: str) -> list[tuple[float, float]]:
    """The values of BAND or TIME; raise ParameterError."""
    return [parse_interval(value) for value in parameters.all(name)]


def states_named(parameters: Parameters) -> tuple[str, ...]:
    """The values of POL, each once; raise ParameterError."""
    found = []
    for value in parameters.all("POL"):
        if value.upper() not in STATES:
            raise ParameterError(f"invalid POL: {value}")
        found.append(value.upper())
    return tuple(dict.fromkeys(found))


def is_operation(parameters: Parameters) -> bool:
    """Whether a request for a file asks for something made of it."""
    return wants_headers(parameters) or any(parameters.all(name) for name in ("SUB", *_CUTTING))


def wants_headers(parameters: Parameters) -> bool:
    """META=true; nothing but exactly `true` turns it on."""
    return parameters.first("META") == "true"


def conflicts_of(parameters: Parameters) -> list[str]:
    """The parameters that cannot go together, as CADC lists them."""
    found = []
    if wants_headers(parameters) and parameters.all("SUB"):
        found += ["META", "SUB"]
    shapes = [name for name in ("CIRCLE", "POLYGON", "POS") if parameters.all(name)]
    return found + shapes if len(shapes) > 1 else found


def single_cut(parameters: Parameters) -> Cut:
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
