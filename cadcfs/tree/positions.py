"""Spellings of a region <-> its canonical form; pure.

A region is `<ra>_<dec>_<r>`: ICRS, decimal degrees, to 1e-7 deg without trailing zeros. Numbers are
kept as decimals from what was typed to what is asked, so that the archive sees the very digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from cadcfs.errors import BadRequest

DEFAULT_RADIUS = "1arcmin"
"""What a position without a radius means."""
PLACES = Decimal("1e-7")
"""Degrees that canonical forms resolve: 0.36 milliarcseconds."""
LARGEST_RADIUS = 90
"""Degrees; a larger circle is the complement of a smaller one."""
LONGEST = 200
"""Bytes of a name that can be a region: what is longer is nobody's position."""

_DEGREES = {
    "deg": Decimal(1), "d": Decimal(1),
    "arcmin": 1 / Decimal(60), "m": 1 / Decimal(60),
    "arcsec": 1 / Decimal(3600), "s": 1 / Decimal(3600),
}  # fmt: skip
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_RADIUS = re.compile(rf"({_NUMBER})([A-Za-z]*)")
_LIKE_NUMBER = re.compile(rf"(?:{_NUMBER}|[+-]?(?:nan|inf|infinity))", re.IGNORECASE)
_UNITS = r"([0-9]{{1,3}}){0}(?:([0-9]{{1,2}})m(?:([0-9]{{1,2}}(?:\.[0-9]*)?)s)?)?"
_COLONS = r"([0-9]{1,3}):([0-9]{1,2})(?::([0-9]{1,2}(?:\.[0-9]*)?))?"
_SEXAGESIMAL = {
    "ra": re.compile(rf"([+-]?)(?:{_UNITS.format('h')}|{_COLONS})"),
    "dec": re.compile(rf"([+-]?)(?:{_UNITS.format('d')}|{_COLONS})"),
}


@dataclass(frozen=True)
class NamedRegion:
    """A circle round an object that the archive's resolver knows; *radius* in degrees."""

    target: str
    radius: str


def parse_region(name: str) -> str | NamedRegion | None:
    """The canonical form of *name*, the object it names, or None where it is no region at all.

    Raises
    ------
    BadRequest
        A position or radius that is out of range or malformed.
    """
    if len(name.encode("utf-8", "surrogateescape")) > LONGEST:
        return None
    parts = name.split("_")
    if len(parts) in (2, 3) and _looks_like_position(parts[0], parts[1]):
        return canonical(parts[0], parts[1], parts[2] if len(parts) == 3 else DEFAULT_RADIUS)
    target, _, radius = name.rpartition("_")
    unit = _RADIUS.fullmatch(radius)
    if not target.strip("_ ") or unit is None or unit[2].lower() not in _DEGREES:
        return None
    return NamedRegion(target, _radius(radius))


def canonical(ra: str, dec: str, radius: str) -> str:
    """`<ra>_<dec>_<r>` in decimal degrees.

    Raises
    ------
    BadRequest
        Out of range or malformed.
    """
    ra_deg = _coordinate("ra", ra)
    dec_deg = _coordinate("dec", dec)
    if not 0 <= ra_deg <= 360:
        raise BadRequest(f"right ascension {ra} is outside of 0 to 360 deg")
    if not -90 <= dec_deg <= 90:
        raise BadRequest(f"declination {dec} is outside of -90 to 90 deg")
    # Rounded first: what rounds up to a whole turn is 0, too.
    return f"{_text(ra_deg.quantize(PLACES) % 360)}_{_text(dec_deg)}_{_radius(radius)}"


def _looks_like_position(ra: str, dec: str) -> bool:
    """True for two numbers, good or bad, or sexagesimal angles: then nothing else was meant."""
    return all(
        _LIKE_NUMBER.fullmatch(text) or _SEXAGESIMAL[kind].fullmatch(text)
        for kind, text in (("ra", ra), ("dec", dec))
    )


def _coordinate(kind: str, text: str) -> Decimal:
    if (match := _SEXAGESIMAL[kind].fullmatch(text)) is not None:
        sign, *parts = match.groups()
        whole, *fractions = (Decimal(part) for part in parts if part)
        if any(fraction >= 60 for fraction in fractions):
            raise BadRequest(f"{text}: minutes and seconds end below 60")
        minutes, seconds = (*fractions, Decimal(0), Decimal(0))[:2]
        value = whole + minutes / 60 + seconds / 3600
        if kind == "ra":
            value *= 15
        return -value if sign == "-" else value
    return _decimal(text)


def _radius(text: str) -> str:
    match = _RADIUS.fullmatch(text)
    if match is None:
        raise BadRequest(f"{text!r} is no radius: a number of degrees, or with deg, arcmin, arcsec")
    unit = match[2].lower() or "deg"
    if unit not in _DEGREES:
        raise BadRequest(f"{match[2]!r} is no unit of a radius: deg (d), arcmin (m) or arcsec (s)")
    value = _decimal(match[1]) * _DEGREES[unit]
    shown = _text(value)
    if not 0 < Decimal(shown) <= LARGEST_RADIUS:
        raise BadRequest(f"radius {text} is outside of 0 to {LARGEST_RADIUS} deg")
    return shown


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as exc:
        raise BadRequest(f"{text!r} is not a number") from exc
    # Also keeps huge exponents away from the arithmetic below.
    if not value.is_finite() or value.copy_abs() > 1000:
        raise BadRequest(f"{text!r} is no angle in degrees")
    return value


def _text(value: Decimal) -> str:
    shown = f"{value.quantize(PLACES):f}".rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown
