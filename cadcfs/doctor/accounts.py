"""Who the archive is asked by, and for how long."""

from __future__ import annotations

import time
from collections.abc import Iterator

from cadcfs.archive.certificate import RENEW, by_certificate
from cadcfs.archive.identity import Identity, date
from cadcfs.archive.logins import CERTIFICATE, Logins
from cadcfs.archive.session import SOON, identity_of
from cadcfs.config import Settings
from cadcfs.doctor.finding import Finding, ok, problem, warning
from cadcfs.errors import UserError


def look(settings: Settings) -> Iterator[Finding]:
    """The identity that a mount would have; and the certificate, if it is another matter."""
    identity, login = identity_of(settings, Logins(settings.login_dir, settings.archive))
    yield _identity(identity)
    if login is None or login.how != CERTIFICATE:
        yield from certificate(settings)


def certificate(settings: Settings) -> Iterator[Finding]:
    """What is wrong with the proxy certificate, where there is one."""
    try:
        by_certificate(settings.certificate)
    except FileNotFoundError:
        if settings.certificate != Settings().certificate:
            yield problem("certificate", f"there is no certificate {settings.certificate}", RENEW)
    except UserError as exc:
        words, _, cure = str(exc).partition("; ")
        yield problem("certificate", words, cure or RENEW)


def _identity(identity: Identity) -> Finding:
    if identity.note:
        words, _, cure = identity.note.partition("; ")
        return problem("identity", f"anonymous, for {words}", cure or "log in: cadcfs login")
    if identity.until is not None and identity.until < time.time():
        return problem("identity", f"the login of {identity.name} has ended at "
                       f"{date(identity.until)}", "log in again: cadcfs login")  # fmt: skip
    if identity.until is not None and identity.until < time.time() + SOON:
        return warning("identity", f"{identity} ends soon", "log in again: cadcfs login")
    return ok("identity", str(identity))
