"""A cache of public bytes that a whole site shares: asked before the archive, and never trusted.

It answers under the path of the file service (`/raven/files/<artifact URI>`) and is told the
version that is wanted, so that another one is never taken out of it. What it gives is checked as
the archive's own bytes are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from cadcfs.errors import CadcfsError, Corrupt
from cadcfs.network.carrier import Carrier, Reply, Wanted

log = logging.getLogger(__name__)

STALL = 10.0
"""Seconds without a byte after which the archive is asked."""
REST = 60.0
"""Seconds for which it is left alone after a failure."""
VERSION = "X-Cadc-Version"
"""Header with the MD5 of the file that is wanted: part of the cache's key."""
BLOCK = 64 * 1024


class SiteCache:
    """The way to the site's cache, while it works. For the event loop only.

    Parameters
    ----------
    url
        Where it listens; what is asked of it never carries a credential.
    is_offline
        Tells whether the network is to be left alone.
    """

    def __init__(self, url: str, is_offline: Callable[[], bool]) -> None:
        self._url = url.rstrip("/")
        self._is_offline = is_offline
        self._carrier = Carrier(stall=STALL)
        self._rests_until = 0.0
        self._was_down = False

    def file(self, entry: str, md5: str | None) -> SiteFile:
        """One version of the file at *entry*, the file service's own address."""
        return SiteFile(self, f"{self._url}{urlsplit(entry).path}", md5)

    @property
    def is_usable(self) -> bool:
        return not self._is_offline() and time.monotonic() >= self._rests_until

    async def get(self, url: str, wanted: Wanted) -> None:
        """Take what it has; where that is not all, it is left alone for a while."""
        try:
            reply = await self._carrier.get(url, wanted)
            if reply.location is not None:
                raise CadcfsError(f"{url}: a redirect, which it should have followed")
        except Corrupt:
            # Said by whoever takes the bytes: all that came is thrown away, and asked for anew.
            raise
        except CadcfsError as exc:
            if time.monotonic() >= self._rests_until:
                # Once, however many requests were under way.
                log.warning("the site's cache fails (%s); asking the archive itself", exc)
            self._rests_until = time.monotonic() + REST
            self._was_down = True
            return
        if self._was_down:
            log.info("the site's cache %s answers again", self._url)
            self._was_down = False


class SiteFile:
    """Ranges of one version of one public file."""

    def __init__(self, cache: SiteCache, url: str, md5: str | None) -> None:
        self._cache = cache
        self._url = url
        self._md5 = md5
        self._given: set[int] = set()

    async def fetch(
        self, start: int, stop: int, size: int, take: Callable[[int, bytes], None],
        check: Callable[[Reply], None],
    ) -> None:  # fmt: skip
        """Hand on [start, stop), or as much of it as comes.

        What it has given before is not asked of it again: that was not what it should have been.
        A file without a checksum could not be told from its other versions, and is left out.
        """
        blocks = range(start // BLOCK, -(-stop // BLOCK))
        if not self._md5 or not self._cache.is_usable or not self._given.isdisjoint(blocks):
            return
        self._given.update(blocks)
        headers = {VERSION: self._md5}
        await self._cache.get(self._url, Wanted(start, stop, size, take, check, headers))
