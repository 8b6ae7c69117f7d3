"""Logging in by password, token, cookie and certificate, over sockets."""

from __future__ import annotations

import socket
import ssl
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import trio

from cadcfs.demo.archive import Archive
from cadcfs.demo.server import Served, serve

CREDENTIALS = {"username": "demo", "password": "demo"}


async def log_in(client: httpx.AsyncClient, name: str = "demo") -> str:
    reply = await client.post("/ac/login", data={"username": name, "password": name})
    assert reply.status_code == 200
    return reply.text


async def test_a_password_buys_a_token(client: httpx.AsyncClient) -> None:
    reply = await client.post("/ac/login", data=CREDENTIALS, headers={"Accept": "text/plain"})
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.headers["x-vo-bearer"] == reply.text
    assert reply.headers["x-vo-authenticated"] == "demo"
    assert int(reply.headers["content-length"]) == len(reply.text)


@pytest.mark.parametrize(
    ("form", "status", "text"),
    [
        ({}, 400, "Missing username"),
        ({"username": "demo"}, 400, "Missing password"),
        ({"username": "demo", "password": ""}, 400, "Missing password"),
        ({"username": "nobody", "password": "x"}, 401, "Invalid username"),
        ({"username": "demo", "password": "x"}, 401, "Invalid username or password"),
    ],
)
async def test_a_login_that_fails_says_why(
    client: httpx.AsyncClient, form: dict[str, str], status: int, text: str
) -> None:
    reply = await client.post("/ac/login", data=form)
    assert (reply.status_code, reply.text) == (status, text)
    assert "x-vo-bearer" not in reply.headers


async def test_a_token_works_as_bearer_and_as_cookie(client: httpx.AsyncClient) -> None:
    token = await log_in(client)
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"Cookie": f'CADC_SSO="{token}"'},
        {"Cookie": f"other=1; CADC_SSO={token}"},
    ):
        first = await client.get("/ac/whoami", headers=headers, follow_redirects=False)
        assert first.status_code == 302
        assert first.headers["x-vo-authenticated"] == "demo"
        user = await client.get(first.headers["location"], headers=headers)
        assert '<identity type="HTTP">demo</identity>' in user.text
        tables = await client.get("/argus/tables", headers=headers)
        assert tables.headers["x-vo-authenticated"] == "demo"


async def test_who_has_not_logged_in_is_told_how(client: httpx.AsyncClient, served: Served) -> None:
    reply = await client.get("/ac/whoami")
    assert reply.status_code == 401
    assert "x-vo-authenticated" not in reply.headers
    everywhere = await client.get("/argus/capabilities")
    assert everywhere.headers.get_list("www-authenticate") == reply.headers.get_list(
        "www-authenticate"
    )
    login, proxy = f'"{served.base_url}/ac/login"', f'"{served.base_url}/cred/priv"'
    sso = "ivo://ivoa.net/sso"
    assert reply.headers.get_list("www-authenticate") == [
        f'ivoa_bearer standard_id="{sso}#tls-with-password", access_url={login}, HACK=temporary',
        f'ivoa_x509 standard_id="{sso}#BasicAA", access_url={proxy}',
        "ivoa_x509",
        "Bearer",
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer bm9uc2Vuc2U~bm9uc2Vuc2U"},
        {"Authorization": "Basic ZGVtbzpkZW1v"},
        {"Cookie": 'CADC_SSO="ü~"'.encode()},
    ],
)
async def test_what_is_not_valid_is_refused_even_where_all_are_welcome(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    reply = await client.get("/argus/tables", headers=headers)
    assert reply.status_code == 401
    assert reply.headers.get_list("www-authenticate")
    assert (await client.get("/argus/tables")).status_code == 200
    again = await client.post("/ac/login", data=CREDENTIALS, headers=headers)
    assert again.status_code == 200


async def test_a_token_ends(archive: Archive, nursery: trio.Nursery) -> None:
    def brief(task_status: trio.TaskStatus[Served]) -> object:
        return serve(archive, token_life=0, task_status=task_status)

    served = await nursery.start(brief)
    async with httpx.AsyncClient(base_url=served.base_url, timeout=120) as client:
        headers = {"Authorization": f"Bearer {await log_in(client)}"}
        reply = await client.get("/argus/tables", headers=headers)
    assert (reply.status_code, reply.text) == (401, "token expired")
    assert any(
        'error_description="token expired"' in value
        for value in reply.headers.get_list("www-authenticate")
    )


async def test_tokens_outlive_the_server(archive: Archive, nursery: trio.Nursery) -> None:
    first, second = await nursery.start(serve, archive), await nursery.start(serve, archive)
    async with httpx.AsyncClient(timeout=120) as client:
        token = (await client.post(f"{first.base_url}/ac/login", data=CREDENTIALS)).text
        reply = await client.get(
            f"{second.base_url}/ac/search", headers={"Authorization": f"Bearer {token}"}
        )
    assert reply.text == "CADCFS-DEMO-TEAM\n"


async def test_a_certificate_is_its_user(served: Served) -> None:
    authority = ssl.create_default_context(cafile=str(served.certificates.authority))
    secure = served.secure_registry_url.removesuffix("/reg/resource-caps")
    async with httpx.AsyncClient(base_url=secure, verify=authority, timeout=120) as anybody:
        registry = await anybody.get("/reg/resource-caps")
        assert f"{secure}/argus/capabilities" in registry.text
        assert (await anybody.get("/ac/whoami")).status_code == 401
    for name in ("demo", "guest"):
        context = ssl.create_default_context(cafile=str(served.certificates.authority))
        context.load_cert_chain(served.certificates.of_user(name))
        async with httpx.AsyncClient(base_url=secure, verify=context, timeout=120) as client:
            reply = await client.get("/ac/whoami")
            assert reply.headers["x-vo-authenticated"] == name
            assert reply.headers["location"] == f"{secure}/ac/users/{name}?idType=HTTP"
    assert {record.user for record in served.log.records()} == {None, "demo", "guest"}


async def test_a_certificate_that_has_ended_shuts_out_of_public_data_too(
    served: Served, tmp_path: Path
) -> None:
    pem = tmp_path / "old.pem"
    pem.write_bytes(served.certificates.issue("demo", days=-1))
    context = ssl.create_default_context(cafile=str(served.certificates.authority))
    context.load_cert_chain(pem)
    place = urlsplit(served.secure_registry_url)

    def ask() -> str | None:
        with (
            socket.create_connection((place.hostname, place.port), timeout=120) as plain,
            context.wrap_socket(plain, server_hostname=place.hostname) as secure,
        ):
            secure.sendall(b"GET /reg/resource-caps HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(ssl.SSLError) as caught:
                secure.recv(1)
        return caught.value.reason

    assert await trio.to_thread.run_sync(ask) == "SSLV3_ALERT_CERTIFICATE_EXPIRED"


async def test_a_login_buys_a_certificate(
    client: httpx.AsyncClient, served: Served, tmp_path: Path
) -> None:
    assert (await client.get("/cred/priv")).status_code == 401
    basic = "Basic " + b64encode(b"guest:guest").decode()
    reply = await client.get(
        "/cred/priv", params={"daysValid": "2"}, headers={"Authorization": basic}
    )
    assert reply.status_code == 200
    pem = tmp_path / "cadcproxy.pem"
    pem.write_bytes(reply.content)
    context = ssl.create_default_context(cafile=str(served.certificates.authority))
    context.load_cert_chain(pem)
    secure = served.secure_registry_url.removesuffix("/reg/resource-caps")
    async with httpx.AsyncClient(base_url=secure, verify=context, timeout=120) as secured:
        who = await secured.get("/ac/whoami")
    assert who.headers["x-vo-authenticated"] == "guest"
    for days in ("0", "-1", "many", "inf", "nan"):
        reply = await client.get(
            "/cred/priv", params={"daysValid": days}, headers={"Authorization": basic}
        )
        assert reply.status_code == 400


async def test_the_log_knows_the_name_and_never_the_secret(
    archive: Archive, nursery: trio.Nursery, tmp_path: Path
) -> None:
    path = tmp_path / "requests.txt"

    def logged(task_status: trio.TaskStatus[Served]) -> object:
        return serve(archive, log_path=path, task_status=task_status)

    served = await nursery.start(logged)
    async with httpx.AsyncClient(base_url=served.base_url, timeout=120) as client:
        token = await log_in(client)
        await client.post("/ac/login?username=demo&password=demo")
        bearer = {"Authorization": f"Bearer {token}"}
        await client.get("/ac/search", headers=bearer)
        await client.get(f"/minoc/files/{token}/cadc:A/b.fits", headers={"Cookie": f"a={token}"})
        shown = (await client.get("/demo/requests")).text
    written = path.read_text()
    for text in (shown, written):
        assert token not in text
        assert token.partition("~")[2] not in text
        assert "password=" not in text
    fields = [line.split("\t") for line in written.splitlines() if not line.startswith("#")]
    assert [(f[1], f[2], f[3], f[6]) for f in fields] == [
        ("-", "POST", "200", "/ac/login"),
        ("-", "POST", "200", "/ac/login"),
        ("demo", "GET", "200", "/ac/search"),
        ("-", "GET", "403", "/minoc/files/[token]/cadc:A/b.fits"),
    ]
