"""What is refused before any cluster is asked; the rest is in tests/integration."""

from __future__ import annotations

import sys

import pytest

from vmio import app
from vmio.errors import MissingExtraError, UsageError


def test_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask is nothing that vmio needs for one host."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError) as told, app.connect_cluster("tcp://127.0.0.1:8786"):
        pass
    assert "vmio[fleet]" in told.value.hint


@pytest.mark.parametrize(
    "address",
    ["", "host:8786", "tcp://host", "tcp://:8786", "inproc://1", "http://host:1", "tcp://a b:1"],
)
def test_address_of_another_kind_is_refused(address: str) -> None:
    """Dask itself would make a cluster of some, and wait for others."""
    with (
        pytest.raises(UsageError, match="is not an address of a Dask scheduler"),
        app.connect_cluster(address),
    ):
        pass
