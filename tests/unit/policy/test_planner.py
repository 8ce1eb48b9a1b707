"""What steps change, what they leave to a person, and that no guest loses a disk by them."""

from __future__ import annotations

import shlex

import pytest

from vmio.errors import PlanError
from vmio.formats.base import ReadContext, Words
from vmio.formats.proxmox.reader import read_guest
from vmio.formats.registry import lay_out
from vmio.model.host import Cpu, Host
from vmio.model.source import Source
from vmio.model.version import parse_version
from vmio.policy.planner import make_plan
from vmio.policy.spreads import COMPARED, choose_policy
from vmio.report.plan.words import DescribedPlan, describe_plan

HOST = Host(qemu_version=parse_version("10.0.2"), cpu=Cpu(count=8))
OSK = "-device isa-applesmc,osk=ourhardworkbythesewordsguardedpleasedontsteal(c)AppleComputerInc"


def plan(text: str, policy: str = "auto") -> DescribedPlan:
    """Plans a config."""
    guest = read_guest(
        Source(name="100.conf", data=text.encode()), ReadContext(storages={}, host=HOST)
    )
    return describe_plan(guest, make_plan(guest, HOST, choose_policy(policy)))


def by_hand(made: DescribedPlan) -> Words:
    """Returns the words of the only step that a plan leaves to a person."""
    (step,) = made.by_hand
    return step.words


def read_move(made: DescribedPlan) -> dict[str, str]:
    """Returns the options of the command that puts moved disks in their new places."""
    text = by_hand(made).how
    command = text[text.rindex("&& qm set 100 ") :].removesuffix(". Then plan again")
    words = shlex.split(command)[4:]
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize("ostype", ["other", "l24", "l26", "solaris", "wxp", "w2k", "win11", None])
@pytest.mark.parametrize("scsihw", ["pvscsi", "lsi", "lsi53c810", "megasas", "virtio-scsi", None])
@pytest.mark.parametrize("policy", ["auto", "shared", "pool:2"])
def test_guest_on_an_emulated_controller_stays_there(
    ostype: str | None, scsihw: str | None, policy: str
) -> None:
    """Whatever its system, it is a person who finds out whether it has virtio-scsi's driver."""
    given = {"ostype": ostype, "scsihw": scsihw}
    text = "".join(f"{key}: {value}\n" for key, value in given.items() if value is not None)
    text += "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nscsi0: /dev/a,iothread=1\n"
    made = plan(f"{text}scsi1: /dev/b\nscsi2: /dev/c\n", policy)
    assert made.settings == ()
    step = by_hand(made)
    assert "qm set 100 --scsihw virtio-scsi-single" in step.how
    back = "--delete scsihw" if scsihw is None else f"--scsihw {scsihw}"
    assert step.how.endswith(f"qm set 100 {back}")


@pytest.mark.parametrize(
    ("ostype", "words"),
    [
        ("l26", ("lsinitramfs", "lsinitrd", "modinfo virtio_scsi", "update-initramfs", "dracut")),
        ("win11", ("virtio-win", "-device virtio-scsi-pci,id=probe", "Red Hat VirtIO SCSI")),
        ("other", ("FreeBSD", "ESXi", "virtio-scsi-pci,id=probe", "qm set 100 --delete args")),
        ("wxp", ("Windows XP", "leave the disks where they are")),
        ("l24", ("Linux 2.4", "leave the disks where they are")),
    ],
)
def test_person_is_told_how_to_find_the_driver(ostype: str, words: tuple[str, ...]) -> None:
    """Each system has its way to see the driver, and to get it before the disks need it."""
    step = by_hand(plan(f"ostype: {ostype}\nscsihw: lsi\nscsi0: /dev/a\n"))
    assert [word for word in words if word not in step.how] == []


def test_probe_leaves_own_args_as_they_are() -> None:
    """The controller that shows the driver comes to what is in args, and goes again alone."""
    step = by_hand(plan("args: -cpu 'max,+x'\nostype: other\nscsi0: /dev/a\n"))
    assert """--args '-cpu '"'"'max,+x'"'"' -device virtio-scsi-pci,id=probe'""" in step.how
    assert """qm set 100 --args '-cpu '"'"'max,+x'"'"''.""" in step.how


@pytest.mark.parametrize("ostype", ["other", "l24", "l26", "solaris", "wxp", "win11", "none"])
def test_guest_on_virtio_scsi_has_the_driver(ostype: str) -> None:
    """From virtio-scsi-pci to a controller for each disk nothing is left to a person."""
    text = f"ostype: {ostype}\nscsihw: virtio-scsi-pci\nscsi0: /dev/a\nscsi1: /dev/b\n"
    made = plan(text)
    assert [change.key for change in made.settings] == ["scsihw", "scsi0", "scsi1"]
    assert not made.by_hand


@pytest.mark.parametrize(
    "drives",
    [
        "scsi0: none,media=cdrom\nvirtio0: /dev/a\n",
        "scsi1: local-lvm:vm-100-cloudinit\nvirtio0: /dev/a\n",
        "scsi1: local:iso/debian.iso\nvirtio0: /dev/a\n",
        "virtio0: /dev/a\n",
    ],
)
@pytest.mark.parametrize("scsihw", ["lsi", "virtio-scsi-pci", None])
def test_controller_without_a_disk_stays(drives: str, scsihw: str | None) -> None:
    """Another scsihw would serve nothing, whether or not a cd-rom would follow."""
    made = plan(drives + (f"scsihw: {scsihw}\n" if scsihw is not None else ""))
    assert [change.key for change in made.settings] == ["virtio0"]
    assert not made.by_hand


def test_other_controllers_are_told_to_the_guest() -> None:
    """In Linux more changes than paths; in Windows disks can be offline."""
    text = "scsihw: virtio-scsi-pci\nscsi0: /dev/a\n"
    notices = plan(f"ostype: l26\n{text}").steps[0].words.guest_notices
    assert "/dev/disk/by-path" in notices
    assert "/dev/sdX can come in another order from boot to boot" in notices
    words = plan(f"ostype: win11\n{text}").steps[0].words
    assert "SAN policy" in words.guest_notices
    assert "/dev/sdX" not in words.guest_notices


def test_moved_disk_is_booted_from_on_an_iothread() -> None:
    """Controller, thread and boot order come with it, and what SCSI knows of its options."""
    made = plan(
        "boot: order=ide2;sata0;net0;ide3\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n"
        "ide0: /dev/b,discard=on,model=Old%20One,serial=s1,ssd=1\nide2: none,media=cdrom\n"
        "sata0: local-lvm:vm-100-disk-0,cache=writeback,size=32G\n"
    )
    assert "qm set 100 --delete ide0,sata0 && " in by_hand(made).how
    assert read_move(made) == {
        "--scsi0": "/dev/b,discard=on,serial=s1,ssd=1,iothread=1",
        "--scsi1": "local-lvm:vm-100-disk-0,cache=writeback,size=32G,iothread=1",
        "--scsihw": "virtio-scsi-single",
        "--boot": "order=ide2;scsi1;net0",
    }


@pytest.mark.parametrize("boot", ["boot: order=sata0;net0", "boot: dc\nbootdisk: sata0"])
@pytest.mark.parametrize("scsihw", ["scsihw: lsi", "scsihw: virtio-scsi-pci", "cores: 2"])
def test_config_after_a_move_has_its_disk_on_an_iothread(boot: str, scsihw: str) -> None:
    """What the commands come to is read as a guest that boots from it as before."""
    before = f"{boot}\n{scsihw}\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n"
    moved = {
        name.removeprefix("--"): value
        for name, value in read_move(
            plan(f"{before}sata0: /dev/a,ssd=1\nide2: none,media=cdrom\n")
        ).items()
    }
    kept = [line for line in before.splitlines() if line.partition(":")[0] not in moved]
    text = "\n".join((*kept, "ide2: none,media=cdrom", *(f"{k}: {v}" for k, v in moved.items())))
    guest = read_guest(
        Source(name="100.conf", data=f"{text}\n".encode()), ReadContext(storages={}, host=HOST)
    )
    disk = next(disk for disk in guest.vm.disks if disk.id == "scsi0")
    served = lay_out(guest)
    attached = served.find_disk("scsi0")
    assert attached is not None
    assert served.served_by(attached) == ("iothread-virtioscsi0",)
    assert disk.ssd
    assert disk.bootindex is not None
    assert plan(text + "\n").steps == ()


@pytest.mark.parametrize(
    ("settings", "boot"),
    [
        ("boot: c\nbootdisk: sata0\n", "order=scsi0"),
        ("bootdisk: sata0\n", "order=scsi0;ide2;net0"),
        ("boot: ndc\nbootdisk: sata0\n", "order=net0;ide2;scsi0"),
        ("boot: order=net0\n", None),
        ("boot: order=virtio0;net0\n", None),
        ("", "order=ide2;net0;scsi0"),
        ("virtio1: /dev/b\n", "order=ide2;net0;virtio1;scsi0"),
    ],
)
def test_moved_disk_keeps_its_place_in_the_boot_order(settings: str, boot: str | None) -> None:
    """The old spelling becomes the new one; a disk that an order leaves out stays out of it."""
    made = plan(
        f"{settings}sata0: /dev/a\nide2: none,media=cdrom\n"
        "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n"
    )
    assert read_move(made).get("--boot") == boot


def test_what_holds_no_data_is_never_moved() -> None:
    """CD-ROMs, installers' images under any name and cloud-init drives stay where they are."""
    made = plan(
        "ide0: local:iso/virtio-win.iso\nide1: /iso/Win.ISO\nide2: local:iso/a.iso,media=cdrom\n"
        "ide3: local-lvm:vm-100-cloudinit\nsata0: none\nsata1: cdrom,media=cdrom\n"
        "sata2: local:iso/memtest.img\n"
    )
    assert made.steps == ()
    assert "has no disk" in made.plan.notes[-1]


@pytest.mark.parametrize("ostype", ["other", "l26"])
@pytest.mark.parametrize("args", [OSK, "-device isa-applesmc,osk=x -smbios type=2"])
@pytest.mark.parametrize("drive", ["sata0: /dev/a", "ide0: /dev/a", "scsi0: /dev/a"])
def test_macos_stays_where_it_is(ostype: str, args: str, drive: str) -> None:
    """It has no driver for virtio-scsi, so there is no command to run, and it is said why."""
    step = by_hand(plan(f"args: {args}\nostype: {ostype}\n{drive}\n"))
    assert "macOS has no driver for virtio-scsi" in step.what
    assert "qm" not in step.how


@pytest.mark.parametrize(
    ("config", "is_named"),
    [
        ("ostype: other\nscsihw: pvscsi\nscsi0: /dev/a\n", True),
        ("net0: vmxnet3=BC:24:11:00:00:01,bridge=vmbr0\nostype: other\nsata0: /dev/a\n", True),
        ("net0: e1000=BC:24:11:00:00:01,bridge=vmbr0\nostype: other\nsata0: /dev/a\n", False),
        ("ostype: l26\nscsihw: pvscsi\nscsi0: /dev/a\n", False),
    ],
)
def test_esxi_is_named_where_it_is_likely(config: str, is_named: bool) -> None:  # noqa: FBT001
    """A guest with VMware's devices that is no Linux and no Windows is a person's to know."""
    step = by_hand(plan(config))
    assert step.how.startswith("a guest with VMware's devices") is is_named


@pytest.mark.parametrize(
    ("machine", "is_chosen"), [("pc-i440fx-5.1", False), ("pc-i440fx-5.2", True)]
)
def test_queues_are_left_to_qemu_where_it_makes_several(machine: str, is_chosen: bool) -> None:  # noqa: FBT001
    """Machines before 5.2 would have one queue for all vCPUs instead of too many."""
    made = plan(
        f"cores: 2\nmachine: {machine}\nscsi0: /dev/a,iothread=1,queues=8\n"
        "scsihw: virtio-scsi-single\n"
    )
    assert any(step.step.kind == "choose-queues" for step in made.steps) is is_chosen


def test_free_numbers_are_used_and_no_others() -> None:
    """A disk that Proxmox VE drops keeps its number, and who finds none is named."""
    many = "".join(f"scsi{n}: /dev/s{n}\n" for n in range(28))
    made = plan(
        f"boot: order=sata2;sata1\n{many}scsi28: /dev/x,bad=1\nscsihw: virtio-scsi-single\n"
        + "".join(f"sata{n}: /dev/a{n}\n" for n in range(3))
    )
    assert list(read_move(made)) == ["--scsi29", "--scsi30", "--boot"]
    assert "sata2 is left in place" in made.plan.notes[-1]
    assert read_move(made)["--boot"] == "order=sata2;scsi30"


def test_moved_disk_joins_the_controller_that_a_shared_thread_serves() -> None:
    """Where args name the one controller, it stays, and what is moved to it is on its thread."""
    text = "boot: order=scsi0\nscsihw: virtio-scsi-pci\nscsi0: /dev/a\nscsi1: /dev/b\n"
    text += "sata0: /dev/c\n"
    shared = plan(text, "shared")
    assert read_move(shared) == {"--scsi2": "/dev/c"}
    assert "out of args" not in by_hand(shared).how
    assert read_move(plan(text, "per-disk")) == {
        "--scsi2": "/dev/c,iothread=1",
        "--scsihw": "virtio-scsi-single",
    }


def test_args_that_name_what_goes_are_told() -> None:
    """QEMU does not start where args name a controller or a disk that has another name then."""
    text = "args: -set device.scsihw0.x=1 -set device.sata0.y=1\nsata0: /dev/a\n"
    step = by_hand(plan(text))
    assert "take what names a SCSI controller or disk out of args" in step.how
    assert "take sata0 out of args" in step.how


def test_dropped_disk_is_noted_by_every_policy() -> None:
    """A plan says which disks the guest starts without, and why, and whether one is left."""
    text = "ide0: local-lvm:vm-100-disk-0,iothread=1\ncores: 2\n"
    for policy in COMPARED:
        drops, none = plan(text, policy).plan.notes
        assert drops == (
            "Proxmox VE drops ide0, and the guest starts without it:"
            " no ide drive has the option iothread"
        )
        assert none.startswith("the guest has no disk")
    (note,) = plan(f"{text}virtio0: /dev/a\n").plan.notes
    assert note == drops


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("cores: 1\n", "nothing to serve"),
        ("ide2: none,media=cdrom\n", "ide2 is for cd-roms and cloud-init"),
        (
            "ide2: none,media=cdrom\nscsi0: local-lvm:vm-100-cloudinit\n",
            "ide2 and scsi0 are for cd-roms and cloud-init",
        ),
    ],
)
def test_guest_without_a_disk_is_noted(text: str, end: str) -> None:
    """No disk at all is another thing than disks that are served as they should be."""
    (note,) = plan(text).plan.notes
    assert note.startswith("the guest has no disk")
    assert note.endswith(end)


def test_old_windows_is_warned_of_threads() -> None:
    """Its virtio drivers are older than IOThreads."""
    (step,) = plan("ostype: wxp\nvirtio0: /dev/a\n").steps
    assert "drivers of Windows XP are older than IOThreads" in step.words.guest_notices


def test_pending_controller_is_not_planned_around() -> None:
    """A step by hand does not contradict what changes at the next start either."""
    with pytest.raises(PlanError, match="scsihw will change anyway"):
        plan("scsi0: /dev/a\nscsihw: lsi\n[PENDING]\nscsihw: virtio-scsi-single\n")


def test_template_loses_the_args_of_an_earlier_plan() -> None:
    """Its clones would be served by what they say and not by the threads of their disks."""
    args = "-object iothread,id=vmio0 -set device.virtio0.iothread=vmio0"
    made = plan(f"args: {args}\ntemplate: 1\nvirtio0: /dev/a\n", "per-disk")
    assert [(c.key, c.new) for c in made.settings] == [("virtio0", "1"), ("args", None)]


@pytest.mark.parametrize("device", ["virtio-blk-pci", "virtio-pci"])
@pytest.mark.parametrize("policy", ["per-disk", "shared"])
def test_disk_without_ioeventfd_gets_no_thread(device: str, policy: str) -> None:
    """QEMU would end: 'ioeventfd is required for iothread'."""
    made = plan(f"virtio0: /dev/a\nargs: -global {device}.ioeventfd=off\n", policy)
    assert made.settings == ()
    assert [step.step.obstacle for step in made.by_hand] == ["args"]


def test_ioeventfd_of_a_network_card_is_no_disks() -> None:
    """What another kind of device goes without is nothing to a disk."""
    made = plan("virtio0: /dev/a\nargs: -global virtio-net-pci.ioeventfd=off\n", "per-disk")
    assert [setting.name for setting in made.settings] == ["virtio0: iothread"]


def test_shared_thread_is_no_other_object() -> None:
    """QEMU would not start with two objects of one name."""
    text = "virtio0: /dev/a\nvirtio1: /dev/b\nargs: -object rng-random,id=vmio0\n"
    with pytest.raises(PlanError, match="vmio0 in the args of 100 is not an IOThread"):
        plan(text, "shared")
