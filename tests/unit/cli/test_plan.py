"""`vmio plan` on configs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from vmio.formats.plan_file import parse_plan
from vmio.model.source import Source
from vmio.sim.profile import DEFAULT_PROFILE, render_profile
from vmio.testing import call
from vmio.values import replace

ROOT = Path(__file__).parents[3]
SHARED = str(ROOT / "examples" / "701.conf")
SINGLE = str(ROOT / "examples" / "virtio-scsi-single" / "701.conf")
HOST = ("--set", "qemu_version=10.0.2", "--set", "cpu.count=8")
DEFAULT = ("--profile", "default")


def test_plan_shows_both_layouts_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    """The step stands between today's layout and the one after it, with reason and source."""
    assert call("plan", SHARED, *HOST) == 0
    out = capsys.readouterr().out
    assert out.index("as it is") < out.index("1. Set scsihw") < out.index("as planned")
    assert "   scsihw: virtio-scsi-pci -> virtio-scsi-single\n" in out
    assert all(f"   {word}: " in out for word in ("why", "effect", "guest", "when", "source"))


def test_plan_without_a_step_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A guest that is as its policy wants it has nothing to change."""
    assert call("plan", SINGLE, *HOST) == 0
    assert "nothing to change" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("--compare",), ("--all",)])
def test_guest_whose_only_disk_is_dropped_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """That it has no disk, and why, is more than that there is nothing to change."""
    config = tmp_path / "100.conf"
    config.write_text("ide0: local-lvm:vm-100-disk-0,iothread=1\n")
    assert call("plan", str(config), *HOST, *arguments) == 0
    out = capsys.readouterr().out
    assert "Proxmox VE drops ide0, and the guest starts without it: no ide drive has" in out
    assert "the guest has no disk" in out
    assert "nothing to change" not in out


def test_guest_with_a_disk_left_is_planned_and_told_of_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is dropped is said besides, in the plan's file too."""
    config = tmp_path / "100.conf"
    config.write_text("sata0: /dev/a,iothread=1\nvirtio0: /dev/b,iothread=1\n")
    assert call("plan", str(config), *HOST) == 0
    out = capsys.readouterr().out
    assert "note: Proxmox VE drops sata0" in out
    assert "nothing to change: the layout is already" in out
    assert call("plan", str(config), *HOST, "--json") == 0
    (note,) = json.loads(capsys.readouterr().out)["data"]["notes"]
    assert note.startswith("Proxmox VE drops sata0")


def test_written_plan_is_the_printed_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file that apply reads has the steps that --json prints; it is replaced when asked."""
    path = tmp_path / "plan.json"
    assert call("plan", SHARED, *HOST, "--policy", "pool:2", "--json", "-o", str(path)) == 0
    printed = json.loads(capsys.readouterr().out)["data"]["steps"]
    written = json.loads(path.read_bytes())["steps"]
    assert [(step["kind"], step["disks"], step["live"]) for step in printed] == [
        (step["kind"], step["disks"], step["live"]) for step in written
    ]
    assert parse_plan(Source(name="plan.json", data=path.read_bytes())).policy == "pool:2"
    assert call("plan", SHARED, *HOST, "-o", str(path)) == 2
    assert call("plan", SHARED, *HOST, "-o", str(path), "--force") == 0


def test_diff_shows_the_changed_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Only lines that change are marked."""
    assert call("plan", SHARED, *HOST, "--diff") == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line for line in lines if line[0] in "+-"] == [
        "-scsihw: virtio-scsi-pci",
        "+scsihw: virtio-scsi-single",
    ]


def test_comparison_has_a_line_for_each_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A policy that this guest cannot have has its reason below the table."""
    config = tmp_path / "100.conf"
    config.write_text("scsihw: virtio-scsi-single\nscsi0: /dev/a\nscsi1: /dev/b\n")
    assert call("plan", str(config), *HOST, "--compare") == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert rows["per-disk"] == ["2", "0", "1+1", "2", "0", "no", "yes"]
    assert rows["shared"] == ["1", "0", "2", "1", "0", "yes", "yes"]
    assert "vq-map:2: a guest with one processor" in out


@pytest.mark.usefixtures("few_requests")
def test_ranking_has_every_policy_and_today(capsys: pytest.CaptureFixture[str]) -> None:
    """Policies that come to one layout share a line; it is said to be predicted, and by what."""
    assert call("plan", SHARED, *HOST, *DEFAULT, "--rank=cpu", "--workload=qd=2", "--json") == 0
    found = json.loads(capsys.readouterr().out)["data"]
    names = {tuple(each["names"]) for each in found["layouts"]}
    assert names == {
        ("as it is",),
        ("auto", "per-disk", "kubevirt-auto"),
        ("shared", "ovirt"),
        ("pool:2",),
        ("vq-map:2",),
    }
    assert {each["prediction"]["workload"] for each in found["layouts"]} == {"qd=2"}
    assert call("plan", SHARED, *HOST, *DEFAULT, "--rank", "cpu") == 0
    out = capsys.readouterr().out
    assert out.startswith("predicted, nothing was measured: 4k-randread-qd1 on every disk")
    assert "not this host\nranked by CPU, lowest first\n" in out


@pytest.mark.usefixtures("few_requests")
def test_ranking_joins_todays_layout_with_the_policies_that_keep_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What needs no change cannot be better than what there is."""
    assert call("plan", SINGLE, *HOST, *DEFAULT, "--rank", "iops", "--json") == 0
    layouts = json.loads(capsys.readouterr().out)["data"]["layouts"]
    assert ["as it is", "auto", "per-disk", "kubevirt-auto"] in [each["names"] for each in layouts]


@pytest.mark.usefixtures("few_requests")
def test_ranking_says_why_a_policy_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guest with one processor has nothing to map."""
    config = tmp_path / "100.conf"
    config.write_text("scsihw: virtio-scsi-single\nscsi0: /dev/a\nide0: /dev/b\n")
    assert call("plan", str(config), *HOST, *DEFAULT, "--rank", "iops") == 0
    out = capsys.readouterr().out
    assert "not ranked: vq-map:2: a guest with one processor" in out
    assert "note: done by hand, and not in the predictions: Move ide0" in out
    config.write_text("scsihw: virtio-scsi-single\n")
    assert call("plan", str(config), *HOST, *DEFAULT, "--rank", "iops") == 3


@pytest.mark.usefixtures("few_requests")
def test_ranking_is_by_the_costs_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, and a file that is none is refused."""
    path = tmp_path / "fast.toml"
    path.write_text(render_profile(replace(DEFAULT_PROFILE, name="fast", is_this_host=True)))
    assert call("plan", SHARED, *HOST, "--rank", "iops", "--profile", str(path)) == 0
    assert "QEMU 10.0.2, fast\n" in capsys.readouterr().out
    path.write_text("name = 5")
    assert call("plan", SHARED, *HOST, "--rank", "iops", "--profile", str(path)) == 3


@pytest.mark.usefixtures("few_requests")
def test_ranking_by_another_hosts_costs_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Without costs of this host there is no order, but what to do; named, they have a warning."""
    assert call("plan", SHARED, *HOST, "--rank", "iops") == 4
    told = capsys.readouterr()
    assert not told.out
    assert "vmio calibrate measures them in two minutes" in told.err
    assert call("plan", SHARED, *HOST, *DEFAULT, "--rank", "iops", "--json") == 0
    (warning,) = json.loads(capsys.readouterr().out)["data"]["warnings"]
    assert (
        "under TCG on another host, with two processors, and this guest runs under KVM" in warning
    )


@pytest.mark.usefixtures("compiled_simulator")
def test_ranking_goes_by_the_hosts_processors_and_says_why_a_plan_differs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On two the IOThreads and vCPUs are in each other's way, on 64 today's layout is the last."""
    notes = {}
    for count in (2, 64):
        host = ("--set", "qemu_version=10.0.2", "--set", f"cpu.count={count}")
        load = ("--rank", "iops", "--workload", "qd=4,jobs=2", "--json")
        assert call("plan", SHARED, *host, *DEFAULT, *load) == 0
        found = json.loads(capsys.readouterr().out)["data"]
        order = [each["names"][0] for each in found["layouts"]]
        assert order.index("as it is") == (0 if count == 2 else len(order) - 1)
        notes[count] = "\n".join(found["notes"])
    assert "vmio plan proposes auto, though 'as it is' is ranked first" in notes[2]
    assert "vmio plan proposes" not in notes[64]


def test_several_guests_are_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its line, one that cannot be read its reason, and the status is the worst."""
    (tmp_path / "100.conf").write_text("scsihw: virtio-scsi-single\nscsi0: /dev/a\n")
    (tmp_path / "101.conf").write_text("")
    assert call("plan", "--all", str(tmp_path), *HOST) == 3
    out = capsys.readouterr().out
    assert "\n100" in out
    assert "101.conf: " in out


def test_policies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its name as it is written, and what it is."""
    assert call("plan", "--list-policies") == 0
    assert "pool:N " in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (SHARED, SINGLE),
        (SHARED, "--json", "--diff"),
        (SHARED, "--policy", "x"),
        (SHARED, "--rank", "x"),
        (SHARED, "--rank", "cpu", "--compare"),
        (SHARED, "--rank", "cpu", "-o", "plan.json"),
        (SHARED, "--all", "-o", "plan.json"),
        (SHARED, "--compare", "-o", "plan.json"),
        ("-o", "plan.json"),
        (SHARED, *HOST, "--rank", "cpu", "--workload", "qd=0"),
        (SHARED, "--workload", "qd=1"),
    ],
)
def test_call_that_makes_no_sense_is_refused(arguments: tuple[str, ...]) -> None:
    """No VM, two, two forms, a policy or a load that there is not, or a load for nothing."""
    assert call("plan", *arguments) == 2


def test_what_is_said_of_a_plans_file_is_what_apply_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command line is a person's to change, and both say so; standard input has no name."""
    monkeypatch.chdir(tmp_path)
    config = "scsihw: virtio-scsi-pci\nscsi0: local:1/a.raw,iothread=1\n"
    Path("100.conf").write_text(config)
    line = "kvm -name a -drive file=/a,if=none,id=d -device virtio-blk-pci,drive=d,id=v0\n"
    Path("line.txt").write_text(line)

    assert call("plan", "line.txt", "-o", "line.json") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("vmio: wrote line.json; vmio apply changes configs of Proxmox VE")
    assert said[1].startswith("vmio: hint: vmio plan VM --diff shows the changes")
    assert call("apply", "line.json", "--dry-run") == 3
    refused = capsys.readouterr().err.splitlines()
    assert refused[0].removeprefix("vmio: error: ") in said[0]
    assert refused[1] == said[1]

    assert call("plan", "100.conf", *HOST, "-o", "plan.json") == 0
    assert "wrote plan.json; vmio apply plan.json makes the changes" in capsys.readouterr().err
    assert call("apply", "plan.json", "--yes") == 0
    capsys.readouterr()
    assert call("plan", "100.conf", *HOST, "-o", "again.json") == 0
    assert "wrote again.json, which changes nothing" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(config.encode())))
    assert call("plan", "-", *HOST, "-o", "unnamed.json") == 0
    assert "vmio apply unnamed.json CONFIG makes the changes" in capsys.readouterr().err


def test_plan_of_a_process_is_refused_for_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not for a file of the process's name, which there is none of."""
    line = "kvm -name a -drive file=/a,if=none,id=d -device virtio-blk-pci,drive=d,id=v0\n"
    (tmp_path / "line.txt").write_text(line)
    path = tmp_path / "plan.json"
    assert call("plan", str(tmp_path / "line.txt"), "-o", str(path)) == 0
    plan = json.loads(path.read_text()) | {"config": "pid:4711"}
    path.write_text(json.dumps(plan))
    capsys.readouterr()
    assert call("apply", str(path)) == 3
    assert (
        "vmio apply changes configs of Proxmox VE and domains of libvirt only"
        in capsys.readouterr().err
    )
