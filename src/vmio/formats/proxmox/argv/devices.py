"""The small devices: ports, sound, the guest agent, random numbers, ballooning and the like.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmio.errors import PlanError
from vmio.formats.proxmox.argv.context import RUN_FOLDER, Argument, Context, is_on
from vmio.formats.proxmox.perl import is_true

__all__ = [
    "has_rng",
    "render_agent",
    "render_audio",
    "render_balloon",
    "render_ivshmem",
    "render_ports",
    "render_rng",
    "render_sev",
    "render_virtiofs",
    "render_vmgenid",
    "render_watchdog",
]

_SERIAL_PORTS = ("serial0", "serial1", "serial2", "serial3")
_PARALLEL_PORTS = ("parallel0", "parallel1", "parallel2")
_NO_DEBUG, _NO_KEY_SHARING, _ENCRYPTED_STATE, _NO_SEND = 1, 2, 4, 8
_SNP_SMT, _SNP_RESERVED, _SNP_DEBUG = 1 << 16, 1 << 17, 1 << 19


def render_vmgenid(ctx: Context) -> Iterator[Argument]:
    """Yields the number by which a guest detects that it was cloned or rolled back."""
    value = ctx.written("vmgenid")
    if value:
        yield "-device", f"vmgenid,guid={value}"


def render_ports(ctx: Context) -> Iterator[Argument]:
    """Yields the serial ports, then the parallel ones."""
    for index, key in enumerate(_SERIAL_PORTS):
        path = ctx.written(key)
        if not path:
            continue
        if path == "socket":
            socket = f"{RUN_FOLDER}/{ctx.guest.vm.id}.serial{index}"
            yield "-chardev", f"socket,id=serial{index},path={socket},server=on,wait=off"
            if ctx.is_arm and index == 0:
                # The first port is part of the machine.
                yield "-serial", "chardev:serial0"
                continue
        else:
            yield "-chardev", f"serial,id=serial{index},path={path}"
        yield "-device", f"isa-serial,chardev=serial{index}"
    for index, key in enumerate(_PARALLEL_PORTS):
        path = ctx.written(key)
        if path:
            kind = "serial" if path.startswith("/dev/usb/lp") else "parallel"
            yield "-chardev", f"{kind},id=parallel{index},path={path}"
            yield "-device", f"isa-parallel,chardev=parallel{index}"


def render_audio(ctx: Context) -> Iterator[Argument]:
    """Yields the sound card and its audio backend."""
    audio = ctx.guest.read("audio0")
    if not audio or not ctx.guest.machine.is_at_least(4, 0):
        return
    device, driver = audio["device"], audio.get("driver", "spice")
    backend = f",audiodev={driver}-backend0" if ctx.guest.machine.is_at_least(4, 2) else ""
    address = ctx.pci("audio0")
    if device == "AC97":
        yield "-device", f"AC97,id=audiodev0{address}{backend}"
    else:
        yield "-device", f"{device},id=audiodev0{address}"
        for number, codec in enumerate(("hda-micro", "hda-duplex")):
            place = f"id=audiodev0-codec{number},bus=audiodev0.0,cad={number}"
            yield "-device", f"{codec},{place}{backend}"
    yield "-audiodev", f"{driver},id={driver}-backend0"


def render_agent(ctx: Context) -> Iterator[Argument]:
    """Yields the port of the guest agent."""
    agent = ctx.guest.read("agent")
    if not is_on(agent.get("enabled")):
        return
    socket = f"{RUN_FOLDER}/{ctx.guest.vm.id}.qga"
    yield "-chardev", f"socket,path={socket},server=on,wait=off,id=qga0"
    if agent.get("type") == "isa":
        yield "-device", "isa-serial,chardev=qga0"
    else:
        yield "-device", f"virtio-serial,id=qga0{ctx.pci('qga0')}"
        yield "-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0"


def has_rng(ctx: Context) -> bool:
    """Returns whether the guest gets a source of random numbers, which older machines do not."""
    return "rng0" in ctx.guest.settings and ctx.guest.machine.is_at_least(4, 1, 2)


def render_rng(ctx: Context) -> Iterator[Argument]:
    """Yields the source of random numbers, with its rate limit."""
    if not has_rng(ctx):
        return
    rng = ctx.guest.read("rng0")
    most = rng.get("max_bytes", "1024")
    limit = f",max-bytes={most},period={rng.get('period', '1000')}" if is_true(most) else ""
    yield "-object", f"rng-random,filename={rng['source']},id=rng0"
    yield "-device", f"virtio-rng-pci,rng=rng0{limit}{ctx.pci('rng0')}"


def render_balloon(ctx: Context) -> Iterator[Argument]:
    """Yields the balloon device, which returns memory to the host."""
    if int(ctx.guest.settings.get("balloon", "1")):
        reporting = ",free-page-reporting=on" if ctx.guest.machine.is_at_least(6, 2) else ""
        yield "-device", f"virtio-balloon-pci,id=balloon0{ctx.pci('balloon0')}{reporting}"


def render_watchdog(ctx: Context) -> Iterator[Argument]:
    """Yields the watchdog and its action."""
    if "watchdog" not in ctx.guest.settings:
        return
    watchdog = ctx.guest.read("watchdog")
    yield "-device", f"{watchdog.get('model', 'i6300esb')}{ctx.pci('watchdog')}"
    if "action" in watchdog:
        yield "-watchdog-action", watchdog["action"]


def render_ivshmem(ctx: Context) -> Iterator[Argument]:
    """Yields memory that the guest shares with others."""
    shared = ctx.guest.read("ivshmem")
    if not shared:
        return
    address = ",bus=pcie.0,addr=0x14" if ctx.is_q35 else ctx.pci("ivshmem")
    # The comma at the end is what Proxmox prints.
    yield "-device", f"ivshmem-plain,memdev=ivshmem{address},"
    path = f"/dev/shm/pve-shm-{shared.get('name', ctx.guest.vm.id)}"  # noqa: S108 - as printed
    size = f"{shared['size']}M"
    yield "-object", f"memory-backend-file,id=ivshmem,share=on,mem-path={path},size={size}"


def render_virtiofs(ctx: Context) -> Iterator[Argument]:
    """Yields the shared folders of the host; a separate program serves each.

    Raises:
        PlanError: The guest could not mount one.
    """
    for index in range(10) if ctx.shares_folders else ():
        shared = ctx.guest.read(f"virtiofs{index}")
        if shared:
            if ctx.windows and is_on(shared.get("expose-acl")):
                raise PlanError(
                    "Please disable ACLs for virtiofs on Windows VMs, otherwise the virtiofs"
                    " shared directory cannot be mounted."
                )
            socket = f"/run/qemu-server/virtiofsd/vm{ctx.guest.vm.id}-fs{index}"
            yield "-chardev", f"socket,id=virtiofs{index},path={socket}"
            # Windows guests fail with a longer queue.
            device = f"vhost-user-fs-pci,queue-size=1024,chardev=virtiofs{index}"
            yield "-device", f"{device},tag={shared['dirid']}"


def render_sev(ctx: Context) -> Iterator[Argument]:
    """Yields AMD's memory encryption.

    Raises:
        PlanError: The host's processors or the firmware do not support it.
    """
    sev = ctx.guest.read("amd-sev")
    if not sev:
        return
    kind, host = sev["type"], ctx.host.cpu.sev
    needed = {"es": ("SEV-ES", host.sev_es), "snp": ("SEV-SNP", host.sev_snp)}
    for name, is_supported in (("SEV", host.sev), needed.get(kind, ("SEV", True))):
        if not is_supported:
            raise PlanError(f"Your CPU does not support AMD {name}.")
    if ctx.guest.settings.get("bios") != "ovmf":
        raise PlanError("To use AMD SEV, you need to change the BIOS to OVMF.")
    no_debug = is_on(sev.get("no-debug"))
    if kind == "snp":
        name = "sev-snp-guest"
        policy = _SNP_RESERVED | (0 if no_debug else _SNP_DEBUG)
        policy |= _SNP_SMT if is_on(sev.get("allow-smt"), default=True) else 0
    else:
        name = "sev-guest"
        policy = _NO_SEND | (_ENCRYPTED_STATE if kind == "es" else 0)
        policy |= _NO_DEBUG if no_debug else 0
        policy |= _NO_KEY_SHARING if is_on(sev.get("no-key-sharing")) else 0
    bits = f"cbitpos={host.cbitpos},reduced-phys-bits={host.reduced_phys_bits}"
    hashes = ",kernel-hashes=on" if is_on(sev.get("kernel-hashes")) else ""
    yield "-object", f"{name},id=sev0,{bits},policy={policy:#x}{hashes}"
