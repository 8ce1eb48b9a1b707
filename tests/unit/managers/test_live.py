"""What a plan may set on a running guest."""

from __future__ import annotations

import pytest

from vmio.errors import UsageError
from vmio.managers.live import check_live
from vmio.model.plan import LiveChange


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/objects/io0", "poll-max-ns"),
        ("/objects/iothread-virtioscsi0", "thread-pool-max"),
        ("/objects/throttle-drive-scsi0", "limits.iops-total-max-length"),
        ("/machine/peripheral/scsi0", "io-throttle.bps_rd_max"),
    ],
)
def test_io_parameters_are_allowed(path: str, name: str) -> None:
    """An IOThread's parameters and a disk's limits are what this is for."""
    check_live([LiveChange(path=path, property=name, new=1)])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/objects/io0", "limits"),
        ("/objects/../machine", "poll-max-ns"),
        ("/machine", "poll-max-ns"),
        ("/machine/peripheral/scsi0", "realized"),
        ("/machine/unattached/device[0]", "io-throttle.bps"),
        ("/objects/io0 ", "poll-max-ns"),
    ],
)
def test_anything_else_is_refused(path: str, name: str) -> None:
    """A plan that somebody else wrote cannot turn other screws of a guest."""
    with pytest.raises(UsageError, match="is not a parameter that vmio sets"):
        check_live([LiveChange(path=path, property=name, new=1)])
