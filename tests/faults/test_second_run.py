"""A second run without the archive: whatever the first one listed and read is there, the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.conftest import alone

CIRCLE = "region/10.6847_41.2687_0.1/CFHT"
M31 = "collections/CFHT/by-target/M31"
LISTED = (
    "", "collections", "collections/CFHT", "collections/CFHT/by-target", M31, f"{M31}/headers",
    f"{M31}/previews", CIRCLE, f"{CIRCLE}/cutouts", "tables",
)  # fmt: skip
TEXTS = ("about.txt", "metadata.csv", "metadata.vot", "urls.txt")
READ = (
    *(f"{place}/{name}" for place in (M31, CIRCLE) for name in TEXTS),
    f"{M31}/2376828p.fits.fz", f"{M31}/headers/2376828p.fits.fz.txt",
)  # fmt: skip


def seen(root: Path) -> dict[str, object]:
    """Names, and bytes, as a program sees them; also of one cutout."""
    found: dict[str, object] = {place: sorted(os.listdir(root / place)) for place in LISTED}
    cutout = next(
        f"{CIRCLE}/cutouts/{name}"
        for name in sorted(os.listdir(root / CIRCLE / "cutouts"))
        if ".fits" in name
    )
    for path in (*READ, cutout):
        found[path] = (root / path).read_bytes()
        found[f"the size of {path}"] = (root / path).stat().st_size
    return found


@pytest.mark.soak
def test_what_the_first_run_saw_comes_out_the_same(data_dir: Path, tmp_path: Path) -> None:
    with alone(data_dir, tmp_path) as mount:
        first = seen(mount.path)
        mount.stop()
    try:
        mount.start()
        assert seen(mount.path) == first
    finally:
        mount.stop()
