"""A QEMU command line as a VM: what sits where, and where in the text that is written."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from vmio.errors import InputError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.qemu.layout import lay_out_command
from vmio.formats.qemu.reader import read_command_vm, read_process_vm
from vmio.formats.registry import lay_out
from vmio.model.controller import PciAddress
from vmio.model.host import Host
from vmio.model.iothread import VirtqueueMapping
from vmio.model.source import Source
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.version import parse_version
from vmio.model.vm import Vm

GOLDEN = Path(__file__).parents[3] / "golden"


def read_line(text: str | bytes, **files: Source | str) -> Guest:
    """Reads a command line."""
    source = Source(name="x.args", data=text if isinstance(text, bytes) else text.encode())
    return read_command_vm(
        source,
        ReadContext(host=Host(qemu_version=parse_version("10.0.2")), read_file=files.__getitem__),
    )


def read(text: str | bytes, **files: Source | str) -> Vm:
    """Returns what a command line says."""
    return read_line(text, **files).vm


def place(text: str) -> Topology:
    """Returns the layout that a command line says, which has no problem."""
    guest = read_line(text)
    assert guest.vm.problems == ()
    return lay_out(guest)


def find(text: str, disk: str) -> AttachedDisk:
    """Returns one disk of a command line."""
    found = place(text).find_disk(disk)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "text",
    [
        "qemu -device virtio-blk-pci,id=d,drive=a -drive file=/x,id=a,cache=none,if=none -S",
        (
            "# a comment\n\nqemu \\\n  -device virtio-blk-pci,id=d,drive=a \\\n"
            "  -drive 'file=/x,id=a,cache=none,if=none' -S\n"
        ),
        (
            '# ü\r\nqemu \\\r\n-device "virtio-blk-pci,id=d,drive=a" \\\r\n'
            '-drive "file=/\\"x,id=a",cache\\=none,if=none\r\n'
        ),
        "qemu\0-device\0virtio-blk-pci,id=d,drive=a\0-drive\0file=/x,id=a,cache=none,if=none\0",
        b"A=b qemu -device virtio-blk-pci,id=d,drive=a -drive file=\xff,cache=none,id=a,if=none",
    ],
    ids=["line", "lines", "quoted", "nul", "no-utf-8"],
)
def test_every_option_knows_its_place(text: str | bytes) -> None:
    """Spans cover the very bytes of an option and of a property, however it is quoted."""
    vm = read(text)
    (disk,) = vm.disks
    assert disk.cache == "none"
    assert vm.source.read_span(disk.spans["cache"]).replace("\\", "") == "cache=none"
    assert vm.source.read_span(disk.spans["drive"]) == "drive=a"
    assert disk.span is not None
    assert vm.source.read_span(disk.span).startswith("-device")


def test_json_option_is_one_place() -> None:
    """What is written in JSON is found as a whole."""
    vm = read("""qemu -object '{"qom-type":"iothread","id":"io0"}' -S""")
    assert vm.iothreads[0].span is not None
    text = vm.source.read_span(vm.iothreads[0].span)
    assert text == """-object '{"qom-type":"iothread","id":"io0"}'"""


TWO = "-device virtio-scsi-pci,id=s0 -device virtio-scsi-pci,id=s1 "


@pytest.mark.parametrize(
    ("devices", "disk", "controller", "address"),
    [
        # Each of these was asked of QEMU 10.0.2.
        (TWO + "-device scsi-hd,drive=a,id=d", "d", "s1", {"scsi-id": 0, "lun": 0}),
        (TWO + "-device scsi-hd,drive=a,id=d,bus=s0.0,lun=3", "d", "s0", {"lun": 3}),
        ("-device virtio-scsi-pci -device lsi -device scsi-hd,drive=a,id=d,bus=scsi.0",
         "d", "peripheral-anon/device[0]", {"bus": "scsi.0"}),
        ("-device ahci -device ide-hd,drive=a,id=d", "d", "peripheral-anon/device[0]",
         {"bus": "ide.7"}),
        ("-device ide-hd,drive=a,id=d,bus=ide.0,unit=1", "d", "ide", {"bus": "ide.0", "unit": 1}),
    ],
)  # fmt: skip
def test_device_sits_where_qemu_puts_it(
    devices: str, disk: str, controller: str, address: dict[str, object]
) -> None:
    """A device without a bus sits on the newest that has room, and counts up its address."""
    found = find(f"qemu -nodefaults -drive file=/x,if=none,id=a {devices}", disk)
    assert found.controller == controller
    assert address.items() <= dict(found.address).items()


def test_json_devices_come_after_all_others() -> None:
    """QEMU makes devices in JSON last, wherever they stand, which decides their numbers."""
    topology = place(
        "qemu -drive file=/x,if=none,id=a -drive file=/y,if=none,id=b"
        """ -device '{"driver":"virtio-blk-pci","drive":"a"}' -device virtio-blk-pci,drive=b"""
    )
    assert [(a.disk.id, a.controller) for a in topology.disks] == [
        ("b", "peripheral-anon/device[0]"),
        ("a", "peripheral-anon/device[1]"),
    ]


def test_shorthands_make_devices() -> None:
    """-hda, -cdrom, a bare file and if=virtio are disks, named as QEMU's monitor names them."""
    topology = place("qemu-system-x86_64 -M q35 -hdb /b -cdrom /c -drive file=/v,if=virtio /a")
    assert {a.disk.id: a.driver for a in topology.disks} == {
        "ide0-hd0": "ide-hd",
        "ide1-hd0": "ide-hd",
        "ide2-cd0": "ide-cd",
        "virtio0": "virtio-blk-pci",
    }
    assert {a.disk.id: a.disk.volume for a in topology.disks}["ide0-hd0"] == "/a"


def test_machine_without_ide_takes_virtio_for_a_drive() -> None:
    """On an Arm machine a -drive without if= is a virtio disk."""
    topology = place("qemu-system-aarch64 -M virt-10.0 -drive file=/a,format=raw")
    assert [a.driver for a in topology.disks] == ["virtio-blk-pci"]


@pytest.mark.parametrize(
    ("written", "device", "expected"),
    [
        ("", "", ("writeback", False, False, True)),
        ("cache=none", "", ("none", True, False, True)),
        ("cache=writethrough", "", ("writethrough", False, False, False)),
        ("cache=none", "write-cache=off", ("directsync", True, False, False)),
        ("cache=unsafe,cache.no-flush=off", "", ("writeback", False, False, True)),
        ("cache.direct=on,cache.no-flush=on", "", (None, True, True, True)),
    ],
)
def test_cache_is_what_all_flags_come_to(
    written: str, device: str, expected: tuple[object, ...]
) -> None:
    """A mode, single flags and the device's own word add up as in QEMU."""
    found = find(
        f"qemu -drive file=/x,if=none,id=a,{written} -device virtio-blk-pci,drive=a,id=d,{device}",
        "d",
    )
    cache = (found.cache, found.cache_direct, found.cache_no_flush, found.write_cache)
    assert cache == expected


def node(text: str) -> AttachedDisk:
    """Returns a disk over nodes, the uppermost of which is `top`."""
    return find(f"qemu {text} -device virtio-blk-pci,drive=top,id=d", "d")


def test_flags_reach_nodes_inside_and_no_others() -> None:
    """A node inside takes its parent's cache flags; one that is referred to has its own."""
    inside = node("-blockdev driver=raw,node-name=top,cache.direct=on,"
                  "file.driver=file,file.filename=/x")  # fmt: skip
    assert inside.cache_direct is True
    apart = node("-blockdev driver=file,filename=/x,node-name=low "
                 "-blockdev driver=raw,node-name=top,cache.direct=on,file=low")  # fmt: skip
    assert apart.cache_direct is False


def test_node_that_keeps_discards_is_named() -> None:
    """A discard has to pass every node; a throttle filter without discard=unmap stops it.

    Asked of qemu-io 10.0.2: blocks under such a filter stay allocated.
    """
    low = "-blockdev driver=file,filename=/x,node-name=low,discard=unmap "
    kept = node(f"-object throttle-group,id=g {low} "
                "-blockdev driver=throttle,throttle-group=g,node-name=top,file=low")  # fmt: skip
    effect = kept.find_effect("discard")
    assert effect is not None
    assert (effect.verdict, effect.reason) == ("ignored", "the node top has no discard=unmap")
    passed = node(f"{low} -blockdev driver=raw,node-name=top,file=low,discard=unmap")
    assert passed.disk.discard == "unmap"


def test_limits_come_from_the_group_or_the_drive() -> None:
    """Throttling is read in all its spellings."""
    group = node(
        "-object throttle-group,id=g,limits.bps-total=5,x-iops-read=7 -blockdev"
        " driver=throttle,throttle-group=g,node-name=top,file.driver=file,file.filename=/x"
    )
    assert group.disk.limits == (("bps-total", 5), ("iops-read", 7))
    drive = find("qemu -drive file=/x,if=virtio,throttling.bps-write=3,iops_rd_max=4", "virtio0")
    assert drive.disk.limits == (("bps-write", 3), ("iops-read-max", 4))


def test_overlay_names_its_parents() -> None:
    """The images below an overlay are found inside it and by reference."""
    found = node(
        "-blockdev driver=file,filename=/old,node-name=o"
        " -blockdev driver=qcow2,node-name=mid,file.driver=file,file.filename=/mid,backing=o"
        " -blockdev driver=qcow2,node-name=top,file.driver=file,file.filename=/top,backing=mid"
    )
    assert found.disk.backing is not None
    assert (found.disk.backing.filename, found.disk.backing.parents) == ("/top", ("/mid", "/old"))


def test_defaults_of_global_hold_where_nothing_is_written() -> None:
    """-global is for every device of a type and of its relatives; a device's own word wins."""
    topology = place(
        "qemu -object iothread,id=io0 -global virtio-blk-device.num-queues=2"
        " -global driver=virtio-scsi-pci,property=iothread,value=io0 -device virtio-scsi-pci,id=s"
        " -drive file=/x,if=virtio -drive file=/y,id=y,if=none"
        " -device virtio-blk-pci,drive=y,num-queues=3,id=d"
    )
    controllers = {controller.id: controller for controller in topology.controllers}
    assert controllers["s"].iothread == "io0"
    assert controllers["d"].num_queues == 3
    assert controllers["peripheral-anon/device[0]"].num_queues == 2


def test_set_changes_an_option_that_is_there() -> None:
    """-set takes a value with commas as it is, and is the place of what it sets."""
    vm = read("qemu -device virtio-blk-pci,id=d,drive=a -drive file=/x,id=a,if=none"
              " -set drive.a.file=/y,z -set device.d.serial=s")  # fmt: skip
    assert (vm.disks[0].volume, vm.disks[0].serial) == ("/y,z", "s")
    assert vm.source.read_span(vm.disks[0].spans["serial"]) == "device.d.serial=s"


def test_mapping_of_virtqueues_is_read() -> None:
    """Queues go to the IOThreads that the mapping says."""
    topology = place(
        "qemu -smp 4 -object iothread,id=a -object iothread,id=b -drive file=/x,if=none,id=x"
        """ -device '{"driver":"virtio-blk-pci","id":"d","drive":"x","num-queues":2,"""
        """"addr":"0x5.0x1","iothread-vq-mapping":[{"iothread":"a","vqs":[1]},{"iothread":"b","vqs":[0]}]}'"""
    )
    controller = topology.controllers[0]
    assert controller.iothread_vq_mapping == (
        VirtqueueMapping(iothread="a", vqs=(1,)),
        VirtqueueMapping(iothread="b", vqs=(0,)),
    )
    assert [queue.served_by for queue in topology.virtqueues_of(controller)] == ["b", "a"]
    assert controller.pci == PciAddress(bus="pci.0", slot=5, function=1)


@pytest.mark.parametrize(
    ("smp", "vcpus"),
    [
        ("", 1),
        ("-smp 3", 3),
        ("-smp sockets=2,cores=3,threads=2", 12),
        ("-smp maxcpus=4", 4),
        ("-smp 1,maxcpus=4 -device host-x86_64-cpu,socket-id=0", 2),
        ("-smp 999999999", 1),
    ],
)
def test_processors_are_counted(smp: str, vcpus: int) -> None:
    """A guest's processors are said or come of its sockets, and some are devices."""
    assert read(f"qemu -S {smp}").vcpus == vcpus


def test_machine_is_read() -> None:
    """Name, number, memory, machine and architecture are those of the command line."""
    vm = read(
        "qemu-system-x86_64 -id 701 -name guest=web,debug-threads=on -m 2G -M pc-q35-9.2+pve1"
    )
    assert (vm.id, vm.name, vm.memory_mib, vm.chipset) == ("701", "web", 2048, "q35")
    assert vm.machine_version == (9, 2)
    assert (vm.notation, vm.arch) == ("qemu", "x86_64")


def test_program_may_be_started_by_another() -> None:
    """What taskset or env has for itself is no part of the command line."""
    vm = read("taskset --cpu-list 0,2 /usr/bin/kvm -name kvm -smp 2")
    assert (vm.vcpus, [option.name for option in vm.options]) == (2, ["name", "smp"])


def test_file_of_options_is_read_in_its_place() -> None:
    """Sections of a -readconfig file are options; what is no section or setting is refused."""
    text = 'what\n[drive "a"]\n  file = "/x"\n  if = "none"\n[smp-opts]\ncpus = "2"\n'
    line = "qemu -readconfig c -device virtio-blk-pci,drive=a,id=d"
    vm = read(line, c=Source(name="c", data=text.encode()))
    assert (vm.vcpus, vm.disks[0].volume) == (2, "/x")
    assert [problem.message for problem in vm.problems] == [
        "line 1 of c is neither a section nor a setting"
    ]
    assert vm.source.read_span(vm.problems[0].span) == "-readconfig c"
    missing = read(line, c="No such file or directory")
    assert [problem.kind for problem in missing.problems] == ["unread-config", "missing-reference"]


def test_disks_on_one_node_have_two_names() -> None:
    """A node that two nameless devices share gives its name to the first of them."""
    node = "qemu -blockdev driver=file,filename=/x,node-name=a"
    text = node + " -device virtio-blk-pci,drive=a,share-rw=on" * 2
    assert [a.disk.id for a in place(text).disks] == ["a", "peripheral-anon/device[1]"]


def test_what_is_no_command_line_is_refused() -> None:
    """A text without options is none."""
    with pytest.raises(InputError, match=r"x\.args"):
        read("hello world")


def test_command_line_without_end_is_refused() -> None:
    """More options than any QEMU is started with are no guest, and cost no minutes to read."""
    with pytest.raises(InputError, match="more than any QEMU"):
        read("qemu " + "-device lsi " * 10_001)


def test_disks_on_a_full_target_are_counted_on() -> None:
    """Units of a written target are counted up, and targets where none is written."""
    devices = "-device scsi-cd,scsi-id=1 " * 2 + "-device scsi-cd " * 3
    topology = place(f"qemu -nodefaults -device virtio-scsi-pci,id=s {devices}")
    assert len(topology.disks) == 5
    assert [dict(a.address).get("scsi-id") for a in topology.disks] == [1, 1, 0, 2, 3]


MANY = 8_000


def test_mapping_of_thousands_is_read_in_one_pass() -> None:
    """Each entry is looked at once, and the layout has no more queues than QEMU: 1024."""
    threads = [f"i{number}" for number in range(MANY)]
    device = {"driver": "virtio-blk-pci", "id": "a", "drive": "d", "num-queues": MANY}
    mapping = [{"iothread": name, "vqs": [number]} for number, name in enumerate(threads)]
    words = ("qemu", "-device", json.dumps({**device, "iothread-vq-mapping": mapping}))
    topology = lay_out(read_line(shlex.join(words)))
    (controller,) = topology.controllers
    assert controller.iothread_vq_mapping == tuple(
        VirtqueueMapping(iothread=name, vqs=(number,)) for number, name in enumerate(threads)
    )
    assert topology.served_by(topology.disks[0]) == tuple(threads[:1024])


def test_thousands_of_set_are_read_in_one_pass() -> None:
    """The last of a key counts, and all are of the option that was first written."""
    words = ["qemu", "-device", "virtio-blk-pci,drive=d,id=a"]
    for number in range(9_000):
        words += ["-set", f"device.a.x{number}=1"]
    vm = read(shlex.join([*words, "-set", "device.a.serial=s", "-set", "device.a.serial=t"]))
    assert vm.attached[0].disk.serial == "t"
    device = next(option for option in vm.options if option.name == "device")
    assert len(device.properties) == 9_000 + 4


def test_set_of_an_id_changes_no_name_that_others_go_by() -> None:
    """QEMU finds an option by the id that it was written with."""
    vm = read("qemu -device lsi,id=a -set device.a.id=b -set device.a.addr=0x5")
    device = next(option for option in vm.options if option.name == "device")
    assert device.properties == {"driver": "lsi", "id": "b", "addr": "0x5"}


@pytest.mark.parametrize("count", ["20000000", "99999999999999999999", "9" * 5000])
@pytest.mark.parametrize(
    "device", ["virtio-blk-pci,drive=d,num-queues", "virtio-scsi-pci,num_queues"]
)
def test_number_of_queues_decides_no_memory(device: str, count: str) -> None:
    """There are never more queues than QEMU could make."""
    topology = lay_out(read_line(f"qemu -smp 4 -device {device}={count},id=a"))
    assert len(topology.virtqueues_of(topology.controllers[0])) in {4, 1024}


def test_processors_are_no_more_than_a_machine_has() -> None:
    """Whatever `-smp` says, and however many are devices."""
    assert read("qemu -smp 99999 -device host-x86_64-cpu,id=c").vcpus == 4096


def test_virtqueues_without_end_are_refused() -> None:
    """Two thousand disks of a thousand queues are no guest's."""
    devices = (f"-device virtio-blk-pci,id=d{number},num-queues=1024" for number in range(300))
    with pytest.raises(InputError, match=r"has 307200 virtqueues, more than any QEMU"):
        read(" ".join(("qemu", *devices)))


def test_name_of_json_that_every_leaf_would_repeat_is_refused() -> None:
    """A key of a hundred kilobytes over a hundred thousand numbers would be gigabytes."""
    text = json.dumps({"driver": "virtio-blk-pci", "k" * 100_000: [0] * 100_000})
    (problem,) = read(shlex.join(("qemu", "-device", text))).problems
    assert problem.message == "the value of -device is not JSON"


@pytest.mark.parametrize(
    "text", [r'{"driver":"lsi","id":"\ud800"}', '{"a":' * 80 + "1" + "}" * 80]
)
def test_json_that_qemu_refuses_is_none(text: str) -> None:
    """Half of a surrogate pair is no character to it, and could not be printed."""
    (problem,) = read(shlex.join(("qemu", "-device", text))).problems
    assert problem.message == "the value of -device is not JSON"


def test_json_in_a_file_name_that_is_none_is_a_name() -> None:
    """What cannot be taken apart stays as it is written, and can be printed."""
    name = r'json:{"driver":"raw","file":{"driver":"file","filename":"\udc80"}}'
    vm = read(shlex.join(("qemu", "-drive", f"if=virtio,file={name.replace(',', ',,')}")))
    assert vm.attached[0].disk.volume == name


@pytest.mark.parametrize(
    ("text", "arch"),
    [
        ("/usr/libexec/qemu-kvm -machine s390-ccw-virtio-rhel9.0.0", "s390x"),
        ("/usr/libexec/qemu-kvm -M pseries,accel=kvm", "ppc64"),
        ("/usr/libexec/qemu-kvm -machine virt-rhel9.2.0,gic-version=3", "aarch64"),
        ("$QEMU -device virtio-scsi-ccw,id=s", "s390x"),
        ("qemu-system-x86_64 -machine virt", "x86_64"),
        ("qemu-kvm -machine pc", "x86_64"),
    ],
)
def test_architecture_is_that_of_the_machine(text: str, arch: str) -> None:
    """A program whose name says nothing of it is for its host's processor."""
    assert read(f"{text} -S").arch == arch


@pytest.mark.parametrize("machine", ["xenfv", "xenfv-4.2", "rhel6.6.0", "pc-1.0", "isapc"])
def test_machine_of_another_name_is_a_pc(machine: str) -> None:
    """Only few machines of that processor are none."""
    attached = find(f"qemu-system-i386 -M {machine} -hda /a -drive file=/b,index=1", "ide0-hd1")
    assert attached.controller == "ide"


@pytest.mark.parametrize("option", ["-hda /a.img", "/a.img", "-drive file=/a.img"])
def test_drive_without_interface_is_of_the_machine(option: str) -> None:
    """A machine without IDE makes another device of it, or none."""
    aarch64 = place(f"qemu-system-aarch64 -M virt {option} -S")
    assert [each.driver for each in aarch64.disks] == ["virtio-blk-pci"]
    assert not place(f"qemu-system-x86_64 -M microvm {option} -S").disks
    (disk,) = place(f"qemu-system-ppc64 -M pseries {option} -S").disks
    assert (disk.driver, disk.address[2]) == ("scsi-hd", ("scsi-id", 0))


def test_pseries_has_scsi_of_its_own() -> None:
    """Drives without a device are its disks, and a SCSI device finds its bus."""
    layout = place(
        "qemu-system-ppc64 -hda /a -cdrom /c -drive file=/b,if=none,id=b"
        " -device scsi-hd,drive=b -S"
    )
    places = [(each.driver, each.controller, each.address[2][1]) for each in layout.disks]
    assert places == [("scsi-hd", "scsi", 0), ("scsi-cd", "scsi", 2), ("scsi-hd", "scsi", 1)]


def test_word_too_many_is_refused_once() -> None:
    """QEMU names the word, and comes to no place for it."""
    vm = read("qemu-system-x86_64 /a /b /c -S")
    said = [(each.subject, each.message) for each in vm.problems]
    assert said == [
        ("/b", "'/b' is not an option, and '/a' is the first disk already"),
        ("/c", "'/c' is not an option, and '/a' is the first disk already"),
    ]
    assert [each.id for each in vm.disks] == ["ide0-hd0"]


COMMANDS = sorted((*GOLDEN.glob("qemu/*.args"), *GOLDEN.glob("proxmox/*.cmd")))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_words_of_a_process_are_the_same_guest(path: Path) -> None:
    """Read without places it has what it has with them."""
    words = shlex.split(path.read_text(encoding="utf-8").replace("\\\n", " "))
    # No process is started with a variable of a script.
    data = "".join(f"{word}\0" for word in words if not word.startswith("$")).encode()
    source = Source(name="pid:7", data=data)
    fast = read_process_vm(source, ReadContext(host=Host())).vm
    full = read_command_vm(source, ReadContext(host=Host())).vm

    names = [attached.disk.id for attached in fast.attached]
    assert names == [attached.disk.id for attached in full.attached]
    assert [each.id for each in fast.iothreads] == [each.id for each in full.iothreads]
    assert (fast.name, fast.vcpus, fast.machine_type) == (full.name, full.vcpus, full.machine_type)
    layouts = [lay_out_command(vm) for vm in (fast, full)]
    served = [[each.served_by(disk) for disk in each.disks] for each in layouts]
    assert served[0] == served[1]
