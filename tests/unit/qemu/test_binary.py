"""Binaries that are there, are not, or are something else; stand-ins are scripts."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from vmio.errors import CapabilityError, ToolError
from vmio.host.private import find_cache_folder
from vmio.model.capabilities import QemuVersion
from vmio.qemu import binary as module
from vmio.qemu.binary import find_qemu, read_capabilities, read_version

RECORDED = Path(__file__).parents[2] / "data" / "qmp" / "10.0.2" / "capabilities.jsonl"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives every test an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vmio"


def make_script(path: Path, body: str) -> Path:
    """Makes a program."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def make_qemu(path: Path) -> Path:
    """Makes a program that answers as a QEMU does, and counts how often it was asked."""
    body = (
        'echo asked >> "$0.count"\n'
        'if [ "$1" = --version ]; then echo "QEMU emulator version 10.0.2 (x)"; exit; fi\n'
        f"cat {shlex.quote(str(RECORDED))}"
    )
    return make_script(path, body)


def count_starts(path: Path) -> int:
    """Returns how often a program was asked."""
    return len(Path(f"{path}.count").read_text().splitlines())


def test_qemu_that_is_not_installed_is_named() -> None:
    """The error says what is missing and how to get it."""
    with pytest.raises(CapabilityError, match="QEMU is not installed") as caught:
        find_qemu("vax9000")
    assert caught.value.hint.startswith("apt-get install ")
    assert caught.value.exit_status == 4


def test_qemu_of_another_architecture_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name follows the guest's architecture."""
    make_script(tmp_path / "qemu-system-riscv64", "")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_qemu("riscv64") == tmp_path / "qemu-system-riscv64"


def test_architecture_is_no_path() -> None:
    """An architecture from a config cannot name a program elsewhere."""
    with pytest.raises(CapabilityError, match="no QEMU for an architecture"):
        find_qemu("../../bin/sh")


def test_named_qemu_is_used_or_nothing(tmp_path: Path) -> None:
    """A path that the user gives has no stand-in."""
    script = make_script(tmp_path / "my-qemu", "")

    assert find_qemu(path=script) == script
    with pytest.raises(CapabilityError, match="nowhere does not exist or is not executable"):
        find_qemu(path=tmp_path / "nowhere")


def test_version_is_read(tmp_path: Path) -> None:
    """The version comes from the program itself."""
    assert read_version(make_qemu(tmp_path / "qemu")) == QemuVersion(10, 0, 2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo hello", "qemu is not a QEMU"),
        ("echo qemu: broken >&2; exit 1", "qemu does not report its version: broken"),
        ("printf '\\377\\376'", "qemu is not a QEMU"),
        ("exec yes", "qemu printed more than 65536 bytes"),
    ],
)
def test_program_that_is_no_qemu_is_named(tmp_path: Path, body: str, message: str) -> None:
    """Another program, or a broken one, is an error in one line."""
    with pytest.raises(ToolError, match=message):
        read_version(make_script(tmp_path / "qemu", body))


def test_program_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does not end is not waited for."""
    monkeypatch.setattr(module, "_VERSION_TIMEOUT_S", 0.1)

    with pytest.raises(ToolError, match="qemu does not report its version: it did not answer"):
        read_version(make_script(tmp_path / "qemu", "exec sleep 1000"))


def test_capabilities_are_asked_for_once(tmp_path: Path, cache: Path) -> None:
    """The second reading comes from the cache, and is the same."""
    qemu = make_qemu(tmp_path / "qemu")

    first = read_capabilities(qemu)
    starts = count_starts(qemu)
    second = read_capabilities(qemu)

    assert first == second
    assert first.vq_mapping_devices == ("virtio-blk-pci", "virtio-scsi-pci")
    assert count_starts(qemu) == starts
    assert len(list(cache.iterdir())) == 1


def test_capabilities_of_a_replaced_binary_are_asked_for_again(tmp_path: Path) -> None:
    """An upgrade under the same name is another binary."""
    qemu = make_qemu(tmp_path / "qemu")
    read_capabilities(qemu)
    starts = count_starts(qemu)

    with qemu.open("a") as file:
        file.write("\n# changed\n")
    read_capabilities(qemu)

    assert count_starts(qemu) == 2 * starts


@pytest.mark.parametrize(
    "junk", [b"", b"\xff\xfe", b"{}", b'{"identity": [], "value": {}}', b"[" * 100_000]
)
def test_corrupt_cache_is_rewritten(tmp_path: Path, cache: Path, junk: bytes) -> None:
    """A cache that cannot be understood is no obstacle."""
    qemu = make_qemu(tmp_path / "qemu")
    expected = read_capabilities(qemu)
    (entry,) = cache.iterdir()
    good = entry.read_bytes()
    entry.write_bytes(junk)

    assert read_capabilities(qemu) == expected
    assert entry.read_bytes() == good


def test_cache_of_another_shape_is_rewritten(tmp_path: Path, cache: Path) -> None:
    """An entry for this very binary that holds something else is asked for again."""
    qemu = make_qemu(tmp_path / "qemu")
    expected = read_capabilities(qemu)
    (entry,) = cache.iterdir()
    entry.write_text(entry.read_text().replace('"accelerators"', '"somethingelse"'))

    assert read_capabilities(qemu) == expected


def test_unwritable_cache_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cache everything works, and takes longer."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert read_capabilities(make_qemu(tmp_path / "qemu")).version == QemuVersion(10, 0, 2)


def test_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative XDG_CACHE_HOME means nothing, as its specification says."""
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", "/home/someone")

    assert find_cache_folder() == Path("/home/someone/.cache/vmio")


def test_qemu_that_answers_otherwise_is_named(tmp_path: Path) -> None:
    """A program that has a version and no monitor is found out."""
    body = 'if [ "$1" = --version ]; then echo "QEMU emulator version 1.0"; else echo hello; fi'

    with pytest.raises(ToolError, match="does not answer as a QEMU does"):
        read_capabilities(make_script(tmp_path / "qemu", body))


def test_qemu_that_refuses_to_answer_is_named(tmp_path: Path) -> None:
    """What QEMU said last is in the message."""
    body = 'if [ "$1" = --version ]; then echo "QEMU emulator version 1.0"; else exit 5; fi'

    with pytest.raises(
        ToolError, match="does not report its capabilities: it ended with status 5"
    ):
        read_capabilities(make_script(tmp_path / "qemu", body))


def test_capabilities_of_nothing_are_refused(tmp_path: Path) -> None:
    """A binary that is not there is a lack of this host."""
    with pytest.raises(CapabilityError, match="cannot look at"):
        read_capabilities(tmp_path / "nowhere")
