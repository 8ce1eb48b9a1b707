"""The parts of a domain that vmio knows are those of libvirt's schema, where it is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from vmio.formats.libvirt.parts import PARTS
from vmio.formats.libvirt.xml import Element, parse_xml
from vmio.model.source import Source

SCHEMAS = Path("/usr/share/libvirt/schemas")

pytestmark = pytest.mark.skipif(
    not (SCHEMAS / "domain.rng").is_file(), reason="libvirt's schemas are not installed"
)


class Schema:
    """The definitions of a RELAX NG schema and of all that it includes."""

    def __init__(self, name: str) -> None:
        self.definitions: dict[str, list[Element]] = {}
        self.start: list[Element] = []
        self._load(name, set())

    def _load(self, name: str, seen: set[str]) -> None:
        if name in seen:
            return
        seen.add(name)
        data = (SCHEMAS / name).read_bytes()
        for node in list_all(parse_xml(Source(name=name, data=data))):
            if node.name == "include":
                self._load(node.attributes["href"], seen)
            elif node.name == "define":
                self.definitions.setdefault(node.attributes["name"], []).append(node)
            elif node.name == "start" and len(seen) == 1:
                self.start.append(node)

    def list_parts(
        self, nodes: Iterable[Element], followed: frozenset[str] = frozenset()
    ) -> Iterator[tuple[str, str, Element]]:
        """Yields the attributes and elements that stand directly in some nodes."""
        for node in nodes:
            name = node.get("name") or ""
            if node.name in {"attribute", "element"}:
                for each in [name] if name else list_names(node):
                    yield node.name, each, node
            elif node.name != "ref":
                yield from self.list_parts(node.children, followed)
            elif name not in followed:
                for definition in self.definitions[name]:
                    yield from self.list_parts(definition.children, followed | {name})

    def find(self, path: str) -> list[Element]:
        """Returns every element that stands at a path."""
        found = self.start
        for name in path.split("/"):
            inner = [part for node in found for part in self.list_parts(node.children)]
            found = [node for kind, each, node in inner if (kind, each) == ("element", name)]
        return found


def list_all(node: Element) -> Iterator[Element]:
    """Yields a node and all below it."""
    yield node
    for child in node.children:
        yield from list_all(child)


def list_names(node: Element) -> list[str]:
    """Returns the names that a choice of them allows."""
    return [each.text.strip() for each in list_all(node.children[0]) if each.name == "name"]


@pytest.fixture(scope="module")
def schema() -> Schema:
    """Returns the schema of domains."""
    return Schema("domain.rng")


@pytest.mark.parametrize("path", PARTS)
def test_part_has_what_the_schema_allows(path: str, schema: Schema) -> None:
    """An element can have the attributes and the elements that libvirt's schema has for it."""
    allowed = {
        f"<{name}>" if kind == "element" else name
        for element in schema.find(path)
        for kind, name, _ in schema.list_parts(element.children)
    }
    assert PARTS[path] == allowed
