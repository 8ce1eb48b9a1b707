"""How busy each thread of a QEMU was, according to the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmio.bench.result import ThreadLoad
from vmio.observe.rates import compare_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmio.observe.sample import Sample

__all__ = ["WORKERS", "find_window", "summarise_threads"]

WORKERS: Final = "workers"


def find_window(samples: Sequence[Sample], *, start_s: float, end_s: float) -> tuple[Sample, ...]:
    """Returns the samples between two times of the monotonic clock; none if fewer than two."""
    inside = tuple(each for each in samples if start_s <= each.monotonic_ns / 1e9 <= end_s)
    return inside if len(inside) > 1 else ()


def summarise_threads(
    samples: Sequence[Sample], *, start_s: float, end_s: float
) -> tuple[ThreadLoad, ...]:
    """Returns each thread's load between two times, from the outermost samples in between.

    Short-lived threads are counted together; the time of one that ended in between is lost.

    Args:
        samples: In chronological order.
        start_s: The begin of the interval.
        end_s: The end of the interval.
    """
    inside = find_window(samples, start_s=start_s, end_s=end_s)
    if not inside:
        return ()
    loads: list[ThreadLoad] = []
    others = delays = 0.0
    for each in compare_samples(inside[0], inside[-1]).threads:
        match each.role:
            case "worker" | "io_uring" | "other":
                others += each.cpu_share
                delays += each.run_delay_share or 0.0
            case kind:
                loads.append(
                    ThreadLoad(
                        name=each.name,
                        kind=kind,
                        cpu_share=each.cpu_share,
                        run_delay_share=each.run_delay_share or 0.0,
                    )
                )
    loads.append(ThreadLoad(name=WORKERS, kind="other", cpu_share=others, run_delay_share=delays))
    return tuple(sorted(loads, key=lambda load: load.place))
