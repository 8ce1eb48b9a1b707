"""Measures `vmio check` over a generated cluster, as a whole process on all processors.

    check_many.py [-n CONFIGS] [--domains] [--profile]

The cluster has three nodes, six storages and a realistic mix of guests: most with one to three
disks, a few databases with a dozen, Windows, old IDE guests, templates, some with snapshots, half
with findings. With `--domains` they are libvirt domains instead. The same configs are generated
each time. The requested number and a tenth of it are checked, in turn with a bare Python, and the
table shows the time and memory of each; memory is that of all processes together, with shared
pages counted once. With `--profile` one process checks a tenth and prints where its time was
spent.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from uuid import UUID

NODES = ("alpha", "beta", "delta")
STORAGE_CFG = """\
dir: local
	path /var/lib/vz
	content images,iso

zfspool: tank
	pool tank/vm
	content images

lvmthin: local-lvm
	vgname pve
	thinpool data
	content images

lvm: san
	vgname san
	content images

rbd: ceph
	pool vm
	monhost 192.0.2.1 192.0.2.2
	content images

nfs: nas
	path /mnt/pve/nas
	server 192.0.2.9
	export /vm
	content images
"""
STORAGES = ("tank", "tank", "tank", "local-lvm", "local-lvm", "san", "ceph", "ceph", "nas")
_PERIOD_S = 0.05


def generate_config(number: int) -> str:
    """Returns a VM's config; the same number always gives the same one."""
    rng = random.Random(number)  # noqa: S311 - nothing secret
    kind = rng.choices(
        ("linux", "database", "windows", "old", "template"), weights=(60, 8, 20, 8, 4)
    )[0]
    disks = rng.randint(6, 16) if kind == "database" else rng.choice((1, 1, 1, 2, 2, 3))
    bus = {"old": "ide"}.get(kind) or rng.choice(("scsi", "scsi", "scsi", "virtio", "sata"))
    disks = min(disks, {"ide": 3, "sata": 6}.get(bus, 16))
    lines = [
        "agent: 1",
        f"boot: order={bus}0;net0",
        f"cores: {rng.choice((1, 2, 4, 8))}",
        "cpu: x86-64-v2-AES",
        "description: generated",
        f"machine: {rng.choice(('q35', 'pc-i440fx-8.1', 'pc-q35-9.0+pve1'))}",
        f"memory: {rng.choice((1024, 2048, 4096, 16384))}",
        f"meta: creation-qemu=9.0.2,ctime={1_700_000_000 + number}",
        f"name: {kind}-{number}",
        f"net0: virtio=BC:24:11:00:{number // 256 % 256:02X}:{number % 256:02X},bridge=vmbr0",
        "numa: 0",
        "onboot: 1",
        f"ostype: {'win11' if kind == 'windows' else 'l26'}",
        f"smbios1: uuid={UUID(int=rng.getrandbits(128))}",
        "sockets: 1",
    ]
    if bus == "scsi" and rng.random() < 0.9:  # noqa: PLR2004 - the mix
        lines.append(f"scsihw: {rng.choice(('virtio-scsi-single',) * 3 + ('virtio-scsi-pci',))}")
    if kind == "template":
        lines.append("template: 1")
    lines += [generate_disk(rng, number, f"{bus}{index}", index) for index in range(disks)]
    if kind == "windows":
        lines.append("ide2: local:iso/virtio-win.iso,media=cdrom,size=700M")
        lines.append(f"efidisk0: tank:vm-{number}-disk-99,efitype=4m,size=1M")
    settings = sorted(lines)
    if rng.random() < 0.1:  # noqa: PLR2004 - the mix
        settings += ["", "[before-upgrade]", *sorted(lines), "snaptime: 1700000000"]
    return "\n".join(settings) + "\n"


def generate_disk(rng: random.Random, number: int, key: str, index: int) -> str:
    """Returns the line of a disk."""
    storage = rng.choice(STORAGES)
    volume = f"{storage}:vm-{number}-disk-{index}"
    if storage == "nas":
        volume = f"nas:{number}/vm-{number}-disk-{index}.qcow2"
    options = [f"size={rng.choice((8, 32, 100, 500))}G"]
    if not key.startswith(("ide", "sata")) and rng.random() < 0.6:  # noqa: PLR2004 - the mix
        options.append("iothread=1")
    for option, share in (("discard=on", 0.6), ("ssd=1", 0.3), ("backup=0", 0.05)):
        if rng.random() < share and not (option == "ssd=1" and key.startswith("virtio")):
            options.append(option)
    if rng.random() < 0.25:  # noqa: PLR2004 - the mix
        options.append(f"cache={rng.choice(('none', 'writeback', 'writethrough', 'unsafe'))}")
    if rng.random() < 0.25:  # noqa: PLR2004 - the mix
        options.append(f"aio={rng.choice(('native', 'threads', 'io_uring'))}")
    if rng.random() < 0.1:  # noqa: PLR2004 - the mix
        options.append("iops_rd=1000,iops_wr=500,mbps_rd=100")
    return f"{key}: {volume},{','.join(sorted(options))}"


def write_cluster(root: Path, count: int) -> list[str]:
    """Writes the tree of a cluster and returns it."""
    (root / "storage.cfg").write_text(STORAGE_CFG, encoding="utf-8")
    for node, version in zip(NODES, ("10.1.2-7", "9.2.0-5", "8.1.5-6"), strict=True):
        folder = root / "nodes" / node / "qemu-server"
        folder.mkdir(parents=True)
        text = f"proxmox-ve: 9 (running kernel: 6.17.2-1-pve)\npve-qemu-kvm: {version}\n"
        (folder.parent / "pveversion.txt").write_text(text, encoding="utf-8")
    for number in range(100, 100 + count):
        folder = root / "nodes" / NODES[number % len(NODES)] / "qemu-server"
        (folder / f"{number}.conf").write_text(generate_config(number), encoding="utf-8")
    return [str(root)]


def generate_domain(number: int) -> str:
    """Returns a libvirt domain; the same number always gives the same one."""
    rng = random.Random(number)  # noqa: S311 - nothing secret
    bus = rng.choice(("virtio", "virtio", "scsi", "sata"))
    caches = ("none", "writeback")
    letter = "v" if bus == "virtio" else "s"
    threads = rng.choice((0, 1, 2))
    own = " iothread='1'" if threads and bus == "virtio" else ""
    shared = "<driver iothread='1'/>" if threads and bus == "scsi" else ""
    disks = [
        f"    <disk type='file' device='disk'>\n"
        f"      <driver name='qemu' type='qcow2' cache='{rng.choice(caches)}'{own}/>\n"
        f"      <source file='/var/lib/libvirt/images/{number}-{index}.qcow2'/>\n"
        f"      <target dev='{letter}d{chr(ord('a') + index)}' bus='{bus}'/>\n"
        "    </disk>\n"
        for index in range(rng.choice((1, 1, 1, 2, 3, 6)))
    ]
    return (
        f"<domain type='kvm'>\n  <name>guest-{number}</name>\n  <memory unit='GiB'>4</memory>\n"
        f"  <vcpu>{rng.choice((1, 2, 4, 8))}</vcpu>\n  <iothreads>{threads}</iothreads>\n"
        "  <os><type arch='x86_64' machine='pc-q35-9.2'>hvm</type></os>\n  <devices>\n"
        f"    <controller type='scsi' index='0' model='virtio-scsi'>{shared}</controller>\n"
        f"{''.join(disks)}"
        "    <interface type='network'><source network='default'/></interface>\n"
        "    <graphics type='vnc' port='-1'/>\n  </devices>\n</domain>\n"
    )


def write_domains(root: Path, count: int) -> list[str]:
    """Writes a number of domains and returns their files."""
    files = [root / f"{number}.xml" for number in range(count)]
    for number, path in enumerate(files):
        path.write_text(generate_domain(number), encoding="utf-8")
    return [*map(str, files)]


def list_processes(pid: int) -> Iterator[int]:
    """Yields a process and those that it started."""
    yield pid
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        for child in children.split():
            yield from list_processes(int(child))


def read_memory_mib(pid: int) -> float:
    """Returns the memory of a process and those that it started, shared pages counted once."""
    total_kib = 0
    for one in list_processes(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total_kib += int(line.split()[1])
    return total_kib / 1024


def measure(arguments: list[str]) -> tuple[float, float]:
    """Runs vmio and returns its seconds and its MiB at the peak.

    Raises:
        SystemExit: It failed, so its time would mean nothing.
    """
    start_s = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "vmio", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        peak_mib = 0.0
        ended = threading.Event()

        def watch() -> None:
            nonlocal peak_mib
            while not ended.wait(_PERIOD_S):
                peak_mib = max(peak_mib, read_memory_mib(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        _, said = process.communicate()
        wall_s = time.perf_counter() - start_s
        ended.set()
        watcher.join()
    if process.returncode not in {0, 1}:
        sys.exit(f"check_many: vmio failed, so it was not measured: {said.decode()[-500:]}")
    return wall_s, peak_mib


def measure_calibration() -> float:
    """Returns the seconds for a fixed piece of Python, which shows how busy the host is."""
    start_s = time.perf_counter()
    sum(len(str(number)) for number in range(2_000_000))
    return time.perf_counter() - start_s


def profile(files: list[str]) -> None:
    """Prints where the time of one process was spent."""
    from vmio.cli.main import main

    profiler = cProfile.Profile()
    with Path(os.devnull).open("w", encoding="utf-8") as nothing, redirect_stdout(nothing):
        profiler.enable()
        with suppress(SystemExit):
            main(["check", "--jobs", "1", *files])
        profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--configs", type=int, default=10_000, metavar="CONFIGS")
    parser.add_argument("-r", "--rounds", type=int, default=3, metavar="ROUNDS")
    parser.add_argument("--domains", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("arguments", nargs="*", help="additional words for vmio check")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="check-many-") as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        few.mkdir()
        write = write_domains if options.domains else write_cluster
        few_files = write(few, options.configs // 10)
        if options.profile:
            profile(few_files)
            return
        many.mkdir()
        many_files = write(many, options.configs)
        calls = {
            options.configs // 10: ["check", *few_files, *options.arguments],
            options.configs: ["check", *many_files, *options.arguments],
        }
        samples: dict[int, list[tuple[float, float]]] = {count: [] for count in calls}
        bare_s = []
        for _ in range(options.rounds):
            bare_s.append(measure_calibration())
            for count, call in calls.items():
                samples[count].append(measure(call))
    for count, taken in samples.items():
        wall_s = statistics.median(wall for wall, _ in taken)
        ratio = statistics.median(
            wall / bare for (wall, _), bare in zip(taken, bare_s, strict=True)
        )
        print(
            f"{count:8d} configs {wall_s:8.2f} s {count / wall_s:8.0f} a second"
            f" {max(peak for _, peak in taken):8.0f} MiB {ratio:8.1f}x the fixed loop"
        )
    print(f"on {len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
