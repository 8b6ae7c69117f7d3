"""The command, with a thread that notes where all others are; see `bench.profile`."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL = 0.002
DEPTH = 3


def sample(target: Path) -> None:
    """Note all threads' innermost frames until the process ends; write them each second."""
    seen: dict[str, Counter[str]] = {}
    own, last = threading.get_ident(), time.monotonic()
    while True:
        time.sleep(INTERVAL)
        names = {thread.ident: thread.name.partition("-")[0] for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            if ident != own:
                name = names.get(ident, "?")
                seen.setdefault(name, Counter())[_place(frame)] += 1
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            new = target.with_suffix(".new")
            new.write_text(json.dumps(seen))
            new.replace(target)


def _place(frame: FrameType | None) -> str:
    words = []
    while frame is not None and len(words) < DEPTH:
        code = frame.f_code
        words.append(f"{Path(code.co_filename).name}:{code.co_name}")
        frame = frame.f_back
    return " < ".join(words)


if __name__ == "__main__":
    from cadcfs.cli import main

    threading.Thread(
        target=sample, args=(Path(os.environ["SAMPLES"]),), name="sampler", daemon=True
    ).start()
    main()
