"""Why a run in a guest has failed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import pytest

from vmio.bench import compare
from vmio.bench.jobs import DEFAULT_JOBS
from vmio.bench.runs import LoadTarget, run_in_guest
from vmio.errors import GuestError, QmpError, ToolError
from vmio.guest.agent import Agent, Completed
from vmio.qemu.qmp import QmpConnection


class _MuteAgent(Agent):
    """An agent of a guest that does not run any more."""

    def __init__(self) -> None:
        pass

    async def run(self, *_: Sequence[str], **_how: Any) -> Completed:  # noqa: ANN401 - as its own
        """Gives no answer."""
        raise GuestError("the guest agent gave no answer")


class _Monitor:
    """A monitor that reports a guest's state."""

    def __init__(self, state: str) -> None:
        self.state = state

    async def execute(self, command: str) -> object:
        """Returns it, if there is any."""
        assert command == "query-status"
        if not self.state:
            raise QmpError("it closed the connection")
        return {"status": self.state, "running": self.state == "running"}


def run(state: str) -> None:
    """Runs a job in a guest that does not answer."""
    monitor = cast("QmpConnection", _Monitor(state))
    target = LoadTarget(
        name="100.conf",
        pid=os.getpid(),
        agent=_MuteAgent(),
        device="/dev/vda",
        threads={},
        writable=True,
        explain_stop=partial(compare._explain_stop, monitor, "100.conf"),
    )
    asyncio.run(run_in_guest(target, DEFAULT_JOBS[0]))


def test_guest_that_qemu_stopped_on_a_full_disk_is_told() -> None:
    """QEMU stops a guest whose write finds no room, so that its agent does not answer."""
    with pytest.raises(ToolError, match=r"stopped 100\.conf: a scratch file in /.* cannot be"):
        run("io-error")


@pytest.mark.parametrize("state", ["running", "paused", ""])
def test_guest_that_does_not_answer_otherwise_is_told_so(state: str) -> None:
    """Also if its monitor does not answer either."""
    with pytest.raises(GuestError, match="gave no answer"):
        run(state)
