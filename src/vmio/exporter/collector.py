"""Figures as the families of prometheus-client, which writes them in either format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from vmio.exporter.figures import GuestFigures, HostFigures
from vmio.exporter.metrics import GUEST_METRICS, HOST_METRICS, GuestHistogram, Metric, Point

__all__ = ["FiguresCollector", "render_figures"]

_PROCESS: Final = ProcessCollector(registry=None)
"""What the exporter itself takes: `process_cpu_seconds_total` and the like."""


class FiguresCollector(Collector):
    """The metrics of one look.

    Args:
        figures: The look's.
        process: Whether to add what this process takes.
    """

    def __init__(self, figures: HostFigures, *, process: bool = True) -> None:
        self._figures = figures
        self._has_process = process

    def collect(self) -> Iterator[Family]:
        """Yields a family for each metric that has a series."""
        for host_metric in HOST_METRICS:
            yield _make_family(host_metric, host_metric.read(self._figures))
        for metric in GUEST_METRICS:
            if isinstance(metric, GuestHistogram):
                family = _make_histogram(metric, self._figures.guests)
            else:
                points = (
                    ((guest.name, *labels), value)
                    for guest in self._figures.guests
                    for labels, value in metric.read(guest)
                )
                family = _make_family(metric, points)
            if family.samples:
                yield family
        if self._has_process:
            yield from _PROCESS.collect()


def render_figures(figures: HostFigures, accept: str) -> tuple[bytes, str]:
    """Returns metrics in the format that a scraper asks for, and its content type.

    Args:
        figures: The metrics' figures.
        accept: The header `Accept` of the request; empty if there is none.
    """
    encode, content_type = choose_encoder(accept)
    return encode(FiguresCollector(figures)), content_type


def _make_family(metric: Metric, points: Iterable[Point]) -> Family:
    family = Family(metric.name, metric.help, metric.kind)
    for labels, value in points:
        family.add_sample(metric.series, dict(zip(metric.labels, labels, strict=True)), value)
    return family


def _make_histogram(metric: GuestHistogram, guests: Iterable[GuestFigures]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    ends = (*map(str, metric.boundaries), "+Inf")
    for guest in guests:
        for labels, counts, total in metric.read(guest):
            bins = list(zip(ends, accumulate(counts), strict=True))
            family.add_metric((guest.name, *labels), bins, total)
    return family
