"""Archive value <-> file name; pure.

A byte that would hurt POSIX, a shell or a FITS program becomes `=XX` (upper-case hexadecimal, as
in quoted-printable). Reversible, but for directory names beyond `CUT` bytes: those end in `=~`
and a hash of the whole value, which is stable.
"""

from __future__ import annotations

import hashlib
import re

from cadcfs.config import NameStyle

NULL_NAME = "=-"
"""The name of NULL and of the empty text."""
CUT = 120
"""Bytes of a directory name; what is longer ends in a hash."""
LONGEST = 255
"""Bytes of any name (NAME_MAX)."""
CUT_MARK = "=~"

_HURTS = frozenset(b"/=%[],@*?$!\\\"'<>|&;`\x7f") | frozenset(range(0x20))
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+:-")
_AS_IT_IS = re.compile(r"[A-Za-z0-9_+:][A-Za-z0-9._+:-]*")
"""Most names: nothing in them hurts."""
_CODE = re.compile(rb"=([0-9A-F]{2})")


def directory_name(value: str | None, style: NameStyle = "archive") -> str:
    """The name of a directory for *value*: one path component of at most `CUT` bytes."""
    return _encoded(value, style, CUT)


def file_name(value: str | None, style: NameStyle = "archive") -> str:
    """The name of a file: one path component of at most `LONGEST` bytes."""
    return _encoded(value, style, LONGEST)


def archive_value(name: str) -> str | None:
    """The value behind *name*; None for NULL.

    Raises
    ------
    ValueError
        A cut name (its value cannot be told), or a `=` that starts no code.
    """
    if name == NULL_NAME:
        return None
    raw = name.encode("utf-8", "surrogateescape")
    decoded = _CODE.sub(lambda m: bytes([int(m[1], 16)]), raw)
    if b"=" in _CODE.sub(b"", raw):
        raise ValueError(f"{name!r} is not a name of this mount: a = without a code")
    return decoded.decode("utf-8")


def typed_value(name: str) -> str | None:
    """The value that somebody means who types *name*, which may be encoded or not.

    None where no value of the archive can be meant: NULL, a cut name, a NUL character, bytes that
    are no UTF-8.
    """
    try:
        value = archive_value(name)
        return None if value is None or "\0" in value else value
    except UnicodeError:
        return None
    except ValueError:
        return None if CUT_MARK in name or not is_utf8(name) else name


def is_utf8(name: str) -> bool:
    return not any("\udc80" <= letter <= "\udcff" for letter in name)


def folded(name: str) -> str:
    """What spellings of one value have in common: case, and `_` for a space."""
    return name.replace("_", " ").casefold()


def underscored(value: str) -> str:
    """*value* with `_` for every byte that is not a plain one: what any program takes.

    source-extractor, for one, cuts its arguments at `=`.
    """
    raw = value.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in _PLAIN else "_" for byte in raw).casefold()


def _encoded(value: str | None, style: NameStyle, longest: int) -> str:
    if not value:
        return NULL_NAME
    if len(value) <= longest and _AS_IT_IS.fullmatch(value):
        return value
    raw = value.encode("utf-8", "surrogateescape")
    name = b"".join(_byte(raw, index, style) for index in range(len(raw)))
    if len(name) > longest:
        name = _cut(name, raw, longest)
    return name.decode("utf-8", "surrogateescape")


def _byte(raw: bytes, index: int, style: NameStyle) -> bytes:
    byte = raw[index]
    if style == "plain":
        hurts = byte not in _PLAIN
    else:
        hurts = byte in _HURTS or (byte == 0x20 and _is_outer_space(raw, index))
    if index == 0 and byte in b".-~":
        hurts = True
    return b"=%02X" % byte if hurts else raw[index : index + 1]


def _is_outer_space(raw: bytes, index: int) -> bool:
    return not raw[:index].strip(b" ") or not raw[index:].strip(b" ")


def _cut(name: bytes, raw: bytes, longest: int) -> bytes:
    digest = hashlib.sha256(raw).hexdigest()[:8].encode()
    keep = longest - len(CUT_MARK) - len(digest)
    # Neither a code nor a character may be cut in two.
    head = re.sub(rb"=[0-9A-F]?$", b"", name[:keep]).decode("utf-8", "ignore").encode()
    return head + CUT_MARK.encode() + digest
