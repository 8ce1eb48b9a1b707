"""IOThreads, and how virtqueues are spread over them."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from vmio.model.source import Span

__all__ = [
    "DEFAULT_POOL_MAX",
    "HOST_KERNEL",
    "MAIN_LOOP",
    "MAX_POLL_WEIGHT",
    "OTHER_PROCESS",
    "IOThread",
    "VirtqueueMapping",
]

MAIN_LOOP: Final = "main loop"
"""What serves a queue that no IOThread serves. No object id can be this: ids hold no blanks."""

OTHER_PROCESS: Final = "another process"
"""What serves the queues of a vhost-user device: QEMU hands them over through a socket."""

HOST_KERNEL: Final = "the host's kernel"
"""What serves the queues of a vhost device: QEMU hands them over to a kernel thread."""

MAX_POLL_WEIGHT: Final = 63
"""The largest `poll-weight` that QEMU takes. Source: QEMU 11.1.1, its error message."""

DEFAULT_POOL_MAX: Final = 64
"""`thread-pool-max` where none is set. Source: QEMU 10.0.2, `qom-get`."""


def _parameter(minimum: int = 0) -> int | None:
    """Declares a parameter that is None while QEMU's own default holds."""
    value: int | None = None
    return value


class IOThread(Struct, frozen=True, kw_only=True):
    """One `-object iothread`: a dedicated event loop, with the parameters that were set on it.

    A parameter that is None was not set; QEMU's default for it depends on the version.

    Source: QEMU's `qom-list-properties iothread`.
    """

    id: str
    poll_max_ns: int | None = _parameter()
    poll_grow: int | None = _parameter()
    poll_shrink: int | None = _parameter()
    poll_weight: int | None = _parameter()
    """Only since QEMU 11.1; a right-shift count."""
    aio_max_batch: int | None = _parameter()
    thread_pool_min: int | None = _parameter()
    thread_pool_max: int | None = _parameter(1)
    span: Span | None = None
    """Where it was written, if it was."""


class VirtqueueMapping(Struct, frozen=True, kw_only=True):
    """One entry of `iothread-vq-mapping`: an IOThread and the queues that it serves."""

    iothread: str
    vqs: tuple[int, ...] = ()
    """Empty in every entry of a mapping: queue i goes to entry i modulo their number."""
