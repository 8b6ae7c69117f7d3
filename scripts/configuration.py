"""The page of all settings, read from `cadcfs/config.py`: what they are called, mean, and are."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

from cadcfs import config

HEAD = """\
# Settings

Made from `cadcfs/config.py` by `make docs`.

Built-in defaults, then `/etc/cadcfs/config.toml`, then `~/.config/cadcfs/config.toml`, then the
environment, then what the command is told; each wins over those before it. A key that is not known
is refused, wherever it stands.

The same setting in all four places:

```toml
# /etc/cadcfs/config.toml or ~/.config/cadcfs/config.toml
cache_size = "200G"
```

```text
CADCFS_CACHE_SIZE=200G cadcfs mount ~/cadc
cadcfs mount ~/cadc -o cache_size=200G
cadc:  /mnt/cadc  fuse.cadcfs  cache_size=200G,_netdev,nofail  0  0       (in /etc/fstab)
```

Sizes are numbers of bytes, or `64M`, `1.5G`, `2T` in powers of 1024. Times are seconds. What is
true or false may be written `true`, `yes`, `1`, or with `-o` the bare key.

"""
SIZES = frozenset({"cache_size", "cache_free"})


def page() -> str:
    """All settings as Markdown, in the order of the module."""
    told = _docstrings()
    defaults = config.Settings()
    parts = [HEAD]
    for field in fields(config.Settings):
        default = _shown(field.name, getattr(defaults, field.name))
        environment = f"`CADCFS_{field.name.upper()}`"
        text = " ".join(told.get(field.name, "").split())
        parts.append(
            f"## `{field.name}`\n\n{text}\n\nDefault: {default} · environment: {environment}\n\n"
        )
    return "".join(parts).rstrip() + "\n"


def _docstrings() -> dict[str, str]:
    """The text below each field of `Settings`."""
    tree = ast.parse(Path(config.__file__).read_text())
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Settings")
    told = {}
    for field, text in zip(found.body, found.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        ):  # fmt: skip
            told[field.target.id] = str(text.value.value)
    return told


def _shown(name: str, value: object) -> str:
    if name in SIZES and isinstance(value, int):
        return f"`{value >> 30}G`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, Path):
        home = str(Path.home())
        return f"`{str(value).replace(home, '~', 1)}`"
    words = str(value).split()
    if not words:
        return "none"
    return ", ".join(f"`{word}`" for word in words)
