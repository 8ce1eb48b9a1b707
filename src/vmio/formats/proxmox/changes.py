"""A plan's changes made in the text of a VM's config."""

from __future__ import annotations

from collections.abc import Iterable

from vmio.errors import ConflictError
from vmio.formats.keyval import split_parts
from vmio.formats.proxmox.config import Config, parse_config
from vmio.formats.proxmox.schema import normalize
from vmio.formats.proxmox.strict import valid_entries
from vmio.formats.proxmox.writer import remove_option, remove_setting, set_option, set_setting
from vmio.model.plan import Change
from vmio.model.source import Edit, Source, apply_edits

__all__ = ["apply_changes"]


def apply_changes(source: Source, changes: Iterable[Change]) -> bytes:
    """Returns a config's bytes with changes made in its main section, one after the other.

    Snapshots and pending changes stay as they are, and so does every byte that no change is about.

    Raises:
        InputError: The text is no VM config.
        ConflictError: It no longer says what a change goes from, or the same setting is already
            about to change when the guest is next started.
        UsageError: Proxmox would not take what it would come to.
    """
    for change in changes:
        config = parse_config(source)
        _check_pending(config, change)
        _check_old(config, change)
        source = Source(name=source.name, data=apply_edits(source, _make_edits(config, change)))
    return source.data


def _make_edits(config: Config, change: Change) -> tuple[Edit, ...]:
    main, key, option = config.main, change.key, change.option
    match option, change.new:
        case "", None:
            return remove_setting(config, main, key)
        case "", str(new):
            return (set_setting(config, main, key, new),)
        case _, None:
            return (remove_option(config, main, key, option),)
        case _, str(new):
            return (set_option(config, main, key, option, new),)
        case _:
            raise AssertionError(change)


def _check_pending(config: Config, change: Change) -> None:
    settings = config.pending.settings() if config.pending is not None else {}
    deleted = settings["delete"].value if "delete" in settings else ""
    names = {name.strip().lstrip("!") for name in deleted.replace(";", ",").split(",")}
    if change.key in settings or change.key in names:
        raise ConflictError(
            f"{config.source.name}: {change.key} is already to change when the guest is next"
            " started",
            hint="stop and start the guest, or take that change back, and plan again",
        )


def _check_old(config: Config, change: Change) -> None:
    """Refuses a setting that is not as it was when the plan was made."""
    written = config.main.settings().get(change.key)
    valid = valid_entries(config.source, config.main).get(change.key)
    if written != valid:
        raise ConflictError(
            f"{config.source.name}: Proxmox VE cannot take the last line of {change.key}",
            hint="correct or remove that line, and plan again",
        )
    old: str | None = None
    if written is not None and not change.option:
        old = normalize(change.key, written.value)
    elif written is not None:
        parts = split_parts(config.source.data, written.value_span)
        old = next((part.value for part in parts if part.key == change.option), None)
    if old != change.old:
        name = f"{change.key}: {change.option}" if change.option else change.key
        raise ConflictError(
            f"{config.source.name}: {name} is {_show(old)} and not {_show(change.old)},"
            " as the plan has it",
            hint="plan again",
        )


def _show(value: str | None) -> str:
    return "not written" if value is None else f"'{value}'"
