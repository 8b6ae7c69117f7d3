"""The archive's own certificate authority: its servers' certificate and its users' (X.509).

Everything lies in one directory beside the archive: `ca.pem` for clients to trust, and
`<user>.pem`, certificate and key in one file as CADC's proxy certificates are.
"""

from __future__ import annotations

import fcntl
import os
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.auth.caller import caller_of
from cadcfs.demo.auth.users import USERS

if TYPE_CHECKING:
    import trustme

DAYS = 30.0
"""Days that a certificate of `/cred` is valid when nothing is asked for."""
_LONGEST = 3650.0
_NAMES = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Certificates:
    """Certificates on disk."""

    directory: Path

    @property
    def authority(self) -> Path:
        """Certificate of the authority, for clients to trust."""
        return self.directory / "ca.pem"

    def of_user(self, name: str) -> Path:
        """Certificate and key of a user."""
        return self.directory / f"{name}.pem"

    @classmethod
    def open_or_make(cls, directory: Path) -> Certificates:
        """Take what lies in a directory; make what is absent (blocking, safe against two)."""
        found = cls(directory)
        if not found.authority.exists():
            directory.mkdir(parents=True, exist_ok=True)
            with (directory / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not found.authority.exists():
                    found._make()
        return found

    def server_context(self) -> ssl.SSLContext:
        """TLS for a server that takes clients with and without a certificate (blocking)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "server.pem")
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def issue(self, user: str, days: float) -> bytes:
        """Make another certificate of a user, with its key (blocking)."""
        import trustme

        authority = trustme.CA.from_pem(
            self.authority.read_bytes(), (self.directory / "ca-key.pem").read_bytes()
        )
        return _user_pem(authority, user, datetime.now(UTC) + timedelta(days=days))

    def _make(self) -> None:
        import trustme

        authority = trustme.CA(organization_name="cadcfs demo")
        server = authority.issue_cert(*_NAMES, common_name="localhost")
        self._write("server.pem", _pem(server))
        for user in USERS:
            self._write(f"{user.name}.pem", _user_pem(authority, user.name, None))
        self._write("ca-key.pem", authority.private_key_pem.bytes())
        # Last, because its presence says that all are there.
        self._write("ca.pem", authority.cert_pem.bytes())

    def _write(self, name: str, data: bytes) -> None:
        descriptor, temporary = tempfile.mkstemp(dir=self.directory)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if name == self.authority.name:
                os.fchmod(descriptor, 0o644)  # The others hold keys.
        Path(temporary).replace(self.directory / name)


def _user_pem(authority: trustme.CA, user: str, end: datetime | None) -> bytes:
    return _pem(
        authority.issue_cert(
            f"{user}@cadcfs.invalid",
            common_name=user,
            organization_name="cadcfs demo",
            not_after=end,
        )
    )


def _pem(certificate: trustme.LeafCert) -> bytes:
    chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
    return chain + certificate.private_key_pem.bytes()


class ProxyEndpoint:
    """Serves `/cred/priv`: a certificate for whoever has logged in (CDP 1.0 as CADC has it)."""

    def __init__(self, certificates: Certificates) -> None:
        """Issue from one authority."""
        self._certificates = certificates

    def routes(self) -> list[Route]:
        """Return the service's route."""
        return [Route("/cred/priv", self._proxy)]

    async def _proxy(self, request: Request) -> Response:
        caller = caller_of(request.scope)
        if caller.name is None:
            return PlainTextResponse("permission denied", 401)
        asked = request.query_params.get("daysValid")
        try:
            days = float(asked) if asked else DAYS
        except ValueError:
            days = 0.0
        if not 0 < days <= _LONGEST:
            return PlainTextResponse(f"invalid daysValid: {asked}", 400)
        pem = await trio.to_thread.run_sync(self._certificates.issue, caller.name, days)
        return Response(pem, media_type="application/x-pem-file")
