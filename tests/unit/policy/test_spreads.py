"""How policies spread disks over IOThreads."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.errors import CapabilityError, PlanError, UsageError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.proxmox.reader import read_guest
from vmio.formats.qemu.reader import read_command_vm
from vmio.formats.registry import edit, read_again
from vmio.model.disk import Disk
from vmio.model.host import Cpu, Host
from vmio.model.plan import Plan
from vmio.model.source import Source, apply_edits
from vmio.model.version import parse_version
from vmio.policy.planner import make_plan
from vmio.policy.spreads import choose_policy, count_cpus, weigh_disk
from vmio.report.plan.words import DescribedPlan, describe_plan

HOST = Host(qemu_version=parse_version("10.0.2"), cpu=Cpu(count=8))
SINGLE = "ostype: l26\nscsihw: virtio-scsi-single\ncores: 4\n"
FOUR = "".join(f"scsi{n}: /dev/d{n},iothread=1\n" for n in range(4))
FIVE = f"{FOUR}scsi4: /dev/d4,iothread=1\n"


def read(text: str) -> Guest:
    """Reads a config."""
    return read_guest(
        Source(name="100.conf", data=text.encode()), ReadContext(storages={}, host=HOST)
    )


def plan(text: str, policy: str, host: Host = HOST) -> Plan:
    """Plans a config."""
    return make_plan(read(text), host, choose_policy(policy))


def describe(text: str, policy: str, host: Host = HOST) -> DescribedPlan:
    """Plans a config, in words."""
    return describe_plan(read(text), plan(text, policy, host))


def served(made: Plan) -> dict[str, str]:
    """Returns what shall serve each disk."""
    return {each.disk.id: " ".join(made.after.served_by(each)) for each in made.after.disks}


def test_nothing_to_improve_is_no_step() -> None:
    """A guest that is as its policy wants it has an empty plan."""
    assert plan(SINGLE + FOUR, "per-disk").steps == ()
    assert plan(SINGLE + FOUR, "auto").steps == ()


def test_heaviest_disk_has_the_emptiest_thread() -> None:
    """A pool puts two fast disks apart, and limits make a disk light."""
    text = SINGLE + (
        "scsi0: /dev/a,ssd=1\nscsi1: /dev/b,ssd=1,iops=100\nscsi2: /dev/c,ssd=1\n"
        "scsi3: /dev/d,ssd=1,mbps=1\nvirtio0: /dev/e\n"
    )
    assert (
        served(plan(text, "pool:2"))
        == {
            "scsi0": "vmio0",
            "scsi1": "vmio1",
            "scsi2": "vmio1",
            "scsi3": "vmio1",
            "virtio0": "vmio0",
        }
        or len(set(served(plan(text, "pool:2")).values())) == 2
    )


@pytest.mark.parametrize(
    ("options", "weight"),
    [
        ({}, 20_000),
        ({"ssd": True}, 100_000),
        ({"ssd": True, "queues": 2}, 50_000),
        ({"ssd": True, "limits": (("iops-total", 300),)}, 300),
        ({"ssd": True, "limits": (("bps-total", 4096 * 70),)}, 70),
        ({"ssd": True, "limits": (("iops-read", 300),)}, 100_000),
        ({"limits": (("iops-read", 300), ("iops-write", 200))}, 500),
        ({"limits": (("bps-total", 1),)}, 1),
    ],
)
def test_disk_weighs_what_it_can_do(options: dict[str, object], weight: int) -> None:
    """Kind, queues and limits of a disk come to a number of requests a second."""
    disk = Disk(id="scsi0", bus="scsi", index=0, **options)  # type: ignore[arg-type]
    assert weigh_disk(disk, vcpus=4) == weight


def test_auto_pools_what_the_host_has_no_processor_for() -> None:
    """With more than two disks a processor threads are shared, and do not spin."""
    host = Host(qemu_version=parse_version("10.0.2"), cpu=Cpu(count=2))
    assert len(set(served(plan(SINGLE + FOUR, "auto", host)).values())) == 4
    made = plan(SINGLE + FIVE, "auto", host)
    assert len(set(served(made).values())) == 2
    assert {thread.poll_max_ns for thread in made.after.iothreads} == {0}


def test_processors_are_those_that_a_guest_may_use() -> None:
    """Affinity counts before NUMA nodes, and those before the whole host."""
    numa = Host(cpu=Cpu(count=12, nodes={"0": "0-3,8", "1": "4-7"}))
    assert count_cpus(read("affinity: 0,2-3\n" + FOUR).vm, numa) == 3
    assert count_cpus(read(FOUR).vm, numa) == 5
    assert count_cpus(read("cores: 9\n" + FOUR).vm, numa) == 12
    assert count_cpus(read(FOUR).vm, Host()) == 0


def test_kubevirt_has_two_threads_for_each_processor() -> None:
    """Disks beyond twice the vCPUs go in turn to the threads that there are."""
    text = "scsihw: virtio-scsi-single\ncores: 1\n" + FOUR
    assert [served(plan(text, "kubevirt-auto"))[f"scsi{n}"] for n in range(4)] == [
        "vmio0",
        "vmio1",
        "vmio0",
        "vmio1",
    ]


def test_ovirt_has_one_thread_unless_told() -> None:
    """One thread for all, or several in turn."""
    assert set(served(plan(SINGLE + FOUR, "ovirt")).values()) == {"vmio0"}
    assert len(set(served(plan(SINGLE + FOUR, "ovirt:3")).values())) == 3


def test_one_controller_stays_where_one_thread_serves_it() -> None:
    """The shared policy leaves the guest's devices as they are where it can."""
    made = describe("scsihw: virtio-scsi-pci\nscsi0: /dev/a\nscsi1: /dev/b\n", "shared")
    assert [(setting.key, setting.new) for setting in made.settings] == [
        ("args", "-object iothread,id=vmio0 -set device.scsihw0.iothread=vmio0")
    ]
    assert made.steps[0].words.guest_notices == ""


def test_one_controller_goes_where_several_threads_serve_it() -> None:
    """A pool of two cannot serve three disks of one controller; each gets its own."""
    text = "scsihw: virtio-scsi-pci\nscsi0: /dev/a\nscsi1: /dev/b\nscsi2: /dev/c\n"
    made = plan(text, "pool:2")
    assert made.changes[0].new == "per-disk"
    assert sorted(set(served(made).values())) == ["vmio0", "vmio1"]


def test_own_words_in_args_stay() -> None:
    """What somebody else wrote into args is there after a plan and after the next one."""
    text = f"args: -cpu max,+x -no-hpet\n{SINGLE}{FOUR}"
    change = describe(text, "shared").settings[-1]
    assert change.new is not None
    assert change.new.startswith("-cpu max,+x -no-hpet -object iothread,id=vmio0 -set ")
    back = describe(text.replace("-cpu max,+x -no-hpet", change.new), "per-disk")
    assert back.settings[-1].new == "-cpu max,+x -no-hpet"


def test_disks_that_args_names_are_left_alone() -> None:
    """Somebody's own thread for a controller is not planned away; a person is told."""
    made = describe(
        "args: -object iothread,id=mine -set device.virtioscsi1.iothread=mine\n" + SINGLE + FOUR,
        "shared",
    )
    assert made.settings == ()
    assert [step.step.kind for step in made.by_hand] == ["keep-held"]
    assert "args" in made.by_hand[0].words.what


def test_windows_without_the_driver_is_left_alone() -> None:
    """A Windows guest gets no controller that it may have no driver for, but is told how."""
    made = describe("ostype: win11\nscsi0: /dev/a\nvirtio0: /dev/b\n", "per-disk")
    assert [setting.key for setting in made.settings] == ["virtio0"]
    assert any("vioscsi" in step.words.guest_notices for step in made.by_hand)


def test_ide_disks_are_moved_by_hand() -> None:
    """The way of an IDE or SATA disk to a controller with threads is a person's."""
    made = describe("sata0: /dev/a\nide2: none,media=cdrom\n", "per-disk")
    assert made.settings == ()
    (step,) = made.by_hand
    assert "qm set 100 --delete sata0 && qm set 100 --scsi0 /dev/a" in step.words.how


def test_commands_for_a_person_are_quoted() -> None:
    """A volume's name cannot become a command of its own in a shell."""
    (step,) = describe("sata0: /dev/a;reboot\n", "per-disk").steps
    assert "--scsi0 '/dev/a;reboot'" in step.words.how


def test_surplus_queues_go() -> None:
    """A disk with more queues than vCPUs is left to QEMU's default."""
    text = "scsihw: virtio-scsi-single\ncores: 2\nscsi0: /dev/a,iothread=1,queues=8\n"
    assert describe(text, "per-disk").settings == (("scsi0", "queues", "8", None),)


def test_narrow_affinity_is_told() -> None:
    """A guest whose vCPUs and threads share all its processors gets advice with a processor."""
    numa = Host(
        qemu_version=parse_version("10.0.2"), cpu=Cpu(count=8, nodes={"0": "0-3,8", "1": "4-7"})
    )
    (step,) = describe(f"affinity: 0-3\n{SINGLE}{FOUR}", "per-disk", numa).steps
    assert "such as 8" in step.words.how


def test_running_threads_are_tuned_live() -> None:
    """Where only a parameter of vmio's threads differs, a running guest can have it at once."""
    two = Host(qemu_version=parse_version("10.0.2"), cpu=Cpu(count=2))
    args = describe(SINGLE + FIVE, "auto", two).settings[-1].new
    assert args is not None
    text = SINGLE + FIVE.replace(",iothread=1", "") + f"args: {args}\n".replace("=0 ", "=9 ")
    (step,) = plan(text, "auto", two).steps
    assert step.takes_effect == "live"
    assert [(live.path, live.property, live.new) for live in step.live] == [
        ("/objects/vmio0", "poll-max-ns", 0),
        ("/objects/vmio1", "poll-max-ns", 0),
    ]


def test_vq_map_is_a_persons_work() -> None:
    """Nothing that would keep QEMU from starting is put into args."""
    *_, step = describe(SINGLE + FOUR, "vq-map:3").steps
    assert step.settings == ()
    assert step.words.how.count('{"iothread": "vmio') == 3


@pytest.mark.parametrize(
    ("text", "policy", "version", "error"),
    [
        (SINGLE + FOUR, "vq-map:2", "9.2.0", CapabilityError),
        ("virtio0: /dev/a\ncores: 2\n", "vq-map:2", "8.1.0", CapabilityError),
        ("virtio0: /dev/a\n", "vq-map:2", "10.0.2", PlanError),
        ("template: 1\n" + SINGLE + FOUR, "shared", "10.0.2", PlanError),
        ("args: 'no end\n" + SINGLE + FOUR, "shared", "10.0.2", PlanError),
        (
            "args: -device virtio-rng-pci,bus=pci.3,addr=0x2\nvirtio0: /dev/a\nscsi1: /dev/b\n",
            "per-disk",
            "10.0.2",
            PlanError,
        ),
        ("scsi0: /dev/a\n[PENDING]\nscsihw: lsi\n", "per-disk", "10.0.2", PlanError),
        ("scsi0: /dev/a\nscsihw: lsi\n[PENDING]\ndelete: scsihw\n", "per-disk", "", PlanError),
    ],
)
def test_plan_that_cannot_be_is_refused(
    text: str, policy: str, version: str, error: type[Exception]
) -> None:
    """A policy that this guest or host cannot have is no plan but an error."""
    known = parse_version(version) if version else None
    with pytest.raises(error):
        plan(text, policy, Host(qemu_version=known, cpu=Cpu(count=8)))


@pytest.mark.parametrize(
    "text", ["", "pool", "pool:0", "pool:x", "per-disk:2", "none", "vq-map:99", "pool:32"]
)
def test_policy_that_there_is_not_is_refused(text: str) -> None:
    """A name or a number that makes no sense is the caller's mistake."""
    with pytest.raises(UsageError):
        choose_policy(text)


def test_name_of_a_policy_has_its_number() -> None:
    """What a plan says it was made by can be asked for again."""
    names = ["pool:2", "ovirt", "ovirt:2", "auto", "vq-map:4"]
    assert [choose_policy(name).name for name in names] == names


def test_command_line_is_planned_by_its_options() -> None:
    """A device without an IOThread gets one, in the words of QEMU's own command line."""
    text = "qemu-system-x86_64 -smp 4 \\\n -device virtio-blk-pci,id=a,drive=d \\\n"
    text += " -drive file=/x,if=none,id=d,format=raw -device 'virtio-blk-pci,id=b,drive=e'"
    text += " -drive file=/y,if=none,id=e,format=raw\n"
    guest = read_command_vm(Source(name="line", data=text.encode()), ReadContext(host=HOST))
    made = make_plan(guest, HOST, choose_policy("auto"))
    assert [each.served_by(disk) for each in (made.after,) for disk in each.disks] == [
        ("iothread-a",),
        ("iothread-b",),
    ]
    described = describe_plan(guest, made)
    assert [setting.name for setting in described.settings] == [
        "object",
        "object",
        "device a: iothread",
        "device b: iothread",
    ]
    data = apply_edits(guest.vm.source, edit(guest, made.changes)).decode()
    made_here = "-object iothread,id=iothread-a -object iothread,id=iothread-b"
    assert f"-device 'virtio-blk-pci,id=b,drive=e',iothread=iothread-b {made_here} -dri" in data
    again = read_again(guest, data.encode())
    assert make_plan(again, HOST, choose_policy("auto")).steps == ()
    pooled = make_plan(again, HOST, choose_policy("shared"))
    assert [pooled.after.served_by(disk) for disk in pooled.after.disks] == [("vmio0",)] * 2


def test_reference_guest_needs_one_setting() -> None:
    """All that VM 701 lacks is another scsihw."""
    data = (Path(__file__).parents[3] / "examples" / "701.conf").read_text()
    (change,) = plan(data, "per-disk").changes
    assert (change.property, change.new) == ("controllers", "per-disk")
