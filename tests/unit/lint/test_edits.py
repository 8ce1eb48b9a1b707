"""Fixes change the bytes that they name and no others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmio.lint.diagnostic import Applicability, Fix
from vmio.lint.edits import apply_fixes, set_scsihw
from vmio.model.disk import Disk
from vmio.model.source import Edit, Source, Span
from vmio.model.vm import Vm


def make_fix(
    *edits: tuple[int, int, str], applicability: Applicability = Applicability.SAFE
) -> Fix:
    """Returns a fix of edits given as start, end and text."""
    return Fix(
        applicability=applicability,
        message="do it",
        edits=tuple(Edit(span=Span(start=a, end=b), text=text) for a, b, text in edits),
    )


def make_source(data: bytes) -> Source:
    """Returns a source of some bytes."""
    return Source(name="100.conf", data=data)


def test_apply_fixes_leaves_unsafe_ones_until_asked() -> None:
    """An unsafe fix waits for the word, and one for display is never applied."""
    source = make_source(b"abc")
    unsafe = make_fix((0, 1, "A"), applicability=Applicability.UNSAFE)
    display = make_fix((1, 2, "B"), applicability=Applicability.DISPLAY)
    safe = make_fix((2, 3, "C"))
    fixes = (unsafe, display, safe)
    assert apply_fixes(source, fixes) == b"abC"
    assert apply_fixes(source, fixes, unsafe=True) == b"AbC"


def test_apply_fixes_makes_a_shared_edit_once() -> None:
    """Two findings with one remedy do not insert it twice."""
    fix = make_fix((3, 3, "!"))
    assert apply_fixes(make_source(b"abc"), (fix, fix)) == b"abc!"


def test_apply_fixes_skips_a_whole_fix_that_clashes() -> None:
    """Of two fixes that touch one place the first wins, and nothing of the other is applied."""
    fixes = (make_fix((0, 2, "X")), make_fix((1, 3, "Y"), (4, 5, "Z")))
    assert apply_fixes(make_source(b"abcde"), fixes) == b"Xcde"


def test_apply_fixes_takes_neighbours() -> None:
    """Edits that only touch do not clash."""
    fixes = (make_fix((0, 2, "")), make_fix((2, 4, "yy")))
    assert apply_fixes(make_source(b"abcde"), fixes) == b"yye"


@given(st.binary(max_size=40), st.data())
def test_apply_fixes_keeps_every_other_byte(data: bytes, draw: st.DataObject) -> None:
    """What is before and after an edit stays as it is, be it text or not."""
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    fixed = apply_fixes(make_source(data), [make_fix((start, end, "é"))])
    assert fixed == data[:start] + "é".encode() + data[end:]


def test_set_scsihw_keeps_a_carriage_return() -> None:
    """A file with DOS line ends keeps them."""
    source = make_source(b"scsihw: lsi\r\ncores: 1\r\n")
    vm = Vm(id="1", notation="proxmox", source=source, spans={"scsihw": Span(start=0, end=12)})
    fix = Fix(
        applicability=Applicability.SAFE, message="", edits=set_scsihw(vm, "virtio-scsi-single")
    )
    assert apply_fixes(source, [fix]) == b"scsihw: virtio-scsi-single\r\ncores: 1\r\n"


def test_set_scsihw_needs_a_place() -> None:
    """Without its line and without a SCSI drive's there is nothing to edit."""
    disk = Disk(id="scsi0", bus="scsi", index=0)
    vm = Vm(id="1", notation="proxmox", source=make_source(b""), disks=(disk,))
    assert set_scsihw(vm, "lsi") == ()
