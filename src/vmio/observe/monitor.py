"""What a monitor is asked for a sample: each time what changes, now and then what hardly does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from vmio.model.iothread import IOThread
from vmio.observe.disks import (
    VirtioDevice,
    parse_disks,
    parse_group,
    parse_limits,
    parse_queue,
    parse_virtio,
)
from vmio.observe.sample import DiskSample, Limits, QueueSample
from vmio.qemu.brief import BriefMonitor
from vmio.qemu.qmp import CommandRefusedError
from vmio.qemu.questions import Asked, Question
from vmio.qemu.replies import as_integer, as_mapping, name_device
from vmio.qemu.threads import ReportedThreads, parse_threads
from vmio.values import replace

__all__ = ["MonitorReader", "Reader", "Told"]

_SLOW_S: Final = 10.0
"""How old the limits and the list of queues may be; a person sets a limit seldom."""
_MAX_QUEUES: Final = 256
"""Of a guest: half a millisecond of QEMU's main loop each."""
_MAX_GROUPS: Final = 64
_THREADS_AND_DISKS: Final = (
    Question(command="query-iothreads"),
    Question(command="query-cpus-fast"),
    Question(command="query-blockstats"),
)


class Told(Struct, frozen=True, kw_only=True):
    """What a monitor, or who holds it, said for one sample."""

    monotonic_ns: int
    """When the disks' counters had been read."""
    threads: ReportedThreads | None = None
    """None where thread ids are not reported: the kernel's names of the threads tell then."""
    iothreads: tuple[IOThread, ...]
    """With their polling parameters, in the order of creation."""
    disks: tuple[DiskSample, ...]
    queues: tuple[QueueSample, ...] = ()


class Reader(Protocol):
    """What tells a guest's disks and IOThreads again and again."""

    @property
    def is_shared(self) -> bool:
        """Whether it serves others too, so that it need not answer."""
        ...

    async def read(self) -> Told:
        """Returns what it says now, or said when it was last its turn.

        Raises:
            VmioError: It does not answer, or not in kind.
        """
        ...

    def ask_for_queues(self, *, wanted: bool) -> None:
        """Chooses whether to ask what is in flight in each virtqueue from now on."""
        ...

    def is_of(self, pid: int) -> bool:
        """Returns whether what answers is known to be of a process, whatever it reports."""
        ...


class MonitorReader:
    """Asks one guest's monitor again and again.

    Args:
        monitor: What answers.
        limits: Whether to ask what each disk may do at most.
        queues: Whether to ask what is in flight in each virtqueue, which takes QEMU half a
            millisecond for each.
    """

    def __init__(self, monitor: Asked, *, limits: bool, queues: bool) -> None:
        self.monitor = monitor
        self._wants_limits = limits
        self._wants_queues = queues
        self._limits: Mapping[str, Limits | None] = {}
        self._queues: tuple[tuple[VirtioDevice, int], ...] = ()
        self._slow_s: float | None = None

    @property
    def is_shared(self) -> bool:
        """Whether the monitor serves others too, so that it need not answer."""
        return isinstance(self.monitor, BriefMonitor)

    def is_of(self, pid: int) -> bool:
        """Returns whether the process made the socket that answers.

        libvirt makes it and hands it over; then only QEMU's thread ids tell.
        """
        return not isinstance(self.monitor, BriefMonitor) or self.monitor.peer_pid == pid

    def ask_for_queues(self, *, wanted: bool) -> None:
        """Chooses whether to ask what is in flight in each virtqueue from now on."""
        if wanted != self._wants_queues:
            self._wants_queues = wanted
            self._queues = ()
            self._slow_s = None

    async def read(self) -> Told:
        """Returns what the monitor says now.

        Raises:
            QmpError: It does not answer, or not in kind.
        """
        async with self.monitor.conversation():
            if self._wants_limits or self._wants_queues:
                now_s = time.monotonic()
                if self._slow_s is None or now_s - self._slow_s >= _SLOW_S:
                    self._slow_s = now_s
                    try:
                        await self._read_slow()
                    except BaseException:
                        self._slow_s = None
                        raise
            listed = self._queues  # `ask_for_queues` may be called before the answers come
            asked = [
                Question(
                    command="x-query-virtio-queue-status",
                    arguments={"path": device.path, "queue": number},
                )
                for device, number in listed
            ]
            # The counters come last: the time of their answer is then the time they are of.
            answers = await self.monitor.execute_all([*asked, *_THREADS_AND_DISKS])
        # A monitor that others wait for is closed by now.
        monotonic_ns = time.monotonic_ns()
        name = self.monitor.name
        iothreads, vcpus, stats = map(_raise_refusal, answers[len(asked) :])
        queues = tuple(_list_queues(listed, answers[: len(asked)]))
        threads = parse_threads(iothreads, vcpus, name)
        return Told(
            monotonic_ns=monotonic_ns,
            threads=threads,
            iothreads=tuple(each for each, _ in threads.iothreads),
            disks=self._complete(parse_disks(stats, name), queues),
            queues=queues,
        )

    async def _read_slow(self) -> None:
        """Asks for limits and for the list of queues; what QEMU does not know stays unknown."""
        name = self.monitor.name
        questions = [Question(command="query-block"), Question(command="x-query-virtio")]
        blocks, devices = await self.monitor.execute_all(questions)
        found = {} if _is_refusal(blocks) else parse_limits(blocks, name)
        virtio = () if _is_refusal(devices) else parse_virtio(devices, name)
        groups = sorted({each for each in found.values() if isinstance(each, str)})[:_MAX_GROUPS]
        virtio = virtio[:_MAX_QUEUES] if self._wants_queues else ()
        questions = [
            Question(
                command="qom-get", arguments={"path": f"/objects/{each}", "property": "limits"}
            )
            for each in groups
        ]
        questions += [
            Question(command="x-query-virtio-status", arguments={"path": each.path})
            for each in virtio
        ]
        answers = await self.monitor.execute_all(questions) if questions else ()
        of_groups = {
            group: None if _is_refusal(answer) else parse_group(answer, group)
            for group, answer in zip(groups, answers, strict=False)
        }
        if self._wants_limits:
            self._limits = {
                disk: of_groups.get(each) if isinstance(each, str) else each
                for disk, each in found.items()
            }
        counted = list(_number_queues(virtio, answers[len(groups) :]))
        # All or none: a sum over some of a device's queues would be a wrong figure.
        self._queues = tuple(counted) if len(counted) <= _MAX_QUEUES else ()

    def _complete(
        self, disks: tuple[DiskSample, ...], queues: Sequence[QueueSample]
    ) -> tuple[DiskSample, ...]:
        """Returns the disks with their limits, and what is in flight where a queue is theirs."""
        if not self._limits and not queues:
            return disks
        in_flight: dict[str, int] = {}
        for each in queues:
            in_flight[each.device] = in_flight.get(each.device, 0) + each.in_flight
        return tuple(
            replace(
                each,
                limits=self._limits.get(each.id),
                in_flight=in_flight.get(name_device(each.qdev)),
            )
            for each in disks
        )


def _list_queues(
    listed: Sequence[tuple[VirtioDevice, int]], answers: Sequence[Any]
) -> Iterator[QueueSample]:
    for (device, number), answer in zip(listed, answers, strict=True):
        queue = None if _is_refusal(answer) else parse_queue(answer, device, number)
        if queue is not None:
            yield queue


def _number_queues(
    devices: Sequence[VirtioDevice], answers: Sequence[Any]
) -> Iterator[tuple[VirtioDevice, int]]:
    """Yields the queues of requests of each device; no more than can be asked for, and one."""
    left = _MAX_QUEUES + 1
    for device, answer in zip(devices, answers, strict=True):
        count = as_integer(as_mapping(answer).get("num-vqs")) or 0
        for number in range(device.first_queue, min(count, device.first_queue + left)):
            left -= 1
            yield device, number


def _is_refusal(answer: object) -> bool:
    return isinstance(answer, CommandRefusedError)


def _raise_refusal(answer: Any) -> Any:  # noqa: ANN401 - as QMP has it
    if isinstance(answer, CommandRefusedError):
        raise answer
    return answer
