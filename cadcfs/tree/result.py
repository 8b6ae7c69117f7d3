"""The directory of one question: its files, its views, and what is told of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

from cadcfs.archive import queries
from cadcfs.archive.records import Artifact, Row
from cadcfs.errors import NotFound
from cadcfs.tree import footprints
from cadcfs.tree.artifact import ArtifactFile
from cadcfs.tree.cutouts import CutoutsDirectory
from cadcfs.tree.documents import documents
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.made import MadeFiles
from cadcfs.tree.made_directory import MadeDirectory
from cadcfs.tree.made_views import HEADERS, MADE_VIEWS
from cadcfs.tree.node import Child, Entries, File, Node, is_file
from cadcfs.tree.selection import Selection
from cadcfs.tree.unlisted import UnlistedFile
from cadcfs.tree.views import VIEWS, Views
from cadcfs.tree.where import WhereDirectory

Asked = Callable[[], Awaitable[None]]
"""Called when a directory without end was asked and had something."""
WHERE = "where"
CUTOUTS = "cutouts"


class ResultDirectory:
    """The directory of a selection, or one of its views.

    Parameters
    ----------
    view
        A path inside the result, "" for the result itself.
    asked
        Hears that the result was listed.
    may_be_empty
        True where a question without an answer is an empty directory, not a missing one.
    """

    # A listing of names has one of these for each of them.
    __slots__ = (
        "_asked", "_catalogue", "_listed", "_may_be_empty", "_view", "_views", "key", "selection",
    )  # fmt: skip

    def __init__(
        self, selection: Selection, key: str, view: str = "",
        asked: Asked | None = None, *, may_be_empty: bool = False,
    ) -> None:  # fmt: skip
        self.key = key
        self.selection = selection
        self._catalogue = selection.catalogue
        self._view = view
        self._asked = asked
        self._may_be_empty = may_be_empty
        self._views: Views | None = None
        self._listed: tuple[Sequence[Row], list[str], Entries] | None = None

    @property
    def adql(self) -> tuple[str, ...]:
        asked = self.selection.question
        metadata = (queries.metadata(asked),) if self.selection.conditions else ()
        return (queries.result(asked), *metadata)

    async def confirm(self) -> None:
        if self._may_be_empty:
            # It is there whatever the answer; who only passes through need not wait for that.
            return
        rows = await self.selection.rows()
        if not rows or (self._view and not (await self._sorted(rows)).has(self._view)):
            raise NotFound(f"{self.key}: the archive has nothing there")

    async def is_known(self) -> bool:
        """True where it is known to be there; never asks the network."""
        rows = await self.selection.known_rows()
        return rows is not None and (self._may_be_empty or bool(rows))

    async def entries(self) -> Entries:
        rows = await self.selection.rows()
        if rows and self._asked is not None:
            await self._asked()
        if not rows and not self._may_be_empty:
            raise NotFound(f"{self.key}: the archive has nothing there")
        told = await self._told(rows)
        # The same answer is listed again and again, and may have a hundred thousand files.
        replaced = str(self._catalogue.reader.replacements)
        made_of = (rows, [replaced, *(node.key for node in told.values())])
        if self._listed is None or self._listed[0] is not rows or self._listed[1] != made_of[1]:
            self._listed = (*made_of, Entries.of(await self._children(rows, told)))
        return self._listed[2]

    async def child(self, name: str) -> Child | None:
        if name in footprints.NAMES and self._has_footprints:
            draw = lambda: self._footprint(name)  # noqa: E731
            return Child(UnlistedFile(f"{self.key}/{name}", draw), certain=False)
        rows = await self.selection.known_rows()
        if rows is None:
            return self._unlisted(name)
        views = await self._sorted(rows)
        artifact = views.files.get(self._view, {}).get(name)
        if artifact is not None:
            return Child(ArtifactFile(self._catalogue.reader, artifact))
        if name in views.subviews(self._view):
            return Child(self._subview(name))
        node = (await self._told(rows)).get(name)
        return None if node is None else Child(node)

    async def _children(self, rows: Sequence[Row], told: Mapping[str, Node]) -> dict[str, Node]:
        views = await self._sorted(rows)
        children: dict[str, Node] = {
            name: ArtifactFile(self._catalogue.reader, artifact)
            for name, artifact in views.files.get(self._view, {}).items()
        }
        children |= {name: self._subview(name) for name in views.subviews(self._view)}
        return children | dict(told)

    async def _told(self, rows: Sequence[Row]) -> dict[str, Node]:
        """What is made out of the rows and files of a result; its views have none of it."""
        if self._view or not rows:
            return {}
        texts = MadeFiles(self._catalogue.workshop.wholes, documents(self.selection, rows), ahead=0)
        made: dict[str, Node] = dict(await texts.entries())
        made |= {name: self._made(name) for name in await self._made_names(rows)}
        return made | {WHERE: self._where()}

    async def named(self) -> Mapping[str, Artifact]:
        """The files of this view by name; may ask the archive."""
        views = await self._sorted(await self.selection.rows())
        return views.files.get(self._view, {})

    async def known_named(self) -> Mapping[str, Artifact] | None:
        """The same from what is known; never asks the network."""
        rows = await self.selection.known_rows()
        return None if rows is None else (await self._sorted(rows)).files.get(self._view, {})

    async def _made_names(self, rows: Sequence[Row]) -> list[str]:
        made = (await self._sorted(rows)).made
        # What can be cut is another question; that there are images in a region is known.
        return [*made, CUTOUTS] if self._has_circle and HEADERS in made else made

    @property
    def _has_circle(self) -> bool:
        return self.selection.question.value_of("region") is not None

    @property
    def _has_footprints(self) -> bool:
        """They open in the result of a region, but are listed in the region alone."""
        return self._has_circle and not self._view and not self.selection.conditions

    async def _footprint(self, name: str) -> File:
        if not await self.selection.rows():
            raise NotFound(f"{self.key}: the archive has nothing there")
        asked = self.selection.question
        heard_ns = self._catalogue.rows(asked).heard_ns
        return await footprints.footprints(self._catalogue, asked, heard_ns).find(name)

    def _made(self, name: str) -> MadeDirectory:
        if name == CUTOUTS:
            return CutoutsDirectory(self.selection, f"{self.key}/{name}")
        return MADE_VIEWS[name](self._catalogue, self, f"{self.key}/{name}")

    def _where(self) -> WhereDirectory:
        def opened(selection: Selection, key: str, asked: Asked) -> ResultDirectory:
            return ResultDirectory(selection, key, asked=asked, may_be_empty=True)

        return WhereDirectory(self.selection, f"{self.key}/{WHERE}", opened)

    def _unlisted(self, name: str) -> Child | None:
        if is_junk(name):
            return None
        if self._path(name) in VIEWS:
            return Child(self._subview(name), certain=False)
        if not self._view and name == WHERE:
            return Child(self._where(), certain=False)
        if not self._view and (name in MADE_VIEWS or (name == CUTOUTS and self._has_circle)):
            return Child(self._made(name), certain=False)
        find = lambda: self._find(name)  # noqa: E731
        return Child(UnlistedFile(f"{self.key}/{name}", find), certain=False)

    async def _find(self, name: str) -> File:
        rows = await self.selection.rows()
        node = (await self._children(rows, await self._told(rows))).get(name)
        if node is None or not is_file(node):
            raise NotFound(f"{self.key}/{name}: no such file at the archive")
        return node

    def _path(self, name: str) -> str:
        return f"{self._view}/{name}" if self._view else name

    def _subview(self, name: str) -> ResultDirectory:
        return ResultDirectory(self.selection, f"{self.key}/{name}", self._path(name))

    async def _sorted(self, rows: Sequence[Row]) -> Views:
        """*rows* by view; made once for each answer, in a thread where there are many."""
        if self._views is None or self._views.rows is not rows:
            names = self._catalogue.names
            if len(rows) < 2000:
                self._views = Views(rows, names)
            else:
                self._views = await trio.to_thread.run_sync(Views, rows, names)
        return self._views
