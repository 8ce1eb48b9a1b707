"""Domains of a real libvirt daemon: read, changed, undone, and refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmio.app.addresses import find_running
from vmio.errors import (
    CapabilityError,
    ConflictError,
    InputError,
    LibvirtError,
    UsageError,
)
from vmio.managers.journal import Journal, list_journals
from vmio.managers.libvirt.connection import Connection, Versions, open_connection
from vmio.managers.libvirt.find import DomainAddress, find_domain, list_domains, parse_address
from vmio.managers.libvirt.live import set_live
from vmio.managers.libvirt.write import read_domain, write_domain
from vmio.managers.proxmox.node import Node
from vmio.managers.proxmox.watch import read_state
from vmio.managers.undo import prepare_run, prepare_undo, undo_all
from vmio.managers.undo import undo as undo_one
from vmio.model.plan import LiveChange
from vmio.model.source import Source
from vmio.testing import call
from vmio.testing.libvirt_daemon import SessionDaemon, find_missing, run_session_daemon

pytestmark = pytest.mark.skipif(bool(find_missing()), reason=f"needs {find_missing()}")

PLAIN = b"<driver name='qemu' type='raw'/>"
THREAD = b"<driver name='qemu' type='raw' iothread='1'/>"
XML = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>32</memory>
  <vcpu>2</vcpu>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{image}'/><target dev='vda' bus='virtio'/>
    </disk>
    <graphics type='vnc' passwd='secret'><listen type='none'/></graphics>
  </devices>
</domain>
"""


@pytest.fixture
def connection(libvirt_daemon: SessionDaemon) -> Iterator[Any]:
    """A connection of libvirt-python itself to the daemon."""
    libvirt = pytest.importorskip("libvirt")
    connection = libvirt.open(libvirt_daemon.uri)
    yield connection
    connection.close()


@pytest.fixture
def address(
    libvirt_daemon: SessionDaemon,
    connection: Any,  # noqa: ANN401 - it has no types
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[str]:
    """A domain of its own, where the daemon is the one that is meant by default."""
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", libvirt_daemon.uri)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    name = f"web-{abs(hash(request.node.name))}"
    image = libvirt_daemon.folder / f"{name}.raw"
    image.touch()
    os.truncate(image, 1 << 20)
    image.chmod(0o666)
    domain = connection.defineXML(XML.format(name=name, image=image))
    yield str(DomainAddress(uri=libvirt_daemon.uri, name=name))
    was_persistent = domain.isPersistent()
    if domain.isActive():
        domain.destroy()
    if was_persistent:
        libvirt = pytest.importorskip("libvirt")
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """The paths of vmio, with its backups in the test's folder."""
    return Node(state=tmp_path / "state/vmio")


def give_thread(source: Source) -> bytes:
    """Returns a domain's text with the disk on the IOThread."""
    assert PLAIN in source.data
    return source.data.replace(PLAIN, THREAD)


def find_name(address: str) -> str:
    """Returns the domain's name."""
    return parse_address(address).name


def test_domain_is_found_by_its_name_and_listed(
    address: str, libvirt_daemon: SessionDaemon
) -> None:
    """A bare name means the domain of the default daemon."""
    assert find_domain(find_name(address)) == address
    assert find_domain("nobody") is None
    assert address in list_domains(libvirt_daemon.uri)


@pytest.mark.parametrize("verb", ["show", "explain", "cmd"])
def test_verbs_take_a_name_and_an_address(
    address: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both print the same of the stored domain."""
    assert call(verb, find_name(address)) == 0
    by_name = capsys.readouterr().out
    assert call(verb, address) == 0
    assert capsys.readouterr().out == by_name
    assert "vda" in by_name or "virtio-disk0" in by_name


def test_check_without_addresses_takes_all_domains(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The idle IOThread of the domain is among what is found."""
    assert call("check") == 1
    assert find_name(address) in capsys.readouterr().out


def test_missing_domain_is_named(
    address: str, libvirt_daemon: SessionDaemon, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has the daemon that was asked; a bare name is told the nearest one."""
    name = find_name(address)
    assert call("show", f"libvirt:{libvirt_daemon.uri}/nobody") == 3
    assert f"{libvirt_daemon.uri} has no domain 'nobody'" in capsys.readouterr().err
    assert call("show", f"{name}0") == 3
    assert f"{name} is a domain of libvirt" in capsys.readouterr().err


def test_change_is_defined_and_loses_nothing(address: str, node: Node) -> None:
    """The uuid and the VNC password stay; the old text is kept, with its password."""
    old = read_domain(address)
    done = write_domain(address, give_thread, what="a thread", state=node.state)
    new = read_domain(address)
    assert THREAD in new.data
    assert b"passwd='secret'" in new.data
    assert new.data.replace(THREAD, PLAIN) == old.data
    assert done.changed
    assert done.backup is not None
    assert done.backup.read_bytes() == old.data


def test_undo_brings_the_old_domain_back_and_again_the_new_one(address: str, node: Node) -> None:
    """By its address, and as the last run."""
    old = read_domain(address)
    write_domain(address, give_thread, what="a thread", state=node.state)
    new = read_domain(address)
    undo_one(prepare_undo(address, node=node), node=node)
    assert read_domain(address).data == old.data
    undo_one(prepare_undo(address, node=node), node=node)
    assert read_domain(address).data == new.data
    done, left = undo_all(prepare_run(node=node), node=node)
    assert (len(done), left) == (1, ())
    assert read_domain(address).data == old.data


def test_undo_refuses_a_domain_that_others_have_changed(
    address: str,
    node: Node,
    connection: Any,  # noqa: ANN401 - it has no types
) -> None:
    """Unless it is forced."""
    old = read_domain(address)
    write_domain(address, give_thread, what="a thread", state=node.state)
    connection.defineXML(
        read_domain(address).data.decode().replace("<vcpu placement='static'>2", "<vcpu>1")
    )
    with pytest.raises(ConflictError, match="has changed since vmio wrote it"):
        prepare_undo(address, node=node)
    undo_one(prepare_undo(address, force=True, node=node), node=node)
    assert read_domain(address).data == old.data


def test_undo_is_a_verb_for_domains_too(
    address: str,
    capsys: pytest.CaptureFixture[str],
    connection: Any,  # noqa: ANN401 - it has no types
) -> None:
    """It takes the name, lists the change, and restores the text; it prints no password."""
    old = read_domain(address)
    write_domain(address, give_thread, what="a thread")
    assert call("undo", "--list", find_name(address)) == 0
    listed = capsys.readouterr().out
    assert "a thread" in listed
    assert "(gone)" not in listed
    forced = read_domain(address).data.replace(b"passwd='secret'", b"passwd='hidden'")
    connection.defineXML(forced.decode())
    assert call("undo", find_name(address), "--force", "--yes") == 0
    assert read_domain(address).data == old.data
    shown = capsys.readouterr().out
    assert "iothread='1'" in shown
    assert "secret" not in shown
    assert "hidden" not in shown


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ((THREAD, PLAIN[:-2] + b" iotrhead='1'/>"), "failed to validate"),
        ((THREAD, PLAIN[:-2] + b" iothread='7'/>"), "Disk iothread '7' not defined"),
        ((b"</domain>", b""), "refuses the domain"),
    ],
)
def test_text_that_libvirt_refuses_changes_nothing(
    address: str, node: Node, edit: tuple[bytes, bytes], said: str
) -> None:
    """Its message is passed on, and no backup is left."""
    old = read_domain(address)
    with pytest.raises(InputError) as caught:
        write_domain(
            address, lambda text: give_thread(text).replace(*edit), what="x", state=node.state
        )
    assert said in caught.value.message or "is no XML" in caught.value.message
    assert read_domain(address).data == old.data
    assert list_journals(node.state) == ()


def test_what_libvirt_drops_without_a_word_is_told_and_the_old_text_defined_again(
    address: str, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an older libvirt drops what only a newer one knows."""
    define = Connection.define

    def define_unchecked(self: Connection, text: bytes, *, validate: bool = True) -> None:
        del validate
        define(self, text, validate=False)

    monkeypatch.setattr(Connection, "define", define_unchecked)
    old = read_domain(address)
    misspelt = PLAIN[:-2] + b" iotrhead='1'/>"
    with pytest.raises(ConflictError, match="did not keep what was written") as caught:
        write_domain(
            address, lambda text: text.data.replace(PLAIN, misspelt), what="x", state=node.state
        )
    assert "disk[vda]/driver/@iotrhead was '1' and is gone" in caught.value.message
    assert read_domain(address).data == old.data
    assert list_journals(node.state) == ()


def test_domain_that_changes_meanwhile_is_refused(
    address: str,
    node: Node,
    connection: Any,  # noqa: ANN401 - it has no types
) -> None:
    """What the other one wrote stays."""

    def edit(text: Source) -> bytes:
        connection.defineXML(text.data.decode().replace("<vcpu placement='static'>2", "<vcpu>1"))
        return give_thread(text)

    with pytest.raises(ConflictError, match="has just been changed"):
        write_domain(address, edit, what="x", state=node.state)
    assert b">1</vcpu>" in read_domain(address).data


def test_domain_that_changed_since_the_plan_is_refused(address: str, node: Node) -> None:
    """Its digest is that of the text without passwords."""
    with pytest.raises(ConflictError, match="has changed since it was read"):
        write_domain(address, give_thread, what="x", digest="0" * 40, state=node.state)


def test_another_name_is_refused(address: str, node: Node) -> None:
    """It would be another domain."""
    name = find_name(address).encode()
    with pytest.raises(UsageError, match="another name"):
        write_domain(
            address,
            lambda text: text.data.replace(b"<name>" + name, b"<name>x" + name),
            what="x",
            state=node.state,
        )


def test_connection_for_reading_defines_nothing(
    address: str, libvirt_daemon: SessionDaemon
) -> None:
    """Neither does it tell passwords."""
    with open_connection(libvirt_daemon.uri) as reading:
        text = reading.read_domain(find_name(address)).text
        assert b"secret" not in text
        with pytest.raises(CapabilityError, match="may only read"):
            reading.define(text)
        with pytest.raises(CapabilityError, match="may only read"):
            reading.read_domain(find_name(address), secure=True)


def test_old_libvirt_is_not_written_to(
    address: str, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it drops is not known."""
    old = Versions(libvirt="8.0.0", qemu="6.2.0")
    monkeypatch.setattr(Connection, "read_versions", lambda _: old)
    with pytest.raises(CapabilityError, match=r"is libvirt 8\.0\.0"):
        write_domain(address, give_thread, what="x", state=node.state)


def test_transient_domain_has_nothing_to_change(
    address: str,
    node: Node,
    connection: Any,  # noqa: ANN401 - it has no types
) -> None:
    """Reading it goes on."""
    domain = connection.lookupByName(find_name(address))
    domain.create()
    domain.undefine()
    with pytest.raises(UsageError, match="is transient"):
        write_domain(address, give_thread, what="x", state=node.state)
    assert call("show", address) == 0


def test_running_domain_gets_values_by_libvirt(
    address: str,
    libvirt_daemon: SessionDaemon,
    connection: Any,  # noqa: ANN401 - it has no types
) -> None:
    """They are read back; of a group with one that is refused, all are as before."""
    connection.lookupByName(find_name(address)).create()
    change = LiveChange(path="/objects/iothread1", property="poll-max-ns", new=65536)
    bad = LiveChange(path="/objects/iothread1", property="poll-grow", new=2**63 - 1)
    with open_connection(libvirt_daemon.uri, writes=True) as writing:
        name = find_name(address)
        (result,) = set_live(writing, name, [change])
        assert (result.change, result.old) == (change, 32768)
        assert writing.read_threads(name)[1]["poll-max-ns"] == 65536
        lower = LiveChange(path="/objects/iothread1", property="poll-max-ns", new=1)
        absent = LiveChange(path="/objects/iothread7", property="poll-max-ns", new=1)
        with pytest.raises(LibvirtError, match="no iothread7"):
            set_live(writing, name, [lower, absent])
        with pytest.raises(UsageError, match="aio-max-batch"):
            set_live(
                writing,
                name,
                [LiveChange(path="/objects/iothread1", property="aio-max-batch", new=1)],
            )
        with pytest.raises(LibvirtError) as caught:
            set_live(writing, name, [lower, bad])
        assert caught.value.hint == "all values are unchanged"
        assert writing.read_threads(name)[1]["poll-max-ns"] == 65536


def test_running_domain_is_compared_with_its_process(
    address: str,
    connection: Any,  # noqa: ANN401 - it has no types
) -> None:
    """Its process is found by its name; without one there is nothing to compare with."""
    with pytest.raises(InputError, match="is not running"):
        find_running(address)
    domain = connection.lookupByName(find_name(address))
    domain.create()
    pid = int(find_running(address).removeprefix("pid:"))
    assert find_name(address).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_daemon_that_is_gone_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before, and in the middle of a change, whose old text is then kept."""
    libvirt = pytest.importorskip("libvirt")
    state = tmp_path / "state"
    with run_session_daemon() as daemon:
        monkeypatch.setenv("LIBVIRT_DEFAULT_URI", daemon.uri)
        own = libvirt.open(daemon.uri)
        own.defineXML(XML.format(name="web", image="/nowhere"))
        own.close()
        address = str(DomainAddress(uri=daemon.uri, name="web"))

        def edit(text: Source) -> bytes:
            os.kill(daemon.pid, signal.SIGKILL)
            return give_thread(text)

        with pytest.raises(LibvirtError, match=r"went away|is lost"):
            write_domain(address, edit, what="x", state=state)
        (journal,) = list_journals(state)
        assert journal.path == Path(address)
        assert call("show", "web") == 4
        assert "no libvirt daemon answers" in capsys.readouterr().err


def test_daemon_that_hangs_is_not_waited_for(libvirt_daemon: SessionDaemon) -> None:
    """A call has a deadline; the connection is not used again."""
    connection = Connection(libvirt_daemon.uri, deadline_s=1)
    os.kill(libvirt_daemon.pid, signal.SIGSTOP)
    try:
        with pytest.raises(LibvirtError, match="within 1 s"):
            connection.list_names()
        with pytest.raises(LibvirtError, match="is lost"):
            connection.list_names()
        connection.close()
    finally:
        os.kill(libvirt_daemon.pid, signal.SIGCONT)


def test_journal_of_a_domain_is_found_by_its_address(address: str, node: Node) -> None:
    """A path would have lost two of the slashes of its URI."""
    write_domain(address, give_thread, what="a thread", state=node.state)
    (journal,) = list_journals(node.state)
    assert str(parse_address(str(journal.path))) == address
    assert Journal(node.state, Path(address)).folder == journal.folder


def test_running_domain_differs_in_what_has_changed_since(
    address: str,
    connection: Any,  # noqa: ANN401 - it has no types
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As it was started it runs as configured, whatever libvirt has added; a change shows."""
    name = find_name(address)
    domain = connection.lookupByName(name)
    domain.create()
    assert call("diff", name) == 0
    connection.defineXML(give_thread(read_domain(address)).decode())
    capsys.readouterr()
    assert call("diff", name) == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["virtio-disk0: iothread iothread1 → none"]


def test_change_of_a_domain_is_seen(
    address: str,
    connection: Any,  # noqa: ANN401 - it has no types
) -> None:
    """Whoever made it; a domain that is gone has no state."""
    before = read_state(address)
    assert read_state(address) == before is not None
    connection.defineXML(give_thread(read_domain(address)).decode())
    assert read_state(address) not in {before, None}
    assert read_state(f"{address}0") is None
