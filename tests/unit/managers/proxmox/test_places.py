"""Which host and which storages configs go by."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio import app
from vmio.errors import InputError, UsageError
from vmio.formats.host_toml import set_qemu_version
from vmio.formats.proxmox.versions import parse_pveversion
from vmio.host import local
from vmio.managers.proxmox import places as places_module
from vmio.managers.proxmox.places import Place, Places
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import parse_version

PVEVERSION = """\
proxmox-ve: 9.1.0 (running kernel: 6.17.2-1-pve)
pve-manager: 9.1.1 (running version: 9.1.1/42db4a6cf33dac83)
pve-qemu-kvm: 10.1.2-7
"""


@pytest.fixture(autouse=True)
def _this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this host be the node alpha."""
    monkeypatch.setattr(
        local,
        "read_local_host",
        lambda **_: Host(node="alpha", qemu_version=parse_version("9.0.0")),
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """Returns the tree of a cluster, a config on each of its nodes."""
    for number, node in enumerate(("alpha", "beta", "delta"), 1):
        folder = tmp_path / "nodes" / node / "qemu-server"
        folder.mkdir(parents=True)
        (folder / f"{number}.conf").write_text("cores: 1\n", encoding="utf-8")
    (tmp_path / "storage.cfg").write_text("zfspool: tank\n\tpool tank\n", encoding="utf-8")
    return tmp_path


def read(root: Path, **words: str) -> tuple[list[Place], Places]:
    """Returns the places of a tree's configs in their order, and all that was read."""
    vms = app.find_vms([str(root)])
    places = app.read_places(vms, **words)
    return [places.by_folder[vm.folder] for vm in vms], places


def test_node_goes_by_what_is_known_of_it(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A saved description comes first, then saved versions, then this host, then nothing."""
    monkeypatch.setattr(places_module, "PVE", cluster)
    (cluster / "nodes/beta/host.toml").write_text('node = "beta"\nqemu_version = "8.1.5"\n')
    (cluster / "nodes/delta/pveversion.txt").write_text(PVEVERSION)
    (alpha, beta, delta), places = read(cluster)
    assert places.errors == ()
    assert str(alpha.host.qemu_version) == "9.0.0"
    assert str(beta.host.qemu_version) == "8.1.5"
    assert (delta.host.node, str(delta.host.pve_qemu_version)) == ("delta", "10.1.2-7")
    assert all(place.storages and "tank" in place.storages for place in (alpha, beta, delta))
    assert all(place.known for place in (alpha, beta, delta))


@pytest.mark.parametrize("name", ["nodes/beta.toml", "nodes/beta/beta.toml"])
def test_description_may_have_the_nodes_name(cluster: Path, name: str) -> None:
    """It lies in the node's folder or beside it."""
    (cluster / name).write_text('qemu_version = "8.1.5"\n')
    assert str(read(cluster)[0][1].host.qemu_version) == "8.1.5"


def test_other_node_is_unknown(cluster: Path) -> None:
    """Nothing of this host is said of another one."""
    (_, beta, _), _ = read(cluster)
    assert beta.host == Host(node="beta")
    assert not beta.known


def test_file_from_elsewhere_goes_by_nothing_of_this_host(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is in this host's own /etc/pve is its, not a copy with the name of its node."""
    (tmp_path / "1.conf").write_text("cores: 1\n")
    assert app.read_place(str(tmp_path / "1.conf")) == Place(host=Host(), storages={}, known=False)
    assert app.read_place("-").host == Host()
    (alpha, _, _), _ = read(cluster / "nodes")
    assert (alpha.host, alpha.known) == (Host(node="alpha"), False)
    monkeypatch.setattr(places_module, "PVE", tmp_path)
    assert app.read_place(str(tmp_path / "1.conf")).host.node == "alpha"


def test_process_goes_by_this_host() -> None:
    """It runs here; what a file of the same name would hold does not."""
    place = app.read_place("pid:1")
    assert (place.host.node, place.known) == ("alpha", True)


def test_what_is_saved_beside_a_config_is_of_its_host(tmp_path: Path) -> None:
    """A description, else what pveversion said; one that is none ends a call for one VM."""
    config = tmp_path / "1.conf"
    config.write_text("cores: 1\n")
    (tmp_path / "pveversion.txt").write_text(PVEVERSION)
    assert str(app.read_place(str(config)).host.pve_qemu_version) == "10.1.2-7"
    (tmp_path / "host.toml").write_text("[cpu]\ncount = 48\n")
    assert app.read_place(str(config)).host.cpu.count == 48
    (tmp_path / "host.toml").write_text("nonsense = 1\n")
    with pytest.raises(InputError):
        app.read_place(str(config))


def test_call_makes_a_host_known(tmp_path: Path) -> None:
    """One fact is more than the name."""
    (tmp_path / "1.conf").write_text("cores: 1\n")
    place = app.read_place(str(tmp_path / "1.conf"), overrides=("cpu.count=64",))
    assert (place.host.node, place.host.cpu.count, place.known) == ("localhost", 64, True)


def test_call_overrides_every_node(cluster: Path) -> None:
    """A version or a fact that the call names is every node's."""
    (cluster / "nodes/beta/host.toml").write_text('node = "beta"\nqemu_version = "8.1.5"\n')
    places, _ = read(cluster, qemu_version="10.1.2-7")
    assert {str(place.host.pve_qemu_version) for place in places} == {"10.1.2-7"}
    places, _ = read(cluster, overrides=("arch=aarch64",))  # type: ignore[arg-type]
    assert {place.host.arch for place in places} == {"aarch64"}
    (cluster / "one.toml").write_text('node = "one"\n')
    places, _ = read(cluster, host=str(cluster / "one.toml"))
    assert {place.host.node for place in places} == {"one"}


def test_broken_description_is_said_once_and_the_rest_goes_on(cluster: Path) -> None:
    """Its node is then unknown, and a storage.cfg that is none leaves storages unknown."""
    (cluster / "nodes/beta/host.toml").write_text("nonsense = 1\n")
    (cluster / "storage.cfg").write_text("nonsense\n")
    (_, beta, _), places = read(cluster)
    assert not beta.known
    assert beta.storages is None
    assert len(places.errors) == 2


def test_broken_call_ends_it(cluster: Path) -> None:
    """What the call itself says wrong is no node's fault."""
    with pytest.raises(UsageError):
        read(cluster, qemu_version="new")
    with pytest.raises(UsageError):
        read(cluster, overrides=("arch",))  # type: ignore[arg-type]
    with pytest.raises(InputError):
        read(cluster, storage="absent.cfg")


@pytest.mark.parametrize(
    ("text", "release", "package"),
    [
        ("10.1.2-7", "10.1.2", "10.1.2-7"),
        ("2.5-19", "2.5", "2.5-19"),
        ("9.2.0", "9.2.0", ""),
        ("9.2", "9.2", ""),
    ],
)
def test_version_is_a_release_or_a_package(text: str, release: str, package: str) -> None:
    """A package tells its release, and a release is no package's."""
    host = set_qemu_version(Host(pve_qemu_version=parse_version("1.0-1")), text)
    assert (str(host.qemu_version), str(host.pve_qemu_version or "")) == (release, package)


@pytest.mark.parametrize("text", ["", "10", "10.1.2-", "x", "10.1\n-1", "1.1.1.1", "٣.٣"])
def test_version_that_is_none_is_refused(text: str) -> None:
    """A slip is said."""
    with pytest.raises(UsageError):
        set_qemu_version(Host(), text)


def test_pveversion_tells_qemu_and_kernel() -> None:
    """As it is saved and as it stands in bug reports; a text without it is refused."""
    source = Source(name="pveversion.txt", data=PVEVERSION.encode())
    host = parse_pveversion(source, Host(node="x"))
    assert (str(host.qemu_version), host.kernel.release) == ("10.1.2", "6.17.2-1-pve")
    with pytest.raises(InputError):
        parse_pveversion(Source(name="x", data=b"\xff\0pve-qemu-kvm: \n"), Host())
