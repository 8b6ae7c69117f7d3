"""What the command takes, read from the command itself: as a page of docs/, and as man pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from cadcfs import __version__
from cadcfs.cli import app

EXIT = (
    "0 done; 1 failed, and one sentence on standard error says why (`doctor`: there is a problem; "
    "`cache verify`: something was damaged; `fetch`: some file did not come; `jobs wait`: the job "
    "is not COMPLETED); 2 wrong usage; 130 ended by ^C."
)
HEAD = (
    "Made from the command's own help by `make docs`. `cadcfs COMMAND --help` says the same; there "
    "is a man page for each."
)
TYPERS_OWN = frozenset({"help", "show_completion", "install_completion"})
FILES = (
    ("~/.config/cadcfs/config.toml", "Settings; /etc/cadcfs/config.toml for everybody."),
    ("~/.cache/cadcfs/", "What was listed and read, jobs and their results, and cadcfs.log."),
    ("~/.local/state/cadcfs/logins/", "What `cadcfs login` leaves for mounts."),
)


@dataclass(frozen=True)
class Command:
    """A command, or a group of them."""

    name: str
    help: str
    epilog: str
    arguments: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]
    below: tuple[Command, ...]

    @property
    def synopsis(self) -> str:
        words = [self.name, *(["[OPTIONS]"] if self.options else [])]
        words += ["COMMAND ..."] if self.below else [name for name, _ in self.arguments]
        return " ".join(words)


def whole() -> Command:
    """`cadcfs` itself."""
    return _read("cadcfs", typer.main.get_command(app))


def _read(name: str, command: Any) -> Command:  # noqa: ANN401  (typer's own classes are private)
    arguments, options = [], []
    for parameter in command.params:
        if getattr(parameter, "hidden", False) or parameter.name in TYPERS_OWN:
            continue
        text = " ".join((parameter.help or "").split())
        if parameter.param_type_name == "argument":
            shown = (parameter.metavar or parameter.name).upper() + "..." * (parameter.nargs != 1)
            arguments.append((shown if parameter.required else f"[{shown}]", text))
        else:
            options.append((_spelled(parameter), text))
    below = getattr(command, "commands", None)
    names = sorted(below) if isinstance(below, dict) else []
    if not names and hasattr(command, "list_commands"):
        names = command.list_commands(None)
    return Command(
        name, _plain(command.help), _plain(command.epilog), tuple(arguments), tuple(options),
        tuple(_read(f"{name} {n}", command.get_command(None, n)) for n in names),
    )  # fmt: skip


def _spelled(option: Any) -> str:  # noqa: ANN401
    spelled = ", ".join(option.opts)
    if option.secondary_opts:
        spelled += f" / {', '.join(option.secondary_opts)}"
    if option.is_flag:
        return spelled
    return f"{spelled} {option.metavar or option.name.upper()}"


def _plain(text: str | None) -> str:
    """Paragraphs, each on one line; without the marks of typer's rewrapping."""
    paragraphs = re.split(r"\n\s*\n", (text or "").replace("\b", ""))
    return "\n\n".join(" ".join(p.split()) for p in paragraphs if p.strip())


def each(command: Command) -> Iterator[Command]:
    """*command* and all below it."""
    yield command
    for other in command.below:
        yield from each(other)


def page(command: Command) -> str:
    """All of it as Markdown."""
    lines = [
        "# The command", "",
        HEAD, "",
        f"Exit codes: {EXIT}", "",
    ]  # fmt: skip
    for one in each(command):
        lines += [f"## {one.name}", "", "```text", one.synopsis, "```", ""]
        lines += [*(_escaped(line) for line in one.help.splitlines()), ""]
        for named in (one.arguments, one.options):
            lines += [f"- `{name}`{f': {_escaped(text)}' if text else ''}" for name, text in named]
            lines += [""] if named else []
        if one.below:
            lines += [f"- `{b.name}`: {_escaped(b.help.splitlines()[0])}" for b in one.below] + [""]
        lines += [_escaped(line) for line in one.epilog.splitlines()] + [""] * bool(one.epilog)
    return "\n".join(lines).rstrip() + "\n"


def manual(command: Command, top: Command) -> str:
    """A man page (man-pages(7)) in roff: of `cadcfs`, or of one command and what is below it."""
    name = command.name.replace(" ", "-")
    short = command.help.splitlines()[0].rstrip(".")
    lines = [
        f'.TH {name.upper()} 1 "" "cadcfs {__version__}" "User Commands"',
        ".SH NAME", rf"{_roff(name)} \- {_roff(short)}",
        ".SH SYNOPSIS", f".B {_roff(command.synopsis)}",
        ".SH DESCRIPTION", *_paragraphs(command.help),
    ]  # fmt: skip
    lines += _named("ARGUMENTS", command.arguments) + _named("OPTIONS", command.options)
    if command.below:
        lines.append(".SH COMMANDS")
        for below in command.below:
            lines += [".TP", f".B {_roff(below.synopsis)}", *_paragraphs(below.help, ".IP")]
            if command is not top:
                lines += [
                    line for name, text in (*below.arguments, *below.options)
                    for line in (".RS", ".TP", f".B {_roff(name)}", _roff(text), ".RE")
                ]  # fmt: skip
    if command.epilog:
        lines += [".SH NOTES", *_paragraphs(command.epilog)]
    lines += [".SH EXIT STATUS", _roff(EXIT)]
    if command is top:
        lines += _named("FILES", FILES)
    others = [b.name.replace(" ", "-") for b in top.below if b is not command]
    also = others if command is top else ["cadcfs"]
    lines += [".SH SEE ALSO", ", ".join(f"\\fB{_roff(name)}\\fP(1)" for name in also)]
    return "\n".join(lines) + "\n"


def _named(title: str, named: tuple[tuple[str, str], ...]) -> list[str]:
    if not named:
        return []
    lines = [f".SH {title}"]
    for name, text in named:
        lines += [".TP", f".B {_roff(name)}", _roff(text) or "\\&"]
    return lines


def _paragraphs(text: str, between: str = ".PP") -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines += [*([between] if lines else []), *(_roff(line) for line in paragraph.splitlines())]
    return lines


def _roff(text: str) -> str:
    text = text.replace("`", "").replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


def _escaped(text: str) -> str:
    """Markdown without accidents: `<`, `*` and `_` outside of code."""
    parts = text.split("`")
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([<*_])", r"\\\1", parts[i])
    return "`".join(parts)
