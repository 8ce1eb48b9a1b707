"""XML as elements with the bytes at which they stand, with nothing in it that can harm.

A document type is refused as a whole, so that no entity can be defined that grows or that reads a
file; what is left is bounded in size, depth and number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from xml.parsers import expat

from msgspec import Struct, field

from vmio.errors import InputError
from vmio.model.source import Source, Span
from vmio.patterns import compile_late

__all__ = ["Element", "find_attributes", "parse_xml"]

_MAX_BYTES: Final = 16 * 1024 * 1024
_MAX_DEPTH: Final = 256
"""Source: libxml2, xmlParserMaxDepth, by which libvirt reads."""
_MAX_ELEMENTS: Final = 200_000
_MAX_ATTRIBUTES: Final = 1_000
"""Of one element."""
_MAX_TEXT: Final = 65_536
"""Characters of an element's text that are kept: expat hands out pieces."""
_MAX_SHOWN: Final = 80
_ENCODINGS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_ATTRIBUTE = compile_late(rb"""\s++([^\s=<>/'"]++)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


class Element(Struct, kw_only=True, gc=False):
    """One element, and where it stands; it is filled while the text is read."""

    name: str
    attributes: Mapping[str, str]
    start: int
    """The byte of its `<`."""
    end: int = 0
    """The byte behind its last `>`."""
    text: str = ""
    """What is written in it before its first child."""
    children: list[Element] = field(default_factory=list)

    @property
    def span(self) -> Span:
        """Where the whole of it is written."""
        return Span(self.start, self.end)

    def get(self, name: str) -> str | None:
        """Returns an attribute, None if it is not written."""
        return self.attributes.get(name)

    def find(self, name: str) -> Element | None:
        """Returns the first child of a name."""
        for child in self.children:
            if child.name == name:
                return child
        return None

    def find_all(self, name: str) -> Iterator[Element]:
        """Yields the children of a name."""
        return (child for child in self.children if child.name == name)

    def find_path(self, *names: str) -> Element | None:
        """Returns the first child of the first child and so on."""
        found: Element | None = self
        for name in names:
            if found is None:
                return None
            found = found.find(name)
        return found


class _Reader:
    """Builds the tree while expat goes through the text."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.root: Element | None = None
        self.open: list[Element] = []
        self.count = 0
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self.check_declaration
        self.parser.StartDoctypeDeclHandler = self.refuse_doctype
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.add_text

    def check_declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise InputError(
                f"{self.source.name} is XML in {encoding[:_MAX_SHOWN]}, and vmio reads it in"
                " UTF-8 only"
            )

    def refuse_doctype(self, *_arguments: object) -> None:
        raise InputError(
            f"{self.source.name} has a document type (<!DOCTYPE>), which no domain has: it can"
            " define entities"
        )

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > _MAX_ELEMENTS or len(attributes) > _MAX_ATTRIBUTES:
            raise InputError(f"{self.source.name} has more elements or attributes than any domain")
        if len(self.open) >= _MAX_DEPTH:
            raise InputError(f"{self.source.name} nests deeper than libvirt reads ({_MAX_DEPTH})")
        element = Element(name=name, attributes=attributes, start=self.parser.CurrentByteIndex)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, _name: str) -> None:
        element, place, data = self.open.pop(), self.parser.CurrentByteIndex, self.source.data
        # Of <a/> expat tells the byte behind it, of <a></a> that of the end tag.
        is_empty = not element.children and not element.text and data[place - 2 : place] == b"/>"
        element.end = place if is_empty else data.find(b">", place) + 1

    def add_text(self, text: str) -> None:
        element = self.open[-1]
        if not element.children and len(element.text) < _MAX_TEXT:
            element.text += text


def parse_xml(source: Source) -> Element:
    """Returns the root of an XML text.

    Raises:
        InputError: It is no XML, or more of it than any domain has.
    """
    if len(source.data) > _MAX_BYTES:
        raise InputError(f"{source.name} is larger than any domain ({_MAX_BYTES >> 20} MiB)")
    if source.data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise InputError(f"{source.name} is XML in UTF-16, and vmio reads it in UTF-8 only")
    reader = _Reader(source)
    try:
        reader.parser.Parse(source.data, True)  # noqa: FBT003 - expat takes it by place only
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code) or "it is not well formed"
        raise InputError(
            f"{source.name} is no XML: {reason}, in line {error.lineno}, column {error.offset + 1}"
        ) from error
    finally:
        # The parser refers to the reader's functions, and they to the parser.
        reader.parser.StartElementHandler = reader.parser.EndElementHandler = None
        reader.parser.CharacterDataHandler = reader.parser.XmlDeclHandler = None
        reader.parser.StartDoctypeDeclHandler = None
    if reader.root is None:
        raise InputError(f"{source.name} is no XML: it has no element")
    return reader.root


def find_attributes(source: Source, element: Element) -> dict[str, Span]:
    """Returns where the attributes of an element stand, each with its name and quotes."""
    if not element.attributes:
        return {}
    found = {}
    place = element.start + 1 + len(element.name.encode())
    while match := _ATTRIBUTE.match(source.data, place):
        found[match[1].decode("utf-8", "replace")] = Span(match.start(1), match.end())
        place = match.end()
    return found
