"""What plans and fixes write into a domain, byte by byte."""

from __future__ import annotations

import pytest

from tests.unit.formats.libvirt.domains import SCSI, read, write_disk, write_domain
from vmio.errors import PlanError
from vmio.formats.registry import edit, find_obstacle, lay_out, read_again, spell
from vmio.model.host import Cpu, Host
from vmio.model.iothread import MAIN_LOOP
from vmio.model.plan import OWN, PER_DISK, SEPARATE, Change, Plan, Property
from vmio.model.source import apply_edits
from vmio.model.version import parse_version
from vmio.policy.planner import make_plan
from vmio.policy.spreads import choose_policy
from vmio.report.plan.words import describe_plan

HOST = Host(qemu_version=parse_version("10.0.2"), cpu=Cpu(count=16))
LINES = """\
<!-- kept -->
<domain type="kvm">
    <name>p</name>
    <vcpu>4</vcpu>
    <os><type arch="x86_64" machine="q35">hvm</type></os>
    <devices>
        <disk type="file" device="disk">
            <driver name="qemu" type="raw" cache = "none"/>   <!-- kept, too -->
            <source file="/srv/a&amp;b.raw"/>
            <target dev="vda" bus="virtio"/>
        </disk>
    </devices>
</domain>
"""


def change(text: str, *changes: Change, libvirt: str = "") -> str:
    """Returns a domain with changes made."""
    guest = read(text, libvirt)
    return apply_edits(guest.vm.source, edit(guest, changes)).decode()


def ask(subject: str, name: Property, new: str | None) -> Change:
    """Returns a change."""
    return Change(subject=subject, property=name, new=new)


def plan(text: str, policy: str, *, libvirt: str = "", cpus: int = 16) -> tuple[Plan, str]:
    """Returns a plan and the text with its changes, which leaves nothing to plan."""
    host = Host(qemu_version=HOST.qemu_version, cpu=Cpu(count=cpus), libvirt_version=libvirt)
    guest, choice = read(text, libvirt), choose_policy(policy)
    made = make_plan(guest, host, choice)
    again = read_again(guest, apply_edits(guest.vm.source, edit(guest, made.changes)))
    assert lay_out(again) == made.after
    assert make_plan(again, host, choice).changes == ()
    return made, again.vm.source.data.decode()


def list_served(made: Plan) -> dict[str, tuple[str, ...]]:
    """Returns what serves each disk after a plan."""
    return {each.disk.id: made.after.served_by(each) for each in made.after.disks}


# The text


def test_plan_changes_no_other_byte() -> None:
    """Quotes, indentation, comments and entities stay, and what is new is written like them."""
    after = plan(LINES, "per-disk")[1]
    assert after == LINES.replace(
        "<vcpu>4</vcpu>", "<vcpu>4</vcpu>\n    <iothreads>1</iothreads>"
    ).replace('cache = "none"/>', 'cache = "none" iothread="1"/>')


def test_line_ends_of_windows_stay() -> None:
    """New lines end as the others do."""
    after = plan(LINES.replace("\n", "\r\n"), "per-disk")[1]
    assert after.count("\n") == after.count("\r\n")


def test_byte_order_mark_stays() -> None:
    """Bytes are counted from the start of the file."""
    text = "\ufeff" + LINES.removeprefix("<!-- kept -->\n")
    after = plan(text, "per-disk")[1]
    assert after.startswith("\ufeff<domain")
    assert 'cache = "none" iothread="1"/>' in after


def test_sign_that_ends_no_tag_is_a_sign() -> None:
    """`>` in a value is allowed, and a tag ends behind it."""
    text = LINES.replace('cache = "none"', 'cache = "none" x=">"')
    assert 'cache = "none" x=">" iothread="1"/>' in plan(text, "per-disk")[1]


def test_disk_without_a_driver_gets_one() -> None:
    """Libvirt fills in its format."""
    text = LINES.replace('<driver name="qemu" type="raw" cache = "none"/>', "")
    assert '<driver name="qemu" iothread="1"/>' in plan(text, "per-disk")[1]


@pytest.mark.parametrize(
    ("name", "new", "old_driver", "driver"),
    [
        ("cache", "none", "cache='unsafe'", "cache='none'"),
        ("cache", "none", "", " cache='none'"),
        ("aio", None, "io='native' cache='none'", "cache='none'"),
        ("aio", "io_uring", "", " io='io_uring'"),
        ("discard", "unmap", "discard='ignore'", "discard='unmap'"),
        ("detect_zeroes", "1", "", " detect_zeroes='on'"),
        ("werror", "enospc", "", " error_policy='enospace'"),
        ("queues", "2", "queues='9'", "queues='2'"),
        ("queues", None, "queues='9' cache='none'", "cache='none'"),
    ],
)
def test_setting_of_a_driver_is_its_attribute(
    name: Property, new: str | None, old_driver: str, driver: str
) -> None:
    """It has libvirt's name and value, and stands where it stood or behind the others."""
    text = write_domain(write_disk(driver=old_driver))
    assert change(text, ask("vda", name, new)) == text.replace(
        f"type='raw' {old_driver}",
        f"type='raw'{driver} " if not old_driver else f"type='raw' {driver}",
    )


def test_settings_outside_of_the_driver() -> None:
    """A serial number is an element, and a disk that does not turn says so in its target."""
    disk = write_disk("sda", "scsi", inner="<serial>too long</serial>")
    text = write_domain(SCSI + disk)
    after = change(text, ask("sda", "serial", "short"), ask("sda", "ssd", "1"))
    assert "<serial>short</serial>" in after
    assert "<target dev='sda' bus='scsi' rotation_rate='1' />" in after
    assert change(text, ask("sda", "serial", None)) == text.replace(
        "<serial>too long</serial>", ""
    )


def test_processors_of_a_thread_are_a_pin() -> None:
    """`<cputune>` is made where there is none."""
    text = write_domain(write_disk(), top="<iothreads>2</iothreads>")
    pinned = change(text, ask("iothread2", "affinity", "5,6"))
    assert "<cputune><iothreadpin iothread='2' cpuset='5,6'/></cputune>" in pinned
    again = change(pinned, ask("iothread2", "affinity", "7"), ask("iothread1", "affinity", "3"))
    assert "<iothreadpin iothread='2' cpuset='7'/><iothreadpin iothread='1' cpuset='3'/>" in again
    assert change(again, ask("iothread2", "affinity", None)).count("iothreadpin") == 1


# Threads


@pytest.mark.parametrize(
    ("threads", "written"),
    [
        ("", "<iothreads>2</iothreads>"),
        ("<iothreads>1</iothreads>", "<iothreads>2</iothreads>"),
        (
            "<iothreads>2</iothreads><iothreadids><iothread id='7'/></iothreadids>",
            "<iothreads>2</iothreads><iothreadids><iothread id='7'/></iothreadids>",
        ),
        (
            "<iothreadids><iothread id='7'/></iothreadids>",
            "<iothreadids><iothread id='7'/><iothread id='1'/></iothreadids>",
        ),
        ("<iothreadids/>", "<iothreads>2</iothreads>"),
    ],
)
def test_idle_threads_are_used_and_the_lowest_numbers_are_new(threads: str, written: str) -> None:
    """A count is raised, or a list continued, whichever the person has."""
    text = write_domain(write_disk() + write_disk("vdb"), top=threads)
    assert written in plan(text, "per-disk")[1]


def test_thread_that_nothing_uses_any_more_goes() -> None:
    """It goes from the list and from the count; numbers that stay keep their names."""
    disks = "".join(
        write_disk(f"vd{letter}", driver=f"iothread='{number}'")
        for letter, number in (("a", 2), ("b", 3))
    )
    made, after = plan(write_domain(disks, top="<iothreads>3</iothreads>"), "shared")
    # Thread 1 was idle before, which is not this plan's to judge.
    assert "<iothreads>2</iothreads><iothreadids>" not in after
    assert "<iothreads>2</iothreads>" in after
    assert list_served(made) == {"vda": ("iothread2",), "vdb": ("iothread2",)}


def test_numbers_that_a_count_does_not_give_are_listed() -> None:
    """With thread 1 gone, a count of one would mean thread 1."""
    disks = write_disk(driver="iothread='2'") + write_disk("vdb", driver="iothread='1'")
    after = plan(write_domain(disks, top="<iothreads>2</iothreads>"), "shared")[1]
    assert "<iothreads>1</iothreads><iothreadids><iothread id='2'/></iothreadids>" in after


@pytest.mark.parametrize(
    "tuned",
    [
        "<cputune><iothreadpin iothread='2' cpuset='0'/></cputune>",
        "<cputune><iothreadsched iothreads='1-2' scheduler='batch'/></cputune>",
        "<iothreadids><iothread id='2'><poll max='1'/></iothread></iothreadids>",
        "<iothreadids><iothread id='2' thread_pool_max='4'/></iothreadids>",
    ],
)
def test_thread_that_somebody_has_tuned_stays(tuned: str) -> None:
    """What a person wrote of it is not lost, though nothing uses it."""
    disks = write_disk(driver="iothread='1'") + write_disk("vdb", driver="iothread='2'")
    text = write_domain(disks, top=f"<iothreads>2</iothreads>{tuned}")
    after = plan(text, "shared")[1]
    assert tuned in after
    assert "<iothreads>2</iothreads>" in after


def test_threads_of_a_pool_do_not_poll_where_processors_are_few() -> None:
    """`<poll>` is written into the list, which is made where there is none."""
    disks = "".join(write_disk(f"vd{letter}") for letter in "abc")
    after = plan(write_domain(disks), "auto", cpus=1)[1]
    assert (
        "<iothreads>1</iothreads><iothreadids><iothread id='1'><poll max='0'/></iothread>" in after
    )


def test_polling_that_somebody_has_tuned_stays() -> None:
    """A policy that says nothing of polling takes none away."""
    disks = "".join(write_disk(f"vd{letter}") for letter in "abc")
    top = "<iothreadids><iothread id='4'><poll max='70' grow='2'/></iothread></iothreadids>"
    assert top in plan(write_domain(disks, top=top), "shared")[1]
    after = plan(write_domain(disks, top=top), "auto", cpus=1)[1]
    assert "<poll max='0' grow='2'/>" in after
    again = change(after, ask("iothread4", "poll_max_ns", None))
    assert "<poll grow='2'/>" in again


# Controllers


def test_each_disk_gets_a_controller_like_its_own() -> None:
    """The first stays; the others keep target and unit, and the driver with all of its words."""
    controller = (
        "<controller type='scsi' index='0' model='virtio-transitional'>"
        "<driver queues='2' max_sectors='512'/></controller>"
    )
    place = "<address type='drive' controller='0' bus='0' target='3' unit='5'/>"
    disks = write_disk("sda", "scsi") + write_disk("sdb", "scsi", inner=place)
    made, after = plan(write_domain(controller + disks), "per-disk")
    assert (
        "<controller type='scsi' index='1' model='virtio-transitional'>"
        "<driver queues='2' max_sectors='512' iothread='2'/></controller>" in after
    )
    assert place.replace("controller='0'", "controller='1'") in after
    assert list_served(made) == {"sda": ("iothread1",), "sdb": ("iothread2",)}


def test_cd_rom_leaves_the_controller_without_a_thread() -> None:
    """It gains nothing from a thread, and the disk stays where its guest finds it."""
    cd = write_disk("sdb", "scsi", device="cdrom")
    made, after = plan(write_domain(SCSI + write_disk("sda", "scsi") + cd), "per-disk")
    assert "<address type='drive' controller='1' bus='0' target='0' unit='1'/></disk>" in after
    assert list_served(made) == {"sda": ("iothread1",), "sdb": (MAIN_LOOP,)}


def test_new_controller_takes_no_number_of_a_device_that_is_passed_on() -> None:
    """Libvirt adds emulated controllers for numbers that are left out, so the lowest is taken."""
    host = (
        "<hostdev mode='subsystem' type='scsi'>"
        "<address type='drive' controller='1' bus='0' target='0' unit='0'/></hostdev>"
    )
    disks = write_disk("sda", "scsi") + write_disk("sdb", "scsi")
    after = plan(write_domain(SCSI + disks + host), "per-disk")[1]
    assert "index='2' model='virtio-scsi'" in after
    assert "index='1'" not in after


def test_thread_that_disks_have_in_common_is_no_disk_s_own() -> None:
    """Disks that leave a controller get other threads than the one that stays."""
    controller = SCSI.replace("/>", "><driver iothread='1'/></controller>")
    disks = write_disk("sda", "scsi") + write_disk("sdb", "scsi")
    text = write_domain(controller + disks, top="<iothreads>1</iothreads>")
    assert list_served(plan(text, "per-disk")[0]) == {
        "sda": ("iothread1",),
        "sdb": ("iothread2",),
    }


def test_shared_thread_needs_no_other_controllers() -> None:
    """One thread serves all of a controller's disks."""
    disks = write_disk("sda", "scsi") + write_disk("sdb", "scsi") + write_disk()
    after = plan(write_domain(SCSI + disks), "shared")[1]
    assert after.count("<controller") == 1
    assert after.count("iothread='1'") == 2


# Queues


def test_queues_are_mapped_and_back() -> None:
    """The mapping takes the place of the one thread, and the other way round."""
    disks = write_disk(driver="iothread='1'") + write_disk("sda", "scsi")
    text = write_domain(SCSI + disks, top="<iothreads>1</iothreads>")
    made, mapped = plan(text, "vq-map:2")
    listed = "<iothreads><iothread id='1'/><iothread id='2'/></iothreads>"
    assert mapped.count(listed) == 2
    assert "iothread='" not in mapped
    assert [step.kind for step in made.steps] == ["map-queues"]
    assert made.by_hand == ()
    assert list_served(made)["sda"] == ("iothread1", "iothread2")
    back = plan(mapped, "shared")[1]
    assert listed not in back
    assert back.count("iothread='1'") == 2
    # Whoever mapped queues wanted that.
    assert make_plan(read(mapped), HOST, choose_policy("auto")).changes == ()


@pytest.mark.parametrize(
    ("libvirt", "by_hand"), [("9.0", {"vda", "sda"}), ("10.0", {"sda"}), ("11.2", set())]
)
def test_mapping_that_libvirt_would_drop_is_left_to_a_person(
    libvirt: str, by_hand: set[str]
) -> None:
    """An older libvirt says nothing of it, so the plan has to."""
    text = write_domain(SCSI + write_disk() + write_disk("sda", "scsi"))
    made, after = plan(text, "vq-map:2", libvirt=libvirt)
    left = [step for step in made.steps if step.obstacle]
    assert {disk for step in left for disk in step.disks} == by_hand
    served = list_served(made)
    assert all(len(served[disk]) == 1 for disk in by_hand)
    for described in describe_plan(read(text, libvirt), made).by_hand:
        assert "11.2 for virtio-scsi" in described.words.how
    assert ("<iothreads><iothread" in after) == ("vda" not in by_hand)


def test_polling_that_libvirt_would_drop_is_left_to_a_person() -> None:
    """Libvirt before 9.4 can set it while the guest runs, and keeps none."""
    disks = "".join(write_disk(f"vd{letter}") for letter in "abc")
    text = write_domain(disks)
    made, after = plan(text, "auto", libvirt="9.0", cpus=1)
    assert "<poll" not in after
    (left,) = describe_plan(read(text, "9.0"), made).by_hand
    assert "virsh iothreadset p ID --poll-max-ns 0 --live" in left.words.how


# What is left to a person


@pytest.mark.parametrize(
    ("text", "wanted", "obstacle"),
    [
        (write_domain(write_disk("sda", "sata")), ask("sda", "iothread", OWN), "driver"),
        (write_domain(write_disk("sda", "sata")), ask("sda", "bus", "scsi"), "driver"),
        (write_domain(write_disk("sda", "scsi")), SEPARATE, "driver"),
        (write_domain(SCSI + write_disk("sda", "scsi")), SEPARATE, ""),
        (
            write_domain(write_disk(driver="ioeventfd='off'")),
            ask("vda", "iothread", OWN),
            "unsayable",
        ),
        (write_domain(write_disk()), ask("vdb", "iothread", OWN), "unsayable"),
        (write_domain(write_disk() * 2), ask("vda", "cache", "none"), "unsayable"),
        (write_domain(write_disk()), ask("vda", "ssd", "1"), "unsayable"),
        (write_domain(write_disk()), ask("vda", "iothread", None), ""),
        (write_domain(write_disk()), ask("", "affinity", "0-3"), "choice"),
        (
            write_domain(write_disk(inner="<address type='virtio-mmio'/>")),
            ask("vda", "iothread", OWN),
            "unsayable",
        ),
    ],
)
def test_obstacle_says_why_a_person_makes_a_change(
    text: str, wanted: Change, obstacle: str
) -> None:
    """Empty is what vmio does itself."""
    assert find_obstacle(read(text), wanted) == obstacle


def add_option(text: str, value: str) -> str:
    """Returns a domain with an option of QEMU's own."""
    option = f"<qemu:commandline xmlns:qemu='q'><qemu:arg value='{value}'/></qemu:commandline>"
    return text.replace("</domain>", f"{option}</domain>")


def test_disk_that_qemu_s_own_options_name_is_left() -> None:
    """With another controller it would have another name, and QEMU would not start."""
    text = write_domain(SCSI + write_disk("sda", "scsi") + write_disk("sdb", "scsi"))
    named = read(add_option(text, "device.scsi0-0-0-1.foo=1"))
    assert find_obstacle(named, SEPARATE) == "args"
    assert find_obstacle(named, ask("sda", "iothread", OWN)) == "args"
    made = make_plan(named, HOST, choose_policy("per-disk"))
    assert [(step.kind, step.obstacle) for step in made.steps] == [("keep-held", "args")]
    others = read(add_option(write_domain(write_disk() + write_disk("vdb")), "virtio-disk1"))
    assert find_obstacle(others, ask("vda", "iothread", OWN)) == ""
    assert find_obstacle(others, ask("vdb", "iothread", OWN)) == "args"
    other = read(add_option(text, "-no-hpet"))
    assert find_obstacle(other, SEPARATE) == ""
    macos = read(add_option(write_domain(write_disk("sda", "sata")), "isa-applesmc,osk=x"))
    assert find_obstacle(macos, ask("sda", "bus", "scsi")) == "macos"


def test_result_that_libvirt_would_refuse_is_refused() -> None:
    """A fix cannot make a domain that no longer starts."""
    text = write_domain(write_disk(driver="cache='writeback'"))
    with pytest.raises(PlanError, match="libvirt would refuse the result: io='native' needs"):
        change(text, ask("vda", "aio", "native"))
    with pytest.raises(PlanError, match="libvirt has no setting for bus"):
        change(text, ask("vda", "bus", "scsi"))
    with pytest.raises(PlanError, match="no one disk vdz"):
        change(text, ask("vdz", "cache", "none"))


def test_plan_is_spelled_in_libvirt_s_words() -> None:
    """Each setting is named once, with what it was and what it is to be."""
    disks = write_disk("sda", "scsi") + write_disk("sdb", "scsi")
    guest = read(write_domain(SCSI + disks))
    changes = (SEPARATE, ask("sda", "iothread", OWN), ask("sdb", "iothread", OWN))
    assert [(each.name, each.old, each.new) for each in spell(guest, changes)] == [
        ("iothreads", None, "1 2"),
        ("controller 1: model", None, "virtio-scsi"),
        ("sdb: controller", "0", "1"),
        ("controller 0: iothread", None, "1"),
        ("controller 1: iothread", None, "2"),
    ]
    assert spell(guest, ()) == ()
    assert edit(guest, ()) == ()
    assert edit(guest, [ask("scsi", "controllers", PER_DISK)])


def test_domain_of_more_disks_than_a_plan_holds_is_refused() -> None:
    """It is said at once, not after all of them were tried."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [f"vd{one}{other}" for one in letters for other in letters][:257]
    # The second one is refused by libvirt for its names, so that its disks are a person's.
    for disks in (names, names[:1] * 257):
        guest = read(write_domain("".join(map(write_disk, disks))))
        with pytest.raises(PlanError, match="257 disks are more than the 256 that are planned"):
            make_plan(guest, HOST, choose_policy("per-disk"))


def test_fix_of_a_disk_goes_by_what_decides_about_it() -> None:
    """A refusal of another disk is none of this one's, and its controller counts."""
    wrong = write_disk("vdb", driver="io='native'")
    text = write_domain(SCSI + wrong + write_disk("sda", "scsi", driver="cache='unsafe'"))
    assert change(text, ask("sda", "cache", "none")) == text.replace("'unsafe'", "'none'")
    with pytest.raises(PlanError, match="io='native' needs"):
        change(text, ask("sda", "aio", "native"))


def test_controller_that_libvirt_would_add_is_written() -> None:
    """On ARM it adds a virtio-scsi one, which gets its thread by an element of its own."""
    text = write_domain(write_disk("sda", "scsi") + write_disk("sdb", "scsi"), machine="virt")
    made, after = plan(text.replace("x86_64", "aarch64"), "per-disk")
    for index, thread in ((0, 1), (1, 2)):
        controller = f"<controller type='scsi' index='{index}' model='virtio-scsi'>"
        assert f"{controller}<driver iothread='{thread}'/></controller>" in after
    assert list_served(made) == {"sda": ("iothread1",), "sdb": ("iothread2",)}
