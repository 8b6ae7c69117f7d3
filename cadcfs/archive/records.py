"""The archive's things, as CAOM 2.4 names them, in frozen records."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter

THIS = frozenset({"science", "calibration", "this"})
"""Product types that DataLink calls `#this`."""
PREVIEWS = frozenset({"preview", "thumbnail", "preview-image", "preview-plot"})
ELSEWHERE = frozenset({"noao", "xmm", "chandra", "sdss", "subaru", "vos"})
"""Schemes of artifact URIs whose files the archive's own file service does not hold."""


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection and how many observations and planes its statistics count."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Description:
    """What a collection has: energy bands, instruments, and how many observations."""

    name: str
    bands: tuple[str, ...]
    instruments: tuple[str, ...]
    observations: int

    @property
    def text(self) -> str:
        """As astroquery's get_collections() says it."""
        return f"The {self.name} collection at the CADC"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of one plane (CAOM 2.4, Artifact), with what its plane says of it.

    Sizes in bytes; times in UTC; None where the archive has NULL. *granted* is whether the archive
    says that the asker may read it; None where it does not say.
    """

    uri: str
    observation_id: str
    product_id: str
    publisher_id: str
    target_name: str | None
    intent: str | None
    product_type: str
    content_type: str | None
    size: int | None
    md5: str | None
    modified: datetime | None
    release: datetime | None
    junk: bool
    granted: bool | None = None

    def __getstate__(self) -> list[object]:
        # As dataclasses would, which look each field up anew for each of a million records.
        return list(_state(self))

    @property
    def base_name(self) -> str:
        """The last part of the URI: `noao:tu636792.fits.fz` has no slash at all."""
        return posixpath.basename(self.uri.partition(":")[2] or self.uri)

    @property
    def version(self) -> str:
        """What tells this version of this file from all others."""
        return f"{self.uri} {self.md5 or f'{self.size} {self.modified}'}"

    @property
    def is_elsewhere(self) -> bool:
        """True where only the archive's links tell where the bytes are."""
        return self.uri.partition(":")[0] in ELSEWHERE

    @property
    def is_this(self) -> bool:
        """True for what DataLink calls `#this`: the data themselves."""
        return self.product_type in THIS

    def is_public(self, now: datetime) -> bool:
        """True once the release date has passed; a file without one is never public."""
        return self.release is not None and self.release <= now


_state = attrgetter(*(field.name for field in fields(Artifact)))


@dataclass(frozen=True, slots=True)
class Cuttable:
    """A file that cutouts can be made of; *is_image* by its plane's dataProductType."""

    artifact: Artifact
    is_image: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a result: a plane's target and one of its files, None where it has none."""

    target_name: str | None
    publisher_id: str
    artifact: Artifact | None


@lru_cache(maxsize=1000)
def parse_time(text: str) -> datetime | None:
    """A TAP timestamp (DALI 1.1, 3.3.3: UTC without a zone); None for NULL or what is none."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
    except ValueError:
        return None


def parse_checksum(text: str) -> str | None:
    """The MD5 of `md5:<hex>`; None for NULL or another algorithm."""
    scheme, _, digest = text.partition(":")
    return digest.lower() if scheme.lower() == "md5" and len(digest) == 32 else None
