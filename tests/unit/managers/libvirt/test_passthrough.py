"""Questions to a monitor that libvirt passes on."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from vmio.errors import QmpError
from vmio.managers.libvirt.connection import Connection
from vmio.managers.libvirt.passthrough import READ_ONLY, PassedMonitor
from vmio.qemu.qmp import CommandRefusedError
from vmio.qemu.questions import Question


class Daemon:
    """A connection that keeps what it is asked, and answers with one text."""

    def __init__(self, answer: str) -> None:
        self.answer = answer.encode()
        self.asked: list[tuple[str, Any]] = []

    def ask_monitor(self, name: str, command: str) -> bytes:
        """Takes a command."""
        self.asked.append((name, json.loads(command)))
        return self.answer


def ask(daemon: Daemon, *questions: Question) -> tuple[Any, ...]:
    """Returns the answers."""
    monitor = PassedMonitor(cast("Connection", daemon), "web")
    return asyncio.run(monitor.execute_all(questions))


def test_question_is_passed_on() -> None:
    """With its arguments, if it has any, and its answer comes back."""
    daemon = Daemon('{"return": [1], "id": "libvirt-9"}')
    arguments = {"path": "/objects", "property": "type"}
    found = ask(
        daemon, Question(command="query-block"), Question(command="qom-get", arguments=arguments)
    )
    assert found == ([1], [1])
    assert daemon.asked == [
        ("web", {"execute": "query-block"}),
        ("web", {"execute": "qom-get", "arguments": arguments}),
    ]


@pytest.mark.parametrize("command", ["qom-set", "quit", "human-monitor-command", "object-add"])
def test_nothing_else_is_passed_on(command: str) -> None:
    """Libvirt does not know what its QEMU is told then."""
    daemon = Daemon("{}")
    with pytest.raises(QmpError, match="is no question"):
        ask(daemon, Question(command=command))
    assert daemon.asked == []


def test_what_is_passed_on_only_asks() -> None:
    """By its name in QEMU's protocol."""
    assert all(each.startswith("query-") or each in {"qom-get", "qom-list"} for each in READ_ONLY)


def test_refusal_is_an_answer() -> None:
    """Of which a reader decides what it means."""
    answer = '{"error": {"class": "GenericError", "desc": "no such\\nproperty"}}'
    (refused,) = ask(Daemon(answer), Question(command="qom-get"))
    assert isinstance(refused, CommandRefusedError)
    assert "the monitor of 'web' refused 'qom-get': no such" in refused.message


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"error": 1}', '{"return": ' + "[" * 9_999])
def test_nonsense_is_an_error(answer: str) -> None:
    """No QEMU answers so."""
    with pytest.raises(QmpError, match="as no QEMU does"):
        ask(Daemon(answer), Question(command="query-block"))
