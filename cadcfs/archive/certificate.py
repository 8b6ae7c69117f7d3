"""Proxy certificates: certificate and key in one PEM file, as cadc-get-cert writes it.

Looked at before it is ever shown: an expired one would break public access, too.
"""

from __future__ import annotations

import ssl
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cadcfs.archive.identity import Identity, date
from cadcfs.archive.private_files import read_private
from cadcfs.errors import UserError
from cadcfs.network.redirects import Credentials

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

RENEW = "get another with cadc-get-cert"


@dataclass(frozen=True)
class Validity:
    """Whose a certificate is, and when it is valid, in seconds since 1970."""

    name: str
    begins: float
    ends: float


def by_certificate(path: Path) -> Identity:
    """The identity of the certificate in *path*; blocking.

    Raises
    ------
    FileNotFoundError
    UserError
        It cannot be used, and why.
    """
    content = read_private(path)
    found = parse(content, path)
    now = time.time()
    if now >= found.ends:
        raise UserError(f"the certificate {path} has ended at {date(found.ends)}; {RENEW}")
    if now < found.begins:
        raise UserError(f"the certificate {path} begins at {date(found.begins)}; check the clock")
    try:
        # Without a password, so that nothing asks for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path, password="")
    except OSError as exc:
        has_key = b"PRIVATE KEY-----" in content
        reason = "its key cannot be used" if has_key else "there is no key in it"
        raise UserError(f"the certificate {path} is not used: {reason}; {RENEW}") from exc
    credentials = Credentials(certificate=path, until=found.ends)
    return Identity(found.name, "certificate", found.ends, credentials=credentials)


def parse(content: bytes, path: Path) -> Validity:
    """What the certificates in *content* say; *path* is for the words of `UserError`."""
    from cryptography import x509

    try:
        with warnings.catch_warnings():
            # Old proxies have serial numbers that are not quite right.
            warnings.simplefilter("ignore")
            chain = x509.load_pem_x509_certificates(content)
    except ValueError as exc:
        raise UserError(f"there is no certificate in {path}; {RENEW}") from exc
    name = _name(chain[0])
    if not name:
        raise UserError(f"the certificate {path} does not say whose it is; {RENEW}")
    # A proxy is as good as all above it.
    begins = max(each.not_valid_before_utc.timestamp() for each in chain)
    ends = min(each.not_valid_after_utc.timestamp() for each in chain)
    return Validity(name, begins, ends)


def _name(certificate: Certificate) -> str:
    """The common name; that of a proxy's owner, for proxies add a number (RFC 3820, 3.4)."""
    from cryptography.x509.oid import NameOID

    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names = [str(attribute.value) for attribute in found]
    return next((name for name in names if not name.isdigit()), "")
