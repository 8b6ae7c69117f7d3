"""What `cadcfs login` has left for mounts: one small file a service, for its owner alone.

The token lies in the desktop's keyring where there is one that keeps it, else in the file itself,
which has mode 0600. A password is never kept. Mounts look at the file's stamp, and so hear of a
login within seconds.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cadcfs.archive.private_files import read_private, write_private
from cadcfs.errors import UserError

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int] | None
"""Inode, size and time of a file: another one when it was written again; None without a file."""
KEYRING = "cadcfs"
"""What the keyring calls our passwords."""
PASSWORD, TOKEN, NETRC, CERTIFICATE, NOBODY = "password", "token", "netrc", "certificate", "nobody"


@dataclass(frozen=True)
class Login:
    """One login.

    Parameters
    ----------
    how
        One of the words above; NOBODY after a logout: not even a certificate that is found.
    name
        The account.
    until
        When the token ends, in seconds since 1970.
    file
        The certificate, or the netrc file that gives another token.
    """

    how: str
    name: str = ""
    until: float | None = None
    file: str = ""
    token: str = field(default="", repr=False)


class Logins:
    """Keeps the last login to one service. Methods block."""

    def __init__(self, directory: Path, service: str) -> None:
        self._service = service
        self.file = directory / f"{hashlib.sha256(service.encode()).hexdigest()[:16]}.json"

    def stamp(self) -> Stamp:
        return stamp(self.file)

    def read(self) -> Login | None:
        """The last login; None where there never was one.

        Raises
        ------
        UserError
            It cannot be read, or others could.
        """
        try:
            kept = json.loads(read_private(self.file))
            in_keyring = bool(kept.pop("keyring"))
            kept.pop("service")
            login = Login(**kept)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise UserError(f"{self.file} is damaged; log in again") from exc
        if in_keyring:
            token = _from_keyring(self._service, login.name)
            if not token:
                raise UserError("the keyring does not give the login any more; log in again")
            login = Login(login.how, login.name, login.until, login.file, token)
        return login

    def keep(self, login: Login) -> str:
        """Keep *login* from now on; says where its token lies, "" where it has none."""
        self._forget_token()
        in_keyring = bool(login.token) and _into_keyring(self._service, login.name, login.token)
        kept = asdict(login) | {"keyring": in_keyring, "service": self._service}
        if in_keyring:
            kept["token"] = ""
        write_private(self.file, json.dumps(kept, indent=1).encode())
        if not login.token:
            return ""
        return "the keyring" if in_keyring else str(self.file)

    def forget(self) -> None:
        """Be nobody from now on; the token is gone."""
        self.keep(Login(NOBODY))

    def _forget_token(self) -> None:
        try:
            kept = json.loads(read_private(self.file))
            if kept["keyring"]:
                _out_of_keyring(self._service, kept["name"])
        except (OSError, ValueError, TypeError, KeyError, UserError):
            return


def stamp(path: Path) -> Stamp:
    """See `Stamp`; blocking."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _user(service: str, name: str) -> str:
    return f"{name} at {service}"


def _into_keyring(service: str, name: str, token: str) -> bool:
    """True where there is a keyring and it gives back what it was given."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(KEYRING, _user(service, name), token)
        return keyring.get_password(KEYRING, _user(service, name)) == token
    except (KeyringError, RuntimeError, OSError) as exc:
        log.debug("no keyring: %s", type(exc).__name__)
        return False


def _from_keyring(service: str, name: str) -> str | None:
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(KEYRING, _user(service, name))
    except (KeyringError, RuntimeError, OSError) as exc:
        raise UserError(
            f"the keyring cannot be asked ({type(exc).__name__}); "
            "unlock it and run `cadcfs whoami`, or log in again"
        ) from exc


def _out_of_keyring(service: str, name: str) -> None:
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.delete_password(KEYRING, _user(service, name))
    except (KeyringError, RuntimeError, OSError) as exc:
        log.debug("nothing to remove from the keyring: %s", type(exc).__name__)
