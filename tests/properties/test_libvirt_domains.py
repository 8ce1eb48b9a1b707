"""Whatever a person or a daemon writes: an address, a text and what became of it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError, UsageError
from vmio.managers.libvirt.compare import digest_domain, find_losses, hide_passwords
from vmio.managers.libvirt.find import parse_address
from vmio.model.source import Source

NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: name != ".")
URIS = st.sampled_from(
    [
        "qemu:///system",
        "qemu+ssh://root@host/system",
        "qemu+ssh://[::1]:22/session?keyfile=/a/b",
        "qemu+unix:///session?socket=/run/sock",
        "test:///default",
    ]
)
PIECES = st.sampled_from(
    [
        *(
            "<domain>",
            "</domain>",
            "<disk>",
            "</disk>",
            "<target dev='vda'/>",
            "passwd='a'",
            "&amp;",
        ),
        *(
            "<graphics passwd='b'/>",
            "<!DOCTYPE x>",
            "text",
            "<vcpu cpuset='0-3,^1'/>",
            "\0",
            "<a ",
        ),
    ]
)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """No other error comes of it, and what is read is written as it is read."""
    try:
        found = parse_address(f"libvirt:{text}")
    except UsageError:
        return
    assert parse_address(str(found)) == found


@given(URIS, NAMES)
def test_address_survives_being_taken_for_a_path(uri: str, name: str) -> None:
    """As the journal of changes has it."""
    found = parse_address(f"libvirt:{uri}/{name}")
    assert (found.uri, found.name) == (uri, name)
    assert parse_address(str(Path(str(found)))) == found


@given(st.one_of(st.binary(), st.lists(PIECES).map(lambda pieces: "".join(pieces).encode())))
def test_any_text_is_a_domain_or_no_xml(data: bytes) -> None:
    """A text has lost nothing against itself, and hiding passwords hides nothing else."""
    source = Source(name="a", data=data)
    try:
        digest = digest_domain(source)
    except InputError:
        return
    assert find_losses(source, source) == ""
    assert len(digest) == 40
    hidden = hide_passwords(data)
    assert hide_passwords(hidden) == hidden
