"""What holds for every change of every domain, whatever the policy and its libvirt."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.properties.test_planner import CHOICES, HOSTS
from vmio.errors import PlanError
from vmio.formats.base import ReadContext
from vmio.formats.libvirt.guest import LibvirtGuest, read_guest
from vmio.formats.plan_file import parse_plan, render_plan
from vmio.formats.registry import edit, lay_out, read_again
from vmio.lint.checking import check_context
from vmio.lint.diagnostic import Diagnostic
from vmio.lint.fixing import fix_source
from vmio.lint.project import ProjectConfig
from vmio.lint.rule import Context
from vmio.model.host import Cpu, Host
from vmio.model.iothread import MAIN_LOOP
from vmio.model.plan import OWN, Plan
from vmio.model.source import Source, apply_edits
from vmio.model.topology import Topology
from vmio.model.version import parse_version
from vmio.policy.invariants import find_violations
from vmio.policy.planner import make_plan
from vmio.policy.scope import check_changes
from vmio.policy.spreads import COMPARED, Choice, choose_policy
from vmio.report.plan.words import describe_plan
from vmio.values import replace

ROOT = Path(__file__).parents[2]
PEERS = ROOT.parent / "shared" / "peers" / "libvirt"
DOMAINS = sorted((ROOT / "tests" / "golden" / "libvirt").glob("*.xml"))
DOMAINS += sorted((*PEERS.glob("*.xml"), *PEERS.glob("stored/*.xml")))
VERSIONS = ("9.0", "10.0", "11.3")

TARGETS = st.lists(
    st.sampled_from(
        [
            *(("virtio", f"vd{letter}") for letter in "abcd"),
            *(("scsi", f"sd{letter}") for letter in "abcdhip"),
            ("sata", "sdq"),
            ("ide", "hda"),
        ]
    ),
    max_size=7,
    unique=True,
)
THREADS = st.sampled_from(
    [
        "",
        "<iothreads>1</iothreads>",
        "<iothreads>4</iothreads>",
        "<iothreadids><iothread id='3'/></iothreadids>",
        (
            "<iothreads>3</iothreads>\n<iothreadids>\n<iothread id='9'><poll max='1'/></iothread>"
            "\n  <iothread id='2'/>\n</iothreadids>"
            "<cputune><iothreadpin iothread='2' cpuset='0-1'/></cputune>"
        ),
    ]
)
DRIVERS = st.sampled_from(
    [
        *("", "", "cache='none' io='native'", "iothread='3'", "queues='4'", "ioeventfd='off'"),
        *('  discard = "unmap"', "iothread='1'"),
    ]
)
MAPPING = "<iothreads><iothread id='1'/><iothread id='3'/></iothreads>"
OPTION = "<qemu:commandline xmlns:qemu='q'><qemu:arg value='scsi0.x=1'/></qemu:commandline>"


@st.composite
def draw_domain(draw: st.DrawFn) -> str:
    """Returns a domain that a person could have written."""
    newline = draw(st.sampled_from(["", "\n", "\r\n\t"]))
    parts = []
    for index in range(draw(st.integers(0, 3))):
        model = draw(
            st.sampled_from(["virtio-scsi", "virtio-scsi", "virtio-transitional", "lsilogic"])
        )
        own = draw(st.sampled_from(["", "<driver queues='2'/>", "<driver iothread='1'/>"]))
        own = "" if model == "lsilogic" else own
        parts.append(f"<controller type='scsi' index='{index}' model='{model}'>{own}</controller>")
    for bus, target in draw(TARGETS):
        device = (
            draw(st.sampled_from(["disk", "disk", "disk", "cdrom"])) if bus != "virtio" else "disk"
        )
        driver = draw(DRIVERS) if bus == "virtio" else draw(st.sampled_from(["", "cache='none'"]))
        inner = (
            MAPPING if "iothread" not in driver and bus == "virtio" and draw(st.booleans()) else ""
        )
        place = ""
        if bus == "scsi" and draw(st.booleans()):
            index = draw(st.integers(0, 2))
            unit = ord(target[-1]) - ord("a")
            place = (
                f"<address type='drive' controller='{index}' bus='0' target='1' unit='{unit}'/>"
            )
        parts.append(
            f"<disk type='file' device='{device}'>{newline}<driver name='qemu' {driver}>{inner}"
            f"</driver><source file='/{target}'/>{newline}<target dev='{target}' bus='{bus}'/>"
            f"{place}{newline}</disk>"
        )
    option = draw(st.sampled_from(["", "", OPTION]))
    return (
        f"<domain type='kvm'>{newline}<name>d</name>{newline}<vcpu>4</vcpu>{draw(THREADS)}"
        f"<os><type arch='x86_64' machine='pc'>hvm</type></os>{newline}"
        f"<devices>{newline.join(parts)}{newline}</devices>{option}</domain>{newline}"
    )


def read(text: bytes, host: Host) -> LibvirtGuest:
    """Reads a domain."""
    return read_guest(Source(name="d.xml", data=text), ReadContext(host=host))


def plan(guest: LibvirtGuest, host: Host, choice: Choice) -> Plan:
    """Plans a domain, or discards the example where no plan is possible."""
    try:
        return make_plan(guest, host, choice)
    except PlanError:
        assume(False)
        raise


def name_threads(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Returns what serves each disk."""
    return {attached.disk.id: topology.served_by(attached) for attached in topology.disks}


def check_plan(guest: LibvirtGuest, host: Host, choice: Choice, made: Plan) -> None:
    """Asserts what holds for every plan."""
    check_changes(guest, made.changes)
    assert parse_plan(Source(name="plan.json", data=render_plan(made).encode())) == made
    assert len(describe_plan(guest, made).steps) == len(made.steps)
    data = apply_edits(guest.vm.source, edit(guest, made.changes))
    again = read_again(guest, data)
    assert lay_out(again) == made.after
    assert find_violations(made.after) == ()
    assert make_plan(again, host, choice).changes == ()
    before, after = name_threads(made.before), name_threads(made.after)
    assert before.keys() == after.keys()
    for attached in made.before.disks:
        name = attached.disk.id
        keeps = before[name] == (MAIN_LOOP,) or after[name] != (MAIN_LOOP,)
        assert keeps or not attached.disk.keeps_data
        models = (made.before.controller_of(attached).model,)
        found = made.after.find_disk(name)
        assert found is not None
        assert models == (made.after.controller_of(found).model,)
    if not made.changes:
        assert data == guest.vm.source.data


def check_served(guest: LibvirtGuest, host: Host, choice: Choice, made: Plan) -> None:
    """Asserts that disks share a thread where the policy says so, and only there."""
    from vmio.policy.planner import find_candidates

    spread = choice.policy.spread(guest.vm, find_candidates(guest), host, choice.number)
    if spread.mapped > 1:
        return
    served = name_threads(made.after)
    for one, thread in spread.threads.items():
        for other, of_other in spread.threads.items():
            is_shared = one == other or (thread == of_other != OWN)
            assert (served[one] == served[other]) == is_shared


@given(draw_domain(), HOSTS, CHOICES, st.sampled_from(VERSIONS))
def test_edited_domain_has_the_layout_of_the_plan(
    text: str, host: Host, choice: Choice, libvirt: str
) -> None:
    """Read again it is what was planned, keeps every invariant, and needs no further change."""
    host = replace(host, libvirt_version=libvirt)
    guest = read(text.encode(), host)
    made = plan(guest, host, choice)
    check_plan(guest, host, choice, made)
    check_served(guest, host, choice, made)


@pytest.mark.parametrize("path", DOMAINS, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.parametrize("libvirt", VERSIONS)
def test_believable_domain_has_the_layout_of_the_plan(path: Path, libvirt: str) -> None:
    """So have domains as other tools write them, with every policy."""
    host = Host(qemu_version=parse_version("10.0.2"), libvirt_version=libvirt, cpu=Cpu(count=2))
    guest = read(path.read_bytes(), host)
    for name in COMPARED:
        choice = choose_policy(name)
        try:
            made = make_plan(guest, host, choice)
        except PlanError:
            # A domain that libvirt refuses, or one processor, whose one queue is not spread.
            is_refused = any(each.kind == "refused-option" for each in guest.vm.problems)
            assert is_refused or guest.vm.vcpus == 1
            continue
        check_plan(guest, host, choice, made)


@given(draw_domain(), st.booleans())
def test_fixing_twice_is_fixing_once(
    text: str,
    unsafe: bool,  # noqa: FBT001 - hypothesis passes what it drew
) -> None:
    """A fixed domain has nothing more to fix, and one without findings stays as it is."""
    host = Host(qemu_version=parse_version("10.0.2"))

    def check(source: Source) -> tuple[Diagnostic, ...]:
        guest = read_guest(source, ReadContext(host=host))
        context = Context(guest=guest, topology=lay_out(guest), host=host)
        return check_context(context, project=ProjectConfig()).diagnostics

    source = Source(name="d.xml", data=text.encode())
    fixed = fix_source(source, check, unsafe=unsafe)
    assert fix_source(fixed.after, check, unsafe=unsafe).data == fixed.data
    assert bool(fixed.applied) == fixed.changed
