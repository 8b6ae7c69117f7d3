"""No line of a log, and no traceback below it, holds a secret."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from cadcfs.archive.addresses import without_leave
from cadcfs.logs import Redacting, redacted, start

TOKEN = "dXNlcklEPWRlbW8mZXhwaXJ5dGltZT0xNzY0~" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo_-" * 8
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"http://127.0.0.1/minoc/files/{TOKEN}/cadc:CFHT/x.fits: HTTP 403", TOKEN),
        (f"Authorization: Bearer {TOKEN}", TOKEN),
        ("authorization: bearer short-token", "short-token"),
        ("Authorization: Basic ZGVtbzpkZW1v", "ZGVtbzpkZW1v"),
        (f'Cookie: CADC_SSO="{TOKEN}"; a=b', TOKEN),
        ("CADC_SSO=plain; a=b", "plain"),
        ("username=demo&password=hush%21&scope=x", "hush"),
        ("https://demo:hush@ws-cadc.canfar.net/x", "hush"),
        (f"read {KEY} from a file", "MIGHAgEAMBMGByqGSM49"),
    ],
)
def test_secrets_are_struck_out(text: str, secret: str) -> None:
    assert secret not in redacted(text)
    assert "[secret]" in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "ENOENT: /collections/CFHT/by-target/M31: the archive has nothing there",
        "asking https://ws-cadc.canfar.net/argus/sync: SELECT a.uri FROM caom2.Artifact",
        "cadc:NGVS/NGVSJ12:30:15.76+12:59:54.0_U.fits is proprietary, public from 2029-01-01",
        "https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/reg/resource-caps: HTTP 503",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_tracebacks_hold_no_secret(tmp_path: Path) -> None:
    try:
        raise ValueError(f"https://x/minoc/files/{TOKEN}/cadc:A/b.fits")
    except ValueError:
        record = logging.LogRecord("cadcfs", logging.ERROR, "", 0, "%s", (TOKEN,), sys.exc_info())
    written = Redacting(logging.Formatter("%(message)s")).format(record)
    assert "Traceback" in written
    assert TOKEN not in written


def test_a_log_file_is_for_its_owner_alone_and_holds_no_secret(tmp_path: Path) -> None:
    logger = logging.getLogger("cadcfs")
    before = list(logger.handlers), logger.level
    recent = start(tmp_path / "new" / "cadcfs.log")
    try:
        logger.info("going to %s", f"http://x/files/{TOKEN}/cadc:A/b")
    finally:
        for handler in set(logger.handlers) - set(before[0]):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(before[1])
    file = tmp_path / "new" / "cadcfs.log"
    assert "going to http://x/files/[secret]/cadc:A/b" in file.read_text()
    assert "[secret]" in recent.text()
    assert TOKEN not in file.read_text() + recent.text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_addresses_that_let_in_are_shown_without_what_lets_in() -> None:
    plain = "https://ws-uv.canfar.net/minoc/files/noao:tu636792.fits.fz"
    assert without_leave(plain) == plain
    assert without_leave(plain.replace("/files/", f"/files/{TOKEN}/")) == plain
