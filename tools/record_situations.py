r"""Records samples of a real guest in situations that `vmio.observe.verdicts` knows.

`python tools/record_situations.py FILE [NAME …]` boots the benchmark guest under TCG, brings it
into each situation, and writes the samples as JSON. It takes three minutes, and asks for root,
because QEMU's threads get real-time priority: what other programs do on this host is not the
subject. Only the last situation is about that, and there QEMU competes with them.

The guest has five disks, each with an IOThread but one: a file (vd0), one with limits (vd1), one
that takes 10 ms (vd2), an encrypted one whose cipher is slow (vd3), and another of that kind in
the main loop (vd4).

With `--tell` nothing is written: the guest is found and watched like any other on this host, and
what vmio says of it in the end is printed, beside the kind of verdict that the situation is for.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vmio import app
from vmio.guest.agent import Agent, agent_argv
from vmio.guest.image import ensure_image
from vmio.model.machine import Machine
from vmio.model.topology import Topology
from vmio.observe.rates import compare_samples
from vmio.observe.readings import HostTracker
from vmio.observe.running import read_running
from vmio.observe.sample import Sample
from vmio.observe.sampler import open_sampler
from vmio.observe.verdicts.values import Verdict, VerdictKind
from vmio.observe.watching import watch_host
from vmio.qemu.boot import find_scratch_folder, render_boot
from vmio.qemu.child import run_command
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.report.verdicts.words import describe_verdict

SAMPLES = 3
INTERVAL_S = 2.5
_START_S = 1.5
_LOAD_S = round(_START_S + SAMPLES * INTERVAL_S + 2)
_BOOT_S = 180.0
_TRIES = 4
_QUIET = 0.05
"""A share of time: the threshold from which on run delay is a verdict."""
ROLES = frozenset({"main loop", "iothread", "vcpu"})
_DISK_BYTES = 64 << 20
_CIPHER = "serpent-256"
"""Has no instructions of its own in any processor, so that a request costs much time."""


class Guest(Struct, frozen=True, kw_only=True):
    """The booted guest."""

    process: QemuProcess
    agent: Agent
    devices: Mapping[str, str]
    """The guest's name for each disk."""

    async def load(self, disk: str, *options: str) -> None:
        """Loads a disk as long as the samples take."""
        argv = (
            *("fio", "--name=x", f"--filename={self.devices[disk]}", "--rw=randread"),
            *("--ioengine=libaio", "--direct=1", "--time_based", f"--runtime={_LOAD_S}"),
            *("--allow_file_create=0", *options),
        )
        done = await self.agent.run(argv, timeout_s=120)
        if done.status:
            raise SystemExit(done.stderr.decode("utf-8", "replace"))

    async def poll(self, iothread: str, longest_ns: int) -> None:
        """Sets how long an IOThread polls at most."""
        await self.process.qmp.execute(
            "qom-set",
            {"path": f"/objects/{iothread}", "property": "poll-max-ns", "value": longest_ns},
        )

    async def spin(self, seconds: int) -> None:
        """Keeps the guest's processor busy, but for what the host takes from real-time threads."""
        count = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"
        loop = f"timeout {seconds} sh -c 'while :; do {count}; sleep 0.01; done'; :"
        await self.agent.run(("sh", "-c", loop), timeout_s=120)


@asynccontextmanager
async def boot() -> AsyncIterator[Guest]:
    """Boots the guest."""
    image = ensure_image(controllers=("virtio-blk-pci",))
    how, _ = app.choose_boot(
        accelerator="tcg",
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=f"{image.append} clocksource=tsc tsc=reliable",
        memory_mib=512,
    )
    async with AsyncExitStack() as stack:
        runtime = stack.enter_context(open_runtime_folder())
        scratch = stack.enter_context(open_runtime_folder(Path(find_scratch_folder())))
        (scratch / "plain").write_bytes(os.urandom(_DISK_BYTES))
        secret = ("--object", "secret,id=key,data=not-a-secret")
        for name in ("vd3", "vd4", "free"):
            run_command(
                (
                    *("qemu-img", "create", "-q", "-f", "luks", *secret, "-o"),
                    f"key-secret=key,cipher-alg={_CIPHER},iter-time=10",
                    *(str(scratch / name), str(_DISK_BYTES)),
                ),
                timeout_s=_BOOT_S,
            )
        limits = '{"qom-type":"throttle-group","id":"few","limits":{"iops-total":300}}'
        nodes = {
            "vd0": f"driver=file,filename={scratch}/plain,cache.direct=on,aio=native",
            "vd1": "driver=throttle,throttle-group=few,file.driver=null-co,file.read-zeroes=on",
            "vd2": "driver=null-co,read-zeroes=on,latency-ns=10000000",
            "vd3": f"driver=luks,key-secret=key,file.driver=file,file.filename={scratch}/vd3",
            "vd4": f"driver=luks,key-secret=key,file.driver=file,file.filename={scratch}/vd4",
        }
        argv = [
            *render_boot(Machine(name="recorded"), Topology(), how),
            *agent_argv(runtime / "agent"),
            *("-object", "secret,id=key,data=not-a-secret", "-object", limits),
        ]
        for number, (disk, node) in enumerate(nodes.items()):
            device = f"virtio-blk-pci,id={disk},drive=node-{disk},num-queues=2"
            if disk != "vd4":
                argv += ["-object", f"iothread,id=io{number}"]
                device += f",iothread=io{number}"
            argv += ["-blockdev", f"{node},node-name=node-{disk}", "-device", device]
        luks = f"driver=luks,key-secret=key,file.driver=file,file.filename={scratch}/free"
        argv += ["-blockdev", f"{luks},node-name=node-free"]
        process = await stack.enter_async_context(
            QemuProcess.start(tuple(argv), qmp_socket=runtime / "qmp")
        )
        agent = await stack.enter_async_context(Agent.connect(runtime / "agent", _BOOT_S))
        found: list[str] = []
        while len(found) < len(nodes):
            found = sorted(each.path for each in await agent.disks() if each.name.startswith("vd"))
        yield Guest(process=process, agent=agent, devices=dict(zip(nodes, found, strict=True)))


def give_priority(pid: int) -> None:
    """Gives each thread of a process priority over all that is not real-time."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError, FileNotFoundError):
            os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(2))
            os.sched_setaffinity(int(task.name), os.sched_getaffinity(0))


def take_priority(pid: int) -> None:
    """Has a process compete with all others on the host, and on one processor."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError, FileNotFoundError):
            os.sched_setscheduler(int(task.name), os.SCHED_OTHER, os.sched_param(0))
            os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})


async def watch(guest: Guest, *, monitor: bool = True) -> list[Sample]:
    """Takes the samples."""
    asked = guest.process.qmp if monitor else None
    with open_sampler(guest.process.pid, asked, limits=monitor, queues=monitor) as sampler:
        found = []
        for _ in range(SAMPLES):
            await asyncio.sleep(INTERVAL_S if found else 0)
            taken = await sampler.take()
            if taken is None:
                raise SystemExit("QEMU has ended")
            found.append(taken)
        return found


async def record(
    guest: Guest, *loads: Awaitable[None], urgent: bool = True, monitor: bool = True
) -> list[Sample]:
    """Samples the guest under loads, and waits for their end."""
    tasks = [asyncio.ensure_future(each) for each in loads]
    await asyncio.sleep(_START_S)
    (give_priority if urgent else take_priority)(guest.process.pid)
    samples = await watch(guest, monitor=monitor)
    await asyncio.gather(*tasks)
    return samples


async def export(
    guest: Guest, thread: str | None, *loads: Awaitable[None], node: str = "node-free"
) -> list[Sample]:
    """Has an encrypted node read from the host, as by a backup, through an event loop.

    The node of a disk is read by that disk's event loop.
    """
    qmp = guest.process.qmp
    with open_runtime_folder() as folder:
        path = str(folder / "nbd")
        await qmp.execute("nbd-server-start", {"addr": {"type": "unix", "data": {"path": path}}})
        arguments: dict[str, object] = {"type": "nbd", "id": "out", "node-name": node}
        if thread is not None:
            arguments |= {"iothread": thread, "fixed-iothread": True}
        await qmp.execute("block-export-add", arguments)
        reader = await asyncio.create_subprocess_exec(
            *("qemu-img", "bench", "-f", "raw", "-c", "2000000000", "-d", "64", "-s", "65536"),
            f"nbd+unix:///{node}?socket={path}",
            stdout=subprocess.DEVNULL,
        )
        give_priority(reader.pid)  # a reader that waits for a processor leaves the loop idle
        tasks = [asyncio.ensure_future(each) for each in loads]
        try:
            return await record(guest)
        finally:
            # A guest whose main loop is full hardly gets on, and would not end its load.
            reader.kill()
            await reader.wait()
            await asyncio.gather(*tasks)
            await qmp.execute("nbd-server-stop")


async def contend(guest: Guest) -> list[Sample]:
    """Has other programs take the processors that the guest would use."""
    load = ("sh", "-c", "while :; do :; done")
    others = [await asyncio.create_subprocess_exec(*load) for _ in range(os.cpu_count() or 1)]
    try:
        return await record(guest, guest.load("vd0", "--bs=4k", "--iodepth=16"), urgent=False)
    finally:
        for other in others:
            other.kill()
            await other.wait()


async def trickle(guest: Guest, longest_ns: int) -> list[Sample]:
    """Has a disk read 200 times a second, one after another."""
    await guest.poll("io0", longest_ns)
    try:
        return await record(guest, guest.load("vd0", "--bs=4k", "--iodepth=1", "--rate_iops=200"))
    finally:
        await guest.poll("io0", 32768)


async def trickle_beside_client(guest: Guest) -> list[Sample]:
    """Has the same disk exported to a client that is connected and asks for nothing.

    Its socket has no poll callback, so that QEMU 10.0 does not poll, whatever the setting.
    """
    qmp = guest.process.qmp
    with open_runtime_folder() as folder:
        path = str(folder / "nbd")
        await qmp.execute("nbd-server-start", {"addr": {"type": "unix", "data": {"path": path}}})
        await qmp.execute(
            "block-export-add", {"type": "nbd", "id": "out", "node-name": "node-vd0"}
        )
        client = await asyncio.create_subprocess_exec(
            *("qemu-io", "-r", "-f", "raw", f"nbd+unix:///node-vd0?socket={path}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        try:
            return await trickle(guest, 1_000_000)
        finally:
            client.kill()
            await client.wait()
            await qmp.execute("nbd-server-stop")


async def poll_busy(guest: Guest) -> list[Sample]:
    """Polls for long where requests come without a pause."""
    await guest.poll("io0", 1_000_000)
    try:
        return await record(guest, guest.load("vd0", "--bs=4k", "--iodepth=16"))
    finally:
        await guest.poll("io0", 32768)


SITUATIONS: dict[str, Callable[[Guest], Awaitable[list[Sample]]]] = {
    "idle": record,
    "main-loop-full": lambda g: export(g, None, g.load("vd4", "--bs=4k", "--rate_iops=300")),
    "main-loop-light": lambda g: record(g, g.load("vd4", "--bs=4k", "--rate_iops=300")),
    "main-loop-exports": lambda g: export(g, None),
    "iothread-full": lambda g: record(g, g.load("vd3", "--bs=256k", "--iodepth=16")),
    "iothread-light": lambda g: record(g, g.load("vd3", "--bs=4k", "--rate_iops=300")),
    "iothread-exports": lambda g: export(g, "io1", g.load("vd1", "--bs=4k", "--rate_iops=100")),
    "polling-wasted": lambda g: trickle(g, 1_000_000),
    "polling-off": lambda g: trickle(g, 0),
    "polling-default": lambda g: trickle(g, 32768),
    "polling-blocked": trickle_beside_client,
    "polling-pays": poll_busy,
    "limit-binds": lambda g: record(g, g.load("vd1", "--bs=4k", "--iodepth=8")),
    "limit-far": lambda g: record(g, g.load("vd1", "--bs=4k", "--rate_iops=100")),
    "storage-slow": lambda g: record(g, g.load("vd2", "--bs=4k", "--iodepth=8")),
    "storage-one-by-one": lambda g: record(g, g.load("vd2", "--bs=4k", "--iodepth=1")),
    "disk-busy": lambda g: record(g, g.load("vd0", "--bs=16k", "--iodepth=4", "--rate_iops=900")),
    "vcpu-full": lambda g: record(g, g.spin(_LOAD_S)),
    "no-monitor": lambda g: record(g, g.load("vd0", "--bs=4k", "--rate_iops=300"), monitor=False),
    "processors-taken": contend,
}
_BACKUPS: dict[str, Callable[[Guest], Awaitable[list[Sample]]]] = {
    "backup-of-main-loop-disk": lambda g: export(
        g, None, g.load("vd4", "--bs=4k", "--rate_iops=300"), node="node-vd4"
    ),
    "backup-of-moved-disk": lambda g: export(
        g, None, g.load("vd3", "--bs=4k", "--rate_iops=300"), node="node-vd3"
    ),
}
"""The same disk and the same work, in the main loop and on an IOThread; not recorded."""
EXPECTED: Mapping[str, VerdictKind] = {
    "main-loop-full": "main-loop-full",
    "main-loop-exports": "main-loop-full",
    "backup-of-main-loop-disk": "main-loop-full",
    "backup-of-moved-disk": "iothread-full",
    "iothread-full": "iothread-full",
    "iothread-exports": "iothread-full",
    "polling-wasted": "polling-wasted",
    "polling-pays": "waits-for-processors",  # of two, it and the vCPU leave the main loop none
    "limit-binds": "limit-binds",
    "storage-slow": "storage-slow",
    "vcpu-full": "vcpus-full",
    "processors-taken": "waits-for-processors",
}
"""The others are there to be silent about."""


def drop_empty(value: Any) -> Any:  # noqa: ANN401 - of JSON
    """Returns a value without what is not set, which is what is read from nothing."""
    if isinstance(value, dict):
        kept = {key: drop_empty(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, "", [], {})}
    return [drop_empty(each) for each in value] if isinstance(value, list) else value


def shorten(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a sample without what no verdict looks at."""
    unused = {"failed", "invalid", "merged"}
    kept = {key: each for key, each in sample.items() if key != "queues"}
    kept["threads"] = [each for each in sample["threads"] if each["role"] in ROLES]
    kept["disks"] = [
        {
            key: {name: count for name, count in each.items() if name not in unused}
            if isinstance(each, dict) and key != "limits"
            else each
            for key, each in disk.items()
            if key not in {"device", "node", "qdev"}
        }
        for disk in sample.get("disks", ())
    ]
    return kept


def write(
    path: Path, version: str, layout: Topology, found: Mapping[str, Sequence[Sample]]
) -> None:
    """Writes everything to a file, a line for each sample; keeps what is not recorded now."""
    kept: dict[str, Any] = {}
    with suppress(FileNotFoundError):
        kept = msgspec.json.decode(path.read_bytes())["situations"]
    kept |= {name: msgspec.to_builtins(each) for name, each in found.items()}
    lines = [
        f'{{"qemu_version": "{version}",',
        f'"layout": {msgspec.json.encode(drop_empty(msgspec.to_builtins(layout))).decode()},',
        '"situations": {',
    ]
    for name in sorted(kept):
        shown = (drop_empty(shorten(each)) for each in kept[name])
        samples = ",\n".join(msgspec.json.encode(each).decode() for each in shown)
        lines.append(f'"{name}": [\n{samples}]' + ("," if name != max(kept) else ""))
    path.write_text("\n".join([*lines, "}}"]) + "\n")


def find_delay(samples: Sequence[Sample]) -> float:
    """Returns the longest run delay of a thread between two samples, as a share of time."""
    return max(
        thread.run_delay_share or 0.0
        for before, after in pairwise(samples)
        for thread in compare_samples(before, after).threads
        if thread.role in ROLES
    )


async def repeat(guest: Guest, name: str) -> list[Sample]:
    """Records a situation until the host let QEMU run, and returns the least disturbed try."""
    tries: list[list[Sample]] = []
    for _ in range(1 if name == "processors-taken" else _TRIES):
        tries.append(await SITUATIONS[name](guest))
        if find_delay(tries[-1]) < _QUIET:
            break
    return min(tries, key=find_delay)


async def tell(guest: Guest, name: str) -> tuple[Verdict, ...]:
    """Returns what vmio says of a guest in a situation, watched as on any host."""
    verdicts: tuple[Verdict, ...] = ()
    situation = {**SITUATIONS, **_BACKUPS}[name]
    async with watch_host(matches=lambda each: each.process.pid == guest.process.pid) as watcher:
        task = asyncio.ensure_future(situation(guest))
        await asyncio.sleep(_START_S)
        tracker = HostTracker()
        for number in range(round((SAMPLES - 1) * INTERVAL_S) + 1):
            await asyncio.sleep(1.0 if number else 0.0)
            (reading,) = tracker.add(await watcher.look())
            verdicts = reading.verdicts
        await task
    return verdicts


async def tell_all(names: Sequence[str]) -> None:
    """Prints what vmio says in each situation, and whether that is what it is for."""
    async with boot() as guest:
        for name in names or (*SITUATIONS, *_BACKUPS):
            if name == "no-monitor":
                continue
            expected = EXPECTED.get(name, "nothing")
            for _ in range(_TRIES):
                verdicts = await tell(guest, name)
                told = verdicts[0].kind if verdicts else "nothing"
                if told == expected:
                    break
            sign = "ok" if told == expected else "NOT AS EXPECTED"
            print(f"{name}: {expected}: {sign}", flush=True)
            for each in map(describe_verdict, verdicts):
                print(f"    {each.title}: {'; '.join(each.figures)}; {each.hint}", flush=True)


async def run(path: Path, names: Sequence[str]) -> None:
    """Records situations into a file."""
    async with boot() as guest:
        layout = await read_running(guest.process.qmp, pid=guest.process.pid)
        qemu = (await guest.process.qmp.execute("query-version"))["qemu"]
        version = f"{qemu['major']}.{qemu['minor']}.{qemu['micro']}"
        for name in names or SITUATIONS:
            found = await repeat(guest, name)
            write(path, version, layout, {name: found})
            print(f"{name}: run delay {find_delay(found):.3f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--tell":
        asyncio.run(tell_all(sys.argv[2:]))
    else:
        asyncio.run(run(Path(sys.argv[1]), sys.argv[2:]))
