"""The memory: its size, its NUMA nodes, huge pages, and what can be plugged.

Source: qemu-server 9.2.6.

Units: MiB throughout, as Proxmox counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmio.errors import PlanError
from vmio.formats.proxmox.argv.context import Argument, Context
from vmio.formats.proxmox.argv.cpu import count_cores, list_hotplug, read_phys_bits

__all__ = ["VIRTIOFS_MEMORY", "has_virtiofs", "render_memory"]

VIRTIOFS_MEMORY = "virtiofs-mem"

_STATIC_MIB = 1024
_SLOTS = 255
_MAX_MIB = 4 * 1024 * 1024
_DIMM_MIB = 512
_DIMMS_PER_SIZE = 32
_DIMM_SIZES = 8
_HUGE_MIB = 1024
_MAX_NUMA = 8
_MAX_LISTED = 4096


def has_virtiofs(ctx: Context) -> bool:
    """Returns whether a folder of the host is shared, for which memory must be shared too."""
    return any(key.startswith("virtiofs") for key in ctx.guest.settings)


def render_memory(ctx: Context) -> Iterator[Argument]:
    """Yields the memory's size, the objects it is made of, and the nodes.

    Raises:
        PlanError: The parts do not add up, or the host has no such pages or nodes.
    """
    memory_mib = ctx.guest.vm.memory_mib
    hotplug = "memory" in list_hotplug(ctx)
    numa = ctx.guest.is_on("numa")
    sockets, _ = count_cores(ctx)
    static_mib = memory_mib
    if hotplug:
        if not numa:
            raise PlanError("numa needs to be enabled for memory hotplug")
        static_mib = _STATIC_MIB * (sockets if _has_1g_pages(ctx) else 1)
        limit_mib = min(1 << max(read_phys_bits(ctx) - 21, 0), _MAX_MIB)
        if memory_mib > limit_mib:
            raise PlanError(f"memory size ({memory_mib}) is larger than maximum: {limit_mib}")
        if memory_mib < static_mib:
            raise PlanError(f"minimum memory must be {static_mib}MB")
        yield "-m", f"size={static_mib},slots={_SLOTS},maxmem={limit_mib}M"
    else:
        yield "-m", str(static_mib)
    if "hugepages" in ctx.guest.settings and not numa:
        raise PlanError("numa needs to be enabled to use hugepages")
    if not numa:
        if has_virtiofs(ctx):
            object_ = f"memory-backend-memfd,id={VIRTIOFS_MEMORY},size={static_mib}M,share=on"
            yield "-object", object_
        return
    custom = [index for index in range(_MAX_NUMA) if f"numa{index}" in ctx.guest.settings]
    if custom:
        yield from _render_custom_nodes(ctx, custom, static_mib)
    else:
        yield from _render_nodes(ctx, static_mib)
    if hotplug:
        yield from _render_dimms(ctx, custom or list(range(sockets)), static_mib)


def _has_1g_pages(ctx: Context) -> bool:
    return ctx.guest.settings.get("hugepages") == str(_HUGE_MIB)


def _render_custom_nodes(ctx: Context, nodes: list[int], static_mib: int) -> Iterator[Argument]:
    total_mib = 0.0
    for index in nodes:
        node = ctx.guest.read(f"numa{index}")
        size_mib = float(node.get("memory", "0"))
        if not size_mib:
            raise PlanError(f"missing NUMA node{index} memory value")
        total_mib += size_mib
        backend = _render_backend(ctx, f"ram-node{index}", size_mib)
        if "hostnodes" in node:
            hosts = ",host-nodes=".join(_split_ranges(ctx, node["hostnodes"]))
            if "policy" not in node:
                raise PlanError(f"you need to define a policy for hostnode {hosts}")
            backend += f",host-nodes={hosts},policy={node['policy']}"
        elif "hugepages" in ctx.guest.settings:
            raise PlanError("numa hostnodes need to be defined to use hugepages")
        cpus = ",cpus=".join(node["cpus"].split(";"))
        yield "-object", backend
        yield "-numa", f"node,nodeid={index},cpus={cpus},memdev=ram-node{index}"
    if total_mib != static_mib:
        raise PlanError("total memory for NUMA nodes must be equal to vm static memory")


def _split_ranges(ctx: Context, text: str) -> list[str]:
    """Returns the host's nodes of a list such as `0-1;3`, each of which must be there."""
    ranges = text.split(";")
    for part in ranges:
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        for node in range(low, min(high, low + _MAX_LISTED) + 1):
            _check_host_node(ctx, node)
    return ranges


def _check_host_node(ctx: Context, node: int) -> None:
    known = ctx.host.memory.numa_nodes
    if known and node not in known:
        raise PlanError(f"host NUMA node{node} doesn't exist")


def _render_nodes(ctx: Context, static_mib: int) -> Iterator[Argument]:
    sockets, cores = count_cores(ctx)
    for index in range(sockets):
        if "hugepages" in ctx.guest.settings:
            _check_host_node(ctx, index)
        first = cores * index
        cpus = f"{first}-{first + cores - 1}" if cores > 1 else str(first)
        yield "-object", _render_backend(ctx, f"ram-node{index}", static_mib / sockets)
        yield "-numa", f"node,nodeid={index},cpus={cpus},memdev=ram-node{index}"


def _render_dimms(ctx: Context, nodes: list[int], static_mib: int) -> Iterator[Argument]:
    """Yields the modules up to the memory's size; every thirty-two of them their size doubles."""
    memory_mib, current_mib = ctx.guest.vm.memory_mib, static_mib
    size_mib = _HUGE_MIB if _has_1g_pages(ctx) else _DIMM_MIB
    for number in range(_DIMMS_PER_SIZE * _DIMM_SIZES):
        if current_mib >= memory_mib:
            break
        if number and number % _DIMMS_PER_SIZE == 0:
            size_mib *= 2
        current_mib += size_mib
        if current_mib > memory_mib:
            raise PlanError(
                f"memory size ({memory_mib}) must be aligned to {size_mib} for hotplugging"
            )
        node = nodes[number % _DIMMS_PER_SIZE % len(nodes)]
        yield "-object", _render_backend(ctx, f"mem-dimm{number}", size_mib)
        yield "-device", f"pc-dimm,id=dimm{number},memdev=mem-dimm{number},node={node}"


def _render_backend(ctx: Context, name: str, size_mib: float) -> str:
    size = f"{size_mib:.15g}M"
    if "hugepages" in ctx.guest.settings:
        page_mib = _choose_page_mib(ctx, size_mib)
        path = f"/run/hugepages/kvm/{page_mib * 1024}kB"
        return f"memory-backend-file,id={name},size={size},mem-path={path},share=on,prealloc=yes"
    if has_virtiofs(ctx):
        return f"memory-backend-memfd,id={name},size={size},share=on"
    return f"memory-backend-ram,id={name},size={size}"


def _choose_page_mib(ctx: Context, size_mib: float) -> int:
    """Returns the size of the pages that a piece of memory is made of; `any` takes the largest."""
    written = ctx.guest.settings["hugepages"]
    known = ctx.host.memory.hugepages_mib or (2, _HUGE_MIB)
    if written == "any":
        for page_mib in (_HUGE_MIB, 2):
            if page_mib in known and size_mib % page_mib == 0:
                return page_mib
        raise PlanError("your system doesn't support hugepages for memory")
    page_mib = int(written) if written in {"2", "1024"} else 0
    if page_mib not in known:
        raise PlanError(f"your system doesn't support hugepages of {written}MB")
    if size_mib % page_mib:
        raise PlanError(
            f"Memory size {size_mib:.15g} is not a multiple of the requested hugepages"
            f" size {page_mib}"
        )
    return page_mib
