"""What every test runs under: hypothesis profiles without deadlines, derandomised on CI."""

from __future__ import annotations

import os

from hypothesis import settings

# Two shared cores: a slow example says nothing about the code, so no example has a deadline.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
