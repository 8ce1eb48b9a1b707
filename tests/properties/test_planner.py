"""What holds for every plan of every policy, whatever the guest."""

from __future__ import annotations

import re

from hypothesis import assume, example, given
from hypothesis import strategies as st

from vmio.errors import PlanError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.plan_file import parse_plan, render_plan
from vmio.formats.proxmox.reader import ProxmoxGuest, read_guest
from vmio.formats.proxmox.schema import DRIVE_COUNTS
from vmio.formats.registry import edit, read_again
from vmio.model.host import Cpu, Host
from vmio.model.iothread import MAIN_LOOP
from vmio.model.plan import OWN, Plan
from vmio.model.source import Source, apply_edits
from vmio.model.topology import Topology
from vmio.model.version import parse_version
from vmio.policy import planner
from vmio.policy.invariants import find_violations
from vmio.policy.scope import check_changes
from vmio.policy.spreads import POLICIES, Choice
from vmio.values import replace

HOST = Host(qemu_version=parse_version("10.0.2"))
OPTIONS = st.lists(
    st.sampled_from(
        [
            *("iothread=1", "iothread=0", "ssd=1", "size=32G", "queues=4", "iops=500", "mbps=10"),
            *("media=cdrom", "aio=native", "ro=1", "discard=on"),
        ]
    ),
    max_size=4,
    unique_by=lambda option: option.partition("=")[0],
)
DRIVES = st.sampled_from(
    [f"scsi{n}" for n in (0, 1, 2, 6, 7, 8, 15, 30)]
    + [f"virtio{n}" for n in (0, 1, 5, 6, 15)]
    + ["ide0", "ide2", "sata0", "sata5"]
)
OSTYPES = ("l24", "l26", "none", "other", "solaris", "w2k", "w2k3", "win11", "wxp")
SETTINGS = st.fixed_dictionaries(
    {"cores": st.sampled_from(["1", "2", "8"])},
    optional={
        "scsihw": st.sampled_from(
            ["lsi", "lsi53c810", "megasas", "pvscsi", "virtio-scsi-pci", "virtio-scsi-single"]
        ),
        "ostype": st.sampled_from(OSTYPES),
        "machine": st.sampled_from(["q35", "pc-i440fx-8.1"]),
        "affinity": st.sampled_from(["0-1", "0,2-3"]),
        "template": st.just("1"),
        "net0": st.just("virtio=BC:24:11:00:00:01,bridge=vmbr0"),
        "args": st.sampled_from(
            [
                "-object iothread,id=vmio0 -set device.virtio0.iothread=vmio0",
                "-cpu max -object iothread,id=vmio3,poll-max-ns=0 -no-hpet",
                "-set device.scsihw0.num_queues=2",
                "-device 'virtio-rng-pci,bus=pci.2,addr=0x1f'",
                "'no end",
            ]
        ),
    },
)
CONFIGS = st.tuples(SETTINGS, st.dictionaries(DRIVES, OPTIONS, max_size=9)).map(
    lambda both: "".join(
        f"{key}: {value}\n"
        for key, value in sorted(
            {
                **both[0],
                **{key: ",".join((f"/dev/{key}", *rest)) for key, rest in both[1].items()},
            }.items()
        )
    )
)
CHOICES = st.sampled_from(list(POLICIES.values())).flatmap(
    lambda policy: st.integers(1, 9).map(
        lambda number: Choice(
            policy=policy,
            number=number if policy.needs_number or policy.number is not None else 0,
        )
    )
)
HOSTS = st.builds(
    lambda count, nodes: replace(HOST, cpu=Cpu(count=count, nodes=nodes)),
    st.sampled_from([1, 2, 3, 16]),
    st.sampled_from([{}, {"0": "0-1", "1": "2-3"}]),
)


def read(data: bytes) -> ProxmoxGuest:
    """Reads a config."""
    return read_guest(Source(name="100.conf", data=data), ReadContext(storages={}, host=HOST))


def make_plan(text: str, host: Host, choice: Choice) -> Plan:
    """Plans a config, or discards the example where no plan is possible."""
    try:
        return planner.make_plan(read(text.encode()), host, choice)
    except PlanError:
        assume(False)
        raise


def change(text: str, plan: Plan) -> Guest:
    """Returns a guest with a plan's changes made."""
    guest = read(text.encode())
    return read_again(guest, apply_edits(guest.vm.source, edit(guest, plan.changes)))


def name_threads(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Returns what serves each disk."""
    return {attached.disk.id: topology.served_by(attached) for attached in topology.disks}


@given(CONFIGS, HOSTS, CHOICES)
def test_plan_keeps_what_every_layout_has_to(text: str, host: Host, choice: Choice) -> None:
    """Both layouts of a plan are such as QEMU runs, and no disk loses its thread."""
    plan = make_plan(text, host, choice)
    assert find_violations(plan.after, drive_counts=DRIVE_COUNTS) == ()
    assert [each.disk.id for each in plan.before.disks] == [
        each.disk.id for each in plan.after.disks
    ]
    before, after = name_threads(plan.before), name_threads(plan.after)
    for name, threads in before.items():
        media = next(each.disk.media for each in plan.before.disks if each.disk.id == name)
        assert threads == (MAIN_LOOP,) or after[name] != (MAIN_LOOP,) or media == "cdrom"


@given(CONFIGS, HOSTS, CHOICES)
def test_plan_changes_what_plans_are_about(text: str, host: Host, choice: Choice) -> None:
    """What vmio plans it applies too, where the guest has the driver of the controller."""
    text = re.sub(r"(?m)^scsihw: .*\n", "", text) + "scsihw: virtio-scsi-pci\n"
    check_changes(read(text.encode()), make_plan(text, host, choice).changes)


@given(CONFIGS, HOSTS, CHOICES)
def test_planned_config_comes_to_the_planned_layout(text: str, host: Host, choice: Choice) -> None:
    """With its changes made the config is read as what was planned, and needs no further ones."""
    plan = make_plan(text, host, choice)
    changed = change(text, plan)
    again = planner.make_plan(changed, host, choice)
    assert again.before == plan.after
    assert again.changes == ()
    assert again.after == again.before


def name_devices(topology: Topology) -> set[str]:
    """Returns the ids that `-set` can name."""
    return {each.id for each in topology.controllers} | {each.disk.id for each in topology.disks}


OF_TEMPLATE = (
    "args: -object iothread,id=vmio0 -set device.virtio0.iothread=vmio0\n"
    "cores: 1\ntemplate: 1\nvirtio0: /dev/virtio0\n"
)
PER_DISK = Choice(policy=POLICIES["per-disk"])


@given(CONFIGS, HOSTS, CHOICES)
@example(OF_TEMPLATE, HOST, PER_DISK)
def test_each_disk_is_served_as_its_policy_wants(text: str, host: Host, choice: Choice) -> None:
    """A thread of its own is shared with no other disk, and one of a name is just that."""
    plan = make_plan(text, host, choice)
    guest = read(text.encode())
    wanted = choice.policy.spread(
        guest.vm, planner.find_candidates(guest), host, choice.number
    ).threads
    served = name_threads(plan.after)
    for disk, thread in wanted.items():
        own = f"iothread-{disk.replace('scsi', 'virtioscsi')}"
        assert served[disk] == (own if thread == OWN else thread,)


WITHOUT_ITS_DEVICE = (
    "args: -object iothread,id=vmio0 -set device.virtio0.iothread=vmio0\n"
    "cores: 1\nscsi0: /dev/scsi0,queues=4\nscsihw: lsi\nvirtio1: /dev/virtio1,iothread=1\n"
)


@given(CONFIGS, HOSTS, CHOICES)
@example(WITHOUT_ITS_DEVICE, HOST, PER_DISK)
def test_args_name_no_device_that_has_gone(text: str, host: Host, choice: Choice) -> None:
    """QEMU does not start where `-set` names a device that is not there.

    One that was not there before stays with its finding, unless the plan writes `args` anew.
    """
    plan = make_plan(text, host, choice)
    args = read(change(text, plan).vm.source.data).args
    named = set(re.findall(r"-set device\.(\w+)\.", args))
    ours = set(re.findall(r"-set device\.(\w+)\.iothread=vmio", args))
    assert named & name_devices(plan.before) <= name_devices(plan.after)
    assert args == read(text.encode()).args or ours <= name_devices(plan.after)


@given(CONFIGS, HOSTS, CHOICES)
def test_file_of_any_plan_is_read_back(text: str, host: Host, choice: Choice) -> None:
    """A plan that is written as a file is the same plan."""
    plan = make_plan(text, host, choice)
    assert parse_plan(Source(name="plan.json", data=render_plan(plan).encode())) == plan


@given(CONFIGS, HOSTS, CHOICES, CHOICES)
def test_policies_can_follow_each_other(
    text: str, host: Host, first: Choice, second: Choice
) -> None:
    """A policy comes to the same, whether the config was as it is or as another one left it."""
    one = make_plan(text, host, first)
    changed = change(text, one).vm.source.data.decode()
    direct, by_way = make_plan(text, host, second), make_plan(changed, host, second)
    held = {each.disk.id for each in direct.after.disks if each.disk.media == "cdrom"}
    assert {k: v for k, v in name_threads(direct.after).items() if k not in held} == {
        k: v for k, v in name_threads(by_way.after).items() if k not in held
    }


DRIVER_WORDS = ("lsi", "lsi53c810", "megasas", "pvscsi", None, "virtio-scsi", "buslogic", "LSI")


@given(CONFIGS, HOSTS, CHOICES, st.sampled_from(DRIVER_WORDS), st.sampled_from(OSTYPES))
def test_no_disk_comes_to_need_another_driver(
    text: str, host: Host, choice: Choice, scsihw: str | None, ostype: str
) -> None:
    """Whatever the guest, changes that need no person leave each disk its kind of controller."""
    lines = [line for line in text.splitlines() if not line.startswith(("scsihw:", "ostype:"))]
    lines += [f"scsihw: {scsihw}"] if scsihw is not None else []
    given_text = "\n".join((*lines, f"ostype: {ostype}")) + "\n"
    for config in (text, given_text):
        plan = make_plan(config, host, choice)
        before, after = (
            {each.disk.id: layout.controller_of(each).model for each in layout.disks}
            for layout in (plan.before, plan.after)
        )
        assert before == after
        changed = {change.property for change in plan.changes}
        assert "controllers" not in changed or read(config.encode()).scsihw == "virtio-scsi-pci"
