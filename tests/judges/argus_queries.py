"""Asks the embedded archive what CADC's own integration tests ask argus.

    python -m tests.judges.argus_queries DIRECTORY [--data-dir DIR]

DIRECTORY holds one file a query, with lines `PARAMETER=value`; its name says how the service must
answer: `SyncResultTest-...`, `SyncErrorTest-...`, and the same for `Async`. The files are no part
of this repository. Exit code 1 if any answer is not as the name says.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree

import httpx

from tests.rig import running_server

_UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"


def main() -> int:
    """Ask everything and print what did not behave."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, help="the queries")
    parser.add_argument("--data-dir", type=Path, help="where the archive is built and kept")
    arguments = parser.parse_args()
    wrong = asked = 0
    with ExitStack() as stack:
        place = arguments.data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(running_server(place))
        base = server.registry_url.removesuffix("/reg/resource-caps")
        client = stack.enter_context(
            httpx.Client(base_url=base, follow_redirects=True, timeout=120)
        )
        for path in sorted(arguments.directory.glob("*.properties")):
            asked += 1
            taken, detail = _ask(client, path)
            expected = "ResultTest" in path.name
            if taken != expected:
                wrong += 1
                print(f"{path.stem}: {'taken' if taken else 'refused'}: {detail}")
            elif not taken:
                print(f"{path.stem}: refused, as it must: {detail}")
    print(f"{asked} queries, {wrong} not as their names say")
    return 1 if wrong or not asked else 0


def _ask(client: httpx.Client, path: Path) -> tuple[bool, str]:
    lines = (line.partition("=") for line in path.read_text().splitlines())
    form = {key.strip(): value.strip() for key, _, value in lines if not key.startswith("expect:")}
    form.pop("", None)
    if path.name.startswith("Async"):
        return _ask_async(client, form)
    reply = client.post("/argus/sync", data=form)
    return reply.status_code == 200, _info(reply.content)


def _ask_async(client: httpx.Client, form: dict[str, str]) -> tuple[bool, str]:
    job = str(client.post("/argus/async", data=form).url)
    client.post(f"{job}/phase", data={"PHASE": "RUN"})
    while True:
        document = ElementTree.fromstring(client.get(job, params={"WAIT": "30"}).content)
        phase = document.findtext(f"{_UWS}phase")
        if phase == "COMPLETED":
            return True, _info(client.get(f"{job}/results/result").content)
        if phase in ("ERROR", "ABORTED"):
            return False, str(document.findtext(f"{_UWS}errorSummary/{_UWS}message"))


def _info(content: bytes) -> str:
    root = ElementTree.fromstring(content)
    texts = [
        str(info.text)
        for info in root.iter()
        if info.tag.endswith("INFO") and info.get("value") == "ERROR"
    ]
    return " ".join(texts)


if __name__ == "__main__":
    sys.exit(main())
