"""Twenty thousand observations without a file behind them, so that listings are long."""

from __future__ import annotations

from collections.abc import Iterator

from cadcfs.demo.build.caom import ArtifactRecord, ObservationRecord, PlaneRecord

COUNT = 20_000
SIZE = 1_440_000
"""Bytes that the metadata claim; a read is answered with 404."""


def survey() -> Iterator[ObservationRecord]:
    """The observations of SIMSURVEY: distinct targets on a spiral over the sky."""
    for number in range(COUNT):
        ra = number * 137.50776405 % 360
        dec = -75 + 150 * number / COUNT
        name = f"sim{number:05d}"
        hours, degrees = ra / 15, abs(dec)
        target = (
            f"SIM J{int(hours):02d}{int(hours * 60 % 60):02d}"
            f"{'-' if dec < 0 else '+'}{int(degrees):02d}{int(degrees * 60 % 60):02d}.{number:05d}"
        )
        artifact = ArtifactRecord(f"cadc:SIMSURVEY/{name}.fits", size=SIZE)
        plane = PlaneRecord(
            name, (artifact,), level=1, position_bounds=f"circle {ra:.6f} {dec:.6f} 0.05",
            start_mjd=57000.0 + number / 10,
        )  # fmt: skip
        yield ObservationRecord("SIMSURVEY", name, target, (plane,))
