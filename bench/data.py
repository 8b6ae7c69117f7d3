"""The data of the comparison, made once in a directory: large, many, structured."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30
HEADERS = 500
"""Files of 50 MB, sparse, of which only the headers are read."""
HEADER_FILE = 50_000_000
LISTED = (10_000, 100_000)
"""Entries of the long directories."""
SIDE = 16_384
"""Pixels along each axis of the large float image."""
COLLECTION = "BENCH"


@dataclass(frozen=True)
class Entry:
    """One artifact as the table service tells it: URI, size in bytes, MD5 in hexadecimal."""

    observation: str
    uri: str
    size: int
    md5: str = ""


def make(directory: Path) -> None:
    """Write what is not there yet."""
    files = directory / f"cadc:{COLLECTION}"
    files.mkdir(parents=True, exist_ok=True)
    if not (directory / COLLECTION).exists():
        # For peers that take "cadc:" in a listing for the scheme of a URL.
        (directory / COLLECTION).symlink_to(files.name)
    if not (files / "big.bin").exists():
        _random(files / "big.bin", GIB)
    if not (files / "wan.bin").exists():
        _random(files / "wan.bin", GIB // 4)
    if not (files / "image.fits").exists():
        _image(files / "image.fits")
    if not (files / "mosaic.fits").exists():
        _mosaic(files / "mosaic.fits")
    if not (directory / "big.md5").exists():
        with (files / "big.bin").open("rb") as file:
            (directory / "big.md5").write_text(hashlib.file_digest(file, "md5").hexdigest())
    for count in LISTED:
        (directory / f"list{count}").mkdir(exist_ok=True)
        for number in range(count):
            path = directory / f"list{count}" / f"entry{number:06}.fits"
            if not path.exists():
                path.touch()
    for number in range(HEADERS):
        path = files / f"h{number:04}.fits"
        if not path.exists():
            path.write_bytes(os.urandom(64 * 1024))
            os.truncate(path, HEADER_FILE)


def _random(path: Path, size: int) -> None:
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        for _ in range(0, size, 1 << 24):
            file.write(os.urandom(1 << 24))
    new.replace(path)


def _image(path: Path) -> None:
    """A float image of 1 GiB, as astropy would write it."""
    from astropy.io import fits

    header = fits.Header()
    header["SIMPLE"], header["BITPIX"], header["NAXIS"] = True, -32, 2
    header["NAXIS1"] = header["NAXIS2"] = SIDE
    text = header.tostring(padding=True).encode()
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(text)
        # The bytes of 1.0 and its neighbours: no value is a trap for arithmetic.
        row = b"\x3f\x80\x00\x00\x3f\x80\x10\x00" * (SIDE // 2)
        for _ in range(SIDE // 64):
            file.write(row * 64)
        file.write(bytes(-file.tell() % 2880))
    new.replace(path)


def _mosaic(path: Path) -> None:
    """41 units: a primary header and 40 images of 8 MB with long headers."""
    import numpy
    from astropy.io import fits

    rng = numpy.random.default_rng(1)
    pixels = rng.integers(0, 60_000, (2048, 2048), dtype="uint16").astype(">i2")
    units: list[object] = [fits.PrimaryHDU()]
    for number in range(40):
        image = fits.ImageHDU(pixels, name=f"CCD{number:02}")
        for card in range(250):
            image.header[f"KEY{card}"] = (number * card, "one of many")
        units.append(image)
    fits.HDUList(units).writeto(path.with_suffix(".new"), overwrite=True)
    path.with_suffix(".new").replace(path)


def entries(directory: Path) -> list[Entry]:
    """What the table service lists, observation by observation."""
    files = directory / f"cadc:{COLLECTION}"
    found = []
    for path in sorted(files.iterdir()):
        observation = "headers" if path.name.startswith("h0") else path.stem
        found.append(Entry(observation, f"cadc:{COLLECTION}/{path.name}", path.stat().st_size))
    found.append(
        Entry("summed", f"cadc:{COLLECTION}/big.bin", GIB, (directory / "big.md5").read_text())
    )
    for count in LISTED:
        found += [
            Entry(f"list{count}", f"cadc:{COLLECTION}/entry{n:06}.fits", 1_000_000 + n)
            for n in range(count)
        ]
    return found
