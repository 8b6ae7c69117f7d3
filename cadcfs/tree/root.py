"""The root of the mount."""

from __future__ import annotations

from collections.abc import Callable

from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.collections import CollectionsDirectory
from cadcfs.tree.plain import ControlFile, FixedDirectory, FixedFile

README = """\
The Canadian Astronomy Data Centre, as a folder. Listing a directory asks the archive;
reading a file fetches the bytes that are read, once, and keeps them on disk.

  collections/                            one directory per collection
  collections/CFHT/by-target/M31/         the files of one target
  collections/CFHT/by-observation/<id>/   the files of one observation
  collections/CFHT/by-proposal/<id>/      the files of one proposal
  collections/CFHT/by-date/2019/01/07/    the files of one UTC day; a range of days opens, too:
                                          by-date/2019-01-01..2019-01-31/
  collections/CFHT/by-intent/science/     the same ways in again, narrowed; likewise by-instrument,
                                          by-filter, by-level, by-type, by-product, in any order

In a directory of files:

  *.fits, *.fits.fz, ...   the data; mode 0000 where they are not public yet
  previews/                previews and thumbnails
  auxiliary/               weights, catalogues, and whatever else belongs to the data
  junk/                    what the observatory flagged as unusable

To paste:

  ls collections
  ls -l collections/CFHT/by-target/M31
  cp collections/CFHT/by-target/M31/*p.fits.fz ~

Characters that would hurt a shell or a FITS program are written =XX in names (hexadecimal):
a target called "Fe/Ar" is the directory Fe=2FAr.
"""


def root(catalogue: Catalogue, status: Callable[[], str], log: Callable[[], str],
         mtime_ns: int) -> FixedDirectory:  # fmt: skip
    """The root directory; `.cadcfs/` opens but is not listed."""
    control = FixedDirectory(
        "/.cadcfs",
        {
            "status": ControlFile("/.cadcfs/status", status, mtime_ns),
            "log": ControlFile("/.cadcfs/log", log, mtime_ns),
        },
    )
    return FixedDirectory(
        "/",
        {
            "README.txt": FixedFile("/README.txt", README, mtime_ns),
            "collections": CollectionsDirectory(catalogue),
        },
        unlisted={".cadcfs": control},
    )
