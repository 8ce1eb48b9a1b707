"""XML is read with the bytes at which it stands, and nothing in it can harm."""

from __future__ import annotations

import pytest

from vmio.errors import InputError
from vmio.formats.libvirt.xml import Element, find_attributes, parse_xml
from vmio.model.source import Source


def parse(text: str | bytes) -> tuple[Source, Element]:
    """Returns a text's root."""
    data = text if isinstance(text, bytes) else text.encode()
    source = Source(name="vm.xml", data=data)
    return source, parse_xml(source)


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("<a><b/></a>", "<b/>"),
        ("<a>\n<b ></b >\n</a>", "<b ></b >"),
        ("<é><b x='ü'>ö</b></é>", "<b x='ü'>ö</b>"),
        ("<a>/><b>/></b></a>", "<b>/></b>"),
        ("<a><b><!-- /> --></b></a>", "<b><!-- /> --></b>"),
        ("\ufeff<?xml version='1.0'?><a><b\n/></a>", "<b\n/>"),
        ("<a><b>&lt;c/></b></a>", "<b>&lt;c/></b>"),
        ("<a><b><![CDATA[/>]]></b></a>", "<b><![CDATA[/>]]></b>"),
        ("<a><b><c/></b></a>", "<b><c/></b>"),
    ],
)
def test_element_knows_its_bytes(text: str, inner: str) -> None:
    """An element's span is it, from its first sign to its last, whatever its form."""
    source, root = parse(text)
    assert source.read_span(root.children[0].span) == inner
    assert source.data[root.start : root.end].decode().startswith("<")
    assert source.data[root.end - 1 : root.end] == b">"


def test_attributes_know_their_bytes() -> None:
    """Each attribute is found with its quotes, in any layout."""
    source, root = parse("<a  one='1>'\n\ttwo = \"it's\" thrée='/'/>")
    spans = find_attributes(source, root)
    assert {name: source.read_span(span) for name, span in spans.items()} == {
        "one": "one='1>'",
        "two": 'two = "it\'s"',
        "thrée": "thrée='/'",
    }


BOMB = """<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<domain><name>&b;</name></domain>"""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (BOMB.encode(), "document type"),
        (b"<!DOCTYPE d SYSTEM 'file:///etc/passwd'><domain/>", "document type"),
        (b"<domain><name>&x;</name></domain>", "undefined entity, in line 1"),
        (b"<domain><name>", "no element found"),
        (b"<domain></name>", "mismatched tag"),
        (b"<domain/><domain/>", "junk after document element"),
        (b"<domain a='1' a='2'/>", "duplicate attribute"),
        (b"<domain>\xff</domain>", "not well-formed"),
        (b"<domain>\0</domain>", "not well-formed"),
        ("<domain/>".encode("utf-16"), "UTF-16"),
        (b"<?xml version='1.0' encoding='iso-8859-1'?><domain/>", "iso-8859-1"),
        (b"<a>" * 300, "nests deeper"),
        (b"<a>" + b"<b/>" * 200_001 + b"</a>", "more elements"),
        (b"<a>" + b" " * (16 << 20) + b"</a>", "larger"),
        (b"", "no element"),
    ],
)
def test_bad_xml_is_told_in_one_line(data: bytes, reason: str) -> None:
    """What is no domain of anybody's is refused, and says why."""
    with pytest.raises(InputError, match=reason) as caught:
        parse(data)
    assert "\n" not in caught.value.message


def test_long_text_is_not_copied_for_each_piece() -> None:
    """A text of many pieces costs no more than its length."""
    _, root = parse("<a>" + "x\n" * 500_000 + "</a>")
    assert len(root.text) < 200_000
