"""Records one IOThread of a QEMU that runs the benchmark guest under fio.

QEMU runs with a small preloaded library (recorder.c beside this file, built by cc), which records
the inputs of each event loop's decisions in order, and what QEMU traces of its decisions. One
IOThread serves all disks; its records are written as an xz file that `vmio replay --check`
computes again.
"""

from __future__ import annotations

import argparse
import asyncio
import lzma
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from vmio.bench.jobs import fio_argv, parse_job
from vmio.errors import GuestError, VmioError
from vmio.guest.agent import Agent, agent_argv
from vmio.guest.image import GuestImage, ensure_image, image_argv
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess

SOURCE = Path(__file__).resolve().parent / "recorder.c"
BOOT_TIMEOUT_S = 180.0
GRACE_S = 60.0
DISK_BYTES = 64 << 20
DRAIN_INTERVAL_S = 0.02
EVENTS = ("poll_add", "poll_remove", "poll_grow", "poll_shrink", "run_poll_handlers_*")
SETTINGS = ("poll_max_ns", "poll_grow", "poll_shrink", "poll_weight")


@contextmanager
def build_recorder() -> Iterator[Path]:
    """Yields the library, built with the system's compiler in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="vmio-record-") as folder:
        library = Path(folder) / "recorder.so"
        flags = ("-O2", "-Wall", "-Wextra", "-shared", "-fPIC")
        subprocess.run(("cc", *flags, "-o", str(library), str(SOURCE), "-ldl"), check=True)
        yield library


def render_argv(
    options: argparse.Namespace, library: Path, folder: Path, image: GuestImage
) -> tuple[str, ...]:
    """Returns the command that runs QEMU with the recorder preloaded."""
    iothread = "".join(
        f",{name.replace('_', '-')}={value}"
        for name in SETTINGS
        if (value := getattr(options, name)) is not None
    )
    argv = [
        *("env", f"LD_PRELOAD={library}", f"RECORD_FOLDER={folder / 'loops'}"),
        *shlex.split(options.qemu),
        *("-machine", "pc", "-accel", options.accel, "-m", "512", "-nodefaults"),
        *("-display", "none", "-name", "record,debug-threads=on", "-D", "/dev/null"),
        *image_argv(image),
        *("-object", f"iothread,id=iot0{iothread}"),
        *(word for event in EVENTS for word in ("-trace", event)),
    ]
    for number in range(options.disks):
        path = folder / f"disk{number}"
        path.write_bytes(os.urandom(DISK_BYTES))
        cache = "cache.direct=on," if options.aio == "native" else ""
        node = f"file,filename={path},aio={options.aio},{cache}node-name=node{number}"
        controller = f"virtio-scsi-pci,id=scsi{number},iothread=iot0"
        devices = {
            "virtio-blk": (f"virtio-blk-pci,drive=node{number},iothread=iot0,serial=d{number}",),
            "virtio-scsi": (
                controller,
                f"scsi-hd,drive=node{number},bus=scsi{number}.0,serial=d{number}",
            ),
        }
        argv += ["-blockdev", node]
        argv += [word for device in devices[options.device] for word in ("-device", device)]
    return (*argv, *agent_argv(folder / "agent"))


@asynccontextmanager
async def boot(
    options: argparse.Namespace, library: Path, folder: Path
) -> AsyncIterator[tuple[QemuProcess, Agent]]:
    """Boots the benchmark guest and yields QEMU and the guest's agent."""
    image = ensure_image()
    (folder / "loops").mkdir()
    argv = render_argv(options, library, folder, image)
    async with (
        QemuProcess.start(argv) as process,
        Agent.connect(folder / "agent", BOOT_TIMEOUT_S) as agent,
    ):
        yield process, agent


async def run_load(agent: Agent, options: argparse.Namespace) -> None:
    """Runs fio once for each load, on the load's disks."""
    devices = [disk.path for disk in await agent.disks()][: options.disks]
    for load in options.load:
        depth, think_us, number = (int(word) for word in load.split(":"))
        targets = devices[:number]
        job = parse_job(f"rw=randread,bs=4k,iodepth={depth},ramp=0", runtime_s=options.seconds)
        argv = (
            *fio_argv(job, ":".join(targets)),
            *((f"--thinktime={think_us}",) if think_us else ()),
        )
        completed = await agent.run(argv, timeout_s=options.seconds + GRACE_S)
        if completed.status:
            raise GuestError(f"fio failed in the guest: {completed.stderr.decode()[:200]}")


async def drain(process: QemuProcess) -> None:
    """Sets the first disk's size to its current value, repeatedly, until it is cancelled.

    Each time QEMU drains the disk, which unregisters its handlers and registers them again.
    """
    while True:
        await process.qmp.execute("block_resize", {"node-name": "node0", "size": DISK_BYTES})
        await asyncio.sleep(DRAIN_INTERVAL_S)


async def record(options: argparse.Namespace, library: Path) -> bytes:
    """Returns the recording: whole lines of the IOThread, as many as requested."""
    with open_runtime_folder() as folder:
        async with boot(options, library, folder) as (process, agent):
            threads = await process.qmp.execute("query-iothreads")
            drains = asyncio.create_task(drain(process)) if options.drain else None
            try:
                await run_load(agent, options)
            finally:
                if drains is not None:
                    drains.cancel()
        path = folder / "loops" / f"{threads[0]['thread-id']}.txt"
        with path.open("rb") as lines:
            kept = [line for line, _ in zip(lines, range(options.lines), strict=False)]
    return b"".join(kept)


def parse_options() -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="the recording, such as depth1.txt.xz")
    parser.add_argument("--qemu", default="qemu-system-x86_64", help="a command, perhaps with -L")
    parser.add_argument("--accel", default="tcg")
    parser.add_argument("--device", choices=("virtio-blk", "virtio-scsi"), default="virtio-blk")
    parser.add_argument("--disks", type=int, default=1, metavar="N")
    parser.add_argument("--aio", choices=("native", "io_uring", "threads"), default="native")
    for name in SETTINGS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N")
    parser.add_argument(
        "--load",
        action="append",
        metavar="DEPTH:THINK_US:DISKS",
        help="one run of fio; repeatable (default: 1:0:1)",
    )
    parser.add_argument("--drain", action="store_true", help="drain the first disk continuously")
    parser.add_argument("--seconds", type=float, default=1.0, help="duration of each load")
    parser.add_argument("--lines", type=int, default=2**62, metavar="N", help="keep the first N")
    options = parser.parse_args()
    options.load = options.load or ["1:0:1"]
    return options


def main() -> int:
    """Records, and prints the size."""
    options = parse_options()
    try:
        with build_recorder() as library:
            data = asyncio.run(record(options, library))
    except VmioError as error:
        print(f"record: {error}", file=sys.stderr)
        return 1
    options.output.write_bytes(lzma.compress(data, preset=6))
    lines = data.count(b"\n")
    print(f"{lines} lines, {options.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
