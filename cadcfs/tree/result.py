"""The directory of one question: its files, and its views (previews, auxiliary, junk)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import trio

from cadcfs.archive.constraints import Question
from cadcfs.archive.records import PREVIEWS, THIS, Artifact, Row
from cadcfs.config import NameStyle
from cadcfs.errors import NotFound
from cadcfs.tree.artifact import ArtifactFile, UnlistedFile
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.made_directory import MadeDirectory
from cadcfs.tree.made_views import MADE_VIEWS, made_views
from cadcfs.tree.names import file_name
from cadcfs.tree.node import Child, Entries, Node

VIEWS = ("previews", "auxiliary", "junk", "junk/previews", "junk/auxiliary")
"""Sub-directories of a result, as paths inside it; those without content are absent."""


Asked = Callable[[], Awaitable[None]]
"""Called when a directory without end was asked and had something."""


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


class ResultDirectory:
    """A question's directory, or one of its views."""

    def __init__(
        self, catalogue: Catalogue, question: Question, key: str, view: str = "",
        asked: Asked | None = None, *, may_be_empty: bool = False,
    ) -> None:  # fmt: skip
        self.key = key
        self._asked = asked
        self._may_be_empty = may_be_empty
        self._catalogue = catalogue
        self.question = question
        self._view = view
        self._views: Views | None = None

    async def confirm(self) -> None:
        rows = await self._catalogue.rows(self.question)
        if self._may_be_empty:
            return
        if not rows or (self._view and not (await self._sorted(rows)).has(self._view)):
            raise NotFound(f"{self.key}: the archive has nothing there")

    async def entries(self) -> Entries:
        rows = await self._catalogue.rows(self.question)
        if rows and self._asked is not None:
            await self._asked()
        if not rows and not self._may_be_empty:
            raise NotFound(f"{self.key}: the archive has nothing there")
        views = await self._sorted(rows)
        children: dict[str, Node] = {
            name: ArtifactFile(self._catalogue, artifact)
            for name, artifact in views.files.get(self._view, {}).items()
        }
        children |= {name: self._subview(name) for name in views.subviews(self._view)}
        children |= {name: self._made(name) for name in self._made_names(views)}
        return Entries.of(children)

    async def child(self, name: str) -> Child | None:
        rows = await self._catalogue.known_rows(self.question)
        if rows is None:
            return self._unlisted(name)
        views = await self._sorted(rows)
        if name in views.subviews(self._view):
            return Child(self._subview(name))
        if name in self._made_names(views):
            return Child(self._made(name))
        artifact = views.files.get(self._view, {}).get(name)
        return None if artifact is None else Child(ArtifactFile(self._catalogue, artifact))

    def _unlisted(self, name: str) -> Child | None:
        if is_junk(name):
            return None
        if self._path(name) in VIEWS:
            return Child(self._subview(name), certain=False)
        if not self._view and name in MADE_VIEWS:
            return Child(self._made(name), certain=False)
        find = lambda: self._find(name)  # noqa: E731
        return Child(UnlistedFile(f"{self.key}/{name}", find), certain=False)

    async def named(self) -> Mapping[str, Artifact]:
        """The files of this view by name; may ask the archive."""
        views = await self._sorted(await self._catalogue.rows(self.question))
        return views.files.get(self._view, {})

    async def known_named(self) -> Mapping[str, Artifact] | None:
        """The same from what is known; never asks the network."""
        rows = await self._catalogue.known_rows(self.question)
        return None if rows is None else (await self._sorted(rows)).files.get(self._view, {})

    def _made_names(self, views: Views) -> Sequence[str]:
        return () if self._view else views.made

    def _made(self, name: str) -> MadeDirectory:
        return MADE_VIEWS[name](self._catalogue, self, f"{self.key}/{name}")

    async def _find(self, name: str) -> ArtifactFile:
        views = await self._sorted(await self._catalogue.rows(self.question))
        artifact = views.files.get(self._view, {}).get(name)
        if artifact is None:
            raise NotFound(f"{self.key}/{name}: no such file at the archive")
        return ArtifactFile(self._catalogue, artifact)

    def _path(self, name: str) -> str:
        return f"{self._view}/{name}" if self._view else name

    def _subview(self, name: str) -> ResultDirectory:
        return ResultDirectory(
            self._catalogue, self.question, f"{self.key}/{name}", self._path(name)
        )

    async def _sorted(self, rows: Sequence[Row]) -> Views:
        """*rows* by view; made once for each answer, in a thread where there are many."""
        if self._views is None or self._views.rows is not rows:
            names = self._catalogue.names
            if len(rows) < 2000:
                self._views = Views(rows, names)
            else:
                self._views = await trio.to_thread.run_sync(Views, rows, names)
        return self._views


def _view(artifact: Artifact) -> str:
    if artifact.product_type in THIS:
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
