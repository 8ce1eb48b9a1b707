"""A plan's changes as libvirt's own commands, for a person to run.

Source: libvirt 11.3.0, run: what virsh can set of a domain's next start one by one; a disk's or a
controller's thread is not among it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vmio.characters import printable
from vmio.formats.base import Setting
from vmio.formats.libvirt.edit import list_settings
from vmio.formats.libvirt.guest import LibvirtGuest
from vmio.formats.shell import join_words
from vmio.model.plan import Change

__all__ = ["render_virsh"]


def render_virsh(guest: LibvirtGuest, changes: Sequence[Change]) -> str:
    """Returns the `virsh` commands that make changes at the next start, a line each.

    What only `virsh edit` can set is listed before it, as comments of the shell.

    Raises:
        PlanError: A domain has no setting for a change.
    """
    return "\n".join(_list_lines(guest.vm.id, list_settings(guest, changes)))


def _list_lines(name: str, settings: Sequence[Setting]) -> Iterator[str]:
    """Yields the lines: new threads first, threads that go last, as libvirt demands."""
    threads = [each for each in settings if each.key == "iothreads"]
    old, new = (
        {number for text in texts for number in (text or "").split()}
        for texts in ((each.old for each in threads), (each.new for each in threads))
    )
    for number in sorted(new - old, key=int):
        yield _render("iothreadadd", name, number)
    rest = [each for each in settings if each not in threads]
    tuned = {each: line for each in rest if (line := _tune(name, each))}
    yield from tuned.values()
    left = [each for each in rest if each not in tuned]
    for setting in left:
        value = "remove it" if setting.new is None else f"'{setting.new}'"
        yield printable(f"# {setting.name}: {value}")
    if left:
        yield join_words(["virsh", "edit", name])
    for number in sorted(old - new, key=int):
        yield _render("iothreaddel", name, number)


def _tune(name: str, setting: Setting) -> str:
    """Returns the command that tunes a thread; empty if there is none for a setting."""
    number = setting.key.removeprefix("iothread ")
    match setting.option:
        case "poll max" if setting.new is not None:
            return _render("iothreadset", name, number, "--poll-max-ns", setting.new)
        case "cpuset" if setting.new is not None:
            return _render("iothreadpin", name, number, setting.new)
    return ""


def _render(command: str, name: str, *words: str) -> str:
    return join_words(["virsh", command, name, *words, "--config"])
