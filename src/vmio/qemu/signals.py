"""Makes SIGTERM and SIGHUP unwind like Ctrl-C, so that every context manager is left."""

from __future__ import annotations

import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

__all__ = ["run_async", "unwind_on_signals"]

_T = TypeVar("_T")
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def unwind_on_signals() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP raise SystemExit(128 + signal) while the body runs.

    A signal that is ignored, as SIGHUP under nohup, stays ignored.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number, handler in previous.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, leave)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def run_async(main: Coroutine[Any, Any, _T]) -> _T:
    """Runs a coroutine as asyncio.run does, with SIGTERM and SIGHUP cancelling it like Ctrl-C.

    A handler that raises could interrupt the event loop itself; a cancelled task unwinds in its
    own time.

    Raises:
        SystemExit: A signal arrived; the status is 128 plus its number.
        KeyboardInterrupt: Ctrl-C arrived, as from asyncio.run.
    """
    import asyncio

    received: list[int] = []

    async def cancel_on_signals() -> _T:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()

        def cancel(number: int) -> None:
            received.append(number)
            if task is not None:
                task.cancel()

        for number, handler in previous.items():
            if handler is not signal.SIG_IGN:
                loop.add_signal_handler(number, cancel, number)
        return await main

    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        return asyncio.run(cancel_on_signals())
    except asyncio.CancelledError:
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        # The loop restores the default action, which would skip what still has to unwind.
        for number, handler in previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
