"""Applies a plan: prepares its changes for a config, and makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from vmio.errors import ConflictError, LibvirtError, QmpError, UnsupportedError, UsageError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.registry import edit, is_made_for, is_written, read
from vmio.managers.journal import WrittenConfig
from vmio.managers.libvirt.find import LIBVIRT
from vmio.managers.libvirt.guard import remind_of_file
from vmio.managers.live import LiveResult, check_live, set_live
from vmio.managers.proxmox.node import Node, find_qmp_socket, find_vmid, is_running
from vmio.managers.write import check_config, replace_config
from vmio.model.host import Host
from vmio.model.plan import LiveChange, Plan, Step
from vmio.model.source import Source, apply_edits
from vmio.policy.scope import check_changes
from vmio.qemu.qmp import QmpConnection
from vmio.qemu.signals import run_async
from vmio.values import replace

__all__ = ["Outcome", "PreparedPlan", "carry_out", "find_refusal", "prepare_plan"]


class PreparedPlan(Struct, frozen=True, kw_only=True):
    """The changes of a plan for one config."""

    plan: Plan
    path: Path
    guest: Guest
    """The config as it is."""
    new: bytes
    """The new text of the config."""
    running: bool
    """Whether the guest runs on this node, so that its config must not change."""
    socket: Path | None = None
    """The running guest's monitor; None if nothing is set on it."""
    sets_domain: bool = False
    """Whether libvirt sets what a running domain can get at once."""
    reminders: tuple[str, ...] = ()
    """What else keeps the guest's old layout, one line each."""

    @property
    def source(self) -> Source:
        """The config as it is."""
        return self.guest.vm.source

    @property
    def live(self) -> tuple[LiveChange, ...]:
        """The changes that the running guest can get at once."""
        if not self._is_set_live:
            return ()
        return tuple(change for step in self._doable for change in step.live)

    @property
    def waiting(self) -> tuple[Step, ...]:
        """The steps that take effect after a full stop and start of the guest."""
        return tuple(
            step
            for step in self._doable
            if step.changes and (step.takes_effect == "restart" or not self._is_set_live)
        )

    @property
    def writes(self) -> bool:
        """Whether the config will be written."""
        return self.new != self.source.data and not self.running

    @property
    def _is_set_live(self) -> bool:
        return self.socket is not None or self.sets_domain

    @property
    def _doable(self) -> tuple[Step, ...]:
        return tuple(step for step in self.plan.steps if not step.obstacle)


class Outcome(Struct, frozen=True, kw_only=True):
    """The changes that were made."""

    config: WrittenConfig | None = None
    """None if the config was not written."""
    live: tuple[LiveResult, ...] = ()


def find_refusal(plan: Plan) -> UnsupportedError | None:
    """Returns why no config can be changed by a plan, whichever it is; None if one can be."""
    if is_written(plan.notation):
        return None
    return UnsupportedError(
        "vmio apply changes configs of Proxmox VE and domains of libvirt only, and this plan is"
        f" for {plan.notation}",
        hint="vmio plan VM --diff shows the changes, to be made where the guest is started from",
    )


def prepare_plan(
    plan: Plan,
    source: Source,
    *,
    qmp: str | None = None,
    live: bool | None = None,
    check: bool = True,
    libvirt_version: str = "",
    node: Node | None = None,
) -> PreparedPlan:
    """Returns what a plan would change; nothing is written or set.

    Args:
        plan: The plan.
        source: The config as it is now.
        qmp: The running guest's QMP socket; None for the one that Proxmox VE uses.
        live: Whether to set what can be set at once; None: if a running guest is found.
        check: Whether to refuse a config that must not be changed now.
        libvirt_version: The libvirt that a domain's file was planned for; empty for the newest.
        node: The paths to use; None for the usual ones.

    Raises:
        UnsupportedError: The plan is for another kind of config.
        UsageError: It is for another guest, or has a change that no plan may make; or a running
            guest was requested and is not found.
        InputError: It is not a VM config.
        ConflictError: The config has changed since the plan was made, or must not be changed now.
    """
    refusal = find_refusal(plan)
    if refusal is not None:
        raise refusal
    check_live([change for step in plan.steps for change in step.live])
    if source.name.startswith(LIBVIRT):
        return _prepare_domain(plan, source, qmp=qmp, live=live)
    node = node if node is not None else Node()
    path = Path(source.name)
    if path.suffix != ".xml" and path.stem.isdigit() and path.stem != plan.vm:
        raise UsageError(f"the plan is for guest {plan.vm}, and {path} is another")
    if source.digest != plan.digest:
        _refuse_excerpt(source, plan)
        raise _tell_changed(str(path))
    host = Host(libvirt_version=libvirt_version)
    guest = read(source, ReadContext(host=host, vmid=plan.vm))
    if not is_made_for(plan, guest):
        raise UsageError(f"the plan is for a guest of {plan.notation}, and {path} is not")
    check_changes(guest, plan.changes)
    new = apply_edits(source, edit(guest, plan.changes))
    vmid = find_vmid(path, node)
    running = bool(vmid) and is_running(vmid, node)
    if check and not running and new != source.data:
        check_config(source, path, node)
    socket = None
    if live is not False:
        socket = Path(qmp) if qmp is not None else find_qmp_socket(path, node)
        if live and socket is None:
            raise UsageError(
                f"no running guest {plan.vm} is found here", hint="name its socket with --qmp"
            )
    return PreparedPlan(
        plan=plan,
        path=path,
        guest=guest,
        new=new,
        running=running,
        socket=socket,
        reminders=remind_of_file(source) if new != source.data else (),
    )


def _prepare_domain(
    plan: Plan, source: Source, *, qmp: str | None, live: bool | None
) -> PreparedPlan:
    """Returns what a plan would change of a domain that a libvirt daemon has."""
    from vmio.managers.libvirt.connection import share_connection
    from vmio.managers.libvirt.find import parse_address
    from vmio.managers.libvirt.write import check_writable, list_reminders

    if qmp is not None:
        raise UsageError(
            f"{source.name} is changed by libvirt, which holds its monitor", hint="leave out --qmp"
        )
    address = parse_address(source.name)
    connection = share_connection(address.uri)
    domain = connection.read_domain(address.name)
    check_writable(domain)
    if source.digest != plan.digest:
        raise _tell_changed(source.name)
    if live and not domain.running:
        raise UsageError(f"{source.name} is not running")
    version = connection.read_versions().libvirt
    guest = read(source, ReadContext(host=Host(libvirt_version=version), vmid=plan.vm))
    if not is_made_for(plan, guest) or guest.vm.id != plan.vm:
        raise UsageError(f"the plan is for guest {plan.vm}, and {source.name} is another")
    check_changes(guest, plan.changes)
    return PreparedPlan(
        plan=plan,
        path=Path(source.name),
        guest=guest,
        new=apply_edits(source, edit(guest, plan.changes)),
        running=False,
        sets_domain=domain.running and live is not False,
        reminders=list_reminders(domain),
    )


def _tell_changed(name: str) -> ConflictError:
    return ConflictError(
        f"{name} has changed since the plan was made", hint="make a new plan and apply that"
    )


def _refuse_excerpt(source: Source, plan: Plan) -> None:
    """Refuses a text that a config is only a part of.

    Raises:
        UsageError: It is one.
        InputError: It is no guest.
    """
    taken = read(source, ReadContext(host=Host(), vmid=plan.vm)).vm.source.excerpt
    if taken:
        raise UsageError(
            f"{source.name} is no config: the one that was planned was taken out of {taken}",
            hint="apply the plan to the VM or to its config: vmio apply PLAN VM",
        )


def carry_out(work: PreparedPlan, *, what: str, node: Node | None = None) -> Outcome:
    """Writes the config, unless the guest runs, and sets the parameters of a running guest.

    A domain of a libvirt daemon is defined by it whether it runs or not, for its next start.

    Args:
        work: The prepared changes.
        what: A description of the change for the journal, in one line.
        node: The paths to use; None for the usual ones.

    Raises:
        ConflictError: The config changed meanwhile, or must not be changed now.
        OutputError: It cannot be written.
        QmpError: The running guest refuses a value; its old values are set again.
        LibvirtError: The daemon does not answer, or refuses a value.
    """
    if work.source.name.startswith(LIBVIRT):
        return _carry_out_domain(work, what=what, node=node)
    done = Outcome()
    if work.writes:
        applied = replace_config(work.path, work.source.data, work.new, what=what[:500], node=node)
        done = replace(done, config=applied)
    if work.live and work.socket is not None:
        try:
            done = replace(done, live=run_async(_set(work.socket, work.live)))
        except QmpError as error:
            if done.config is None:
                raise
            hint = f"{error.hint}; {work.path} is written nevertheless".removeprefix("; ")
            raise QmpError(error.message, hint=hint) from error
    return done


def _carry_out_domain(work: PreparedPlan, *, what: str, node: Node | None) -> Outcome:
    """Defines a domain, and sets what libvirt can change of a running one."""
    from vmio.managers.libvirt.connection import open_connection
    from vmio.managers.libvirt.find import parse_address
    from vmio.managers.libvirt.live import set_live as set_live_domain
    from vmio.managers.libvirt.write import write_domain

    address, done = parse_address(work.source.name), Outcome()

    def change(secret: Source) -> bytes:
        guest = read(secret, work.guest.context)
        return apply_edits(secret, edit(guest, work.plan.changes))

    if work.writes:
        applied = write_domain(
            str(address),
            change,
            digest=work.plan.digest,
            what=what[:500],
            state=node.state if node is not None else None,
        )
        done = replace(done, config=applied)
    if work.live:
        try:
            with open_connection(address.uri, writes=True) as connection:
                set_now = set_live_domain(connection, address.name, work.live)
        except LibvirtError as error:
            if done.config is None:
                raise
            hint = f"{error.hint}; {address} is defined nevertheless".removeprefix("; ")
            raise LibvirtError(error.message, hint=hint) from error
        done = replace(done, live=set_now)
    return done


async def _set(socket: Path, changes: Sequence[LiveChange]) -> tuple[LiveResult, ...]:
    # Proxmox VE's own daemons wait for the same socket, so it is held for these commands only.
    async with QmpConnection.connect(socket) as connection:
        return await set_live(connection, changes)
