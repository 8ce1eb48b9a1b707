"""The guest's cache: built once, whole or not at all, by one process at a time."""

from __future__ import annotations

import os
import platform
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vmio.errors import CapabilityError, InputError, OutputError, ToolError, UsageError
from vmio.guest import image as module
from vmio.guest.image import ensure_image, image_argv

if TYPE_CHECKING:
    from tests.unit.guest.conftest import Archive

pytestmark = pytest.mark.usefixtures("archive")


def list_folders(cache: Path) -> list[str]:
    """Lists what a cache holds besides its lock."""
    return sorted({path.name for path in cache.glob("*")} - {"lock"})


def test_image_is_built_from_the_packages(tmp_path: Path) -> None:
    """Kernel and initramfs come out of the packages, and the image says what it is made of."""
    image = ensure_image(cache_dir=tmp_path / "c")
    assert image.kernel.read_bytes() == b"kernel"
    initrd = image.initrd.read_bytes()
    for name in (b"init", b"sbin/shutdown", b"usr/bin/fio", b"lib64/ld-linux-x86-64.so.2"):
        assert name + b"\0" in initrd
    assert b"virtio\nvirtio_pci\n" in initrd
    assert "libc6=1" in image.packages
    assert "ahci" in image.absent_drivers
    assert "sd_mod" not in image.absent_drivers
    assert image.description == "6.1-cloud-amd64 (1), fio 1, qemu-guest-agent 1"


@pytest.mark.parametrize("controller", ["lsi", "megasas", "ahci"])
def test_image_has_the_generic_kernel_where_the_cloud_has_no_driver(
    archive: Archive, tmp_path: Path, controller: str
) -> None:
    """An old controller gets the kernel that can drive it."""
    archive.add_generic_kernel()
    image = ensure_image(cache_dir=tmp_path / "c", controllers=("virtio-scsi-pci", controller))
    assert image.kernel.read_bytes() == b"generic"
    assert "sym53c8xx" not in image.absent_drivers
    assert b"scsi_mod\nsym53c8xx\n" in image.initrd.read_bytes()


def test_image_is_found_again(archive: Archive, tmp_path: Path) -> None:
    """A second run downloads nothing and returns the same."""
    first = ensure_image(cache_dir=tmp_path / "c")
    assert ensure_image(cache_dir=tmp_path / "c") == first
    assert archive.count_downloads() == 1


def test_image_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    """Two builds of the same inputs cannot be told apart."""
    one, two = (ensure_image(cache_dir=tmp_path / name).initrd.read_bytes() for name in "ab")
    assert one == two


def test_image_is_rebuilt_when_a_version_changes(archive: Archive, tmp_path: Path) -> None:
    """Another candidate of apt's is another image."""
    first = ensure_image(cache_dir=tmp_path / "c")
    archive.write_lists("2")
    second = ensure_image(cache_dir=tmp_path / "c")
    assert second.kernel != first.kernel
    assert archive.count_downloads() == 2


def test_image_that_is_not_whole_is_rebuilt(archive: Archive, tmp_path: Path) -> None:
    """A cached file of another size than was written is not trusted."""
    first = ensure_image(cache_dir=tmp_path / "c")
    first.initrd.write_bytes(b"half")
    assert len(ensure_image(cache_dir=tmp_path / "c").initrd.read_bytes()) > 4
    assert archive.count_downloads() == 2


def test_image_is_built_once_by_many(archive: Archive, tmp_path: Path) -> None:
    """Those who come while it is being built wait for it, and are told so."""
    building, waiting = threading.Event(), threading.Event()
    told: list[str] = []

    def report_first(task: str, _share: float | None) -> None:
        if task.startswith("downloading"):
            building.set()
            assert waiting.wait(60)

    def report_second(task: str, _share: float | None) -> None:
        told.append(task)
        if task.startswith("waiting"):
            waiting.set()

    first = threading.Thread(
        target=ensure_image, kwargs={"cache_dir": tmp_path / "c", "report": report_first}
    )
    first.start()
    assert building.wait(60)
    image = ensure_image(cache_dir=tmp_path / "c", report=report_second)
    first.join()
    assert image.kernel.exists()
    assert "waiting for another vmio to build the guest" in told
    assert archive.count_downloads() == 1


@pytest.mark.parametrize("at", ["downloading", "unpacking", "building"])
def test_image_leaves_nothing_when_interrupted(tmp_path: Path, at: str) -> None:
    """Ctrl-C at any moment of a build leaves an empty cache."""

    def interrupt(task: str, _share: float | None) -> None:
        if task.startswith(at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_image(cache_dir=tmp_path / "c", report=interrupt)
    assert list_folders(tmp_path / "c") == []


def test_image_leaves_nothing_when_a_download_fails(archive: Archive, tmp_path: Path) -> None:
    """A failed build leaves an empty cache, and the next one starts afresh."""
    archive.refuse("E: Could not resolve 'x'")
    with pytest.raises(ToolError):
        ensure_image(cache_dir=tmp_path / "c")
    assert list_folders(tmp_path / "c") == []
    (archive.folder / "refuse").unlink()
    assert ensure_image(cache_dir=tmp_path / "c").kernel.exists()


def test_image_needs_a_whole_set_of_packages(archive: Archive, tmp_path: Path) -> None:
    """A package that lost its program, or the kernel, is an error that says which."""
    debs = archive.folder / "debs"
    shutil.copy(debs / "libc6_1_amd64.deb", debs / "fio_1_amd64.deb")
    with pytest.raises(InputError, match="no program fio"):
        ensure_image(cache_dir=tmp_path / "c")
    (debs / "linux-image-6.1-cloud-amd64_1_amd64.deb").unlink()
    with pytest.raises(InputError, match="has no kernel"):
        ensure_image(cache_dir=tmp_path / "c")


def test_image_removes_what_a_killed_build_left(tmp_path: Path) -> None:
    """Half-built and long unused images go; what is not the cache's own stays."""
    cache = tmp_path / "c"
    for name in ("build-dead", "0123456789abcdef", "photos", "build.d"):
        (cache / name).mkdir(parents=True)
        (cache / name / "file").write_text("x")
    image = ensure_image(cache_dir=cache)
    assert list_folders(cache) == sorted((image.kernel.parent.name, "photos", "build.d"))


def test_image_long_unused_makes_room(archive: Archive, tmp_path: Path) -> None:
    """An image that nobody used for a month goes when another is built, a used one stays."""
    images = []
    for version in "123":
        archive.write_lists(version)
        images.append(ensure_image(cache_dir=tmp_path / "c").kernel.parent)
    os.utime(images[0], (0, 0))
    archive.write_lists("4")
    ensure_image(cache_dir=tmp_path / "c")
    assert [folder.exists() for folder in images] == [False, True, True]


def test_image_on_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without room is noticed before anything is downloaded."""
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(OutputError, match="No space left") as caught:
        ensure_image(cache_dir=tmp_path / "c")
    assert "XDG_CACHE_HOME" in caught.value.hint
    assert list_folders(tmp_path / "c") == []


def test_image_in_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    """A cache that cannot be made is named."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file"):
        ensure_image(cache_dir=tmp_path / "file" / "cache")


def test_image_on_another_architecture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guest is an x86_64 guest, and is built only where apt has its packages."""
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(CapabilityError, match="aarch64"):
        ensure_image()


def test_image_of_the_users_own_is_taken_as_it_is(archive: Archive, tmp_path: Path) -> None:
    """With kernel and initramfs given, nothing is looked up, built or cached."""
    kernel, initrd = tmp_path / "bzImage", tmp_path / "my.cpio"
    kernel.write_bytes(b"k")
    initrd.write_bytes(b"i")
    image = ensure_image(kernel=kernel, initrd=initrd)
    assert (image.kernel, image.initrd) == (kernel, initrd)
    assert "bzImage" in image.description
    assert archive.count_downloads() == 0


def test_image_of_the_users_own_must_be_complete_and_readable(tmp_path: Path) -> None:
    """One of the two alone, a missing file and an empty file are named."""
    file, empty = tmp_path / "file", tmp_path / "empty"
    file.write_bytes(b"x")
    empty.touch()
    with pytest.raises(UsageError, match="go together"):
        ensure_image(kernel=file)
    with pytest.raises(UsageError, match="go together"):
        ensure_image(initrd=file)
    with pytest.raises(InputError, match="gone: No such file"):
        ensure_image(kernel=file, initrd=tmp_path / "gone")
    with pytest.raises(InputError, match="Is a directory"):
        ensure_image(kernel=tmp_path, initrd=file)
    with pytest.raises(InputError, match="empty: the file is empty"):
        ensure_image(kernel=empty, initrd=file)


def test_cache_folder_follows_the_desktop_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    """An absolute XDG_CACHE_HOME counts, a relative or empty one does not."""
    monkeypatch.setenv("HOME", "/home/x")
    for value, expected in (("/c", "/c"), ("c", "/home/x/.cache"), ("", "/home/x/.cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert module.default_cache_dir() == Path(expected) / "vmio" / "guest"


def test_image_argv_ends_qemu_on_a_panic(tmp_path: Path) -> None:
    """The kernel's panic reboots at once, and a reboot ends QEMU."""
    for name in ("k", "i"):
        (tmp_path / name).write_bytes(b"x")
    argv = image_argv(ensure_image(kernel=tmp_path / "k", initrd=tmp_path / "i"))
    assert argv[:4] == ("-kernel", str(tmp_path / "k"), "-initrd", str(tmp_path / "i"))
    assert "panic=-1" in argv[5]
    assert argv[-1] == "-no-reboot"


def test_image_that_was_changed_is_rebuilt(archive: Archive, tmp_path: Path) -> None:
    """Other bytes of the same number are not what was built, and are not booted."""
    first = ensure_image(cache_dir=tmp_path / "c")
    data = bytearray(first.initrd.read_bytes())
    data[len(data) // 2] ^= 1
    first.initrd.write_bytes(data)
    assert ensure_image(cache_dir=tmp_path / "c").initrd.read_bytes() != data
    assert archive.count_downloads() == 2


def test_cache_is_for_its_user_only(tmp_path: Path) -> None:
    """Whatever the umask, nobody else can put an image there."""
    old = os.umask(0)
    try:
        image = ensure_image(cache_dir=tmp_path / "new" / "c")
    finally:
        os.umask(old)
    for folder in (tmp_path / "new", tmp_path / "new" / "c", image.kernel.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "c" / "lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("at", [".", ".."])
def test_cache_of_somebody_else_is_refused(
    archive: Archive, tmp_path: Path, give_away: Callable[[Path], None], at: str
) -> None:
    """Who owns it, or the folder that it is in, could have changed what would be booted."""
    cache = tmp_path / "theirs" / "c"
    ensure_image(cache_dir=cache)
    give_away(Path(os.path.normpath(cache / at)))
    with pytest.raises(OutputError, match="belongs to another user"):
        ensure_image(cache_dir=cache)
    assert archive.count_downloads() == 1


def test_cache_that_others_can_write_in_is_refused(tmp_path: Path) -> None:
    """A folder of the user's own that anybody writes in is anybody's."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c").chmod(0o777)
    with pytest.raises(OutputError, match="can be written by other users") as caught:
        ensure_image(cache_dir=tmp_path / "c")
    assert "chmod go-w" in caught.value.hint


def test_cache_behind_a_link_is_refused(tmp_path: Path) -> None:
    """A link may lead anywhere, and elsewhere tomorrow."""
    (tmp_path / "real").mkdir()
    (tmp_path / "c").symlink_to("real")
    with pytest.raises(OutputError, match="is a link"):
        ensure_image(cache_dir=tmp_path / "c")


def test_lock_that_is_a_link_or_a_pipe_harms_nothing(tmp_path: Path) -> None:
    """What a link leads to keeps its bytes, and nobody is waited for at a pipe."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"data")
    (tmp_path / "c").mkdir(mode=0o700)
    lock = tmp_path / "c" / "lock"
    lock.symlink_to(precious)
    with pytest.raises(OutputError, match="lock"):
        ensure_image(cache_dir=tmp_path / "c")
    assert precious.read_bytes() == b"data"
    lock.unlink()
    os.mkfifo(lock)
    with pytest.raises(OutputError, match="lock"):
        ensure_image(cache_dir=tmp_path / "c")


@pytest.mark.parametrize("name", ["manifest.json", "vmlinuz", "initrd"])
@pytest.mark.parametrize("kind", ["link", "pipe", "null"])
def test_image_of_odd_files_is_rebuilt(
    archive: Archive, tmp_path: Path, name: str, kind: str
) -> None:
    """No link is followed and no pipe waited for; what is no image makes room for one."""
    first = ensure_image(cache_dir=tmp_path / "c")
    path = first.kernel.parent / name
    data = path.read_bytes()
    path.unlink()
    match kind:
        case "link":
            (tmp_path / "elsewhere").write_bytes(data)
            path.symlink_to(tmp_path / "elsewhere")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.write_bytes(b"null")
    assert ensure_image(cache_dir=tmp_path / "c") == first
    assert archive.count_downloads() == 2
    assert not path.is_symlink()


def test_image_of_another_vmio_stays(tmp_path: Path) -> None:
    """Two versions that share a cache do not remove each other's images."""
    other = tmp_path / "c" / "0123456789abcdef"
    other.mkdir(parents=True, mode=0o700)
    (other / "manifest.json").write_text('{"size_bytes": {}}', encoding="utf-8")
    ensure_image(cache_dir=tmp_path / "c")
    assert other.is_dir()
