"""Words of plans that several notations share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from vmio.formats.base import Words
from vmio.model.plan import Plan, Step
from vmio.model.topology import Topology

__all__ = ["GAIN", "RUN", "VIRTIO_BLK_OF_MACOS", "are", "join", "list_served", "tell_map_queues"]

RUN: Final = "QEMU 10.0.2, run"
GAIN: Final = (
    "requests no longer wait for the main loop; with 8 vCPUs QEMU's maintainers"
    " measured 7 % to 21 % more of them a second (qemu-devel, 2025-11-04)"
)

VIRTIO_BLK_OF_MACOS: Final = (
    "For virtio-blk macOS has a driver since 10.14: which version the guest is, and whether it"
    " starts from such a disk, only you can see"
)


def join(names: Iterable[str]) -> str:
    """Returns names as in a sentence: a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def are(names: Sequence[object]) -> str:
    """Returns the verb for one thing or for several."""
    return "is" if len(names) == 1 else "are"


def list_served(topology: Topology) -> tuple[int, str]:
    """Returns the number of threads that vmio creates, and the disks that each serves."""
    served: dict[str, list[str]] = {}
    for attached in topology.disks:
        for thread in topology.served_by(attached):
            served.setdefault(thread, []).append(attached.disk.id)
    ours = [each.id for each in topology.iothreads if re.fullmatch(r"vmio\d+", each.id)]
    return len(ours), "; ".join(f"{name} serves {join(served[name])}" for name in ours)


def tell_map_queues(plan: Plan, step: Step, *, source: str, how: str) -> Words:
    """Returns the words for queues that several IOThreads serve.

    Args:
        plan: The plan.
        step: The step.
        source: Why the notation cannot configure it.
        how: What a person does, up to QEMU's own options.
    """
    names = (step.changes[0].new or "").split(",")
    chosen = (each for each in plan.after.disks if each.disk.id in step.disks)
    controllers = dict.fromkeys(plan.after.controller_of(each).id for each in chosen)
    threads = ", ".join(f'{{"iothread": "{name}"}}' for name in names)
    return Words(
        what=f"Map the queues of {join(step.disks)} to {len(names)} IOThreads",
        why="one IOThread for a fast disk of a guest with many vCPUs is soon busy",
        source=source,
        effect="on a local Optane disk 4 threads made 1.8 times to 2.1 times the requests of one"
        " (KVM Forum 2024; qemu-devel, 2025-03-11)",
        how=f"{how}-object iothread for each of them, and {join(controllers)} as JSON with"
        f' "iothread-vq-mapping": [{threads}]',
    )
