"""The memory: its size, its NUMA nodes, huge pages, and hotplug.

Source: qemu-server 9.2.6.

Units: MiB throughout, as in Proxmox.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmio.errors import PlanError
from vmio.formats.proxmox.argv.context import Argument, Context
from vmio.formats.proxmox.argv.cpu import count_cores, list_hotplug, read_phys_bits

__all__ = ["VIRTIOFS_MEMORY", "render_memory"]

VIRTIOFS_MEMORY = "virtiofs-mem"

_STATIC_MIB = 1024
_SLOTS = 255
_MAX_MIB = 4 * 1024 * 1024
_DIMM_MIB = 512
_DIMMS_PER_SIZE = 32
_DIMM_SIZES = 8
_HUGE_MIB = 1024
_NODES = tuple(f"numa{index}" for index in range(8))


def render_memory(ctx: Context) -> Iterator[Argument]:
    """Yields the memory's size, its objects, and the nodes.

    Raises:
        PlanError: The parts do not add up, or the host has no such pages or nodes.
    """
    memory_mib = ctx.guest.vm.memory_mib
    hotplug = "memory" in list_hotplug(ctx)
    numa = ctx.guest.is_on("numa")
    custom = [index for index, key in enumerate(_NODES) if key in ctx.guest.settings]
    static_mib = memory_mib
    if hotplug:
        # Proxmox knows no `smp:` here.
        sockets = int(ctx.guest.settings.get("sockets", "0")) or 1
        static_mib = _STATIC_MIB * (sockets if _has_1g_pages(ctx) else 1)
        limit_mib = _find_limit(ctx)
        _check_hotplug(memory_mib, static_mib, limit_mib, numa=numa, custom=bool(custom))
        yield "-m", f"size={static_mib},slots={_SLOTS},maxmem={limit_mib}M"
    else:
        yield "-m", ctx.guest.read("memory").get("current", str(static_mib))
    if ctx.written("hugepages") and not numa:
        raise PlanError("numa needs to be enabled to use hugepages")
    if hotplug and ctx.shares_folders:
        raise PlanError("Memory hotplug does not work in combination with virtio-fs.")
    if numa and custom:
        yield from _render_custom_nodes(ctx, custom, static_mib)
    elif numa:
        yield from _render_nodes(ctx, static_mib)
    elif ctx.shares_folders:
        # The size is the configured one, even if it is wrong: empty without a `memory:` line.
        size = ctx.guest.settings.get("memory", "")
        yield "-object", f"memory-backend-memfd,id={VIRTIOFS_MEMORY},size={size}M,share=on"
    if hotplug:
        yield from _render_dimms(ctx, sockets, static_mib)


def _find_limit(ctx: Context) -> int:
    """Returns how much memory can be hotplugged with the processors' address bits."""
    # An odd number of bits is rounded down; 20 of them count bytes in a MiB, one is kept for QEMU.
    shift = (read_phys_bits(ctx) & ~1) - 21
    return min(1 << shift, _MAX_MIB) if shift >= 0 else 0


def _check_hotplug(
    memory_mib: int, static_mib: int, limit_mib: int, *, numa: bool, custom: bool
) -> None:
    if not numa:
        raise PlanError("NUMA needs to be enabled for memory hotplug")
    if memory_mib > limit_mib:
        raise PlanError(f"Total memory is bigger than {limit_mib}MB")
    if custom:
        raise PlanError("cannot enable memory hotplugging with custom NUMA topology")
    if memory_mib < static_mib:
        raise PlanError(f"minimum memory must be {static_mib}MB")


def _has_1g_pages(ctx: Context) -> bool:
    return ctx.guest.settings.get("hugepages") == str(_HUGE_MIB)


def _name_backend(ctx: Context, node: int) -> str:
    """Returns the name of a node's memory, by which Proxmox identifies shared memory."""
    return f"{VIRTIOFS_MEMORY if ctx.shares_folders else 'ram-node'}{node}"


def _render_custom_nodes(ctx: Context, nodes: list[int], static_mib: int) -> Iterator[Argument]:
    total_mib = 0.0
    for index in nodes:
        node = ctx.guest.read(f"numa{index}")
        cpus = _split_ranges(node["cpus"])
        host_nodes = _split_ranges(node["hostnodes"]) if "hostnodes" in node else None
        if node.get("memory", "0") == "0":
            raise PlanError(f"missing NUMA node{index} memory value")
        total_mib += float(node["memory"])
        name = _name_backend(ctx, index)
        backend = _render_backend(ctx, name, node["memory"])
        if host_nodes is not None:
            _check_host_nodes(ctx, host_nodes)
            if "policy" not in node:
                raise PlanError(f"you need to define a policy for hostnode {','.join(host_nodes)}")
            backend += f",host-nodes={','.join(host_nodes)},policy={node['policy']}"
        elif ctx.written("hugepages"):
            raise PlanError("numa hostnodes need to be defined to use hugepages")
        yield "-object", backend
        yield "-numa", f"node,nodeid={index},cpus={',cpus='.join(cpus)},memdev={name}"
    if total_mib != static_mib:
        raise PlanError("total memory for NUMA nodes must be equal to vm static memory")


def _split_ranges(text: str) -> list[str]:
    """Returns the ranges of a list such as `0-1;3`, each of which must ascend."""
    ranges = text.split(";")
    for part in ranges:
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise PlanError(f"invalid range: {part} ({last} < {first})")
    return ranges


def _check_host_nodes(ctx: Context, ranges: list[str]) -> None:
    """Refuses a node that the host does not have, if its nodes are known."""
    known = ctx.host.memory.numa_nodes
    for part in ranges if known else ():
        first, _, last = part.partition("-")
        for node in range(int(first), int(last or first) + 1):
            # The loop is no longer than the number of nodes: the first missing node ends it.
            if node not in known:
                raise PlanError(f"host NUMA node{node} doesn't exist")


def _render_nodes(ctx: Context, static_mib: int) -> Iterator[Argument]:
    sockets, cores = count_cores(ctx)
    for index in range(sockets):
        if ctx.written("hugepages"):
            _check_host_nodes(ctx, [str(index)])
        first = cores * index
        cpus = f"{first}-{first + cores - 1}" if cores > 1 else str(first)
        name = _name_backend(ctx, index)
        yield "-object", _render_backend(ctx, name, f"{static_mib / sockets:.15g}")
        yield "-numa", f"node,nodeid={index},cpus={cpus},memdev={name}"


def _render_dimms(ctx: Context, nodes: int, static_mib: int) -> Iterator[Argument]:
    """Yields the modules up to the memory's size; after every thirty-two their size doubles."""
    memory_mib, current_mib = ctx.guest.vm.memory_mib, static_mib
    size_mib = _HUGE_MIB if _has_1g_pages(ctx) else _DIMM_MIB
    for number in range(_DIMMS_PER_SIZE * _DIMM_SIZES):
        if current_mib >= memory_mib:
            break
        if number and number % _DIMMS_PER_SIZE == 0:
            size_mib *= 2
        backend = _render_backend(ctx, f"mem-dimm{number}", str(size_mib))
        current_mib += size_mib
        if current_mib > memory_mib:
            raise PlanError(
                f"memory size ({memory_mib}) must be aligned to {size_mib} for hotplugging"
            )
        node = number % _DIMMS_PER_SIZE % nodes
        yield "-object", backend
        yield "-device", f"pc-dimm,id=dimm{number},memdev=mem-dimm{number},node={node}"


def _render_backend(ctx: Context, name: str, size: str) -> str:
    if ctx.written("hugepages"):
        path = f"/run/hugepages/kvm/{_choose_page_mib(ctx, size) * 1024}kB"
        return f"memory-backend-file,id={name},size={size}M,mem-path={path},share=on,prealloc=yes"
    if name.startswith(VIRTIOFS_MEMORY):
        return f"memory-backend-memfd,id={name},size={size}M,share=on"
    return f"memory-backend-ram,id={name},size={size}M"


def _choose_page_mib(ctx: Context, size: str) -> int:
    """Returns the page size of a piece of memory; `any` means the largest."""
    written, size_mib = ctx.written("hugepages"), int(float(size))
    known = ctx.host.memory.hugepages_mib or (2, _HUGE_MIB)
    if float(size) <= 0 or size_mib % 2:
        raise PlanError(
            f"memory size '{size}' is not a positive even integer; cannot use for hugepages"
        )
    if not {2, _HUGE_MIB}.intersection(known):
        raise PlanError("your system doesn't support hugepages")
    if written == "any":
        for page_mib in (_HUGE_MIB, 2):
            if page_mib in known and size_mib % page_mib == 0:
                return page_mib
        raise PlanError(
            f"host only supports 1024 GB hugepages, but requested size '{size}' is not a multiple"
            " of 1024 MB"
        )
    page_mib = next((page_mib for page_mib in known if str(page_mib) == written), 0)
    if not page_mib:
        raise PlanError(f"your system doesn't support hugepages of {written} MB")
    if size_mib % page_mib:
        raise PlanError(
            f"Memory size {size} is not a multiple of the requested hugepages size {page_mib}"
        )
    return page_mib
