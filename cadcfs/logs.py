"""Where log lines go: standard error in the foreground, a file behind, and a short memory of both.

One line per event that an operator can act on: what, where, what to do. What a kernel request
causes, also in threads and in work that goes on behind, carries its id, which the archive gets as
RUNID (a parameter of all DALI services, and of UWS jobs): a line here finds its query there.

No line and no traceback holds a secret: tokens, passwords and pre-authorised addresses are struck
out on the way.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from logging.handlers import WatchedFileHandler
from pathlib import Path

from cadcfs.errors import UserError

ROOT = "cadcfs"
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s%(tail)s"
LEVELS = ("debug", "info", "warning", "error")
JOURNAL = Path("/run/systemd/journal/socket")
OF_A_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "tail", "run_id"}
LAST_ERRORS = 20
"""Warnings and worse that are told in the status."""


class LogFormat(StrEnum):
    """How log lines are written."""

    text = "text"
    json = "json"
    journal = "journal"


# A variable of the task, which threads and started tasks inherit: no call hands it through.
_cause: ContextVar[object] = ContextVar("cause", default="")


def run_id() -> str:
    """The id of the kernel request or command that caused what runs now; "" for none."""
    return str(_cause.get())


def set_cause(cause: object) -> None:
    """From now on, what this task does is because of *cause*; its text is the id."""
    _cause.set(cause)


@contextmanager
def caused_by(cause: object) -> Iterator[None]:
    """What is done inside is because of *cause*."""
    token = _cause.set(cause)
    try:
        yield
    finally:
        _cause.reset(token)


class _WithCause(logging.Filter):
    """Notes in each record which request caused it."""

    def filter(self, record: logging.LogRecord) -> bool:
        # The first handler asks in the task that logs; what is noted stays.
        if not hasattr(record, "run_id"):
            record.run_id = cause = run_id()
            record.tail = f" [{cause}]" if cause else ""
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}"
            f".{record.msecs:03.0f}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if cause := getattr(record, "run_id", ""):
            told["run_id"] = cause
        told |= {k: v for k, v in vars(record).items() if k not in OF_A_RECORD}
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


SECRETS = (
    # A token is two parts in base64; one of a pre-authorised address stands in the path. Both are
    # long: no name in the archive looks like that.
    re.compile(r"[A-Za-z0-9+=_-]{16,}~[A-Za-z0-9+=_-]{16,}"),
    re.compile(r"(?i)(?<=bearer )[^\s\"',;]+|(?<=basic )[A-Za-z0-9+/=]{4,}"),
    re.compile(r"""(?i)(?<=cadc_sso=)"?[^\s\"';]+"?|(?<=password=)[^\s&\"']+"""),
    re.compile(r"(?i)(?<=://)[^/@\s:]+:[^/@\s]+(?=@)"),
    re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
)
"""What no line may hold."""
STRUCK = "[secret]"


def redacted(text: str) -> str:
    """*text* without secrets."""
    for secret in SECRETS:
        text = secret.sub(STRUCK, text)
    return text


class Redacting(logging.Formatter):
    """Writes what another formatter writes, tracebacks as well, without secrets."""

    def __init__(self, inner: logging.Formatter | None = None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter(LINE)

    def format(self, record: logging.LogRecord) -> str:
        return redacted(self._inner.format(record))


class _Struck(logging.Filter):
    """Strikes secrets out of a record, for a handler that formats by itself (the journal's)."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        record.msg, record.args, record.exc_info = redacted(text), None, None
        return True


class _LogFile(WatchedFileHandler):
    """Opened anew when logrotate has moved it; where it cannot be, lines are lost, and no call."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            super().emit(record)


class RecentLines(logging.Handler):
    """The last lines at INFO and above, for `.cadcfs/log`, and the last that went wrong."""

    def __init__(self, lines: int = 500) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(Redacting())
        self.addFilter(_WithCause())
        self._lines: deque[str] = deque(maxlen=lines)
        self._wrong: deque[str] = deque(maxlen=LAST_ERRORS)
        self.counts: dict[str, int] = {}
        """Lines by level since the start."""

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        self._lines.append(line)
        level = record.levelname.lower()
        self.counts[level] = self.counts.get(level, 0) + 1
        if record.levelno >= logging.WARNING:
            # Without a traceback: the log has it.
            self._wrong.append(line.partition("\n")[0])

    def text(self) -> str:
        return "".join(f"{line}\n" for line in tuple(self._lines))

    def wrong(self) -> list[str]:
        """The last lines at WARNING and above, oldest first."""
        return list(self._wrong)


def start(
    file: Path | None = None, *, level: str = "info", form: LogFormat = LogFormat.text
) -> RecentLines:
    """Send the package's log to *file*, or to standard error without one; or to the journal.

    Raises
    ------
    UserError
        There is no journal, or *file* cannot be written.
    """
    recent = RecentLines()
    handler = _handler(file, form)
    handler.addFilter(_WithCause())
    logger = logging.getLogger(ROOT)
    logger.addHandler(handler)
    logger.addHandler(recent)
    set_level(level)
    return recent


def set_level(level: str) -> None:
    """Log what is at least as serious as *level*; ValueError for a word that is none."""
    if level not in LEVELS:
        raise ValueError(f"{level!r} is none of {', '.join(LEVELS)}")
    logging.getLogger(ROOT).setLevel(level.upper())


def level() -> str:
    return logging.getLevelName(logging.getLogger(ROOT).level).lower()


def _handler(file: Path | None, form: LogFormat) -> logging.Handler:
    handler: logging.Handler
    if form is LogFormat.journal:
        return _journal()
    if file is None:
        handler = logging.StreamHandler()
    else:
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600)
            handler = _LogFile(file)
        except OSError as exc:
            raise UserError(
                f"the log {file} cannot be written ({os.strerror(exc.errno or 0)}); "
                "name another directory with --cache-dir"
            ) from exc
    handler.setFormatter(Redacting(JsonLines() if form is LogFormat.json else None))
    return handler


def _journal() -> logging.Handler:
    if not JOURNAL.is_socket():
        raise UserError(f"there is no journal at {JOURNAL}; choose log_format text or json")
    from logging_journald import Facility, JournaldLogHandler

    handler: logging.Handler = JournaldLogHandler(
        ROOT, Facility.DAEMON, use_message_id=False, socket_path=JOURNAL
    )
    handler.addFilter(_Struck())
    return handler
