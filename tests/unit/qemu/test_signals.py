"""Signals that unwind."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from vmio.qemu.signals import run_async, unwind_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_cancels_the_main_task(number: signal.Signals) -> None:
    """What the task has to clean up is cleaned up, then the status says which signal it was."""
    done: list[str] = []

    async def main() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            done.append("cleaned up")

    with pytest.raises(SystemExit) as caught:
        run_async(main())
    assert caught.value.code == 128 + number
    assert done == ["cleaned up"]


def test_ctrl_c_is_keyboard_interrupt() -> None:
    """Ctrl-C stays what it is everywhere in Python."""

    async def main() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run_async(main())


def test_cancellation_of_its_own_is_no_signal() -> None:
    """A task that cancels itself raises what asyncio.run raises."""

    async def main() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_async(main())


def test_result_comes_back_and_handlers_too() -> None:
    """The coroutine's result is returned, and signals do again what they did before."""

    async def main() -> int:
        return 7

    before = signal.getsignal(signal.SIGTERM)

    assert run_async(main()) == 7
    assert signal.getsignal(signal.SIGTERM) is before


def test_signal_unwinds_what_is_not_async() -> None:
    """Outside of a coroutine the signal raises, so that every `with` does its work."""
    done: list[str] = []

    def body() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            done.append("cleaned up")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, unwind_on_signals():
        body()

    assert caught.value.code == 143
    assert done == ["cleaned up"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_signal_unwinds_after_a_coroutine() -> None:
    """A coroutine in between leaves the outer handler in place."""

    async def main() -> None:
        pass

    def body() -> None:
        run_async(main())
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    with pytest.raises(SystemExit), unwind_on_signals():
        body()


def test_ignored_signal_stays_ignored() -> None:
    """Under nohup a hang-up goes on doing nothing."""

    async def main() -> str:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        return "went on"

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with unwind_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert run_async(main()) == "went on"
    finally:
        signal.signal(signal.SIGHUP, before)
