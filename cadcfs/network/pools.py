"""Connections of the carrier: one request at a time, with what its own address may see."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from cadcfs import __version__
from cadcfs.errors import CadcfsError, TimedOut, Unavailable
from cadcfs.network.answers import POOLS
from cadcfs.network.distrust import reason_of
from cadcfs.network.redirects import Wallet

CONNECT_TIME = 10.0
"""Seconds for a connection."""

ByProxy = dict[str | None, urllib3.PoolManager]
"""Kept connections by the proxy that they go through; None for none."""


class Pools:
    """Kept connections; those with a certificate apart. For worker threads."""

    def __init__(self, wallet: Wallet, connections: int, stall: float) -> None:
        self._wallet = wallet
        self._connections = connections
        self._stall = stall
        self._proxies = getproxies_environment()
        self._plain: ByProxy = {}
        self._certified: tuple[ssl.SSLContext, ByProxy] | None = None

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
        *,
        whole: bool = False,
    ) -> BaseHTTPResponse:
        """The answer to one request, a redirect as well; its body is read if *whole*.

        Raises
        ------
        Unauthorized
            The certificate cannot be used any more.
        Unavailable, TimedOut
        """
        pool = self._pool_for(url)
        try:
            return pool.request(
                method,
                url,
                body=content,
                headers={**pool.headers, **headers, **self._wallet.headers(url)},
                redirect=False,
                preload_content=whole,
                decode_content=False,
            )
        except HTTPError as exc:
            raise unreached(url, exc) from exc

    def _pool_for(self, url: str) -> urllib3.PoolManager:
        context = self._wallet.context(url)
        pools = self._plain if context is None else self._certified_by(context)
        proxy = self._proxy_of(url)
        pool = pools.get(proxy)
        return pool or pools.setdefault(proxy, self._new(proxy, context))

    def _certified_by(self, context: ssl.SSLContext) -> ByProxy:
        certified = self._certified
        if certified is None or certified[0] is not context:
            certified = self._certified = context, {}
        return certified[1]

    def _proxy_of(self, url: str) -> str | None:
        """What HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say, as for all other requests."""
        if not self._proxies:
            return None
        parts = urlsplit(url)
        if proxy_bypass(parts.netloc.rpartition("@")[2], self._proxies):
            return None
        return self._proxies.get(parts.scheme) or self._proxies.get("all")

    def _new(self, proxy: str | None, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        kind = urllib3.PoolManager if proxy is None else partial(urllib3.ProxyManager, proxy)
        pools = kind(
            maxsize=self._connections,
            block=True,
            headers={"User-Agent": f"cadcfs/{__version__}", "Accept-Encoding": "identity"},
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_TIME, read=self._stall),
            ssl_context=context,
        )
        pools.pool_classes_by_scheme = POOLS
        return pools


def unreached(url: str, exc: HTTPError) -> CadcfsError:
    """The error that urllib3's stands for."""
    kind = TimedOut if isinstance(exc, urllib3.exceptions.TimeoutError) else Unavailable
    return kind(f"{url}: {reason_of(exc)}")
