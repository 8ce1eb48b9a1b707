"""The running guests of a host as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from vmio.formats.qemu.monitors import Transport
from vmio.managers.discovery import Monitor, MonitorState, RunningGuest
from vmio.managers.owners import Access, Manager
from vmio.observe.verdicts.values import Verdict
from vmio.report.envelope import Count, render_document
from vmio.report.guests.counts import count_main_loop
from vmio.report.verdicts.json import VerdictData, describe_verdict_data

__all__ = ["GuestsData", "render_guests_json"]


class MonitorData(TypedDict):
    """A monitor of a running guest."""

    protocol: str
    """`qmp` for programs, `hmp` for people."""
    transport: Transport
    address: str
    """The socket's path in the guest's own root, `@NAME` of an abstract one, or `HOST:PORT`; empty
    if not known."""
    state: MonitorState
    """`free`: nobody is connected; `held`: somebody is; `absent`: nothing can be reached there;
    `outgoing`: QEMU itself connects to somebody; `unknown`: it cannot be seen without connecting.
    """
    waiting: Count
    """Clients that are connected and not served yet."""
    access: Access
    """`any`: it is nobody else's; `brief`: its manager uses it again and again, so only short
    visits while it is free; `none`: it is its manager's alone."""


class RunningGuestData(TypedDict):
    """A guest that runs on this host."""

    address: str
    """`pid:NUMBER`, which every verb takes."""
    pid: Count
    inner_pid: Count
    """Its number in its own PID namespace."""
    started_ticks: Count
    """The start of its process in clock ticks since this host's boot: the same number with
    another start is another process."""
    uptime_seconds: float
    manager: Manager
    """`none`: it was started by hand, or by a manager that vmio does not know."""
    id: str
    """The number of a Proxmox VM, the number that libvirt gave for this run, or `NAMESPACE/NAME`
    in KubeVirt; empty if not known."""
    name: str
    uuid: str
    """The value of -uuid; empty if there is none."""
    pod: str
    """The id of its pod; empty if it is in none."""
    unit: str
    """The systemd unit that it runs in; empty if it runs in none."""
    cgroup: str
    user_id: int
    """The user that it runs as; -1 if not known."""
    stopped: bool
    """Whether its process is stopped, so that no monitor of it answers."""
    vcpus: Count | None
    """As its command line says, as are the next three; null if that cannot be read."""
    disks: Count | None
    main_loop_disks: Count | None
    """Those that the main loop serves."""
    iothreads: Count | None
    monitors: list[MonitorData]
    error: str | None
    """Why its command line cannot be read."""
    verdicts: list[VerdictData] | None
    """What limits it, the worst first; empty if nothing does, null if it was not judged."""


class GuestsData(TypedDict):
    """The running guests of a host: the worst limited first, or else by their numbers."""

    guests: list[RunningGuestData]
    unseen: list[str]
    """What this user cannot see, a line each."""


def render_guests_json(
    guests: Sequence[RunningGuest],
    unseen: Sequence[str],
    verdicts: Mapping[str, Sequence[Verdict]] | None = None,
) -> str:
    """Returns guests as a JSON document.

    Args:
        guests: The guests in their order.
        unseen: What this user cannot see, a line each.
        verdicts: What limits each, by its address; None if nobody looked.
    """
    described = [_describe(each, (verdicts or {}).get(each.address)) for each in guests]
    data: GuestsData = {"guests": described, "unseen": [*unseen]}
    return render_document("guests", data)


def _describe(guest: RunningGuest, verdicts: Sequence[Verdict] | None) -> RunningGuestData:
    layout, process = guest.layout, guest.process
    return {
        "address": guest.address,
        "pid": process.pid,
        "inner_pid": process.inner_pid,
        "started_ticks": process.started_ticks,
        "uptime_seconds": round(guest.uptime_s, 2),
        "manager": guest.manager,
        "id": guest.id,
        "name": guest.name,
        "uuid": guest.uuid,
        "pod": guest.pod,
        "unit": process.unit,
        "cgroup": process.cgroup,
        "user_id": process.owner,
        "stopped": process.stopped,
        "vcpus": layout.vcpus if layout is not None else None,
        "disks": len(layout.disks) if layout is not None else None,
        "main_loop_disks": count_main_loop(layout) if layout is not None else None,
        "iothreads": len(layout.iothreads) if layout is not None else None,
        "monitors": [*map(_describe_monitor, guest.monitors)],
        "error": guest.problem or None,
        "verdicts": None if verdicts is None else [*map(describe_verdict_data, verdicts)],
    }


def _describe_monitor(monitor: Monitor) -> MonitorData:
    return {
        "protocol": monitor.protocol,
        "transport": monitor.transport,
        "address": monitor.address,
        "state": monitor.state,
        "waiting": monitor.waiting,
        "access": monitor.access,
    }
