"""IOThreads, and the distribution of virtqueues over them."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen
from attrs.validators import ge, optional

from vmio.model.source import Span

__all__ = [
    "DEFAULT_POOL_MAX",
    "MAIN_LOOP",
    "MAX_POLL_WEIGHT",
    "IOThread",
    "VirtqueueMapping",
]

MAIN_LOOP: Final = "main loop"
"""Serves queues without an IOThread. No object can have this id, because ids have no blanks."""

MAX_POLL_WEIGHT: Final = 63
"""The largest `poll-weight` that QEMU accepts. Source: QEMU 11.1.1, its error message."""

DEFAULT_POOL_MAX: Final = 64
"""`thread-pool-max` if not set. Source: QEMU 10.0.2, `qom-get`."""


def _parameter(minimum: int = 0) -> int | None:
    """Declares a parameter that is None if QEMU's default applies."""
    value: int | None = field(default=None, validator=optional(ge(minimum)))
    return value


@frozen(kw_only=True)
class IOThread:
    """One `-object iothread`: a dedicated event loop, with its configured parameters.

    A parameter that is None is not set; QEMU's default for it depends on the version.

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
    span: Span | None = field(default=None, eq=False)
    """The place in the text, if any."""


@frozen(kw_only=True)
class VirtqueueMapping:
    """One entry of `iothread-vq-mapping`: an IOThread and the queues that it serves."""

    iothread: str
    vqs: tuple[int, ...] = ()
    """If empty in every entry of a mapping, queue i is assigned to entry i modulo their number."""
