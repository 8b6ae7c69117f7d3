"""What is to go wrong in `cadcfs demo`: what the options say, and what their help tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cadcfs.demo.faults.kinds import FILTERS, KINDS, Option
from cadcfs.errors import UserError

if TYPE_CHECKING:
    from cadcfs.demo.faults.rules import Fault


def short_forms(like_cadc: bool, latency: float, bandwidth: float) -> Iterator[str]:
    if like_cadc:
        yield "like-cadc"
    if latency:
        yield f"latency seconds={latency}"
    if bandwidth:
        yield f"bandwidth rate={bandwidth}"


def faults_of(texts: Sequence[str]) -> tuple[Fault, ...]:
    if not texts:
        return ()
    from cadcfs.demo.faults.kinds import FaultError
    from cadcfs.demo.faults.rules import Fault

    try:
        return tuple(Fault.from_text(text) for text in texts)
    except FaultError as exc:
        raise UserError(f"--fault: {exc}") from exc


def faults_help() -> str:
    """Tell in the help of the command what can go wrong, one paragraph a kind."""
    told = [_FAULTS_HEAD]
    for name, kind in KINDS.items():
        told.append(f"{name}: {kind.help}." + (f" {_told(kind.options)}." if kind.options else ""))
    told.append(f"Any of them also takes {_told(FILTERS)}.")
    return "\n\n".join(told)


_FAULTS_HEAD = (
    "Faults, as in --fault 'reset path=/minoc/ after=1000 count=1', or as JSON at /demo/faults"
    " while it runs (GET, POST, DELETE):"
)


def _told(options: Mapping[str, Option]) -> str:
    return "; ".join(f"{name}: {option.help}{_default(option)}" for name, option in options.items())


def _default(option: Option) -> str:
    if option.required or option.default == "":
        return ""
    value = option.default
    return f" ({value:g})" if isinstance(value, float) else f" ({value})"
