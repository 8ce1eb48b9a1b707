"""A QEMU process that belongs to a context manager and ends with it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Self

from vmio.errors import QmpError, ToolError
from vmio.qemu.child import describe_failure, destroy_child, start_child
from vmio.qemu.qmp import QmpConnection

__all__ = ["QemuProcess"]

_OUTPUT_BYTES = 1 << 16
_QUIT_TIMEOUT_S = 5.0
_TERM_TIMEOUT_S = 3.0
_DEATH_TIMEOUT_S = 1.0


class QemuProcess:
    """A running QEMU; `start` makes it.

    Its monitor is one end of a socket pair: it needs no file, no other client can take it, and the
    end of QEMU is noticed at once.
    """

    def __init__(self, argv: tuple[str, ...], process: subprocess.Popen[bytes]) -> None:
        self.argv = argv
        """The command line, without the monitor that `start` added."""
        self.pid = process.pid
        self.qmp: QmpConnection
        self._process = process
        self._exited = asyncio.Event()
        self._output = bytearray()

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        argv: tuple[str, ...],
        *,
        qmp_socket: Path | None = None,
        timeout_s: float = 30.0,
    ) -> AsyncIterator[Self]:
        """Starts QEMU, waits until its monitor answers, and ends it with all that it started.

        It is ended through the monitor, then by SIGTERM, then by SIGKILL, on a normal exit, on any
        exception and on cancellation. If this process itself is killed, the kernel kills QEMU (see
        `vmio.qemu.child`).

        Args:
            argv: The command line, without a monitor.
            qmp_socket: The path of a second monitor for others; preferably in a folder of
                `vmio.qemu.folder.open_runtime_folder`, which removes it.
            timeout_s: The time limit until QEMU's monitor answers.

        Raises:
            CapabilityError: There is no such binary.
            ToolError: QEMU refused to start or died; the message is its own last line.
            QmpError: Its monitor did not answer in time.
        """
        with ExitStack() as cleanup:
            ours, theirs = socket.socketpair()
            cleanup.callback(ours.close)
            with theirs:
                process = start_child(
                    (*argv, *_render_monitors(theirs.fileno(), qmp_socket)),
                    stderr=subprocess.PIPE,
                    pass_fds=(theirs.fileno(),),
                )
            guest = cls(argv, process)
            cleanup.callback(guest._destroy)
            guest._watch(cleanup)
            async with AsyncExitStack() as session:
                connect = QmpConnection.connect(ours, name="QEMU's monitor", timeout_s=timeout_s)
                try:
                    guest.qmp = await session.enter_async_context(connect)
                except QmpError as error:
                    if await guest._wait_exit(_DEATH_TIMEOUT_S):
                        raise guest._explain_death("QEMU refused to start") from error
                    raise
                guest.qmp.peer_pid = process.pid  # the pair itself was created by this process
                session.push_async_callback(guest._shut_down)
                try:
                    yield guest
                except QmpError as error:
                    # If QEMU died, the silent monitor is only a symptom.
                    if await guest._wait_exit(_DEATH_TIMEOUT_S):
                        raise guest._explain_death("QEMU ended too early") from error
                    raise

    @property
    def output(self) -> str:
        """The last 64 KiB that QEMU wrote to standard error."""
        return self._output.decode("utf-8", "replace")

    @property
    def running(self) -> bool:
        """Whether QEMU has not ended yet."""
        return not self._exited.is_set()

    async def wait(self) -> int:
        """Waits until QEMU ends by itself and returns its exit status."""
        await self._exited.wait()
        return destroy_child(self._process)

    def _watch(self, cleanup: ExitStack) -> None:
        """Watches for QEMU's output and its end."""
        loop = asyncio.get_running_loop()
        pidfd = os.pidfd_open(self.pid)
        cleanup.callback(os.close, pidfd)
        loop.add_reader(pidfd, self._note_exit, pidfd)
        cleanup.callback(loop.remove_reader, pidfd)
        errors = self._process.stderr
        if errors is not None:
            cleanup.callback(errors.close)
            os.set_blocking(errors.fileno(), False)
            loop.add_reader(errors.fileno(), self._read_output)
            cleanup.callback(loop.remove_reader, errors.fileno())

    def _note_exit(self, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        self._exited.set()

    def _read_output(self) -> None:
        """Reads the output so far, and keeps the end of it."""
        errors = self._process.stderr
        if errors is None or errors.closed:
            return
        with suppress(BlockingIOError):
            chunk = os.read(errors.fileno(), _OUTPUT_BYTES)
            self._output += chunk
            del self._output[:-_OUTPUT_BYTES]
            if not chunk:
                asyncio.get_running_loop().remove_reader(errors.fileno())

    async def _wait_exit(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._exited.wait()
        except TimeoutError:
            return False
        return True

    def _explain_death(self, what: str) -> ToolError:
        self._read_output()
        status = destroy_child(self._process)
        return describe_failure(what, self.argv, status=status, errors=bytes(self._output))

    async def _shut_down(self) -> None:
        """Ends QEMU with increasing force; `_destroy` is the last step."""
        if self._exited.is_set():
            return
        with suppress(QmpError):
            await self.qmp.execute("quit", timeout_s=_QUIT_TIMEOUT_S)
        if not await self._wait_exit(_QUIT_TIMEOUT_S):
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            await self._wait_exit(_TERM_TIMEOUT_S)

    def _destroy(self) -> None:
        destroy_child(self._process)


def _render_monitors(descriptor: int, qmp_socket: Path | None) -> tuple[str, ...]:
    words = ("-chardev", f"socket,id=vmio-qmp,fd={descriptor}", "-mon", "vmio-qmp,mode=control")
    if qmp_socket is None:
        return words
    path = str(qmp_socket).replace(",", ",,")
    return (*words, "-qmp", f"unix:{path},server=on,wait=off")
