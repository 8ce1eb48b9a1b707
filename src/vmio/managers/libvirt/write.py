"""Changes a domain of a daemon: defines its new text, and the old one again if anything is lost.

libvirt has no lock for a domain's configuration, and no way to define it only if it is unchanged.
So it is read again just before; a change by somebody else in the milliseconds between is lost. A
definition is made whole or not at all, also where vmio is killed; the daemon may then still make
it a moment later.

Source: libvirt 11.3.0, run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from vmio.errors import CapabilityError, ConflictError, LibvirtError, UsageError, VmioError
from vmio.formats.libvirt.xml import parse_xml
from vmio.managers.journal import Entry, Journal, WrittenConfig, find_state_folder
from vmio.managers.libvirt.compare import digest_domain, find_losses
from vmio.managers.libvirt.connection import Connection, Domain, open_connection
from vmio.managers.libvirt.find import parse_address
from vmio.model.source import Source

__all__ = ["check_writable", "list_reminders", "read_domain", "restore_domain", "write_domain"]

_OLDEST: Final = (9, 0)
"""The oldest libvirt that was run; what an older one drops without a word is not known."""


def write_domain(
    address: str,
    edit: Callable[[Source], bytes],
    *,
    what: str,
    digest: str = "",
    run: str = "",
    state: Path | None = None,
) -> WrittenConfig:
    """Reads, changes and defines a domain, and keeps its old text.

    Args:
        address: The domain's address.
        edit: Returns the new text for the old one, which has the domain's passwords.
        what: A short description of the change, for `vmio undo --list`.
        digest: The required digest of the text without passwords; empty for any.
        run: The id of the changes that one undo reverts together; empty for this one alone.
        state: vmio's folder; None for the usual one.

    Raises:
        InputError: There is no such domain, or libvirt refuses the new text.
        ConflictError: The domain has changed, or libvirt did not keep what was written.
        CapabilityError: This account may not define domains, or the daemon is too old.
        LibvirtError: The daemon does not answer.
        OutputError: The old text cannot be kept.
    """
    found = parse_address(address)
    with open_connection(found.uri, writes=True) as connection:
        plain = Source(name=address, data=connection.read_domain(found.name).text)
        if digest and plain.digest != digest:
            raise ConflictError(f"{address} has changed since it was read", hint="read it again")
        old = _read_secret(connection, found.name)
        new = edit(Source(name=address, data=old.text))
        return _save(connection, old, new, address=address, what=what, run=run, state=state)


def read_domain(address: str) -> Source:
    """Returns a domain's text with its passwords, if its configuration can be changed.

    Raises:
        InputError: There is no such domain.
        CapabilityError: This account may not define domains, or the daemon is too old.
        LibvirtError: The daemon does not answer.
        UsageError: The domain is transient.
    """
    found = parse_address(address)
    with open_connection(found.uri, writes=True) as connection:
        return Source(name=str(found), data=_read_secret(connection, found.name).text)


def restore_domain(
    address: str,
    old: bytes,
    new: bytes,
    *,
    what: str,
    run: str = "",
    undoes: int | None = None,
    state: Path | None = None,
) -> WrittenConfig:
    """Defines a kept text of a domain; this is a change of its own.

    Args:
        address: The domain's address.
        old: Its text as `read_domain` returned it.
        new: The text to define.
        what: A short description of the change.
        run: The id of the changes that one undo reverts together; empty for this one alone.
        undoes: The number of the change that this one undoes.
        state: vmio's folder; None for the usual one.

    Raises:
        VmioError: As `write_domain` raises them.
    """
    found = parse_address(address)
    with open_connection(found.uri, writes=True) as connection:
        now = _read_secret(connection, found.name)
        if now.text != old:
            raise ConflictError(f"{found} has just been changed", hint="try again")
        return _save(
            connection,
            now,
            new,
            address=str(found),
            what=what,
            run=run,
            undoes=undoes,
            state=state,
        )


def _read_secret(connection: Connection, name: str) -> Domain:
    """Returns a domain with its passwords, if its configuration can be changed.

    Raises:
        InputError: There is no such domain.
        CapabilityError: The connection may only read, or the daemon is too old.
        LibvirtError: The daemon does not answer.
        UsageError: The domain is transient.
    """
    versions = connection.read_versions()
    if versions.libvirt_number < _OLDEST:
        raise CapabilityError(
            f"{connection.uri} is libvirt {versions.libvirt}, and vmio changes domains of"
            f" {_OLDEST[0]}.{_OLDEST[1]} and newer"
        )
    domain = connection.read_domain(name, secure=True)
    check_writable(domain)
    return domain


def check_writable(domain: Domain) -> None:
    """Refuses a domain that has no configuration for its next start.

    Raises:
        UsageError: It is transient.
    """
    if not domain.persistent:
        raise UsageError(
            f"the domain '{domain.name}' is transient: it has no configuration that is kept",
            hint="change the XML that it is created from",
        )


def _save(
    connection: Connection,
    old: Domain,
    new: bytes,
    *,
    address: str,
    what: str,
    run: str = "",
    undoes: int | None = None,
    state: Path | None = None,
) -> WrittenConfig:
    """Defines a domain's new text, after keeping the old one, and reads it back.

    Args:
        connection: A connection that writes.
        old: The domain as it was read on it, with its passwords.
        new: Its new text.
        address: Its address.
        what: A short description of the change.
        run: The id of the changes that one undo reverts together.
        undoes: The number of the change that this one undoes.
        state: vmio's folder; None for the usual one.

    Raises:
        InputError: libvirt refuses the text; the domain is unchanged.
        ConflictError: The domain has just changed, or libvirt did not keep what was written, and
            the old text is defined again.
        LibvirtError: The daemon does not answer; if it was lost, the domain is the old or the new.
        OutputError: The old text cannot be kept; the domain is unchanged.
    """
    source = Source(name=address, data=old.text)
    wanted = Source(name=address, data=new)
    path = Path(address)
    if new == old.text:
        return WrittenConfig(path=path, before=source.digest, after=source.digest)
    _check_same(source, wanted)
    journal = Journal(state if state is not None else find_state_folder(), path)
    after = digest_domain(wanted)
    entry = journal.record(old.text, new, what=what, run=run, undoes=undoes, after=after)
    try:
        if connection.read_domain(old.name, secure=True).text != old.text:
            raise ConflictError(f"{address} has just been changed", hint="try again")
        connection.define(new)
        found = connection.read_domain(old.name, secure=True)
        losses = find_losses(wanted, Source(name=address, data=found.text))
        if losses:
            _define_again(connection, source, old)
            raise ConflictError(
                f"libvirt did not keep what was written, so the old domain is defined again:"
                f" {losses}",
                hint=f"libvirt {connection.read_versions().libvirt} does not know it",
            )
    except VmioError:
        _forget(connection, journal, entry, old)
        raise
    return WrittenConfig(
        path=path, before=source.digest, after=wanted.digest, backup=journal.locate(entry)
    )


def list_reminders(domain: Domain) -> tuple[str, ...]:
    """Returns what else has a copy of a domain's configuration, and brings it back."""
    found = []
    if domain.has_managed_save:
        found.append(
            f"'{domain.name}' has a managed save: the next start restores the layout that it was"
            f" saved with; virsh managedsave-remove discards it, with the guest's memory"
        )
    if domain.snapshots:
        found.append(
            f"'{domain.name}' has {domain.snapshots} snapshots: reverting to one brings back the"
            " layout that it was taken with"
        )
    return tuple(found)


def _check_same(old: Source, new: Source) -> None:
    """Refuses to define another domain than the one that was read."""
    one, other = parse_xml(old), parse_xml(new)
    for name in ("name", "uuid"):
        before, after = one.find(name), other.find(name)
        if (before.text if before else None) != (after.text if after else None):
            raise UsageError(f"{old.name} would get another {name}, and be another domain")


def _define_again(connection: Connection, source: Source, old: Domain) -> None:
    connection.define(old.text, validate=False)
    back = connection.read_domain(old.name, secure=True)
    losses = find_losses(source, Source(name=source.name, data=back.text))
    if losses:
        raise LibvirtError(
            f"{source.name} could not be restored completely: {losses}",
            hint="vmio undo --list tells where its old text is kept",
        )


def _forget(connection: Connection, journal: Journal, entry: Entry, old: Domain) -> None:
    """Removes the backup of a failed change, if the domain is the old one."""
    with suppress(VmioError):
        if connection.read_domain(old.name, secure=True).text == old.text:
            journal.forget(entry)
