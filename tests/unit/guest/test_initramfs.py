"""The archive that the kernel unpacks, and what goes into it."""

from __future__ import annotations

import lzma
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import CapabilityError, InputError
from vmio.guest.initramfs import Entry, render_cpio, resolve_libraries, resolve_modules
from vmio.guest.packages import Files

Elf = Callable[..., bytes]
MODULES = "lib/modules/6.1/kernel"


def read_cpio(archive: bytes) -> list[tuple[str, dict[str, int], bytes]]:
    """Reads a newc archive as the kernel does."""
    words: tuple[str, ...] = ("inode", "mode", "uid", "gid", "links", "mtime", "size")
    words += ("major", "minor", "rmajor", "rminor", "name", "check")
    entries: list[tuple[str, dict[str, int], bytes]] = []
    offset = 0
    while True:
        assert archive[offset : offset + 6] == b"070701"
        numbers = [int(archive[offset + 6 + 8 * n : offset + 14 + 8 * n], 16) for n in range(13)]
        header = dict(zip(words, numbers, strict=True))
        name = archive[offset + 110 : offset + 109 + header["name"]].decode()
        start = -(-(offset + 110 + header["name"]) // 4) * 4
        data = archive[start : start + header["size"]]
        offset = -(-(start + header["size"]) // 4) * 4
        if name == "TRAILER!!!":
            assert offset == len(archive)
            return entries
        entries.append((name, header, data))


NAMES = st.lists(st.text("abc-.", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(NAMES, st.binary(max_size=9)))
def test_cpio_gives_back_every_file_with_its_folders_before(files: dict[str, bytes]) -> None:
    """What goes in comes out, and no file comes before the folder that it is in."""
    folders = {p.rpartition("/")[0] for p in files} & files.keys()
    files = {path: data for path, data in files.items() if path not in folders}
    archive = render_cpio(Entry(path=p, kind="file", data=d) for p, d in files.items())
    entries = read_cpio(archive)
    found = {name: data for name, header, data in entries if header["mode"] & 0o100000}
    assert found == files
    seen = {""}
    for name, _, _ in entries:
        assert name.rpartition("/")[0] in seen
        seen.add(name)


def test_cpio_is_the_same_whatever_the_order() -> None:
    """The same files give the same bytes, in whatever order they are given."""
    entries = [Entry(path=path, kind="file", data=b"x") for path in ("b/c", "a", "b-c", "b/a")]
    assert render_cpio(entries) == render_cpio(reversed(entries))


def test_cpio_writes_owner_time_and_device() -> None:
    """Everything belongs to root and has no date; a node has its numbers, a link its target."""
    archive = render_cpio(
        (
            Entry(path="dev/console", kind="node", mode=0o600, device=(5, 1)),
            Entry(path="bin/sh", kind="link", mode=0o777, data=b"busybox"),
        )
    )
    entries = {name: (header, data) for name, header, data in read_cpio(archive)}
    assert all(h["uid"] == h["gid"] == h["mtime"] == 0 for h, _ in entries.values())
    console, _ = entries["dev/console"]
    assert (console["mode"], console["rmajor"], console["rminor"]) == (0o020600, 5, 1)
    link, target = entries["bin/sh"]
    assert (link["mode"], target) == (0o120777, b"busybox")


def test_libraries_are_followed_through_one_another(elf: Elf) -> None:
    """A library that only a library needs is found, and one that nobody needs is left out."""
    files = Files(
        contents={
            "usr/lib/liba.so.1.0": elf(needed=("libb.so.2",)),
            "usr/lib/ceph/libb.so.2": elf(needed=("liba.so.1",)),
            "usr/lib/libunused.so.1": elf(),
        },
        links={"usr/lib/liba.so.1": "liba.so.1.0"},
    )
    found = resolve_libraries({"fio": elf(needed=("liba.so.1",))}, files)
    assert found.keys() == {"liba.so.1", "libb.so.2"}
    assert found["liba.so.1"] == files.contents["usr/lib/liba.so.1.0"]


def test_libraries_nearest_to_the_root_win(elf: Elf) -> None:
    """A plugin folder's library of the same name does not hide the real one."""
    real, plugin = elf(), elf(needed=("libz.so.1",))
    files = Files(contents={"lib/x/plugins/liba.so": plugin, "lib/x/liba.so": real}, links={})
    assert resolve_libraries({"p": elf(needed=("liba.so",))}, files) == {"liba.so": real}


@pytest.mark.parametrize("links", [{}, {"lib/liba.so": "liba.so"}, {"lib/liba.so": "../../gone"}])
def test_libraries_that_are_missing_are_named(elf: Elf, links: dict[str, str]) -> None:
    """A library that is nowhere, or behind a link that leads nowhere, is named with its user."""
    with pytest.raises(CapabilityError, match=r"fio needs liba\.so"):
        resolve_libraries({"fio": elf(needed=("liba.so",))}, Files(contents={}, links=links))


def make_kernel(elf: Elf, needs: dict[str, str], builtin: str = "") -> Files:
    """Makes a kernel package's files out of what each module needs."""
    contents = {
        f"{MODULES}/{name}.ko": elf(modinfo={"depends": needed}) for name, needed in needs.items()
    }
    contents["lib/modules/6.1/modules.builtin"] = builtin.encode()
    return Files(contents=contents, links={})


def test_modules_come_after_what_they_need(elf: Elf) -> None:
    """Each module is loaded once and after those that it names, hyphens or not."""
    kernel = make_kernel(
        elf,
        {"virtio_blk": "virtio,virtio-ring", "virtio": "virtio_ring", "virtio-ring": "", "x": ""},
    )
    modules = resolve_modules(("virtio_blk", "virtio"), kernel)
    assert tuple(modules.files) == ("virtio_ring", "virtio", "virtio_blk")
    assert modules.absent == ()


def test_modules_that_are_built_in_need_no_file(elf: Elf) -> None:
    """A driver or a dependency inside the kernel is neither loaded nor called absent."""
    kernel = make_kernel(
        elf, {"sd_mod": "scsi-mod"}, "kernel/scsi/scsi-mod.ko\nkernel/a/ahci.ko\n"
    )
    modules = resolve_modules(("sd_mod", "ahci", "sym53c8xx"), kernel)
    assert tuple(modules.files) == ("sd_mod",)
    assert modules.absent == ("sym53c8xx",)


def test_modules_that_need_one_another_do_not_hang(elf: Elf) -> None:
    """A circle, which no real kernel has, is still an answer."""
    modules = resolve_modules(("a",), make_kernel(elf, {"a": "b", "b": "a"}))
    assert set(modules.files) == {"a", "b"}


def test_modules_packed_with_xz_are_unpacked(elf: Elf) -> None:
    """Debian 13 packs its modules; the guest gets them plain."""
    module = elf(modinfo={"depends": ""})
    files = Files(contents={f"{MODULES}/ahci.ko.xz": lzma.compress(module)}, links={})
    assert resolve_modules(("ahci",), files).files == {"ahci": module}


@pytest.mark.parametrize("name", ["ahci.ko.xz", "ahci.ko.zst", "ahci.ko"])
def test_modules_that_cannot_be_read_are_named(name: str) -> None:
    """Junk in the place of a module is an error that names it."""
    files = Files(contents={f"{MODULES}/{name}": b"junk"}, links={})
    with pytest.raises(InputError, match="ahci"):
        resolve_modules(("ahci",), files)


def test_modules_with_a_missing_dependency_are_refused(elf: Elf) -> None:
    """A kernel package that lacks what its own module needs is broken."""
    with pytest.raises(InputError, match="lacks the module scsi_mod"):
        resolve_modules(("sd_mod",), make_kernel(elf, {"sd_mod": "scsi_mod"}))
