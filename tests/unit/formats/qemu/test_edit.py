"""What a plan writes into a saved command line, as a shell and QEMU read it."""

from __future__ import annotations

import pytest

from vmio.errors import PlanError
from vmio.formats.base import ReadContext
from vmio.formats.qemu.reader import read_command_vm
from vmio.formats.registry import edit, lay_out, read_again
from vmio.model.host import Host
from vmio.model.source import Source, apply_edits
from vmio.model.version import parse_version
from vmio.policy.planner import make_plan
from vmio.policy.spreads import choose_policy
from vmio.report.plan.words import describe_plan

HOST = Host(qemu_version=parse_version("10.0.2"))
DRIVES = " -drive file=/a,if=none,id=a,format=raw -drive file=/b,if=none,id=b,format=raw "
OTHER = "-device virtio-blk-pci,id=y,drive=b,iothread=t -object iothread,id=t"
LAST = "-device virtio-blk-pci,id=y,drive=b,iothread=t"
IN_JSON = """-object '{"qom-type":"iothread","id":"t"}'"""
SHARED = (
    "-device virtio-blk-pci,id=x,drive=a,iothread=vmio0"
    " -device virtio-blk-pci,id=y,drive=b,iothread=vmio0"
)


def plan(options: str, policy: str = "auto", *, files: dict[str, str] | None = None) -> str:
    """Returns the options of a command line after a plan that leaves nothing to plan."""

    def read_file(name: str) -> Source | str:
        known = (files or {}).get(name)
        return "not there" if known is None else Source(name=name, data=known.encode())

    head = "qemu-system-x86_64 -smp 4" + DRIVES
    context = ReadContext(host=HOST, read_file=read_file)
    guest = read_command_vm(Source(name="line", data=f"{head}{options}\n".encode()), context)
    made = make_plan(guest, HOST, choose_policy(policy))
    again = read_again(guest, apply_edits(guest.vm.source, edit(guest, made.changes)))
    assert lay_out(again) == made.after
    assert make_plan(again, HOST, choose_policy(policy)).changes == ()
    return again.vm.source.data.decode().removeprefix(head).removesuffix("\n")


@pytest.mark.parametrize("end", ["&", ">log 2>&1", "; rm -f /run/x", "|| exit 1", '"$@"', "# end"])
def test_thread_is_made_before_what_a_shell_reads(end: str) -> None:
    """Words at the end can be another command's, to which an option of QEMU would be wrong."""
    written = plan(f"-device virtio-blk-pci,id=x,drive=a {end}")
    made = "-device virtio-blk-pci,id=x,drive=a,iothread=iothread-x -object iothread,id=iothread-x"
    assert written == f"{made} {end}"


def test_line_with_a_disk_on_ide_is_planned_for() -> None:
    """A disk that a person would have to move keeps no other from its IOThread."""
    written = plan("-hda /c -device virtio-blk-pci,id=x,drive=a")
    assert written.startswith("-hda /c -device virtio-blk-pci,id=x,drive=a,iothread=iothread-x")


@pytest.mark.parametrize(
    "device",
    [
        "virtio-blk-pci,iothread='t',id=x,drive=a",
        'virtio-blk-pci,iothread="t",id=x,drive=a',
        'virtio-blk-pci,id=x,drive=a"",iothread"=t"',
    ],
)
def test_value_in_quotation_marks_is_left_alone(device: str) -> None:
    """Half of a quotation is no text that a shell could read."""
    assert f"-device {device} " in plan(f"-device {device} {OTHER}")


@pytest.mark.parametrize(
    ("device", "becomes"),
    [
        ("virtio-blk-pci,iothread=t,id=x", "virtio-blk-pci,iothread=iothread-x,id=x"),
        ("'virtio-blk-pci,id=x,iothread=t'", "'virtio-blk-pci,id=x,iothread=iothread-x'"),
        ('"virtio-blk-pci,iothread=t",id=x', '"virtio-blk-pci,iothread=iothread-x",id=x'),
    ],
)
def test_thread_that_is_written_is_replaced(device: str, becomes: str) -> None:
    """One that several devices have becomes one of the device's own, in the same place."""
    assert f"-device {becomes} " in plan(f"-device {device} {OTHER}")


@pytest.mark.parametrize("device", ["virtio-blk-pci,drive=a,id=x,", "'virtio-blk-pci,id=x,'"])
def test_comma_at_the_end_of_a_device_is_not_doubled(device: str) -> None:
    """Two commas are one comma of a value, and QEMU would not take it for an id."""
    assert f"{device}iothread=iothread-x" in plan(f"-device {device}")


def test_device_that_a_set_option_serves_is_left_alone() -> None:
    """What -set says counts, wherever the device is, and its text has no commas."""
    line = f"-device virtio-blk-pci,id=x,drive=a -set device.x.iothread=t {OTHER}"
    assert "-device virtio-blk-pci,id=x,drive=a -set device.x.iothread=t " in plan(line)


def test_device_in_another_file_is_left_alone() -> None:
    """The command line has only the file's name, which is no place for a property."""
    file = '[device "x"]\n  driver = "virtio-blk-pci"\n  drive = "a"\n'
    assert plan("-readconfig f", files={"f": file}) == "-readconfig f"


@pytest.mark.parametrize(
    ("device", "option"),
    [
        ("virtio-blk-pci,id=x,drive=a,ioeventfd=off", ""),
        ("virtio-blk-pci,id=x,drive=a", " -set device.x.ioeventfd=no"),
        ("virtio-blk-pci,id=x,drive=a", " -global virtio-pci.ioeventfd=off"),
        ("virtio-blk-pci,id=x,drive=a", " -global virtio-blk-pci.ioeventfd=false"),
    ],
)
def test_device_without_ioeventfd_gets_no_thread(device: str, option: str) -> None:
    """QEMU would end: 'ioeventfd is required for iothread'."""
    assert plan(f"-device {device}{option}") == f"-device {device}{option}"


def test_own_thread_has_a_name_of_its_own() -> None:
    """A name that another object or another device's thread has is not used."""
    rng = "-object rng-random,id=iothread-x"
    assert "iothread=iothread-x-2 " in plan(f"-device virtio-blk-pci,id=x,drive=a {rng}")
    crossed = "-device virtio-blk-pci,id=y,drive=b,iothread=iothread-x"
    line = f"-device virtio-blk-pci,id=x,drive=a {crossed} -object iothread,id=iothread-x"
    assert "iothread=iothread-x-2 " in plan(line)


def test_shared_thread_is_no_other_object() -> None:
    """QEMU would not start with two objects of one name."""
    line = "-device virtio-blk-pci,id=x,drive=a -device virtio-blk-pci,id=y,drive=b"
    with pytest.raises(PlanError, match="vmio0 is not an IOThread"):
        plan(f"{line} -object rng-random,id=vmio0", "shared")


def test_polling_that_a_policy_leaves_to_qemu_is_taken_out() -> None:
    """A plan that changed nothing would come again and again."""
    assert plan(f"{SHARED} -object iothread,id=vmio0,poll-max-ns=7", "shared") == (
        f"{SHARED} -object iothread,id=vmio0"
    )


def test_polling_in_json_is_not_changed() -> None:
    """It has no place that is known."""
    thread = """'{"qom-type":"iothread","id":"vmio0","poll-max-ns":7}'"""
    with pytest.raises(PlanError, match="poll_max_ns cannot be changed"):
        plan(f"{SHARED} -object {thread}", "shared")


@pytest.mark.parametrize(
    "device",
    [
        """'{"driver":"virtio-blk-pci","id":"x","drive":"a"}'""",
        "virtio-blk-pci,drive=a",
        "virtio-blk-pci,id=x,drive=a,ioeventfd=off",
    ],
)
def test_device_that_cannot_be_changed_is_told(device: str) -> None:
    """A disk that the main loop serves is not said to be served as the policy wants."""
    text = f"qemu-system-x86_64 -drive file=/a,if=none,id=a,format=raw -device {device}\n"
    guest = read_command_vm(Source(name="l", data=text.encode()), ReadContext(host=HOST))
    (step,) = describe_plan(guest, make_plan(guest, HOST, choose_policy("auto"))).by_hand
    assert step.words.what.startswith("Give ")
    assert "JSON" in step.words.how


@pytest.mark.parametrize(
    ("device", "thread"),
    [
        ("x", "iothread-x"),
        ("scsi0", "io-scsi0"),
        ("ua-rootdisk", "io0"),
        ("virtio-disk0", "io0"),
    ],
)
def test_thread_has_a_name_that_the_host_shows(device: str, thread: str) -> None:
    """An id of more than 12 characters is no name of a thread."""
    written = plan(f"-device virtio-blk-pci,id={device},drive=a")
    assert written.endswith(f",iothread={thread} -object iothread,id={thread}")


def test_long_names_get_a_number_each() -> None:
    """Two of them have two threads, and none has one that another device has."""
    written = plan(
        "-object iothread,id=io1 -device virtio-scsi-pci,id=a-long-name,iothread=io1"
        " -device scsi-hd,drive=a -device virtio-blk-pci,id=another-name,drive=b"
        " -drive file=/c,if=none,id=c -device virtio-blk-pci,id=third-of-them,drive=c"
    )
    assert "id=another-name,drive=b,iothread=io0 " in written
    assert "id=third-of-them,drive=c,iothread=io2" in written


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{OTHER} -device virtio-blk-pci,id=x,drive=a,iothread=t -S", " -S"),
        (
            f"-object iothread,id=t \\\n  -device virtio-blk-pci,id=x,drive=a,iothread=t {LAST}",
            "",
        ),
        (
            f"-device virtio-blk-pci,id=x,drive=a,iothread=t {IN_JSON} {LAST}",
            "",
        ),
    ],
)
def test_thread_that_no_disk_has_any_more_goes(before: str, after: str) -> None:
    """A thread that two disks had serves nothing once each has its own."""
    written = plan(before, "per-disk")
    assert written.count("iothread,id=") == 2
    assert "id=t" not in written
    assert '"id":"t"' not in written
    assert written.endswith(after)


@pytest.mark.parametrize(
    "other",
    [
        "-device virtio-scsi-pci,id=empty,iothread=t",
        "-device of-later,my-iothread=t",
        "-object throttle-group,id=t",
    ],
)
def test_thread_that_something_else_names_stays(other: str) -> None:
    """Without it QEMU would not start."""
    written = plan(
        f"-object iothread,id=t -device virtio-blk-pci,id=x,drive=a,iothread=t {other}"
        " -device virtio-blk-pci,id=y,drive=b,iothread=t",
        "per-disk",
    )
    assert "-object iothread,id=t " in written


def test_macos_stays_where_it_is() -> None:
    """A guest with Apple's SMC has no driver for virtio-scsi."""
    text = (
        "qemu-system-x86_64 -device isa-applesmc,osk=x -device ahci,id=sata"
        " -drive file=/a,if=none,id=a -device ide-hd,drive=a,bus=sata.2\n"
    )
    guest = read_command_vm(Source(name="line", data=text.encode()), ReadContext(host=HOST))
    made = make_plan(guest, HOST, choose_policy("auto"))
    assert [(step.kind, step.obstacle) for step in made.steps] == [("move-disks", "macos")]
    assert "macOS has no driver for virtio-scsi" in describe_plan(guest, made).steps[0].words.what


def test_disks_that_qemu_does_not_serve_are_left_alone() -> None:
    """What another process or the host's kernel serves has no use for an IOThread."""
    line = (
        "-chardev socket,id=c,path=/run/s -device vhost-user-blk-pci,chardev=c,id=u"
        " -device vhost-scsi-pci,wwpn=naa.5001405324af0985,id=k"
    )
    assert plan(line) == line
