"""What geometry may be applied to, told before a query runs (ADQL 2.1, section 4.2).

CADC's service keeps the footprints of planes in a form of their own: position_bounds,
position_bounds_samples and s_region mean the same region wherever they are compared, and AREA and
CENTROID are known for them alone.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from cadcfs.demo.adql import geometry, stc
from cadcfs.demo.adql.catalogue import Field
from cadcfs.demo.adql.typing import type_of

Lookup = Callable[[exp.Column], Field | None]
Refuse = Callable[[str], Exception]

_FOOTPRINTS = frozenset({"position_bounds", "position_bounds_samples", "s_region"})
_SAMPLES = "_bounds_samples"
_REGIONS = frozenset({"shape", "multishape", "point", "circle", "polygon", "range", "adql:region"})
_INTERVALS = frozenset({"interval", "multiinterval"})
_NUMBERS = frozenset({"unsignedByte", "short", "int", "long", "float", "double"})
_SYSTEMS = frozenset({"POINT", "CIRCLE", "POLYGON", "BOX"})
# How many numbers follow the coordinate system.
_LENGTHS = {"POINT": 2, "CIRCLE": 3, "BOX": 4}
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)


def check(node: exp.Anonymous, lookup: Lookup, refuse: Refuse) -> None:
    """Check one call of a geometry function; raise what *refuse* makes of the words."""
    name = str(node.this).upper()
    if name in _SYSTEMS:
        _check_numbers(node, name, lookup, refuse)
    elif name in ("AREA", "CENTROID"):
        argument = node.expressions[0]
        if not (isinstance(argument, exp.Column) and argument.name.lower() in _FOOTPRINTS):
            raise refuse(f"{name}() used with unsupported parameter.")
        _unify(argument)
    elif name in ("CONTAINS", "INTERSECTS"):
        _check_predicate(node, name, lookup, refuse)
    elif name == "REGION":
        _check_region(node, refuse)
    elif name in ("COORD1", "COORD2", "COORDSYS", "DISTANCE"):
        _check_points(node, name, lookup, refuse)


def _check_numbers(node: exp.Anonymous, name: str, lookup: Lookup, refuse: Refuse) -> None:
    arguments = list(node.expressions)
    first = arguments[0]
    if isinstance(first, exp.Literal) and first.is_string:
        if first.this and not first.this.startswith("ICRS"):
            raise refuse(f"{name} takes ICRS only, not {first.this}")
        arguments.pop(0)
    wanted = _LENGTHS.get(name)
    if name == "POLYGON" and (len(arguments) < 6 or len(arguments) % 2):
        raise refuse("POLYGON requires an even number of coordinates, six or more")
    if wanted is not None and len(arguments) != wanted:
        raise refuse(f"wrong number of arguments to {name}")
    for argument in arguments:
        if type_of(argument, lookup).datatype not in _NUMBERS:
            raise refuse(f"{name} takes numbers, not {argument.sql()}")
        if name == "BOX" and argument.find(exp.Column):
            raise refuse(f"Cannot be parsed as double value: {argument.sql()}")


def _check_predicate(node: exp.Anonymous, name: str, lookup: Lookup, refuse: Refuse) -> None:
    kinds = {_kind(argument, lookup) for argument in node.expressions}
    if None in kinds:
        wrong = next(each for each in node.expressions if _kind(each, lookup) is None)
        raise refuse(f"invalid argument type for {name.lower()}: {wrong.sql()}")
    if "region" in kinds and len(kinds) > 1:
        raise refuse(f"{name} compares regions with regions, and intervals with intervals")
    for argument in node.expressions:
        _unify(argument)
    parent = node.parent
    if isinstance(parent, _COMPARISONS):
        other = parent.right if parent.left is node else parent.left
        if other.sql() not in ("0", "1"):
            raise refuse(f"{name} must be compared with 0 or 1")
    elif isinstance(parent, (exp.Where, exp.And, exp.Or, exp.Not, exp.Having, exp.Join)):
        raise refuse(f"{name} must be compared with 0 or 1")


def _kind(argument: exp.Expr, lookup: Lookup) -> str | None:
    known = type_of(argument, lookup)
    xtype = known.xtype.lower()
    if xtype in _REGIONS:
        return "region"
    if xtype in _INTERVALS:
        return "interval"
    return "number" if known.datatype in _NUMBERS and not known.arraysize else None


def _check_region(node: exp.Anonymous, refuse: Refuse) -> None:
    text = node.expressions[0]
    if not (isinstance(text, exp.Literal) and text.is_string):
        raise refuse("REGION takes a literal")
    try:
        stc.shape_text(text.this)
    except geometry.ShapeError as trouble:
        raise refuse(f"REGION: {trouble}") from trouble


def _check_points(node: exp.Anonymous, name: str, lookup: Lookup, refuse: Refuse) -> None:
    if name == "DISTANCE" and len(node.expressions) not in (2, 4):
        raise refuse("wrong number of arguments to DISTANCE")
    flat = len(node.expressions) == 4
    for argument in node.expressions:
        kind = _kind(argument, lookup)
        if kind != ("number" if flat else "region"):
            raise refuse(f"{name}() used with unsupported parameter: {argument.sql()}")


def _unify(argument: exp.Expr) -> None:
    """Let samples stand for the bounds that they are samples of."""
    if isinstance(argument, exp.Column) and argument.name.lower().endswith(_SAMPLES):
        bounds = argument.name.lower().removesuffix("_samples")
        argument.set("this", exp.to_identifier(bounds))
