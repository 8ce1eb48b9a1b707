"""How many requests are submitted at once."""

from __future__ import annotations

import pytest

from vmio.sim.batching import choose_batch_limit


@pytest.mark.parametrize(
    ("loop_max", "node_max", "in_flight", "limit"),
    [
        (0, 0, 0, 32),
        (4, 0, 0, 4),
        (1, 0, 0, 1),
        (0, 8, 0, 8),
        (4, 8, 0, 4),
        (128, 0, 0, 128),
        (128, 0, 1000, 24),
        (0, 0, 1024, 0),
    ],
)
def test_linux_aio_submits_at_the_smallest_limit(
    loop_max: int, node_max: int, in_flight: int, limit: int
) -> None:
    """The loop's limit, the node's and the free slots all hold; 0 is a default."""
    found = choose_batch_limit("native", loop_max=loop_max, node_max=node_max, in_flight=in_flight)
    assert found == limit


def test_other_engines_ignore_the_limit() -> None:
    """io_uring fills its ring of 128, and a pool takes each request by itself."""
    assert choose_batch_limit("io_uring", loop_max=4) == 128
    assert choose_batch_limit("io_uring", loop_max=4, in_flight=100) == 28
    assert choose_batch_limit("threads", loop_max=4) is None
