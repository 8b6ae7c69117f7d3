"""The artifacts of a result, sorted into views and named."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from cadcfs.archive.records import PREVIEWS, Artifact, Row
from cadcfs.config import NameStyle
from cadcfs.tree.made_views import made_views
from cadcfs.tree.names import file_name

VIEWS = ("previews", "auxiliary", "junk", "junk/previews", "junk/auxiliary")
"""Sub-directories of a result with files of the archive, as paths inside it."""


class Views:
    """The artifacts of a result by view and name, from one set of rows."""

    def __init__(self, rows: Sequence[Row], names: NameStyle) -> None:
        self.rows = rows
        sorted_out: defaultdict[str, dict[str, Artifact]] = defaultdict(dict)
        for row in rows:
            if row.artifact is not None:
                view = sorted_out[_view(row.artifact)]
                view[row.artifact.uri] = _more_open(view.get(row.artifact.uri), row.artifact)
        self.files = {v: _named(uris.values(), names) for v, uris in sorted_out.items()}
        self.made = made_views(self.files.get("", {}))

    def subviews(self, view: str) -> list[str]:
        """Names of the views with content right below *view*."""
        prefix = f"{view}/" if view else ""
        below = {v[len(prefix) :].split("/")[0] for v in self.files if v.startswith(prefix)}
        return sorted(below - {""} - ({view} if not prefix else set()))

    def has(self, view: str) -> bool:
        return view in self.files or bool(self.subviews(view))


def _view(artifact: Artifact) -> str:
    if artifact.is_this:
        view = ""
    elif artifact.product_type in PREVIEWS:
        view = "previews"
    else:
        view = "auxiliary"
    return "/".join(filter(None, ("junk" if artifact.junk else "", view)))


def _more_open(known: Artifact | None, new: Artifact) -> Artifact:
    """One file may belong to several planes; it is as public as the most public of them."""
    if known is None:
        return new
    if new.release is None:
        return known
    return new if known.release is None or new.release < known.release else known


def _named(artifacts: Iterable[Artifact], names: NameStyle) -> dict[str, Artifact]:
    """Names that tell all artifacts apart: where base names collide, each takes its product ID."""
    plain = _grouped(artifacts, lambda a: a.base_name)
    named = {}
    for base, group in plain.items():
        if len(group) == 1:
            named[file_name(base, names)] = group[0]
            continue
        for longer, same in _grouped(group, lambda a: f"{a.product_id}~{a.base_name}").items():
            for artifact in same:
                # The same product twice: only the URI is left to tell them apart.
                digest = hashlib.sha256(artifact.uri.encode()).hexdigest()[:8]
                full = longer if len(same) == 1 else f"{artifact.product_id}~{digest}~{base}"
                named[file_name(full, names)] = artifact
    return named


def _grouped(
    artifacts: Iterable[Artifact], key: Callable[[Artifact], str]
) -> dict[str, list[Artifact]]:
    groups: defaultdict[str, list[Artifact]] = defaultdict(list)
    for artifact in artifacts:
        groups[key(artifact)].append(artifact)
    return groups
