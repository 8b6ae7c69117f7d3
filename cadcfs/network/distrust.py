"""Why TLS fails: what is wrong with a server's certificate, and what can be done about it."""

from __future__ import annotations

import ssl

WRONG_NAME = frozenset({62, 63, 64})
ENDED, NOT_YET = 10, 9
"""X509_V_ERR_* of OpenSSL (openssl-verification-options(1))."""


def is_distrust(exc: BaseException) -> bool:
    """Whether a certificate is behind *exc*: asking again mends nothing."""
    return isinstance(_behind(exc), ssl.SSLCertVerificationError)


def reason_of(exc: BaseException) -> str:
    """The words of *exc*; where a certificate is behind it, what is wrong with that, and a cure."""
    cause = _behind(exc)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message.rstrip('.')}; {_cure(cause)}"
    if cause is not None:
        return f"TLS fails: {cause.reason or cause}"
    return str(exc) or type(exc).__name__


def _behind(exc: BaseException) -> ssl.SSLError | None:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _cure(exc: ssl.SSLCertVerificationError) -> str:
    if exc.verify_code in WRONG_NAME:
        return "this is another host than was asked: check the address, and who is on the way to it"
    if exc.verify_code in (ENDED, NOT_YET):
        return "check the clock of this machine; else it is for the server to mend"
    return "if it is an authority of your site, name its file in SSL_CERT_FILE"
