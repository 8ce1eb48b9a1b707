"""A domain's guest agent, by libvirt: commands, answers, and what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from vmio.errors import CapabilityError, GuestError, InputError, LibvirtError, VmioError
from vmio.guest.agent import Agent
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt import visit
from vmio.managers.libvirt.agent import DomainAgentChannel

GUEST = RunningGuest(
    process=QemuProcess(
        pid=100, started_ticks=5, inner_pid=100, owner=0, stopped=False, cgroup="", command=b""
    ),
    manager="libvirt",
    id="3",
    name="web db",
    uuid="18cf170e-b8ec-469c-84af-bf6f0add100c",
    uptime_s=1.0,
)


class Speaking:
    """A connection whose domain's agent gives one answer.

    Attributes:
        answer: The answer, or what is raised.
        asked: The commands and their limits.
    """

    def __init__(self, answer: str | VmioError) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, int]] = []

    def check_run(self, uuid: str, number: int) -> None:
        """Takes this run of the domain alone."""
        assert (uuid, number) == (GUEST.uuid, 3)

    def run_agent_command(self, name: str, command: str, timeout_s: int) -> bytes:
        """Answers."""
        self.asked.append((name, command, timeout_s))
        if isinstance(self.answer, VmioError):
            raise self.answer
        return self.answer.encode()


def make_agent(monkeypatch: pytest.MonkeyPatch, speaking: Speaking) -> Agent:
    """Returns the agent of a domain."""

    @contextmanager
    def connect(
        _uri: str, *, writes: bool, deadline_s: float, connect_s: float
    ) -> Iterator[Speaking]:
        assert writes
        assert deadline_s > 30 >= connect_s
        yield speaking

    monkeypatch.setattr(visit, "open_connection", connect)
    return Agent(DomainAgentChannel("test:///here", GUEST))


def test_command_is_passed_on_with_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whole seconds; one that is not answered is refused."""
    speaking = Speaking('{"return": {"version": "7.2", "supported_commands": []}}')
    agent = make_agent(monkeypatch, speaking)
    assert asyncio.run(agent.info()).version == "7.2"
    asyncio.run(agent.ping(0.1))
    with pytest.raises(GuestError, match="no command that is not answered"):
        asyncio.run(agent.shutdown())
    assert speaking.asked == [
        ("web db", '{"execute": "guest-info"}', 30),
        ("web db", '{"execute": "guest-ping"}', 1),
    ]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (LibvirtError("the agent is not connected", hint="see"), GuestError),
        (InputError("it does not run this domain"), GuestError),
        (CapabilityError("it may only read"), CapabilityError),
    ],
)
def test_refusals_are_told(
    monkeypatch: pytest.MonkeyPatch, error: VmioError, kind: type[VmioError]
) -> None:
    """An agent that is not there is the guest's matter, a right that is missing is not."""
    with pytest.raises(kind, match=error.message) as caught:
        asyncio.run(make_agent(monkeypatch, Speaking(error)).ping())
    assert caught.value.hint == error.hint


@pytest.mark.parametrize("answer", ["", "[]", '{"return": 1}', '{"no": 1}', "\udcff"])
def test_answer_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """It comes from inside a guest."""
    speaking = Speaking("")
    speaking.run_agent_command = lambda *_: answer.encode("utf-8", "surrogateescape")  # type: ignore[method-assign]
    with pytest.raises(GuestError, match="web db: not a guest agent's answer"):
        asyncio.run(make_agent(monkeypatch, speaking).info())
