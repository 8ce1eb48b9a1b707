"""Who manages a running guest, told by what its manager writes.

Source: Proxmox VE's qemu-server 9.2; libvirt 11.3, run; KubeVirt 1.8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from vmio.formats.qemu.monitors import MonitorOption
from vmio.model.option import Option

__all__ = ["Access", "Manager", "Owner", "choose_access", "identify"]

Manager = Literal["proxmox", "libvirt", "kubevirt", "none"]
"""none: it was started by hand, or by what is not known here."""

Access = Literal["any", "brief", "none"]
"""How a monitor may be used. any: it is nobody else's; brief: its manager connects to it again and
again, so one short visit at a time, and only while it is free; none: its manager holds it for the
guest's whole life, and gives what it says itself."""

_PROXMOX_FILE: Final = re.compile(r"(?:^|/)qemu-server/([1-9][0-9]{2,8})\.(?:qmp|pid)\Z", re.ASCII)
_PROXMOX_SOCKET: Final = re.compile(r"(?:^|/)qemu-server/[1-9][0-9]{2,8}\.qmp\Z", re.ASCII)
_PROXMOX_GROUP: Final = re.compile(r"/qemu\.slice/([1-9][0-9]{2,8})\.scope(?:/|\Z)", re.ASCII)
_LIBVIRT_FOLDER: Final = re.compile(r"/domain-([0-9]{1,9})-[^/]*/", re.ASCII)
_LIBVIRT_GROUP: Final = re.compile(
    r"/machine-qemu\\x2d([0-9]{1,9})\\x2d|/machine/qemu-([0-9]{1,9})-", re.ASCII
)
_LIBVIRT_MONITOR: Final = "charmonitor"
_LIBVIRT_KEY: Final = "masterKey0"
_POD_GROUP: Final = re.compile(
    r"\bkubepods\b.*?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})", re.ASCII
)
_POD_FOLDERS: Final = ("/var/run/kubevirt", "/run/kubevirt")


class Owner(Struct, frozen=True, kw_only=True):
    """A guest as its manager knows it."""

    manager: Manager
    id: str
    """The number of a Proxmox VM, the number that libvirt gave a domain for this run, or
    `NAMESPACE/NAME` in KubeVirt; empty if not known."""
    name: str
    pod: str = ""
    """The id of its pod in KubeVirt; empty if not known."""


def identify(
    name: str, options: Sequence[Option], monitors: Sequence[MonitorOption], cgroup: str
) -> Owner:
    """Returns whose a guest is.

    Args:
        name: The name on its command line.
        options: The options of its command line.
        monitors: Its monitors.
        cgroup: The path of its control group; empty if not known.
    """
    values = {each.name: each.properties.get("value", "") for each in options}
    number = _find_proxmox(values.get("pidfile", ""), monitors, cgroup)
    if number:
        return Owner(manager="proxmox", id=number, name=name)
    key = next((each for each in options if each.id == _LIBVIRT_KEY), None)
    is_libvirt = (
        _LIBVIRT_GROUP.search(cgroup) is not None
        or (key is not None and key.kind == "secret")
        or any(each.chardev == _LIBVIRT_MONITOR for each in monitors)
    )
    if not is_libvirt:
        return Owner(manager="none", id=values.get("id", ""), name=name)
    pod = _POD_GROUP.search(cgroup)
    namespace, mark, own = name.partition("_")  # neither can hold one in Kubernetes
    if mark and (pod is not None or _is_in_pod(options)):
        uid = pod[1].replace("_", "-") if pod is not None else ""
        return Owner(manager="kubevirt", id=f"{namespace}/{own}", name=own, pod=uid)
    paths = [each.address for each in monitors if each.chardev == _LIBVIRT_MONITOR]
    if key is not None:
        paths.append(key.properties.get("file", ""))
    found = _LIBVIRT_GROUP.search(cgroup)
    for path in paths:
        found = found or _LIBVIRT_FOLDER.search(path)
    number = next(filter(None, found.groups()), "") if found is not None else ""
    return Owner(manager="libvirt", id=number, name=name)


def choose_access(owner: Owner, monitor: MonitorOption) -> Access:
    """Returns how a guest's monitor may be used."""
    if not monitor.listens:
        return "none"
    if owner.manager in {"libvirt", "kubevirt"} and monitor.chardev == _LIBVIRT_MONITOR:
        return "none"
    if owner.manager == "proxmox" and _PROXMOX_SOCKET.search(monitor.address):
        return "brief"
    return "any"


def _find_proxmox(pid_file: str, monitors: Sequence[MonitorOption], cgroup: str) -> str:
    for path in (*(each.address for each in monitors), pid_file):
        match = _PROXMOX_FILE.search(path)
        if match is not None:
            return match[1]
    match = _PROXMOX_GROUP.search(cgroup)
    return match[1] if match is not None else ""


def _is_in_pod(options: Sequence[Option]) -> bool:
    return any(
        value.startswith(_POD_FOLDERS) for each in options for value in each.properties.values()
    )
