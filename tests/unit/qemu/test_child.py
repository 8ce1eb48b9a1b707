"""Children that end when they should."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmio.errors import CapabilityError, ToolError, UsageError
from vmio.qemu.child import describe_failure, destroy_child, run_command, start_child


def test_command_gives_what_it_prints() -> None:
    """Input goes in; output, errors and status come out."""
    script = "cat; echo wrong >&2; exit 3"
    finished = run_command(("sh", "-c", script), stdin=b"text", timeout_s=60)

    assert (finished.status, finished.output, finished.errors) == (3, b"text", b"wrong\n")


def test_command_that_has_said_all_is_ended() -> None:
    """A program that would go on for ever is ended when it has said what it was asked for."""
    finished = run_command(("sh", "-c", "echo all; exec sleep 1000"), until=b"all\n", timeout_s=60)

    assert (finished.status, finished.output) == (0, b"all\n")


def test_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    """At the time limit nothing of the command is left, and its status is None."""
    pid_file = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {pid_file}; echo begun; wait"
    finished = run_command(("sh", "-c", script), timeout_s=0.5)

    assert finished.status is None
    if finished.output:  # else the machine was too busy to begin at all
        _wait_until_gone(int(pid_file.read_text()))


def test_command_that_closes_its_output_and_hangs_is_killed() -> None:
    """A program that is silent but does not end is held to the limit too."""
    finished = run_command(("sh", "-c", "exec >&- 2>&-; sleep 1000"), timeout_s=0.2)

    assert finished.status is None


def test_command_that_prints_without_end_is_stopped() -> None:
    """A program that prints for ever is ended long before memory is."""
    with pytest.raises(ToolError, match="yes printed more than 100000 bytes"):
        run_command(("yes",), timeout_s=60, limit_bytes=100_000)


def test_program_that_does_not_exist_is_named() -> None:
    """A missing program is a lack of this host."""
    with pytest.raises(CapabilityError, match="/nowhere/qemu does not exist"):
        run_command(("/nowhere/qemu",), timeout_s=60)


@pytest.mark.parametrize("option", ["-daemonize", "--daemonize", "-runas"])
def test_option_that_would_let_qemu_escape_is_refused(option: str) -> None:
    """What forks or changes its user does not die with its owner."""
    with pytest.raises(UsageError, match=f"{option} would let QEMU outlive"):
        start_child(("true", option))


def test_destroyed_child_is_reaped_once() -> None:
    """A child can be destroyed twice, and its status stays the same."""
    process = start_child(("sleep", "1000"))

    assert destroy_child(process) == -9
    assert destroy_child(process) == -9
    assert not _is_running(process.pid)


def test_child_of_a_killed_owner_is_killed() -> None:
    """When the owner gets SIGKILL, the kernel kills its child."""
    held, given = os.pipe()
    # The child says that it lives and keeps the pipe open for as long as it does.
    script = (
        "import os, signal\n"
        "from vmio.qemu.child import start_child\n"
        "read, write = os.pipe()\n"
        f"child = ('sh', '-c', f'echo x >&{{write}}; exec sleep 1000')\n"
        f"start_child(child, pass_fds=(write, {given}))\n"
        "os.read(read, 1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with os.fdopen(held, "rb") as pipe:
        try:
            argv = (sys.executable, "-c", script)
            owner = subprocess.run(
                argv, pass_fds=(given,), check=False, timeout=240, env=environment
            )
        finally:
            os.close(given)
        assert owner.returncode == -9
        assert pipe.read() == b""


@pytest.mark.parametrize(
    ("errors", "status", "reason"),
    [
        (b"qemu: warning: old\nqemu: -device zz: bad\n", 1, "-device zz: bad"),
        (b"qemu: -device zz: bad\nqemu: warning: old\n", 1, "-device zz: bad"),
        (
            b"qemu: error: failed to set MSR 0x10a\nqemu: kvm.c:1: f: Assertion `a' failed.\n",
            -6,
            "failed to set MSR 0x10a",
        ),
        (b"qemu: warning: old\n", 1, "warning: old"),
        (b"", 7, "it ended with status 7 without a message"),
        (b"", -11, "it was killed by SIGSEGV"),
        (b"", -99, "it was killed by signal 99"),
        (b" \n", None, "it did not answer in time"),
        (b"\xff" * 2000, 1, "�" * 500),
    ],
)
def test_failure_is_told_in_one_line(errors: bytes, status: int | None, reason: str) -> None:
    """The line that tells most is the message, and the rest of the last words is kept."""
    failure = describe_failure("no", ("/usr/bin/qemu", "-x"), status=status, errors=errors)

    assert failure.message == f"no: {reason}"
    assert (failure.argv, failure.status) == (("/usr/bin/qemu", "-x"), status)


def test_failure_keeps_the_last_words() -> None:
    """The last twenty lines are kept, without the program's name before each."""
    errors = b"".join(b"qemu: line %d\n" % number for number in range(100))

    failure = describe_failure("no", ("/usr/bin/qemu",), status=1, errors=errors)

    assert failure.output.splitlines() == [f"line {number}" for number in range(80, 100)]


def _wait_until_gone(pid: int) -> None:
    """Waits for the kernel, which ends a killed process when it comes to it."""
    until = time.monotonic() + 240
    while _is_running(pid):
        assert time.monotonic() < until, f"process {pid} is still there"
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    """Returns whether a process is there and is more than a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
