"""IOThreads, and the distribution of virtqueues over them."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from vmio.model.source import NOWHERE, Span, Where
from vmio.values import check_between

__all__ = [
    "DEFAULT_POOL_MAX",
    "HOST_KERNEL",
    "MAIN_LOOP",
    "MAX_POLL_WEIGHT",
    "OTHER_PROCESS",
    "PARAMETERS",
    "IOThread",
    "VirtqueueMapping",
]

MAIN_LOOP: Final = "main loop"
"""Serves queues without an IOThread. No object can have this id, because ids have no blanks."""

OTHER_PROCESS: Final = "another process"
"""What serves the queues of a vhost-user device: QEMU hands them over through a socket."""

HOST_KERNEL: Final = "the host's kernel"
"""What serves the queues of a vhost device: QEMU hands them over to a kernel thread."""

MAX_POLL_WEIGHT: Final = 63
"""The largest `poll-weight` that QEMU accepts. Source: QEMU 11.1.1, its error message."""

DEFAULT_POOL_MAX: Final = 64
"""`thread-pool-max` if not set. Source: QEMU 10.0.2, `qom-get`."""


class IOThread(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `-object iothread`: a dedicated event loop, with the parameters that were set on it.

    A parameter that is None is not set; QEMU's default for it depends on the version.

    Source: QEMU's `qom-list-properties iothread`.
    """

    id: str
    poll_max_ns: int | None = None
    poll_grow: int | None = None
    poll_shrink: int | None = None
    poll_weight: int | None = None
    """Only since QEMU 11.1; a right-shift count."""
    aio_max_batch: int | None = None
    thread_pool_min: int | None = None
    thread_pool_max: int | None = None
    where: Where = NOWHERE

    def __post_init__(self) -> None:
        for name in PARAMETERS:
            check_between(name, getattr(self, name), _LEAST.get(name, 0))

    @property
    def span(self) -> Span | None:
        """Where it is written, if that is known."""
        return self.where.span


PARAMETERS: Final = tuple(
    name for name in IOThread.__struct_fields__ if name not in {"id", "where"}
)
"""The properties of the object that say how the loop works, as fields of `IOThread`."""
_LEAST: Final = {"thread_pool_max": 1}


class VirtqueueMapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of `iothread-vq-mapping`: an IOThread and the queues that it serves."""

    iothread: str
    vqs: tuple[int, ...] = ()
    """If empty in every entry of a mapping, queue i is assigned to entry i modulo their number."""
