"""How many requests an event loop hands to the host at once, by the engine of the disk.

Source: QEMU 10.0.2, `block/linux-aio.c` and `block/io_uring.c`, observed on 10.0.2 and 11.1.1.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["choose_batch_limit"]

_DEFAULT_BATCH = 32
_LINUX_AIO_SLOTS = 1024
_IO_URING_ENTRIES = 128


def choose_batch_limit(
    engine: Literal["native", "io_uring", "threads"],
    *,
    loop_max: int = 0,
    node_max: int = 0,
    in_flight: int = 0,
) -> int | None:
    """Returns how many queued requests force a submission; None where nothing does.

    With fewer, all that are queued are submitted at the end of a queue's run or of a batch of
    completions. Only linux-aio heeds `aio-max-batch`: up to 10.0 io_uring submits when its ring is
    full, and a thread pool takes each request by itself.

    Args:
        engine: As `aio` of the disk says.
        loop_max: `aio-max-batch` of the IOThread; 0 stands for 32.
        node_max: `aio-max-batch` of the file node; 0 stands for the loop's.
        in_flight: Requests that the host already has.
    """
    match engine:
        case "native":
            limit = loop_max or _DEFAULT_BATCH
            if node_max:
                limit = min(limit, node_max)
            return max(min(limit, _LINUX_AIO_SLOTS - in_flight), 0)
        case "io_uring":
            return max(_IO_URING_ENTRIES - in_flight, 0)
        case "threads":
            return None
