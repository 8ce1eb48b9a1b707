"""The benchmark guest, looked up once for all tests of a process."""

from __future__ import annotations

import pytest

from vmio.errors import CapabilityError
from vmio.guest.image import GuestImage, ensure_image


@pytest.fixture(scope="session")
def guest_image() -> GuestImage:
    """The guest, out of the user's cache or built now; skips where this host cannot build it.

    To ask apt which packages it would be made of takes seconds of a processor.
    """
    try:
        return ensure_image()
    except CapabilityError as error:
        pytest.skip(f"needs a host that can build the guest: {error.message}")
