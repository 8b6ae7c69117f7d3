"""Signed texts that stand for a login, and for the leave to read one file.

Both have the shape of CADC's: `meta~signature` in base64, with `/` written `-` and `+` written
`_`. A login's token ends after its life; the one of a file is bound to its URI, has no end and
names the user, so both are secrets.
"""

from __future__ import annotations

import hmac
import os
import secrets
import time
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import shake_256
from pathlib import Path
from urllib.parse import parse_qs, urlencode

LIFE = 48 * 3600.0
"""Seconds that a login lasts (CADC's SSO cookie)."""

# As long as a signature by RSA with 4096 bits, since clients see addresses of that length.
_SIGNATURE_BYTES = 512
_READ = "ReadGrant"


class InvalidTokenError(Exception):
    """A token that was not made here, is damaged, or has ended."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes and checks the texts of one archive; others cannot make them without its key."""

    key: bytes
    life: float = LIFE

    @classmethod
    def with_key_in(cls, directory: Path, *, life: float = LIFE) -> Signer:
        """Use the key that lies in a directory; make one if there is none (blocking)."""
        path = directory / "key"
        if not path.exists():
            directory.mkdir(parents=True, exist_ok=True)
            temporary = directory / f".key-{secrets.token_hex(8)}"
            temporary.touch(mode=0o600)
            temporary.write_bytes(secrets.token_bytes(32))
            try:
                # Fails if another server was faster; then its key counts.
                os.link(temporary, path)
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        return cls(path.read_bytes(), life)

    def login(self, user: str) -> str:
        """Make the token of a login that begins now."""
        end = f"{time.time() + self.life:.3f}"
        return self._signed({"userID": user, "expirytime": end, "nonce": secrets.token_hex(4)})

    def user(self, token: str) -> str:
        """Return whose login a token is; raise InvalidTokenError."""
        known = self._checked(token)
        try:
            name, end = known["userID"], float(known["expirytime"])
        except (KeyError, ValueError) as error:
            raise InvalidTokenError("invalid token") from error
        if end <= time.time():
            raise InvalidTokenError("token expired")
        return name

    def begun(self, token: str) -> float:
        """Return when a login began, in seconds since 1970; raise InvalidTokenError."""
        try:
            return float(self._checked(token)["expirytime"]) - self.life
        except (KeyError, ValueError) as error:
            raise InvalidTokenError("invalid token") from error

    def grant(self, uri: str, user: str | None) -> str:
        """Make the leave to read one file, for an address that whoever holds it may use."""
        return self._signed({"uri": uri, "gnt": _READ} | ({"sub": user} if user else {}))

    def permits(self, token: str, uri: str) -> bool:
        """Say whether a token is a leave to read this very file."""
        try:
            known = self._checked(token)
        except InvalidTokenError:
            return False
        return known.get("uri") == uri and known.get("gnt") == _READ

    def _signed(self, values: dict[str, str]) -> str:
        meta = urlencode(values).encode()
        return f"{_text(meta)}~{_text(self._signature(meta))}"

    def _checked(self, token: str) -> dict[str, str]:
        first, _, second = token.partition("~")
        try:
            meta, signature = _data(first), _data(second)
        except ValueError as error:
            raise InvalidTokenError("invalid token") from error
        if not hmac.compare_digest(signature, self._signature(meta)):
            raise InvalidTokenError("invalid token")
        return {name: values[0] for name, values in parse_qs(meta.decode()).items()}

    def _signature(self, meta: bytes) -> bytes:
        # A keyed SHAKE is a sound MAC of any length (NIST SP 800-185 builds KMAC on the same).
        return shake_256(self.key + meta).digest(_SIGNATURE_BYTES)


def _text(data: bytes) -> str:
    return b64encode(data, b"_-").decode().rstrip("=")


def _data(text: str) -> bytes:
    return b64decode(text.encode() + b"=" * (-len(text) % 4), b"_-", validate=True)
