"""`python -m scripts.documents`: writes what is made out of the code; --check tells what is old."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts import commands, configuration

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- bench/results.md -->\n", "<!-- end -->\n"


def made() -> dict[Path, str]:
    """What each of these files has to be."""
    top = commands.whole()
    found = {
        ROOT / "docs" / "commands.md": commands.page(top),
        ROOT / "docs" / "configuration.md": configuration.page(),
        ROOT / "docs" / "performance.md": _performance(),
        ROOT / "man" / "cadcfs.1": commands.manual(top, top),
    }
    for command in top.below:
        name = command.name.replace(" ", "-")
        found[ROOT / "man" / f"{name}.1"] = commands.manual(command, top)
    return found


def _performance() -> str:
    """The page with the last results of `make bench` in its middle."""
    results = ROOT / "bench" / "results.md"
    text = (ROOT / "docs" / "performance.md").read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    told = results.read_text() if results.exists() else "(`make bench` was not run yet.)\n"
    title, _, body = told.partition("\n")
    shown = body.strip() if title.startswith("# ") else told.strip()
    return f"{before}{BEGIN}\n{shown}\n\n{END}{after}"


def main() -> None:
    wanted = made()
    superfluous = set((ROOT / "man").glob("*.1")) - set(wanted)
    old = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in (*old, *superfluous):
            print(f"{path.relative_to(ROOT)} is not what the code says", file=sys.stderr)
        sys.exit("make docs writes them anew" if old or superfluous else 0)
    for path in superfluous:
        path.unlink()
    for path in old:
        path.parent.mkdir(exist_ok=True)
        path.write_text(wanted[path])


if __name__ == "__main__":
    main()
