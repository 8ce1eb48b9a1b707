"""Running guests, looked at again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from vmio.app.guests import lay_out, load, read_place
from vmio.app.ps import make_filter
from vmio.errors import VmioError
from vmio.managers.discovery import RunningGuest
from vmio.managers.owners import Manager
from vmio.managers.proxmox.pmxcfs import PVE
from vmio.model.host import Host
from vmio.model.topology import Topology
from vmio.observe.readings import HostTracker
from vmio.observe.verdicts.values import Verdict
from vmio.observe.watching import HostWatcher, WatchOptions, watch_host

__all__ = ["ConfiguredLayouts", "judge_guests", "watch_guests"]

_MAX_KEPT: Final = 4096
_CONFIGS: Final[dict[Manager, str]] = {
    "proxmox": f"{PVE}/qemu-server/{{id}}.conf",
    "libvirt": "/etc/libvirt/qemu/{name}.xml",
}
"""Where a manager of this host keeps what a guest has after a restart."""


class ConfiguredLayouts:
    """Finds the layouts that running guests would have after a restart.

    A config is read again when it has changed.

    Args:
        root: The file system with the managers' configs.
    """

    def __init__(self, *, root: Path = Path("/")) -> None:
        self._root = root
        self._kept: dict[Path, tuple[tuple[int, int, int], Topology | None]] = {}
        self._host: Host | None = None

    def find(self, guest: RunningGuest) -> Topology | None:
        """Returns the layout after a restart; None if its config is not here or not readable."""
        path = self._find_config(guest)
        if path is None:
            return None
        try:
            stat = path.stat()
        except (OSError, ValueError):
            self._kept.pop(path, None)
            return None
        state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        kept = self._kept.get(path)
        if kept is None or kept[0] != state:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            kept = self._kept[path] = (state, self._read(path))
        return kept[1]

    def _find_config(self, guest: RunningGuest) -> Path | None:
        pattern = _CONFIGS.get(guest.manager)
        named = guest.id if guest.manager == "proxmox" else guest.name
        if pattern is None or not named or "/" in named or "\0" in named or named.startswith("."):
            return None
        return self._root / pattern.format(id=named, name=named).lstrip("/")

    def _read(self, path: Path) -> Topology | None:
        try:
            if self._host is None:
                self._host = read_place(str(path)).host
            found = load(str(path), host=self._host, restarted=True)
            return lay_out(found).name_as_qemu()
        except VmioError:  # `vmio check` is what tells
            return None


@asynccontextmanager
async def watch_guests(
    addresses: Sequence[str] = (), *, options: WatchOptions | None = None
) -> AsyncIterator[HostWatcher]:
    """Watches guests of this host while the body runs, also those that start meanwhile.

    `HostWatcher.look` looks at them; `vmio.observe.readings.HostTracker` turns looks into rates
    and verdicts. Monitors are used in short visits, and only while nobody else is connected.

    Args:
        addresses: Which of them, as for `list_running`; all without any.
        options: What is read of each guest; the default is what needs no extra question.

    Raises:
        ConflictError: An address is the config of another node.
    """
    filters = [make_filter(each) for each in addresses]
    configured = ConfiguredLayouts()
    async with watch_host(
        options,
        matches=lambda guest: not filters or any(each(guest) for each in filters),
        find_configured=configured.find,
    ) as watcher:
        yield watcher


async def judge_guests(
    guests: Iterable[RunningGuest], window_s: float
) -> Mapping[str, tuple[Verdict, ...]]:
    """Returns what limits each guest, by its address, from one window; the worst first.

    A guest that cannot be judged, as one that ends meanwhile, is left out; of one that nothing
    limits there are no verdicts.

    Args:
        guests: Guests that run on this host.
        window_s: Seconds between the two looks at them: 2 or more, since the kernel samples how
            threads spend their time.
    """
    keys = {each.key for each in guests}
    tracker = HostTracker(confirm=False)
    async with watch_host(
        matches=lambda guest: guest.key in keys, find_configured=ConfiguredLayouts().find
    ) as watcher:
        tracker.add(await watcher.look())
        await asyncio.sleep(window_s)
        readings = tracker.add(await watcher.look())
    return {each.guest.address: each.verdicts for each in readings if each.is_judged}
