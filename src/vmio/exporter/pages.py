"""docs/metrics.md, made of the table of metrics.

`python -m vmio.exporter.pages FILE` writes it; a test compares it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from vmio.exporter.metrics import GUEST_METRICS, HOST_METRICS, GuestHistogram, Metric

__all__ = ["main", "render_page"]

_INTRODUCTION: Final = """\
<!-- Made by `make docs` from src/vmio/exporter/metrics.py. -->

# Metrics

What [`vmio exporter`](guide/exporter.md) exposes. Times are in seconds, sizes in bytes; a counter
grows for as long as the guest runs. A label without a value is not set; a value has at most 128
characters, and what a terminal could obey in it is escaped.

| label | is |
|---|---|
"""
_LABELS: Final = {
    "guest": "what the guest's manager calls it: `172 web` with Proxmox VE, the domain's name with"
    " libvirt, `NAMESPACE/NAME` with KubeVirt, the value of `-name` by hand; another guest of the"
    " same name has ` #2` behind it. The number of a process is never a label",
    "role": "`main` (the main loop), `iothread`, `vcpu`, `pool` (the threads of a thread pool),"
    " `io_uring` (the kernel's workers), `other`",
    "thread": "an IOThread's id, `main loop`, `vCPU 0` …; of `pool` and `io_uring` the event loop"
    " that they work for, if that is known",
    "disk": "the device's id in QEMU, such as `scsi0`",
    "kind": "of a verdict: [what is the matter](guide/exporter.md#verdicts)",
    "subject": "of a verdict: the thread or disk that it is about, or `the guest`",
}
_NOTES: Final = """
The exporter's own processor time and memory are `process_cpu_seconds_total`,
`process_resident_memory_bytes` and the like.

## Buckets

The buckets of a histogram end at, in seconds:
{buckets}.

They are some of the finer ones that QEMU counts with. Where somebody else has it count with other
ones, a request is in the first bucket that surely contains it, so that latencies look longer,
never shorter.
"""


def render_page() -> str:
    """Returns the page."""
    sections = {
        "Guests": [each for each in GUEST_METRICS if _is_about(each, "guest", "verdict")],
        "Threads": [each for each in GUEST_METRICS if _is_about(each, "thread", "iothread")],
        "Disks": [each for each in GUEST_METRICS if _is_about(each, "disk", "virtqueue")],
        "The exporter": HOST_METRICS,
    }
    assert sum(map(len, sections.values())) == len(GUEST_METRICS) + len(HOST_METRICS)  # noqa: S101
    tables = (
        "\n".join((f"\n## {title}\n", *_render_table(metrics), ""))
        for title, metrics in sections.items()
    )
    buckets = ", ".join(
        f"{bound:g}"
        for each in GUEST_METRICS
        if isinstance(each, GuestHistogram)
        for bound in each.boundaries
    )
    labels = (f"| `{name}` | {words} |\n" for name, words in _LABELS.items())
    return "".join((_INTRODUCTION, *labels, *tables, _NOTES.format(buckets=buckets)))


def main(arguments: Sequence[str]) -> None:
    """Writes the page to a file."""
    (path,) = arguments
    Path(path).write_text(render_page(), encoding="utf-8")


def _is_about(metric: Metric, *subjects: str) -> bool:
    return metric.name.split("_")[1] in subjects


def _render_table(metrics: Iterable[Metric]) -> Iterator[str]:
    yield "| metric | kind | labels | is |"
    yield "|---|---|---|---|"
    for each in metrics:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        option = f" (`{each.option}`)" if each.option else ""
        yield f"| `{each.series}` | {each.kind} | {labels} | {each.help}{option} |"


if __name__ == "__main__":
    main(sys.argv[1:])
