"""Numbers as CADC's services write them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def double(value: float) -> str:
    """Write a number as CADC's services do: `1.0E-4`, not `0.0001`."""
    if value == 0 or 1e-3 <= abs(value) < 1e7 or not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, repr(float(value)))
    mantissa, _, exponent = f"{value:.16e}".partition("e")
    for digits in range(17):
        mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
        if float(f"{mantissa}e{exponent}") == value:
            break
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"


def doubles(values: Sequence[float]) -> str:
    """Write numbers with blanks between."""
    return " ".join(double(value) for value in values)
