"""The search on grids that were measured on real guests, without a guest."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vmio.tune.search import Effort

ROOT = Path(__file__).parents[3]
GRIDS = sorted((ROOT / "tests/data/grids").glob("*.json"))
SEEDS = 100


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """The program that recorded them."""
    spec = importlib.util.spec_from_file_location("bench_tune", ROOT / "bench/tune.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_there_are_grids() -> None:
    """Else the tests below would pass without any."""
    assert GRIDS


@pytest.mark.parametrize(("noise", "share"), [(0.05, 0.95), (0.1, 0.9)])
@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_search_comes_within_5_percent_of_the_best(
    program: ModuleType, path: Path, noise: float, share: float
) -> None:
    """In a hundred searches, each with at most a quarter of the grid's pairs."""
    grid = program.read_grid(path)
    best = max(grid.means.values())
    close = 0
    for seed in range(SEEDS):
        found, pairs = program.simulate(grid, Effort(pairs=1), noise=noise, seed=seed)
        assert pairs <= grid.pairs / 4
        close += 1 - math.exp(grid.means[found.best] - best) <= 0.05
    assert close >= share * SEEDS
