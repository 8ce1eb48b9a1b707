"""This host's costs: measured, saved, and read by predictions."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vmio.errors import InputError
from vmio.host.files import is_file, read_source

if TYPE_CHECKING:
    from vmio.bench.calibrate import Calibration
    from vmio.bench.course import Progress
    from vmio.model.disk import AioEngine
    from vmio.qemu.boot import Boot
    from vmio.sim.profile import Profile

__all__ = [
    "calibrate",
    "check_idle",
    "check_profile_path",
    "find_profile",
    "read_profile",
    "save_profile",
]

_DEFAULT = "default"


def check_idle(*, force: bool = False) -> float:
    """Returns how many of this host's processors other programs use.

    Raises:
        ToolError: They use too many for a measurement, and `force` is not given.
    """
    from vmio.bench.calibrate import check_idle as check

    return check(force=force)


async def calibrate(
    how: Boot,
    *,
    aio: AioEngine = "io_uring",
    folder: Path | None = None,
    even_if_busy: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Calibration:
    """Measures what each step costs on this host, with a small guest on two scratch disks.

    Args:
        how: How the guest is booted, with the benchmark guest's kernel.
        aio: The aio engine of its disks.
        folder: Where the scratch files are made.
        even_if_busy: Whether other programs may use the host during the measurement.
        report: Called with the progress.

    Raises:
        GuestError: The guest does not boot.
        ToolError: QEMU or fio failed, or other programs used the host during the measurement.
        OutputError: The scratch files cannot be made.
    """
    from vmio.bench.calibrate import calibrate as measure
    from vmio.qemu.binary import read_version

    version = read_version(Path(how.binary))
    return await measure(
        how,
        version,
        aio=aio,
        folder=folder,
        even_if_busy=even_if_busy,
        report=report,
    )


def find_profile() -> Path:
    """Returns where this host's profile is kept, whether or not it exists."""
    home = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification requires that a relative path is ignored.
    base = Path(home) if home.startswith("/") else Path("~/.local/share").expanduser()
    return base / "vmio" / "profile.toml"


def check_profile_path(path: Path, *, force: bool) -> None:
    """Checks before a measurement that its profile can be written.

    Raises:
        UsageError: The file exists, and `force` is not given.
        OutputError: The file cannot be written.
    """
    from vmio.host.save import check_writable

    check_writable(path, force=force)


def save_profile(profile: Profile, path: Path | None = None) -> Path:
    """Writes a profile whole, replacing the old one, and returns its path.

    Raises:
        OutputError: It cannot be written; the old one is still there.
    """
    from vmio.host.private import make_private_folder
    from vmio.host.save import write_file
    from vmio.sim.profile import render_profile

    if path is None:
        path = find_profile()
        make_private_folder(path.parent, above=1)
    write_file(path, render_profile(profile).encode(), force=True)
    return path


def read_profile(path: str | None) -> Profile:
    """Returns the costs to use; they are this host's only if they were measured on it.

    Args:
        path: A file of costs; `default` for the default profile; None for the one that was
            measured here, or the default profile if there is none.

    Raises:
        InputError: The file cannot be read, or is not a profile.
    """
    from vmio.sim.profile import DEFAULT_PROFILE, parse_profile
    from vmio.values import replace

    found = find_profile()
    if path == _DEFAULT or (path is None and not is_file(found)):
        return DEFAULT_PROFILE
    try:
        profile = parse_profile(read_source(str(found) if path is None else path))
    except InputError as error:
        if path is None and not error.hint:
            error.hint = "vmio calibrate measures it again; --profile default uses built-in costs"
        raise
    if not profile.host:
        return profile
    from vmio.host.local import identify_host

    return replace(profile, is_this_host=profile.host == identify_host())
