"""Who may see credentials, and where a redirect may lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from cadcfs.errors import Unauthorized, Unavailable
from cadcfs.network.redirects import Credentials, Domains, Wallet, next_place

CADC = Domains([".canfar.net", "cadc.dao.nrc.ca"], ["http://127.0.0.1:8000/reg/resource-caps"])


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://ws-cadc.canfar.net/argus/sync", True),
        ("https://canfar.net/", True),
        ("https://CADC.DAO.NRC.CA./x", True),
        ("https://a.b.canfar.net:8443/x", True),
        ("http://ws-cadc.canfar.net/argus/sync", False),
        ("https://evilcanfar.net/", False),
        ("https://canfar.net.example.org/", False),
        ("https://example.org/?to=canfar.net", False),
        ("https://canfar.net@example.org/", False),
        ("https://mast.stsci.edu/api/v0.1/Download/file?uri=mast:HST/x.fits", False),
        ("ftp://canfar.net/x", False),
        ("http://127.0.0.1:8000/minoc/files/x", True),
        ("https://127.0.0.1:8000/minoc/files/x", True),
        ("http://127.0.0.1:8001/minoc/files/x", False),
        ("http://localhost:8000/minoc/files/x", False),
        ("http://127.0.0.2:8000/minoc/files/x", False),
        ("http://[::1]:8000/x", False),
        ("http://127.0.0.1.example.org:8000/", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_only_the_archives_own_hosts_over_tls_see_credentials(url: str, may: bool) -> None:
    assert CADC.may_see(url) is may
    token = "secret-token"
    carried = Wallet(CADC, Credentials(token)).headers(url)
    assert carried == ({"Authorization": f"Bearer {token}"} if may else {})


def test_an_anonymous_wallet_shows_nothing() -> None:
    wallet = Wallet(CADC)
    assert not wallet.is_shown("https://ws-cadc.canfar.net/")
    assert wallet.headers("https://ws-cadc.canfar.net/") == {}
    assert wallet.context("https://ws-cadc.canfar.net/") is None


def test_a_host_of_this_machine_can_be_named() -> None:
    assert Domains(["127.0.0.1"]).may_see("http://127.0.0.1:9/")


def test_a_token_is_no_part_of_what_a_traceback_shows() -> None:
    assert "secret" not in repr(Credentials("secret", Path("/x.pem")))


@pytest.mark.parametrize(
    ("url", "location", "place"),
    [
        ("https://a.org/x/y", "../z", "https://a.org/z"),
        ("https://a.org/", "https://b.org/q", "https://b.org/q"),
        ("http://a.org/", "http://b.org/q", "http://b.org/q"),
        ("https://127.0.0.1:1/", "http://127.0.0.1:2/q", "http://127.0.0.1:2/q"),
    ],
)
def test_redirects_lead_on(url: str, location: str, place: str) -> None:
    assert next_place(url, location) == place


@pytest.mark.parametrize(
    "location", ["http://a.org/", "ftp://a.org/", "file:///etc/passwd", "http://[", "javascript:1"]
)
def test_redirects_out_of_tls_are_not_followed(location: str) -> None:
    with pytest.raises(Unavailable, match="not followed"):
        next_place("https://a.org/", location)


async def test_what_is_refused_is_asked_once_more_with_other_credentials() -> None:
    async def renew(refused: Credentials) -> bool:
        assert refused == Credentials("old")
        wallet.credentials = Credentials("new")
        return True

    wallet = Wallet(CADC, Credentials("old"), renew)
    tried = []

    async def work() -> str:
        tried.append(wallet.credentials.token)
        raise Unauthorized("no")

    with pytest.raises(Unauthorized):
        await wallet.authorized(work)
    assert tried == ["old", "new"]
