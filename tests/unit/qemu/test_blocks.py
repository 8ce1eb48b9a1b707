"""Which of QEMU's block nodes open files."""

from __future__ import annotations

from typing import Any

import pytest

from vmio.qemu.blocks import index_nodes


@pytest.mark.parametrize("driver", [[], {}, [{}], None, 1])
def test_node_whose_driver_is_no_name_opens_no_file(driver: Any) -> None:  # noqa: ANN401 - JSON's
    """A monitor may report anything for one."""
    node = {"drv": "file", "file": "/x"}

    assert index_nodes([{"drv": driver, "file": "/x"}, node]) == {"/x": [node]}
