"""This host calibrated for real, though shortly: a guest boots, is loaded and is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vmio import app
from vmio.bench.calibrate import Calibration, calibrate
from vmio.errors import OutputError, ToolError
from vmio.guest.image import GuestImage
from vmio.host.local import identify_host
from vmio.qemu.binary import read_version

pytestmark = pytest.mark.usefixtures("compiled_simulator")


def run(image: GuestImage, folder: Path | None) -> Calibration:
    """Calibrates with one round and one step: how near the costs come is not asked here."""
    how, _ = app.choose_boot(
        accelerator="tcg",
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=image.append,
        memory_mib=512,
    )
    version = read_version(Path(how.binary))
    # What is measured is not what is asked here, and others may use a host that runs tests.
    return asyncio.run(
        calibrate(
            how,
            version,
            aio="io_uring",
            folder=folder,
            rounds=1,
            steps=1,
            even_if_busy=True,
        )
    )


def test_host_is_calibrated_and_its_profile_is_gone_by(
    guest_image: GuestImage, tmp_path: Path
) -> None:
    """Costs come from what was measured; the profile is kept, and is this host's."""
    try:
        found = run(guest_image, tmp_path)
    except ToolError as error:
        # In the 0.4 s of a load a guest may be left no time at all by a host that runs tests.
        assert "finished no request" in error.message  # noqa: PT017 - of two errors, one goes
        found = run(guest_image, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert [table.depth for table in found.profile.service] == [1, 8, 32]
    assert all(each.observation.iops > 0 for each in found.residuals)
    assert len(found.residuals) == 16
    alone = [
        each.observation for each in found.residuals if not each.observation.topology.iothreads
    ]
    assert [each.workload.depth for each in alone] == [1, 2, 8]
    assert all(each.topology.disks[0].disk.id == "virtio1" for each in alone)
    # A loop that did not serve the load would have slept all the time; of the one that did, a
    # request takes microseconds, however little of a processor a busy host leaves it. All loads of
    # a loop together: a host that stops for a moment can take one of them out of its window.
    polled = [each.observation for each in found.residuals if each.observation not in alone]
    for seen in (alone, polled):
        share = sum(each.loop_cpu_share for each in seen)
        assert share > 2e-6 * sum(each.iops for each in seen)
    app.save_profile(found.profile)
    try:
        again = app.read_profile(None)
    finally:
        app.find_profile().unlink()
    assert again == found.profile
    assert again.is_this_host
    assert again.host == identify_host()


def test_folder_that_cannot_hold_the_scratch_file_is_told_of(
    guest_image: GuestImage, tmp_path: Path
) -> None:
    """A folder that is gone ends it before anything is booted."""
    with pytest.raises(OutputError):
        run(guest_image, tmp_path / "gone")
