"""A topology as JSON.

The shape is stable within a `schema` number: fields may be added, none changes its meaning.
"""

from __future__ import annotations

import json
from typing import Any

from vmio.model.controller import Controller
from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.model.topology import AttachedDisk, Topology

__all__ = ["SCHEMA", "describe_topology", "render_topology_json"]

SCHEMA = 1


def render_topology_json(topology: Topology, *, vm: str, origin: str) -> str:
    """Returns a topology as JSON text.

    Args:
        topology: What to tell.
        vm: What it is the topology of.
        origin: `plan` for what a config comes to, `command` for what a command line says,
            `running` for what a QEMU reports.
    """
    told = {"schema": SCHEMA, "vm": vm, "origin": origin} | describe_topology(topology)
    return json.dumps(told, indent=2, ensure_ascii=False)


def describe_topology(topology: Topology) -> dict[str, Any]:
    """Returns a topology as plain dicts and lists, numbers with their units in their names."""
    return {
        "vcpus": topology.vcpus,
        "iothreads": [_describe_iothread(iothread) for iothread in topology.iothreads],
        "controllers": [_describe_controller(each, topology) for each in topology.controllers],
        "disks": [_describe_disk(attached, topology) for attached in topology.disks],
        "host_threads": [
            {"serves": thread.serves, "thread_id": thread.thread_id, "cpu_ns": thread.cpu_ns}
            for thread in topology.host_threads
        ],
    }


def _describe_iothread(iothread: IOThread) -> dict[str, Any]:
    return {
        "id": iothread.id,
        "poll_max_ns": iothread.poll_max_ns,
        "poll_grow": iothread.poll_grow,
        "poll_shrink": iothread.poll_shrink,
        "poll_weight": iothread.poll_weight,
        "aio_max_batch": iothread.aio_max_batch,
        "thread_pool_min": iothread.thread_pool_min,
        "thread_pool_max": iothread.thread_pool_max,
    }


def _describe_controller(controller: Controller, topology: Topology) -> dict[str, Any]:
    return {
        "id": controller.id,
        "model": controller.model,
        "bus": controller.bus,
        "pci_address": str(controller.pci) if controller.pci is not None else None,
        "iothread": controller.iothread,
        "num_queues": controller.num_queues,
        "virtqueues": [
            {"index": queue.index, "served_by": queue.served_by}
            for queue in topology.virtqueues_of(controller)
        ]
        if controller.takes_iothread
        else [],
    }


def _describe_disk(attached: AttachedDisk, topology: Topology) -> dict[str, Any]:
    disk = attached.disk
    served_by = topology.served_by(attached)
    return {
        "id": disk.id,
        "bus": disk.bus,
        "media": disk.media,
        "device": attached.driver,
        "volume": disk.volume,
        "file": disk.backing.filename if disk.backing is not None else None,
        "format": disk.backing.format if disk.backing is not None else None,
        "controller": attached.controller,
        "address": dict(attached.address),
        "served_by": list(served_by),
        "in_main_loop": MAIN_LOOP in served_by,
        "cache": attached.cache,
        "cache_direct": attached.cache_direct,
        "cache_no_flush": attached.cache_no_flush,
        "write_cache": attached.write_cache,
        "aio": attached.aio,
        "detect_zeroes": attached.detect_zeroes,
        "settings": [
            {
                "setting": effect.setting,
                "value": effect.value,
                "effect": effect.verdict,
                "reason": effect.reason,
            }
            for effect in attached.effects
        ],
    }
