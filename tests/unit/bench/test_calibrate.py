"""What a calibration makes of numbers, and that it refuses a busy host."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from vmio.bench import calibrate
from vmio.bench.calibrate import check_idle, find_quantiles
from vmio.errors import ToolError


def test_quantiles_are_those_of_the_histogram() -> None:
    """A uniform distribution over its bins has even quantiles, from 1 to 99 %."""
    boundaries = tuple(range(1_000, 11_000, 1_000))
    bins = [0, *[50] * 9, 0]
    found = find_quantiles(boundaries, bins)
    assert len(found) == 21
    assert found[0] == 1_090
    assert found[10] == 5_500
    assert found[-1] == 9_910


def test_quantiles_ascend_whatever_is_in_the_bins() -> None:
    """Empty bins, one full bin and the open bin at the end are all taken."""
    source = random.Random(4)  # noqa: S311 - for a histogram, not a secret
    boundaries = tuple(round(4_000 * 1.12**step) for step in range(90))
    for _ in range(200):
        bins = [source.choice((0, 0, 0, 1, 1000)) for _ in range(91)]
        bins[source.randrange(91)] += 30
        found = find_quantiles(boundaries, bins)
        assert len(found) == 21
        assert all(low <= high for low, high in pairwise(found))
        assert found[0] >= 1


def test_busy_host_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how busy, and takes it as it is when it is told to."""
    monkeypatch.setattr(calibrate, "measure_busy", lambda: 1.4)
    with pytest.raises(ToolError, match=r"busy: other programs use 1\.4"):
        check_idle()
    assert check_idle(force=True) == 1.4
