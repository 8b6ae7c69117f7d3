"""Addresses of artifacts, as astroquery's get_data_urls() gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cadcfs.archive.datalink import DataLink
from cadcfs.archive.files import Files
from cadcfs.archive.records import Artifact

LEAVE = re.compile(r"(?<=/files/)[A-Za-z0-9+=_-]+~[A-Za-z0-9+=_-]+/")
"""What lets whoever has the address read the file: `/files/<token>/<artifact URI>`."""


class Addresses:
    """The file service's address of an artifact; what it does not hold is asked of DataLink."""

    def __init__(self, files: Files, datalink: DataLink) -> None:
        self._files = files
        self._datalink = datalink

    async def of(self, artifacts: Sequence[Artifact]) -> list[str]:
        """Sorted; files that the archive tells no address of are left out."""
        here = [await self._files.url(a.uri) for a in artifacts if not a.is_elsewhere]
        elsewhere = {a.uri: a for a in artifacts if a.is_elsewhere}
        if elsewhere:
            planes = sorted({a.publisher_id for a in elsewhere.values()})
            links = await self._datalink.downloads(planes)
            here += [
                without_leave(link.url) for link in links if _is_of(link.uri, link.url, elsewhere)
            ]
        return sorted(here)


def _is_of(uri: str | None, url: str, wanted: dict[str, Artifact]) -> bool:
    if uri is not None:
        return uri in wanted
    return any(url.endswith(artifact.base_name) for artifact in wanted.values())


def without_leave(url: str) -> str:
    """The plain address of what *url* is pre-authorised for: a secret is shown to nobody."""
    return LEAVE.sub("", url)
