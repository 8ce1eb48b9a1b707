"""Addresses of libvirt's domains, and where a bare name is looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.errors import LibvirtError, MissingExtraError, UsageError
from vmio.managers.libvirt import connection, find
from vmio.managers.libvirt.find import (
    DomainAddress,
    choose_uri,
    find_domain,
    has_libvirt,
    list_domains,
    parse_address,
    read_copies,
)


@pytest.fixture(autouse=True)
def no_libvirt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A host without a daemon, whose folder of stored domains is returned."""
    monkeypatch.delenv("LIBVIRT_DEFAULT_URI", raising=False)
    stored = tmp_path / "qemu"
    monkeypatch.setattr(find, "STORED", stored)
    monkeypatch.setattr(find, "_SOCKETS", (tmp_path / "libvirt-sock-ro",))
    return stored


@pytest.mark.parametrize(
    ("address", "uri", "name"),
    [
        ("libvirt:web1", "qemu:///system", "web1"),
        ("libvirt:web 1", "qemu:///system", "web 1"),
        ("libvirt:", "qemu:///system", ""),
        ("libvirt:qemu:///session/web1", "qemu:///session", "web1"),
        ("libvirt:qemu:///session/", "qemu:///session", ""),
        ("libvirt:qemu+ssh://root@host/system/web1", "qemu+ssh://root@host/system", "web1"),
        ("libvirt:qemu+ssh://[::1]:22/system/w", "qemu+ssh://[::1]:22/system", "w"),
        ("libvirt:qemu+unix:///session?socket=/a/b/w", "qemu+unix:///session?socket=/a/b", "w"),
        ("libvirt:qemu:///embed?root=/a/w", "qemu:///embed?root=/a", "w"),
        ("libvirt:test:///default/test", "test:///default", "test"),
    ],
)
def test_address_has_a_daemon_and_a_name(address: str, uri: str, name: str) -> None:
    """A URI has slashes itself, and a domain's name has none."""
    found = parse_address(address)
    assert (found.uri, found.name) == (uri, name)
    assert parse_address(str(found)) == found


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///system",
        "qemu+ssh://root@host/system",
        "qemu+tls://host:16514/system",
        "qemu+unix:///session?socket=/a/b",
    ],
)
def test_address_that_was_taken_for_a_path_is_the_same(uri: str) -> None:
    """A path has one slash for several; a backup's entry and messages have it so."""
    address = DomainAddress(uri=uri, name="web1")
    assert parse_address(str(Path(str(address)))) == address


@pytest.mark.parametrize("address", ["libvirt:foo/web1", "libvirt:a b:///x/web1", "libvirt:/w"])
def test_daemon_that_is_no_uri_is_refused(address: str) -> None:
    """The hint has examples."""
    if address == "libvirt:/w":
        assert parse_address(address).name == "w"
        return
    with pytest.raises(UsageError, match="names no libvirt daemon") as caught:
        parse_address(address)
    assert "libvirt:web1" in caught.value.hint


def test_default_daemon_is_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """As libvirt's own tools have it."""
    assert choose_uri() == "qemu:///system"
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///default")
    assert choose_uri() == "test:///default"
    assert parse_address("libvirt:a").uri == "test:///default"


def test_host_without_libvirt_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is looked up, and libvirt-python is not imported."""
    monkeypatch.setattr(connection, "_import_libvirt", pytest.fail)
    assert not has_libvirt()
    assert find_domain("web1") is None


def test_stored_domains_are_read_without_a_daemon(no_libvirt: Path) -> None:
    """Root finds their files; the folder of networks is none."""
    (no_libvirt / "networks").mkdir(parents=True)
    assert not has_libvirt()
    (no_libvirt / "web1.xml").write_text("<domain/>")
    assert has_libvirt()
    assert find_domain("web1") == str(no_libvirt / "web1.xml")
    assert find_domain("web2") is None
    assert find_domain("networks/web1") is None


def test_stored_domains_are_listed_where_no_daemon_answers(
    no_libvirt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them, the daemon's absence is told."""

    def refuse(_uri: str) -> None:
        raise LibvirtError("no daemon")

    monkeypatch.setattr(find, "share_connection", refuse)
    with pytest.raises(LibvirtError):
        list_domains("qemu:///system")
    no_libvirt.mkdir()
    (no_libvirt / "web1.xml").write_text("<domain/>")
    assert list_domains("qemu:///system") == (str(no_libvirt / "web1.xml"),)
    with pytest.raises(LibvirtError):
        list_domains("qemu:///session")


def test_missing_library_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pip's extra, and Debian's package."""

    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(connection, "import_module", refuse)
    with pytest.raises(MissingExtraError) as caught:
        find.read_text("libvirt:web1")
    assert "vmio[libvirt]" in caught.value.hint
    assert "python3-libvirt" in caught.value.hint


def test_domain_of_a_snapshot_is_taken_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is besides is no part of a guest; a managed save's text is one as it is."""
    texts = {
        "": b"<domain type='kvm'><name>a</name></domain>",
        "one": b"<domainsnapshot><name>one</name>\n  <domain><name>a</name></domain>\n"
        b"<inactiveDomain/></domainsnapshot>",
        "two": b"no XML",
    }

    class Daemon:
        def read_copies(self, name: str) -> object:
            assert name == "web1"
            return tuple(texts.items())

    monkeypatch.setattr(find, "share_connection", lambda _: Daemon())
    found = read_copies("libvirt:web1")
    assert [(each.snapshot, each.source.data) for each in found] == [
        ("", texts[""]),
        ("one", b"<domain><name>a</name></domain>"),
        ("two", b"no XML"),
    ]
