"""Child processes that cannot outlive their owner, however it ends.

Each child leads a session of its own, so that its whole group can be killed and a Ctrl-C in the
terminal reaches only its owner. For a `kill -9` of the owner, setpriv asks the kernel to kill the
child when the thread that started it dies. That request survives exec, but not a fork or a change
of user, so `-daemonize` and `-runas` are refused. A shell in between checks that the owner did not
die before the request was made. Without setpriv (util-linux), a child is started plainly, and only
a `kill -9` of its owner leaves it running.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from msgspec import Struct

from vmio.errors import CapabilityError, ToolError, UsageError

__all__ = ["Finished", "describe_failure", "destroy_child", "run_command", "start_child"]

_CHECK_OWNER = '[ "$PPID" = "$0" ] && exec "$@"'
_ESCAPES = frozenset({"-daemonize", "--daemonize", "-runas", "--runas"})
_CHUNK_BYTES = 1 << 16
_REAP_TIMEOUT_S = 10.0


class Finished(Struct, frozen=True, kw_only=True):
    """A program that has ended, or was killed at its time limit.

    Args:
        status: Its exit status; negative for a signal, None if it was killed at the limit.
        output: Its standard output.
        errors: Its standard error.
    """

    status: int | None
    output: bytes
    errors: bytes


def start_child(
    argv: Sequence[str],
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts a program; its owner has to pass it to `destroy_child` at the end.

    Raises:
        CapabilityError: There is no such program.
        UsageError: The options would let the program escape its owner.
        ToolError: The system refused to start it.
    """
    binary = shutil.which(argv[0])
    if binary is None:
        raise CapabilityError(f"{argv[0]} does not exist or is not executable")
    escape = next((word for word in argv if word in _ESCAPES), None)
    if escape is not None:
        raise UsageError(f"{escape} would let QEMU outlive the command that starts it")
    setpriv = shutil.which("setpriv") or shutil.which("setpriv", path=os.defpath)
    guard: tuple[str, ...] = ()
    if setpriv is not None:
        guard = (setpriv, "--pdeathsig", "KILL", "/bin/sh", "-c", _CHECK_OWNER, str(os.getpid()))
    try:
        return subprocess.Popen(
            (*guard, binary, *argv[1:]),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ToolError(f"cannot start {argv[0]}: {error}", argv=tuple(argv)) from error


def destroy_child(process: subprocess.Popen[bytes]) -> int:
    """Kills what is left of a child and of its group, and returns its exit status.

    The group is killed before the child is reaped: until then its number cannot be reused.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # Not even a killed process ends while the kernel does I/O for it; do not wait for that.
        with suppress(subprocess.TimeoutExpired):
            process.wait(_REAP_TIMEOUT_S)
    return -signal.SIGKILL if process.returncode is None else process.returncode


def run_command(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    until: bytes = b"",
    timeout_s: float,
    limit_bytes: int = 16 << 20,
) -> Finished:
    """Runs a program to its end, within limits of time and output.

    Args:
        argv: The program and its arguments.
        stdin: Its standard input.
        until: A text that completes its output, so that it is killed and counts as successful;
            empty for a program that ends by itself.
        timeout_s: The time after which it is killed.
        limit_bytes: The most output that it may print.

    Raises:
        CapabilityError: There is no such program.
        ToolError: It cannot be started, or printed more than the limit.
    """
    deadline = time.monotonic() + timeout_s
    with ExitStack() as stack:
        # A memory file: nothing to feed, and no deadlock with a program that does not read.
        given = stack.enter_context(os.fdopen(os.memfd_create("stdin", os.MFD_CLOEXEC), "w+b"))
        given.write(stdin)
        given.seek(0)
        process = start_child(argv, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        stack.callback(destroy_child, process)
        streams: dict[str, bytearray] = {"output": bytearray(), "errors": bytearray()}
        selector = stack.enter_context(selectors.DefaultSelector())
        for name, pipe in (("output", process.stdout), ("errors", process.stderr)):
            assert pipe is not None  # noqa: S101 - both were asked for above
            stack.enter_context(pipe)
            selector.register(pipe.fileno(), selectors.EVENT_READ, streams[name])
        while selector.get_map():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return _finish(None, streams)
            for key, _ in selector.select(left_s):
                chunk = os.read(key.fd, _CHUNK_BYTES)
                key.data.extend(chunk)
                if not chunk:
                    selector.unregister(key.fd)
            if until and until in streams["output"]:
                return _finish(0, streams)
            if sum(map(len, streams.values())) > limit_bytes:
                raise ToolError(
                    f"{argv[0]} printed more than {limit_bytes} bytes", argv=tuple(argv)
                )
        try:
            status = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return _finish(None, streams)
        return _finish(status, streams)


def _finish(status: int | None, streams: dict[str, bytearray]) -> Finished:
    return Finished(
        status=status, output=bytes(streams["output"]), errors=bytes(streams["errors"])
    )


def describe_failure(
    what: str, argv: Sequence[str], *, status: int | None, errors: bytes
) -> ToolError:
    """Returns an error with a program's last message, in one line.

    QEMU prints warnings before it fails, and an assertion after the line that explains it: the
    last line that is not a warning is shown, and all of them are kept.
    """
    text = errors[-_CHUNK_BYTES:].decode("utf-8", "replace")
    prefix = f"{Path(argv[0]).name}: "
    lines = [line.strip().removeprefix(prefix) for line in text.splitlines() if line.strip()]
    telling = [
        line
        for line in lines
        if not line.startswith(("warning:", "info:")) and "Assertion `" not in line
    ]
    if lines:
        reason = (telling or lines)[-1].removeprefix("error: ")
    elif status is None:
        reason = "it did not answer in time"
    elif status < 0:
        reason = f"it was killed by {_name_signal(-status)}"
    else:
        reason = f"it ended with status {status} without a message"
    return ToolError(
        f"{what}: {reason[:500]}",
        argv=tuple(argv),
        status=status,
        output="\n".join(lines[-20:]),
    )


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
