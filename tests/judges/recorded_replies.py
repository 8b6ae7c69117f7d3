"""Compares the embedded archive's replies with recorded ones of CADC's, in structure.

    python -m tests.judges.recorded_replies DIRECTORY [--data-dir DIR]

DIRECTORY holds the recorded replies: `capabilities/`, `auth/`, `datalink/`, `tap/`, `uws/`. The
recordings are no part of this repository. Every difference is printed: those that are meant with
their reason, the others under "unexplained", and the exit code is 1 if there are any. Each part
says in `COMPARISONS` how it compares, and in `REASONS` which differences are meant.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.judges import replies_auth, replies_client, replies_data, replies_files, replies_tap
from tests.judges.bench import Bench, Comparison, Reasons
from tests.judges.structure import Difference
from tests.rig import running_server

PARTS = (replies_auth, replies_client, replies_data, replies_files, replies_tap)


def main() -> int:
    """Run all comparisons and print what they find."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, help="the recorded replies")
    parser.add_argument("--data-dir", type=Path, help="where the archive is built and kept")
    arguments = parser.parse_args()
    comparisons: list[Comparison] = [each for part in PARTS for each in part.COMPARISONS]
    reasons = {key: why for part in PARTS for key, why in part.REASONS.items()}
    with ExitStack() as stack:
        place = arguments.data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(running_server(place))
        client = stack.enter_context(httpx.Client(follow_redirects=True, timeout=60))
        base = server.registry_url.removesuffix("/reg/resource-caps")
        bench = Bench(arguments.directory, server, client, base)
        found = [each for comparison in comparisons for each in comparison(bench)]
    return _report(found, reasons)


def _report(found: list[Difference], reasons: Reasons) -> int:
    unexplained = []
    for each in sorted(set(found)):
        why = next((why for key, why in reasons.items() if re.match(key, str(each))), None)
        if why is None:
            unexplained.append(each)
        else:
            print(f"{each}\n    {why}")
    print(f"{len(found)} differences, {len(unexplained)} unexplained")
    for each in unexplained:
        print(f"UNEXPLAINED {each}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
