"""Credentials, forms and faults at random never make the archive fail."""

from __future__ import annotations

import json

import httpx
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cadcfs.demo.archive import Archive
from cadcfs.demo.auth.tokens import InvalidTokenError, Signer
from cadcfs.demo.faults.kinds import FILTERS, KINDS
from cadcfs.demo.server import Served, serve

SIGNER = Signer(b"key")
LOGIN, GRANT = SIGNER.login("demo"), SIGNER.grant("cadc:A/b", "demo")
TOKENS = st.one_of(
    st.sampled_from((LOGIN, GRANT, LOGIN[:-1], "~", "~~", "=~=", LOGIN.replace("~", "~~"))),
    st.text(max_size=40),
    st.binary(max_size=40).map(lambda data: data.decode("latin-1")),
)
HEADERS = st.one_of(
    TOKENS.map(lambda token: ("Authorization", f"Bearer {token}")),
    TOKENS.map(lambda token: ("Authorization", token)),
    TOKENS.map(lambda token: ("Authorization", f"Basic {token}")),
    TOKENS.map(lambda token: ("Cookie", f'CADC_SSO="{token}"')),
    TOKENS.map(lambda token: ("Cookie", token)),
)
PATHS = ("/ac/login", "/ac/whoami", "/ac/users/demo", "/ac/users/x", "/ac/search", "/cred/priv",
         "/argus/tables", "/raven/files/cadc:CFHT/shared.fits")  # fmt: skip
PAIRS = st.lists(
    st.tuples(st.sampled_from(("username", "password", "daysValid", "group", "scope")),
              st.one_of(st.text(max_size=20), st.sampled_from(("demo", "1", "nan", "1e309")))),
    max_size=4,
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
WORDS = sorted({name for kind in KINDS.values() for name in kind.options} | set(FILTERS))
FAULTS = st.one_of(
    st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=4).flatmap(
        lambda told: st.sampled_from(sorted(KINDS)).map(lambda kind: {"kind": kind, **told})
    ),
    VALUES,
)


@given(TOKENS)
def test_a_text_that_was_not_signed_is_no_token(text: str) -> None:
    if text != LOGIN:
        with pytest.raises(InvalidTokenError):
            SIGNER.user(text)
    assert SIGNER.permits(text, "cadc:A/b") is (text == GRANT)
    assert not SIGNER.permits(text, "cadc:A/c")


async def ask(
    served: Served, requests: list[tuple[str, str, tuple[str, str], list[tuple[str, str]], object]]
) -> None:
    async with httpx.AsyncClient(base_url=served.base_url, timeout=120) as client:
        for method, path, (name, value), pairs, fault in requests:
            headers = {name: value.encode("utf-8", "surrogatepass").translate(None, b"\r\n\0")}
            given = {"data": dict(pairs)} if method == "POST" else {"params": pairs}
            try:
                reply = await client.request(method, path, headers=headers, **given)
            except httpx.LocalProtocolError:
                continue  # Not even the client's library lets it through.
            assert reply.status_code < 500, (method, path, name, value, pairs)
            told = await client.post("/demo/faults", content=json.dumps(fault).encode())
            assert told.status_code in (201, 400), (fault, told.text)
            assert len(told.text.splitlines()) == 1
            await client.delete("/demo/faults")
            assert "Traceback" not in reply.text + told.text
        deep = await client.post("/demo/faults", content=b"[" * 100_000)
        assert deep.status_code == 400


def run(archive: Archive, count: int) -> None:
    requests: list[tuple[str, str, tuple[str, str], list[tuple[str, str]], object]] = []

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(
        st.tuples(
            st.sampled_from(("GET", "POST", "HEAD")), st.sampled_from(PATHS), HEADERS, PAIRS, FAULTS
        )
    )
    def collect(
        request: tuple[str, str, tuple[str, str], list[tuple[str, str]], object],
    ) -> None:
        requests.append(request)

    collect()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await ask(await nursery.start(serve, archive), requests)
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_no_credential_makes_it_fail(archive: Archive) -> None:
    run(archive, 200)


@pytest.mark.soak
def test_no_credential_of_thousands_makes_it_fail(archive: Archive) -> None:
    run(archive, 5000)
