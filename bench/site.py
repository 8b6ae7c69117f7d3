"""What the archive sees of 1,000 nodes, with and without a cache for the site: a simulation.

Discrete and seeded. A night's work is a list of jobs in the order of their times; each runs on one
node and reads some files, popular ones more often (Zipf), whole or in part. A node keeps the
pieces that it read last; the site's cache keeps slices, as nginx asks for them. Nothing is fetched
here: only counted.

    python -m bench.site --nodes 1000 --jobs 20000 --slice 8
"""

from __future__ import annotations

import argparse
import random
from bisect import bisect
from collections import OrderedDict
from dataclasses import dataclass
from itertools import accumulate

PIECES = 300
"""Pieces of 1 MiB of a file: a mosaic of 300 MiB."""
FETCH = 16
"""Pieces in one request of a node that reads on."""


class Cache:
    """Keeps what was asked last, in parts of one size."""

    def __init__(self, parts: int) -> None:
        self._most = parts
        self._here: OrderedDict[tuple[int, int], None] = OrderedDict()

    def ask(self, part: tuple[int, int]) -> bool:
        """True if *part* (file, number) is here; it is afterwards, in any case."""
        hit = part in self._here
        self._here[part] = None
        self._here.move_to_end(part)
        if len(self._here) > self._most:
            self._here.popitem(last=False)
        return hit


@dataclass
class Seen:
    """What the archive is asked for."""

    requests: int = 0
    mebibytes: int = 0


@dataclass(frozen=True)
class Work:
    """How a site works: nodes, jobs, files of the survey; caches and a slice of nginx in MiB."""

    nodes: int = 1000
    jobs: int = 20000
    files: int = 20000
    node_cache: int = 2000
    site_cache: int = 2_000_000
    slice: int = 8
    seed: int = 1


def simulate(work: Work) -> tuple[Seen, Seen]:
    """What the archive sees without a cache for the site, and with one."""
    chance = random.Random(work.seed)
    popularity = list(accumulate(1 / (rank + 1) ** 0.8 for rank in range(work.files)))
    nodes = [Cache(work.node_cache) for _ in range(work.nodes)]
    site, without, with_one = Cache(work.site_cache // work.slice), Seen(), Seen()
    for _ in range(work.jobs):
        node = nodes[chance.randrange(work.nodes)]
        for _ in range(chance.randint(1, 3)):
            file = bisect(popularity, chance.random() * popularity[-1])
            lacking = [p for p in _read(chance, file) if not node.ask(p)]
            without.requests += -(-len(lacking) // FETCH)
            without.mebibytes += len(lacking)
            # nginx asks slice by slice.
            asked = [s for s in _slices(lacking, work.slice) if not site.ask(s)]
            with_one.requests += len(asked)
            with_one.mebibytes += sum(min(work.slice, PIECES - n * work.slice) for _, n in asked)
    return without, with_one


def _slices(pieces: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """The slices that hold *pieces*, in order and each once."""
    return list(dict.fromkeys((file, piece // size) for file, piece in pieces))


def _read(chance: random.Random, file: int) -> list[tuple[int, int]]:
    """The pieces that one job reads of a file: a header, a detector, or all."""
    kind = chance.random()
    if kind < 0.4:
        return [(file, 0)]
    if kind < 0.7:
        begin = chance.randrange(PIECES - 8)
        return [(file, begin + n) for n in range(8)]
    return [(file, n) for n in range(PIECES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("nodes", "jobs", "files", "slice", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Work, name))
    work = Work(**vars(parser.parse_args()))
    for label, seen in zip(("without", "with"), simulate(work), strict=True):
        size = f"{seen.mebibytes / 1024:12,.0f} GiB"
        print(f"{label:8} site cache: {seen.requests:10,d} requests {size}")


if __name__ == "__main__":
    main()
