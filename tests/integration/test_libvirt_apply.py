"""Plans for domains of a real libvirt daemon: applied, read back, and undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmio.app import apply, lay_out, make_plan, open_guest, prepare_apply
from vmio.errors import ConflictError, PlanError, UsageError
from vmio.managers.libvirt.connection import open_connection
from vmio.managers.libvirt.find import DomainAddress
from vmio.managers.libvirt.write import read_domain
from vmio.model.plan import LiveChange, Step
from vmio.model.topology import Topology
from vmio.testing import call
from vmio.testing.libvirt_daemon import SessionDaemon, find_missing
from vmio.values import replace

pytestmark = pytest.mark.skipif(bool(find_missing()), reason=f"needs {find_missing()}")

NAME = "shop"
DISKS = ("vda", "vdb", "sda", "sdb")
XML = """
<domain type='qemu'>
  <name>shop</name>
  <memory unit='MiB'>32</memory>
  <vcpu>4</vcpu>{threads}
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <controller type='scsi' index='0' model='virtio-scsi'/>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='native'{first}/>
      <source file='{folder}/a.raw'/><target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'{second}/>
      <source file='{folder}/b.raw'/><target dev='vdb' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{folder}/c.raw'/><target dev='sda' bus='scsi'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{folder}/d.raw'/><target dev='sdb' bus='scsi'/>
    </disk>
    <graphics type='vnc' passwd='secret'><listen type='none'/></graphics>
  </devices>
</domain>
"""
PEERS = Path(__file__).parents[2].parent / "shared" / "peers" / "libvirt"


@pytest.fixture
def connection(
    libvirt_daemon: SessionDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Any]:
    """A connection of libvirt-python itself to the daemon, which is the default one."""
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", libvirt_daemon.uri)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    libvirt = pytest.importorskip("libvirt")
    connection = libvirt.open(libvirt_daemon.uri)
    yield connection
    connection.close()


@pytest.fixture
def domain(connection: Any, libvirt_daemon: SessionDaemon) -> Iterator[Any]:  # noqa: ANN401
    """A domain with two disks of each kind, and no IOThread."""
    for disk in "abcd":
        image = libvirt_daemon.folder / f"{disk}.raw"
        image.write_bytes(bytes(1 << 20))
        image.chmod(0o666)
    values = {"folder": libvirt_daemon.folder, "threads": "", "first": "", "second": ""}
    domain = connection.defineXML(XML.format(**values))
    libvirt = pytest.importorskip("libvirt")
    yield domain
    if domain.isActive():
        domain.destroy()
    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)


def list_threads(topology: Topology) -> list[tuple[str, tuple[str, ...]]]:
    """Returns each disk with the IOThreads that serve it."""
    return [
        (attached.disk.id, tuple(sorted(topology.served_by(attached))))
        for attached in topology.disks
    ]


def read_layout() -> list[tuple[str, tuple[str, ...]]]:
    """Returns the layout of the domain as the daemon has it now."""
    return list_threads(lay_out(open_guest(NAME)))


@pytest.mark.parametrize("policy", ["auto", "per-disk", "shared", "pool:2", "vq-map:2", "ovirt"])
def test_plan_is_what_the_daemon_has_afterwards(
    domain: Any,  # noqa: ANN401 - it has no types
    libvirt_daemon: SessionDaemon,
    policy: str,
) -> None:
    """It starts with it, nothing else has changed, and undo brings the old text back."""
    address = str(DomainAddress(uri=libvirt_daemon.uri, name=NAME))
    old = read_domain(address)
    guest = open_guest(NAME)
    plan = make_plan(guest, guest.context.host, policy)
    assert plan.changes
    assert call("apply", NAME, "--policy", policy, "--yes") == 0
    assert read_layout() == list_threads(plan.after)
    assert b"passwd='secret'" in read_domain(address).data
    again = open_guest(NAME)
    assert make_plan(again, again.context.host, policy).changes == ()
    domain.create()
    names = {f"iothread{number}" for number, _ in domain_threads(domain)}
    assert names == {each.id for each in plan.after.iothreads}
    domain.destroy()
    assert call("undo", NAME, "--yes") == 0
    assert read_domain(address).data == old.data


def domain_threads(domain: Any) -> list[tuple[int, Any]]:  # noqa: ANN401
    """Returns the IOThreads of a running domain, as libvirt reports them."""
    found: list[tuple[int, Any]] = domain.ioThreadInfo()
    return found


def test_saved_plan_is_applied_once(
    domain: Any,  # noqa: ANN401 - it has no types
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It names the domain by itself; a second time the domain is another one."""
    del domain
    file = str(tmp_path / "plan.json")
    assert call("plan", NAME, "-o", file) == 0
    assert call("apply", file, "--yes", "--dry-run") == 0
    assert call("apply", file, "--yes") == 0
    capsys.readouterr()
    assert call("apply", file, "--yes") == 3
    assert "has changed since the plan was made" in capsys.readouterr().err


def test_managed_save_is_told(
    domain: Any,  # noqa: ANN401 - it has no types
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The domain starts from it with the old layout."""
    domain.create()
    domain.managedSave()
    assert call("check", NAME, "--select", "TH021") == 0
    assert call("apply", NAME, "--policy", "shared", "--yes") == 0
    assert "has a managed save" in capsys.readouterr().err
    assert call("check", NAME, "--select", "TH021") == 1
    told = "vda, vdb, sda and 1 more are served by the main loop, not by iothread1"
    assert (
        f"restores the managed save, which has another layout: {told}" in capsys.readouterr().out
    )


def test_snapshot_of_another_layout_is_told(
    domain: Any,  # noqa: ANN401 - it has no types
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Reverting to it would bring that back."""
    libvirt = pytest.importorskip("libvirt")
    disks = "".join(f"<disk name='{disk}' snapshot='internal'/>" for disk in DISKS)
    snapshot = domain.snapshotCreateXML(
        "<domainsnapshot><name>before</name><state>shutoff</state><creationTime>1</creationTime>"
        f"<memory snapshot='no'/><disks>{disks}</disks>{domain.XMLDesc()}</domainsnapshot>",
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE,
    )
    try:
        assert call("apply", NAME, "--policy", "shared", "--yes") == 0
        assert "has 1 snapshots" in capsys.readouterr().err
        call("check", NAME, "--select", "TH021")
        told = "reverting to the snapshot 'before' brings another layout back"
        assert told in capsys.readouterr().out
    finally:
        snapshot.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)


def test_running_domain_is_defined_for_its_next_start(
    domain: Any,  # noqa: ANN401 - it has no types
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What runs stays as it is."""
    domain.create()
    assert call("apply", NAME, "--policy", "shared", "--yes") == 0
    assert "after a full stop and start" in capsys.readouterr().err
    assert domain_threads(domain) == []
    assert {threads for _, threads in read_layout()} == {("iothread1",)}


def test_fixes_keep_the_password(
    domain: Any,  # noqa: ANN401 - it has no types
    libvirt_daemon: SessionDaemon,
) -> None:
    """What is checked has none, and what is defined has it."""
    del domain
    address = str(DomainAddress(uri=libvirt_daemon.uri, name=NAME))
    old = read_domain(address)
    call("check", NAME, "--fix", "--unsafe-fixes")
    fixed = read_domain(address)
    assert fixed.data != old.data
    assert b"passwd='secret'" in fixed.data


def test_monitor_is_libvirts(domain: Any) -> None:  # noqa: ANN401
    """A socket of it is refused, and so are values for a domain that does not run."""
    del domain
    guest = open_guest(NAME)
    plan = make_plan(guest, guest.context.host, "shared")
    with pytest.raises(UsageError, match="holds its monitor"):
        prepare_apply(plan, NAME, qmp="/run/sock")
    with pytest.raises(UsageError, match="is not running"):
        prepare_apply(plan, NAME, live=True)


def test_domain_that_changed_since_is_refused(domain: Any, connection: Any) -> None:  # noqa: ANN401
    """Its plan was for what it was."""
    guest = open_guest(NAME)
    plan = make_plan(guest, guest.context.host, "shared")
    connection.defineXML(domain.XMLDesc().replace(">4</vcpu>", ">3</vcpu>"))
    with pytest.raises(ConflictError, match="has changed since the plan"):
        prepare_apply(plan)


def test_json_of_a_dry_run_has_the_address(
    domain: Any,  # noqa: ANN401 - it has no types
    capsys: pytest.CaptureFixture[str],
    libvirt_daemon: SessionDaemon,
) -> None:
    """And not what is left of it as a path."""
    del domain
    assert call("apply", NAME, "--policy", "shared", "--dry-run", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    address = str(DomainAddress(uri=libvirt_daemon.uri, name=NAME))
    assert document["data"]["config"]["path"] == address
    assert not document["data"]["config"]["written"]


def test_running_domain_gets_the_live_values_of_a_plan(
    libvirt_daemon: SessionDaemon,
    connection: Any,  # noqa: ANN401 - it has no types
    domain: Any,  # noqa: ANN401 - it has no types
) -> None:
    """By libvirt itself, and only if the domain runs."""
    threads = "<iothreads>1</iothreads>"
    values = {"folder": libvirt_daemon.folder, "first": " iothread='1'", "second": ""}
    connection.defineXML(
        XML.format(threads=threads, **values).replace(
            "<name>shop</name>", f"<name>shop</name><uuid>{domain.UUIDString()}</uuid>"
        )
    )
    guest = open_guest(NAME)
    plan = make_plan(guest, guest.context.host, "shared")
    value = LiveChange(path="/objects/iothread1", property="poll-max-ns", new=65536)
    step = Step(kind="share-threads", takes_effect="live", live=(value,))
    plan = replace(plan, steps=(step,))
    assert prepare_apply(plan).live == ()
    domain.create()
    outcome = apply(prepare_apply(plan))
    assert [(each.change.new, each.old) for each in outcome.live] == [(65536, 32768)]
    assert outcome.config is None
    with open_connection(libvirt_daemon.uri) as reading:
        assert reading.read_threads(NAME)[1]["poll-max-ns"] == 65536
    assert prepare_apply(plan, live=False).live == ()


POLICIES = ("auto", "per-disk", "shared", "pool:2", "vq-map:2", "kubevirt-auto", "ovirt:2")


@pytest.mark.skipif(not PEERS.is_dir(), reason="needs the recorded domains")
@pytest.mark.parametrize("path", sorted(PEERS.glob("[!e]*.xml")), ids=lambda path: path.stem)
def test_peers_have_the_layout_of_their_plans(
    path: Path,
    connection: Any,  # noqa: ANN401 - it has no types
    libvirt_daemon: SessionDaemon,
) -> None:
    """Each policy that has a plan for a domain, defined by the daemon and read again."""
    libvirt = pytest.importorskip("libvirt")
    try:
        domain = connection.defineXML(path.read_text())
    except libvirt.libvirtError as error:
        pytest.skip(f"this daemon does not define it: {error}")
    address = str(DomainAddress(uri=libvirt_daemon.uri, name=domain.name()))
    try:
        old = read_domain(address).data
        for policy in POLICIES:
            guest = open_guest(address)
            try:
                plan = make_plan(guest, guest.context.host, policy)
            except PlanError:
                continue
            work = prepare_apply(plan, address)
            apply(work)
            found = list_threads(lay_out(open_guest(address)))
            assert found == list_threads(plan.after), policy
            if work.writes:
                assert call("undo", address, "--yes") == 0
            assert read_domain(address).data == old
    finally:
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
