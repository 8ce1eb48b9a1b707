"""What every test runs under.

Each processor has a worker, and what takes long begins first. Hypothesis has no deadlines and is
derandomised on CI; what needs QEMU is skipped by name where there is none; no variable of a
person's shell decides a test; a process that outlives the tests which started it fails the run.
The simulator is compiled in one of the processes, and kept for the next run of the same sources.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from vmio.sim import kernel
from vmio.testing.compilation import share_compilation

TESTS = Path(__file__).parent
INTEGRATION = TESTS / "integration"
_SOMEBODY = 54321
PROGRAMS = ("qemu-system-x86_64", "qemu-img")
LONG = (
    *(INTEGRATION / f"test_{name}.py" for name in ("calibrate", "demo", "tune", "exporter")),
    INTEGRATION / "test_bench_compare.py",
    *(TESTS / name for name in ("integration", "meta", "properties", "unit/sim")),
)
"""Files with tests of half a minute, and folders with tests of seconds, the longest first."""
MOST_WORKERS = 8
"""Each may have guests of half a gibibyte."""
SHELL = (
    *("COLORTERM", "COLUMNS", "FORCE_COLOR", "LANGUAGE", "LIBVIRT_DEFAULT_URI", "LINES"),
    "NO_COLOR",
    *("TTY_COMPATIBLE", "TTY_INTERACTIVE", "VMIO_DEBUG"),
)
"""Variables that a person may have exported and that change what programs print."""

# Two shared cores: a slow example says nothing about the code, so no example has a deadline.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_xdist_auto_num_workers() -> int:
    """Returns as many workers as this process may use processors."""
    return min(MOST_WORKERS, len(os.sched_getaffinity(0)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the integration tests by their folder, and skips them where a program is missing.

    What takes long comes first, so that no worker is left with it while the others are done.
    """
    items.sort(key=lambda item: _find_turn(item.path))
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    for item in items:
        if INTEGRATION in item.path.parents:
            item.add_marker("integration")
            if missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {' and '.join(missing)} on PATH"))


@cache
def _find_turn(path: Path) -> int:
    places = {path, *path.parents}
    return next((at for at, long in enumerate(LONG) if long in places), len(LONG))


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what tests write over in a folder of theirs, not among this account's backups.

    What programs print is the same whatever the shell and its terminal are.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in SHELL:
            patch.delenv(name, raising=False)
        patch.setenv("LC_ALL", "C.UTF-8")
        # A shell's background job ignores Ctrl-C, and nohup the end of the terminal.
        for number, handler in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGHUP, signal.SIG_DFL),
        ):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, handler)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        # Predictions go by the default profile, whatever was calibrated on this account.
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True, scope="session")
def one_compilation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Keeps the compiled simulator where the other workers and the next run find it."""
    cache: pytest.Cache | None = getattr(request.config, "cache", None)
    folder = (
        cache.mkdir("simulator") if cache is not None else tmp_path_factory.mktemp("simulator")
    )
    with share_compilation(folder):
        yield


@pytest.fixture(scope="session")
def compiled_simulator(one_compilation: None) -> None:
    """Has the simulator compiled before a test that simulates more than compiling takes.

    Whoever simulates then uses that form, as it does in a process that has simulated much before.
    """
    del one_compilation
    kernel._compile()


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Returns what makes a file another user's; without root this process becomes the other."""

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, _SOMEBODY, _SOMEBODY)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: _SOMEBODY)

    return give


@pytest.fixture(autouse=True, scope="session")
def no_process_left() -> Iterator[None]:
    """Fails the run when a child process is still there after the last test."""
    yield
    tasks = Path("/proc/self/task")
    children = " ".join(path.read_text() for path in tasks.glob("*/children")).split()
    names = [Path("/proc", pid, "comm").read_text().strip() for pid in children]
    assert names == [], "the tests left processes behind"
