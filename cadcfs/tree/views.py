"""The artifacts of a result, sorted into views and named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cadcfs.archive.records import PREVIEWS, Artifact, Row
from cadcfs.config import NameStyle
from cadcfs.tree.artifact_names import named_artifacts, unique_artifacts
from cadcfs.tree.made_views import made_views

VIEWS = ("previews", "auxiliary", "junk", "junk/previews", "junk/auxiliary")
"""Sub-directories of a result with files of the archive, as paths inside it."""


class Views:
    """The artifacts of a result by view and name, from one set of rows."""

    def __init__(self, rows: Sequence[Row], names: NameStyle) -> None:
        self.rows = rows
        sorted_out: defaultdict[str, list[Artifact]] = defaultdict(list)
        for row in rows:
            if row.artifact is not None:
                sorted_out[_view(row.artifact)].append(row.artifact)
        self.files = {
            view: named_artifacts(unique_artifacts(artifacts), names)
            for view, artifacts in sorted_out.items()
        }
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
