"""File names that tell the artifacts of a directory apart."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable

from cadcfs.archive.records import Artifact
from cadcfs.config import NameStyle
from cadcfs.tree.names import file_name

BaseName = Callable[[Artifact], str]


def base_name(artifact: Artifact) -> str:
    return artifact.base_name


def unique_artifacts(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """Each file once: of several planes' it is as public as the most public of them."""
    found: dict[str, Artifact] = {}
    for artifact in artifacts:
        found[artifact.uri] = _more_open(found.get(artifact.uri), artifact)
    return list(found.values())


def named_artifacts(
    artifacts: Iterable[Artifact], names: NameStyle, base: BaseName = base_name
) -> dict[str, Artifact]:
    """Where base names collide, each takes its product ID, whichever order they came in."""
    named = {}
    for plain, group in _grouped(artifacts, base).items():
        if len(group) == 1:
            named[file_name(plain, names)] = group[0]
            continue
        for longer, same in _grouped(group, lambda a: f"{a.product_id}~{base(a)}").items():
            for artifact in same:
                # The same product twice: only the URI is left to tell them apart.
                digest = hashlib.sha256(artifact.uri.encode()).hexdigest()[:8]
                full = longer if len(same) == 1 else f"{artifact.product_id}~{digest}~{plain}"
                named[file_name(full, names)] = artifact
    return named


def _more_open(known: Artifact | None, new: Artifact) -> Artifact:
    if known is None:
        return new
    if new.release is None:
        return known
    return new if known.release is None or new.release < known.release else known


def _grouped(artifacts: Iterable[Artifact], key: BaseName) -> dict[str, list[Artifact]]:
    groups: defaultdict[str, list[Artifact]] = defaultdict(list)
    for artifact in artifacts:
        groups[key(artifact)].append(artifact)
    return groups
