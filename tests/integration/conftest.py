"""The benchmark guest and a libvirt daemon, found or started once for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vmio.errors import CapabilityError
from vmio.guest.image import GuestImage, ensure_image
from vmio.testing.libvirt_daemon import SessionDaemon, find_missing, run_session_daemon


@pytest.fixture(scope="session")
def guest_image() -> GuestImage:
    """The guest, out of the user's cache or built now; skips where this host cannot build it.

    To ask apt which packages it would be made of takes seconds of a processor.
    """
    try:
        return ensure_image()
    except CapabilityError as error:
        pytest.skip(f"needs a host that can build the guest: {error.message}")


@pytest.fixture(scope="session")
def libvirt_daemon() -> Iterator[SessionDaemon]:
    """A session daemon of its own; skips where libvirt is missing.

    Its first connection asks QEMU what it can do, which takes seconds.
    """
    missing = find_missing()
    if missing:
        pytest.skip(f"needs {missing}")
    with run_session_daemon() as daemon:
        yield daemon
