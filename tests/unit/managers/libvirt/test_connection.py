"""libvirt-python by libvirt's own driver for tests, which has no daemon and no QEMU."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from vmio.errors import CapabilityError, InputError, LibvirtError, VmioError
from vmio.managers.libvirt.connection import (
    Connection,
    is_local,
    open_connection,
    share_connection,
)

pytest.importorskip("libvirt", reason="needs libvirt-python")

URI = "test:///default"


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A connection that writes."""
    with open_connection(URI, writes=True) as connection:
        yield connection


def test_domain_is_read(connection: Connection) -> None:
    """Its name, whether it runs, and its text."""
    assert connection.list_names() == ("test",)
    domain = connection.read_domain("test")
    assert (domain.name, domain.persistent, domain.running) == ("test", True, True)
    assert domain.text.startswith(b"<domain type='test'")
    assert (domain.has_managed_save, domain.snapshots) == (False, 0)
    assert connection.has_domain("test")
    assert not connection.has_domain("other")


def test_snapshots_are_read_with_their_names(connection: Connection) -> None:
    """In alphabetical order; a managed save that the daemon has no text of is left out."""
    assert connection.read_copies("test") == ()
    domain = connection._handle.lookupByName("test")
    for name in ("second", "first"):
        domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>")
    try:
        names, texts = zip(*connection.read_copies("test"), strict=True)
    finally:
        for snapshot in domain.listAllSnapshots():
            snapshot.delete(0)
    assert names == ("first", "second")
    assert all(text.startswith(b"<domainsnapshot>") for text in texts)
    with pytest.raises(InputError, match="has no domain 'other'"):
        connection.read_copies("other")


def test_versions_are_told_of_qemu_alone(connection: Connection) -> None:
    """The number of another hypervisor is no QEMU's."""
    versions = connection.read_versions()
    assert versions.qemu == ""
    assert versions.libvirt_number >= (9, 0)


def test_missing_domain_is_an_input_error(connection: Connection) -> None:
    """It has the name that was asked for."""
    with pytest.raises(InputError, match=r"test:///default has no domain 'a\nb'"):
        connection.read_domain("a\nb")


def test_definition_is_read_back(connection: Connection) -> None:
    """A text that libvirt refuses is an input error."""
    text = connection.read_domain("test").text
    connection.define(text.replace(b">2</vcpu>", b">1</vcpu>"), validate=False)
    assert b">1</vcpu>" in connection.read_domain("test").text
    with pytest.raises(InputError, match="refuses the domain"):
        connection.define(b"<domain/>", validate=False)


def test_reading_connection_defines_nothing() -> None:
    """Libvirt refuses it, and vmio says why."""
    with (
        open_connection(URI) as connection,
        pytest.raises(CapabilityError, match="may only read"),
    ):
        connection.define(connection.read_domain("test").text)


@pytest.mark.parametrize(
    "uri", ["qemu+unix:///session?socket=/nowhere/sock", "nonsense:///x", "test:///nowhere.xml"]
)
def test_daemon_that_is_not_there_is_told(uri: str) -> None:
    """With its URI, and libvirt's reason."""
    with pytest.raises(LibvirtError, match="no libvirt daemon answers at") as caught:
        Connection(uri)
    assert uri in caught.value.message


def test_call_that_does_not_return_has_a_deadline(connection: Connection) -> None:
    """The connection is lost with it, and is not closed, which would wait as well."""
    released = threading.Event()
    connection._deadline_s = 0.01
    with pytest.raises(LibvirtError, match=r"did not sleep within 0\.01 s"):
        connection._call("sleep", released.wait)
    released.set()
    with pytest.raises(LibvirtError, match="is lost"):
        connection.list_names()


def test_process_has_one_connection_for_reading() -> None:
    """One that was lost is replaced."""
    one = share_connection(URI)
    assert share_connection(URI) is one
    one.close()
    other = share_connection(URI)
    assert other is not one
    assert other.list_names() == ("test",)


@pytest.mark.parametrize(
    "said",
    [
        "Cannot recv data: a@b: Permission denied (publickey,password).: Connection reset by peer",
        "Cannot recv data: Host key verification failed.: Connection reset by peer",
    ],
)
def test_key_that_ssh_refuses_is_told(connection: Connection, said: str) -> None:
    """To start the daemon would not help."""
    libvirt = pytest.importorskip("libvirt")
    error = libvirt.libvirtError(said)
    error.err = (libvirt.VIR_ERR_SYSTEM_ERROR, 7, said, 2, "", "", "", 0, 0)

    def fail() -> None:
        raise error

    with pytest.raises(CapabilityError, match="does not let this account connect") as caught:
        connection._call("connect", fail)
    assert "ssh needs a key" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        ("VIR_ERR_AUTH_UNAVAILABLE", CapabilityError, "does not let this account"),
        ("VIR_ERR_ACCESS_DENIED", CapabilityError, "does not let this account"),
        ("VIR_ERR_OPERATION_DENIED", CapabilityError, "may only read"),
        ("VIR_ERR_RPC", LibvirtError, "could not test"),
    ],
)
def test_refusals_are_told_in_words(
    connection: Connection, code: str, kind: type[VmioError], told: str
) -> None:
    """Polkit's are no riddles."""
    libvirt = pytest.importorskip("libvirt")
    error = libvirt.libvirtError("authentication unavailable")
    error.err = (getattr(libvirt, code), 0, "authentication\nunavailable", 2, "", "", "", 0, 0)

    def fail() -> None:
        raise error

    with pytest.raises(kind, match=told) as caught:
        connection._call("test", fail)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("qemu:///system", True),
        ("qemu+unix:///session?socket=/a", True),
        ("qemu+ssh://root@host/system", False),
        ("qemu+tls://host/system", False),
        ("qemu://host/system", False),
    ],
)
def test_daemon_elsewhere_has_another_host(uri: str, local: bool) -> None:  # noqa: FBT001
    """This host's facts are not those of its guests."""
    assert is_local(uri) is local
