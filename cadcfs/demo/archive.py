"""The embedded archive on disk: found, or built once.

A build is a pure function of the code that makes it and of its seed, so its directory is named
after both and is never changed once it is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

_UNFINISHED = "building-"


@dataclass(frozen=True)
class Archive:
    """A finished build."""

    root: Path

    @property
    def database(self) -> Path:
        """SQLite file with every table of `schema.TABLES`, under its name without the schema."""
        return self.root / "caom2.sqlite"

    @property
    def inventory(self) -> Path:
        """SQLite file with what is really stored: table Artifact by URI."""
        return self.root / "inventory.sqlite"

    @property
    def files(self) -> Path:
        return self.root / "files"

    @property
    def replaced(self) -> Path:
        """Directory of files that have another version than the build's; often absent."""
        return self.root / "replaced"

    @staticmethod
    def replaced_name(uri: str) -> str:
        """Name in `replaced` that links to the version in force."""
        return hashlib.sha256(uri.encode()).hexdigest()

    def path_of(self, uri: str, md5: str | None = None) -> Path:
        """Where the bytes of *uri* lie: `cadc:CFHT/x.fits` is `files/cadc/CFHT/x.fits`.

        With an MD5 the version of that checksum, else the one in force: whoever has read headers
        or rows of one version also gets its bytes.

        Raises
        ------
        ValueError
            The URI would lead out of the archive.
        """
        scheme, _, rest = uri.partition(":")
        parts = [part for part in rest.split("/") if part]
        if not scheme or not parts or ".." in (scheme, *parts) or "/" in scheme:
            raise ValueError(f"not an artifact URI: {uri}")
        version = self.replaced / (md5 or self.replaced_name(uri))
        return version.resolve() if version.exists() else self.files.joinpath(scheme, *parts)


def open_or_build(
    data_dir: Path,
    *,
    small: bool = False,
    seed: int = 0,
    report: Callable[[str], None] = lambda _: None,
) -> Archive:
    """The archive below *data_dir*, built if it is not there; safe against two builders."""
    root = data_dir / f"archive-{_name(small=small, seed=seed)}"
    if root.is_dir():
        return Archive(root)
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Whoever holds the lock is the only builder: what others left, they left for ever.
        for stale in data_dir.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(stale, ignore_errors=True)
        if not root.is_dir():
            _build(root, small=small, seed=seed, report=report)
    return Archive(root)


def _name(*, small: bool, seed: int) -> str:
    """Name a build after everything that decides its bytes."""
    package = resources.files("cadcfs.demo")
    digest = hashlib.sha256(f"{seed} {small}".encode())
    sources = [part for part in package.joinpath("build").iterdir() if part.name.endswith(".py")]
    for source in (package.joinpath("schema.csv"), *sorted(sources, key=lambda part: part.name)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _build(root: Path, *, small: bool, seed: int, report: Callable[[str], None]) -> None:
    from cadcfs.demo.build.observations import build

    temporary = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=root.parent))
    try:
        build(Archive(temporary), small=small, seed=seed, report=report)
        # Renamed when it is whole, so that a build that was interrupted is never opened.
        os.rename(temporary, root)  # noqa: PTH104
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
