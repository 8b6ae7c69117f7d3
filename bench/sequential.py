"""How long a whole cold file takes through a mount, beside curl from the same origin.

    python -m bench.sequential [ROUNDS]

Serves the embedded archive, reads its largest file cold with curl and through a fresh mount in
turn, then once more on the same mount, and prints medians and ratios.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

URI = "cadc:DAO/dao_p932_1950_000001.fits"
FILE = "collections/DAO/by-observation/dao_p932_1950_000001/dao_p932_1950_000001.fits"
CADCFS = (sys.executable, "-m", "cadcfs")


def seconds(*command: object) -> float:
    """Wall-clock seconds of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def one_round(registry: str, directory: Path, number: int) -> tuple[float, float, float]:
    """Seconds for curl, for a cold read and for a second read."""
    files = registry.replace("/reg/resource-caps", "/raven/files/")
    curl = seconds("curl", "-sfL", "-o", directory / "curl", files + URI)
    where = directory / f"mount{number}"
    where.mkdir()
    seconds(*CADCFS, "mount", "--registry-url", registry, "--cache-dir",
            directory / f"cache{number}", where)  # fmt: skip
    try:
        (where / FILE).stat()
        read = ("dd", f"if={where / FILE}", "of=/dev/null", "bs=1M", "status=none")
        return curl, seconds(*read), seconds(*read)
    finally:
        seconds(*CADCFS, "umount", "--lazy", where)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory(dir=".") as temporary:
        directory = Path(temporary).absolute()
        server = subprocess.Popen(
            [*CADCFS, "demo", "--serve-only", "--data-dir", str(directory / "data")],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert server.stdout is not None
        try:
            registry = server.stdout.readline().strip()
            taken = [one_round(registry, directory, number) for number in range(rounds)]
        finally:
            server.terminate()
            server.wait(10)
    curl, cold, again = (statistics.median(column) for column in zip(*taken, strict=True))
    print(f"curl -o file     {curl:6.3f} s  1.00")
    print(f"cadcfs, cold     {cold:6.3f} s  {cold / curl:.2f}")
    print(f"cadcfs, again    {again:6.3f} s  {again / curl:.2f}")


if __name__ == "__main__":
    main()
