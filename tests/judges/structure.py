"""What two documents or replies have in common, apart from their contents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from xml.etree import ElementTree

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """Something that only one side has: `-` only the recorded reply, `+` only ours."""

    where: str
    sign: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.sign} {self.what}"


def differences(where: str, recorded: set[str], ours: set[str]) -> Iterator[Difference]:
    """Yield what only one of two descriptions has; what is in an absent element goes with it."""
    for sign, only in (("-", recorded - ours), ("+", ours - recorded)):
        for what in sorted(only):
            if not any(what.startswith(f"{above}/") for above in only):
                yield Difference(where, sign, what)


def shape(element: ElementTree.Element, named_by: Mapping[str, str] = NOTHING) -> set[str]:
    """Describe an XML document: one path for each element and each attribute in it.

    Namespaces stand without their prefix; `named_by` maps an element's name to the attribute
    whose value tells its instances apart, as `{"capability": "standardID"}`.
    """
    return set(_paths(element, "", named_by))


def _paths(element: ElementTree.Element, above: str, named_by: Mapping[str, str]) -> Iterator[str]:
    name = local(element.tag)
    key = named_by.get(name)
    own = f"{above}/{name}" + (f"[{element.get(key)}]" if key else "")
    yield own
    for attribute in element.attrib:
        yield f"{own}/@{local(attribute)}"
    for child in element:
        yield from _paths(child, own, named_by)


def local(name: str) -> str:
    """Return an XML name without its namespace."""
    return name.rpartition("}")[2]
