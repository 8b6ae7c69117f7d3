"""`python -m scripts.release`: wheel and sdist in dist/, built twice and the same; what is in them.

Beside them go the components (CycloneDX) and licences of what an installation consists of.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from cadcfs import __version__

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
TOOLS = ("cyclonedx-bom==7.5.0", "pip-licenses==5.5.5")


def main() -> None:
    check_tag(git("tag", "--points-at", "HEAD").split())
    shutil.rmtree(DIST, ignore_errors=True)
    first, second = build(DIST), None
    with tempfile.TemporaryDirectory() as other:
        second = build(Path(other))
    if first != second:
        sys.exit(f"two builds differ: {first} and {second}")
    if "--components" in sys.argv:
        describe_components()
    for path in sorted(DIST.iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")


def check_tag(tags: list[str]) -> None:
    """A commit with a version's tag is that version."""
    versions = [tag for tag in tags if tag.startswith("v")]
    if versions and f"v{__version__}" not in versions:
        sys.exit(f"the tag says {', '.join(versions)}, cadcfs/__init__.py {__version__}")


def build(target: Path) -> dict[str, str]:
    """The digests of wheel and sdist, by name; times in them are the commit's."""
    epoch = git("log", "-1", "--format=%ct").strip() or "1577836800"
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", target, ROOT],
        check=True, stdout=subprocess.DEVNULL, env=os.environ | {"SOURCE_DATE_EPOCH": epoch},
    )  # fmt: skip
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in target.iterdir()}


def describe_components() -> None:
    """What an installation of the wheel consists of, asked of an installation."""
    (wheel,) = DIST.glob("*.whl")
    with tempfile.TemporaryDirectory() as root:
        user, tools = Path(root, "user"), Path(root, "tools")
        lock = ROOT / "requirements.lock"
        pip_into(user, "-c", str(lock), f"{wheel}[demo,moc]")
        pip_into(tools, *TOOLS)
        python = user / "bin" / "python"
        subprocess.run(
            [tools / "bin" / "cyclonedx-py", "environment", "--output-reproducible",
             "--output-file", DIST / f"cadcfs-{__version__}.cdx.json", python],
            check=True,
        )  # fmt: skip
        subprocess.run(
            [tools / "bin" / "pip-licenses", f"--python={python}", "--format=markdown",
             "--order=name", "--with-urls", f"--output-file={DIST / 'LICENSES.md'}"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip


def pip_into(place: Path, *what: str) -> None:
    venv.create(place, with_pip=True)
    pip = [place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *what], check=True)


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout


if __name__ == "__main__":
    main()
