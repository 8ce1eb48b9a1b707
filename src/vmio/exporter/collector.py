"""Figures as the families of prometheus-client, which writes them in either format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from vmio.errors import describe_bug
from vmio.exporter.figures import GuestFigures, HostFigures
from vmio.exporter.metrics import (
    GUEST_METRICS,
    HOST_METRICS,
    GuestHistogram,
    HistogramPoint,
    Metric,
    Point,
)

__all__ = ["FiguresCollector", "render_figures"]

_Point = TypeVar("_Point")

_PROCESS: Final = ProcessCollector(registry=None)
"""What the exporter itself takes: `process_cpu_seconds_total` and the like."""


class FiguresCollector(Collector):
    """The metrics of one look.

    Args:
        figures: The look's.
        process: Whether to add what this process takes.
        report: Takes a line for a person, if a guest is not in all metrics.
    """

    def __init__(
        self,
        figures: HostFigures,
        *,
        process: bool = True,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._figures = figures
        self._has_process = process
        self._report = report
        self._has_failed = False

    def collect(self) -> Iterator[Family]:
        """Yields a family for each metric that has a series."""
        for host_metric in HOST_METRICS:
            yield _make_family(host_metric, host_metric.read(self._figures))
        for metric in GUEST_METRICS:
            if isinstance(metric, GuestHistogram):
                family = _make_histogram(metric, self._read_guests(metric, metric.read))
            else:
                points = (
                    ((name, *labels), value)
                    for name, (labels, value) in self._read_guests(metric, metric.read)
                )
                family = _make_family(metric, points)
            if family.samples:
                yield family
        if self._has_process:
            yield from _PROCESS.collect()

    def _read_guests(
        self, metric: Metric, read: Callable[[GuestFigures], Iterable[_Point]]
    ) -> Iterator[tuple[str, _Point]]:
        """Yields a metric's points of all guests, each with the guest's name.

        A guest whose points cannot be made has none, and the first one of all is reported.
        """
        for guest in self._figures.guests:
            try:
                points = [*read(guest)]
            except Exception as error:  # noqa: BLE001 - one guest must not hide all others
                if not self._has_failed:
                    self._has_failed = True
                    self._report(f"{guest.name} has no {metric.name}, {describe_bug(error)}")
            else:
                for each in points:
                    yield guest.name, each


def render_figures(
    figures: HostFigures, accept: str, *, report: Callable[[str], None] = lambda _: None
) -> tuple[bytes, str]:
    """Returns metrics in the format that a scraper asks for, and its content type.

    Args:
        figures: The metrics' figures.
        accept: The header `Accept` of the request; empty if there is none.
        report: Takes a line for a person, if a guest is not in all metrics.
    """
    encode, content_type = choose_encoder(accept)
    return encode(FiguresCollector(figures, report=report)), content_type


def _make_family(metric: Metric, points: Iterable[Point]) -> Family:
    family = Family(metric.name, metric.help, metric.kind)
    for labels, value in points:
        family.add_sample(metric.series, dict(zip(metric.labels, labels, strict=True)), value)
    return family


def _make_histogram(
    metric: GuestHistogram, points: Iterable[tuple[str, HistogramPoint]]
) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    ends = (*map(str, metric.boundaries), "+Inf")
    for name, (labels, counts, total) in points:
        bins = list(zip(ends, accumulate(counts), strict=True))
        family.add_metric((name, *labels), bins, total)
    return family
