"""Observations for the sake of their targets' names: awkward ones, and very many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cadcfs.demo.build.plan import Plan, setup
from cadcfs.demo.build.records import Exposure, Item, Product, circle, energy, time

AWKWARD = (
    "CDFS/GOODS", "      6297.00", "* alf UMi", "104 Her (M3 III)", "K20H05N(567@114)",
    "alpha Tau (BS 1457) N=-3", "Ar,Xe", "Mask for C4M06B[ccd1]", "O'Neill's star", "100% sky",
    "η Carinae", "m31b", "M31B", "HD 1761267 : VEGA", None,
    "Comet P/Tempel 1", "2twhya filter1 = dia, f2 = g", "SA_110", "SAx110", "50%_done",
)  # fmt: skip
"""Names with slashes, blanks, quotes, wildcards and other letters, some differing in case only."""

SURVEY_SIZE = 20_000


def awkward(item: Item) -> Iterator[Exposure]:
    """An observation of each awkward target, all of them with the same file."""
    band = energy("Optical", "r", 5.5e-7, 7.0e-7)
    for number, target in enumerate(AWKWARD):
        if number % 2:
            collection, name = "GEMINI", f"GS-2020A-Q-1-{number}-001"
            values = setup("Gemini-South", "GMOS-S")
        else:
            collection, name = "CFHT", f"{2990000 + number}"
            values = setup("CFHT 3.6m", "MegaPrime")
        place = {**circle(150.0, 2.0, 0.01), **band, **time(58849.0 + number, 60)}
        yield Exposure(collection, name, target, (Product(f"{name}o", (item,), place),), values)


def survey(plan: Plan) -> Iterator[Exposure]:
    """A survey of which only the metadata are here."""
    dec = np.degrees(np.arcsin(plan.rng.uniform(-1, 1, SURVEY_SIZE))).tolist()
    sizes = plan.rng.integers(1_000_000, 400_000_000, SURVEY_SIZE).tolist()
    band = energy("Optical", "r", 5.5e-7, 7.0e-7)
    instrument = setup("SIM 2.0-m", "SimCam")
    for number in range(SURVEY_SIZE):
        # Right ascensions step by 4.32 s, so that no two names agree.
        seconds = number * 86400 // SURVEY_SIZE
        name = f"sim{number:05d}"
        target = f"SIM J{_clock(seconds)}{'-' if dec[number] < 0 else '+'}"
        target += _clock(int(abs(dec[number]) * 3600))
        item = Item(f"cadc:SIMSURVEY/{name}.fits", content_type="application/fits",
                    length=sizes[number] // 2880 * 2880)  # fmt: skip
        place = circle(round(seconds / 240, 6), round(dec[number], 6), 0.2)
        values = {**place, **band, **time(59000 + number * 0.01, 120)}
        yield Exposure("SIMSURVEY", name, target, (Product(name, (item,), values),), instrument)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
