"""A plan carried out: what it comes to for a config now, and the doing of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from vmio.errors import ConflictError, QmpError, UnsupportedError, UsageError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.registry import edit, read
from vmio.managers.live import LiveResult, check_live, set_live
from vmio.managers.proxmox.node import Node, find_qmp_socket, find_vmid, is_running
from vmio.managers.proxmox.write import Applied, check_config, replace_config
from vmio.model.host import Host
from vmio.model.plan import LiveChange, Plan, Step
from vmio.model.source import Source, apply_edits
from vmio.policy.scope import check_changes
from vmio.qemu.qmp import QmpConnection
from vmio.qemu.signals import run_async
from vmio.values import replace

__all__ = ["Outcome", "Work", "carry_out", "find_refusal", "prepare_plan"]


class Work(Struct, frozen=True, kw_only=True):
    """What a plan comes to for one config."""

    plan: Plan
    path: Path
    guest: Guest
    """What the config is."""
    new: bytes
    """The config as it shall be."""
    running: bool
    """Whether the guest runs on this node, so that its config has to stay as it is."""
    socket: Path | None = None
    """The running guest's monitor; None where nothing is set on it."""

    @property
    def source(self) -> Source:
        """The config as it is."""
        return self.guest.vm.source

    @property
    def live(self) -> tuple[LiveChange, ...]:
        """What the running guest can be given at once."""
        if self.socket is None:
            return ()
        return tuple(change for step in self._doable for change in step.live)

    @property
    def waiting(self) -> tuple[Step, ...]:
        """The steps that count after a full stop and start of the guest."""
        return tuple(
            step
            for step in self._doable
            if step.changes and (step.takes_effect == "restart" or self.socket is None)
        )

    @property
    def writes(self) -> bool:
        """Whether the config is to be written."""
        return self.new != self.source.data and not self.running

    @property
    def _doable(self) -> tuple[Step, ...]:
        return tuple(step for step in self.plan.steps if not step.obstacle)


class Outcome(Struct, frozen=True, kw_only=True):
    """What was done."""

    config: Applied | None = None
    """None where the config was not written."""
    live: tuple[LiveResult, ...] = ()


def find_refusal(plan: Plan) -> UnsupportedError | None:
    """Returns why no config can be changed by a plan, whichever it is; None if one can be."""
    if plan.notation == "proxmox":
        return None
    return UnsupportedError(
        f"vmio apply changes configs of Proxmox VE only, and this plan is for {plan.notation}",
        hint="vmio plan VM --diff shows the changes, to be made where the guest is started from",
    )


def prepare_plan(
    plan: Plan,
    source: Source,
    *,
    qmp: str | None = None,
    live: bool | None = None,
    check: bool = True,
    node: Node | None = None,
) -> Work:
    """Returns what a plan comes to; nothing is written or set.

    Args:
        plan: The plan.
        source: The config that it is for, as it is now.
        qmp: The running guest's QMP socket; None to look where Proxmox VE has it.
        live: Whether to set what can be set at once; None where a running guest is found.
        check: Whether to refuse a config that must not be changed now.
        node: Where things are; None for where they are on every host.

    Raises:
        UnsupportedError: The plan is for another kind of config.
        UsageError: It is for another guest, or changes what no plan may; or a running guest was
            asked for and is not found.
        InputError: It is no VM's config.
        ConflictError: The config is not what the plan was made for, or must not be changed now.
    """
    refusal = find_refusal(plan)
    if refusal is not None:
        raise refusal
    node = node if node is not None else Node()
    path = Path(source.name)
    if path.stem.isdigit() and path.stem != plan.vm:
        raise UsageError(f"the plan is for guest {plan.vm}, and {path} is another")
    if source.digest != plan.digest:
        _refuse_excerpt(source, plan)
        raise ConflictError(
            f"{path} has changed since the plan was made", hint="plan again, and apply that"
        )
    check_live([change for step in plan.steps for change in step.live])
    guest = read(source, ReadContext(host=Host(), vmid=plan.vm))
    if guest.vm.notation != plan.notation:
        raise UsageError(f"the plan is for a guest of {plan.notation}, and {path} is none")
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
                f"no running guest {plan.vm} is found here", hint="--qmp names its socket"
            )
    return Work(plan=plan, path=path, guest=guest, new=new, running=running, socket=socket)


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


def carry_out(work: Work, *, what: str, node: Node | None = None) -> Outcome:
    """Writes the config, unless the guest runs, and sets what a running guest can be given.

    Args:
        work: What the plan comes to.
        what: What is done, for the journal, in one line.
        node: Where things are; None for where they are on every host.

    Raises:
        ConflictError: The config changed meanwhile, or must not be changed now.
        OutputError: It cannot be written.
        QmpError: The running guest does not take it; it has its old values then.
    """
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
            hint = f"{error.hint}; {work.path} is written all the same".removeprefix("; ")
            raise QmpError(error.message, hint=hint) from error
    return done


async def _set(socket: Path, changes: Sequence[LiveChange]) -> tuple[LiveResult, ...]:
    # Proxmox VE's own daemons wait for the same socket: it is held for these commands only.
    async with QmpConnection.connect(socket) as connection:
        return await set_live(connection, changes)
