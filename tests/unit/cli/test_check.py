"""`vmio check` and `vmio rule` as a person calls them."""

from __future__ import annotations

import io
import json
import multiprocessing
import sys
from pathlib import Path

import pytest

from vmio.cli.main import main
from vmio.lint.diagnostic import Diagnostic
from vmio.lint.registry import RULES, find_rule, load_rule

IGNORED = "cores: 1\nscsi0: local-lvm:vm-1-disk-0,iothread=1\nscsihw: virtio-scsi-pci\n"
CLEAN = IGNORED.replace("-pci", "-single")


def call(*words: str) -> int:
    """Runs vmio and returns its exit status."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    status = caught.value.code
    assert isinstance(status, int)
    return status


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the current folder, with a config that has a finding and one that has none."""
    monkeypatch.chdir(tmp_path)
    Path("100.conf").write_text(IGNORED, encoding="utf-8")
    Path("101.conf").write_text(CLEAN, encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_check_of_a_clean_config_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """Without findings nothing is printed but the count, and the status is 0."""
    assert call("check", "101.conf") == 0
    assert capsys.readouterr() == ("", "no findings in 1 file\n")


@pytest.mark.usefixtures("folder")
def test_check_prints_findings_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    """Findings go to standard output without colours, the count to standard error."""
    assert call("check", "100.conf", "101.conf") == 1
    out, err = capsys.readouterr()
    assert out.startswith("100: 1 warning\n100.conf:2:30: TH001 warning: iothread of scsi0 does")
    assert "\x1b" not in out
    assert err == "1 warning in 2 files\n1 fixable with --unsafe-fixes\n"


@pytest.mark.usefixtures("folder")
def test_check_goes_on_after_an_unreadable_file(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be read is named, the others are checked, and the status is 3."""
    Path("junk.conf").write_bytes(b"\0\x01\x02")
    Path("empty").mkdir()
    assert call("check", "missing.conf", "junk.conf", "empty", "100.conf") == 3
    out, err = capsys.readouterr()
    assert "100.conf:2:30: TH001" in out
    assert "cannot read missing.conf" in err
    assert "junk.conf is binary" in err
    assert err.endswith("1 warning in 1 file, 3 files unreadable\n1 fixable with --unsafe-fixes\n")


@pytest.mark.usefixtures("folder")
def test_check_reads_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` is standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(IGNORED.encode())))
    assert call("check", "-") == 1
    assert "\n<stdin>:2:30: TH001" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_check_prints_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json everything is in one document, files that cannot be read too."""
    assert call("check", "--json", "100.conf", "101.conf", "missing.conf") == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["kind"]) == (2, "findings")
    found = document["data"]
    assert [len(file["findings"]) for file in found["files"]] == [1, 0, 0]
    assert "missing.conf" in found["files"][2]["error"]["message"]
    assert found["counts"]["unreadable"] == 1


@pytest.mark.usefixtures("folder")
def test_check_selects_and_ignores() -> None:
    """Only the chosen rules count for the status."""
    assert call("check", "--select", "CA,SA001", "100.conf") == 0
    assert call("check", "--ignore", "iothread-ignored-by-controller", "100.conf") == 0
    assert call("check", "--select", "TH", "100.conf") == 1


@pytest.mark.usefixtures("folder")
def test_check_of_an_unknown_rule_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip in a rule's name is said once, with a suggestion, and nothing is checked."""
    assert call("check", "--select", "THO01", "100.conf", "101.conf") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "there is no rule 'THO01'" in err
    assert "did you mean TH0" in err


def test_check_without_paths_is_of_the_cluster(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It checks /etc/pve where there is one, and elsewhere says what to name."""
    monkeypatch.setattr("vmio.managers.proxmox.pmxcfs.PVE", folder / "absent")
    assert call("check") == 2
    assert "so name the guests" in capsys.readouterr().err
    monkeypatch.setattr("vmio.managers.proxmox.pmxcfs.PVE", folder)
    assert call("check") == 1
    assert capsys.readouterr().err == "1 warning in 2 files\n1 fixable with --unsafe-fixes\n"


@pytest.mark.usefixtures("folder")
def test_check_of_an_unreadable_storage_cfg_says_so_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A storage.cfg that cannot be read ends the run before any config is checked."""
    assert call("check", "--storage", "missing.cfg", "100.conf", "101.conf") == 3
    assert capsys.readouterr().err.count("missing.cfg") == 1


@pytest.mark.usefixtures("folder")
def test_check_goes_by_the_storage_cfg(capsys: pytest.CaptureFixture[str]) -> None:
    """What a storage does by default decides what is found on it."""
    config = "virtio0: tree:100/vm-100-disk-0.raw,aio=native\n"
    Path("102.conf").write_text(config, encoding="utf-8")
    Path("btrfs.cfg").write_text("btrfs: tree\n\tpath /mnt/tree\n", encoding="utf-8")
    assert call("check", "102.conf") == 0
    assert call("check", "--storage", "btrfs.cfg", "102.conf") == 1
    assert "CA001" in capsys.readouterr().out


def test_rule_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a code every rule has a line."""
    assert call("rule") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [entry.code for entry in RULES]


def test_rule_prints_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    """A code in any case, or a name, prints that rule's page."""
    assert call("rule", "th001") == 0
    out = capsys.readouterr().out
    assert out.startswith("# TH001 iothread-ignored-by-controller\n")
    assert "## Fix safety" in out


def test_rule_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each rule is an object with its sections, also where there is one."""
    assert call("rule", "--json", "SA001") == 0
    (page,) = json.loads(capsys.readouterr().out)["data"]["rules"]
    assert (page["code"], page["severity"]) == ("SA001", "error")
    assert "cache=unsafe" in page["sections"]["Example"]
    assert call("rule", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["data"]["rules"]) == len(RULES)


def test_rule_of_an_unknown_code_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A code that no rule has is answered with status 2."""
    assert call("rule", "ZZ999") == 2
    assert "there is no rule 'ZZ999'" in capsys.readouterr().err


def test_check_of_a_folder_is_the_same_on_any_number_of_processors(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many configs come out in the order of their numbers, however many processes check."""
    for number in range(102, 300):
        (folder / f"{number}.conf").write_text(IGNORED, encoding="utf-8")
    (folder / "250.conf").write_bytes(b"\0")
    assert call("check", "--jobs", "1", ".") == 3
    alone = capsys.readouterr()
    assert call("check", "--jobs", "3", ".") == 3
    assert capsys.readouterr() == alone
    assert alone.out.startswith("100: 1 warning\n./100.conf:2:30: TH001")
    assert alone.err.endswith(
        "198 warnings in 199 files, 1 file unreadable\n198 fixable with --unsafe-fixes\n"
    )


def test_check_of_a_cluster_says_of_which_hosts_nothing_is_known(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silence about another node's QEMU is not taken for health; a version ends it."""
    place = folder / "nodes" / "elsewhere" / "qemu-server"
    place.mkdir(parents=True)
    (place / "101.conf").write_text(CLEAN, encoding="utf-8")
    assert call("check", "nodes") == 0
    assert "nothing is known about the hosts of elsewhere" in capsys.readouterr().err
    (place.parent / "versions.txt").write_text("pve-qemu-kvm: 10.1.2-7\n", encoding="utf-8")
    assert call("check", "nodes") == 0
    assert "nothing is known" not in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_check_of_a_file_from_elsewhere_says_on_a_terminal_what_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how to give it; once given, or where a program reads along, nothing is said."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert call("check", "101.conf") == 0
    told = capsys.readouterr().err
    assert "nothing is known about the host of files from elsewhere" in told
    assert "--host FILE" in told
    assert call("check", "101.conf", "--set", "cpu.count=8") == 0
    assert "nothing is known" not in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_check_with_a_rule_that_raises_is_a_bug(
    jobs: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever process it happens in, the status is 70, a line says so, and none stays."""
    for number in range(102, 300):
        (folder / f"{number}.conf").write_text(CLEAN, encoding="utf-8")

    def fail(*_: object) -> list[Diagnostic]:
        raise ZeroDivisionError("of a rule")

    monkeypatch.delenv("VMIO_DEBUG", raising=False)
    monkeypatch.setattr(load_rule(find_rule("TH001")), "check", fail)
    assert call("check", "--jobs", jobs, ".") == 70
    out, err = capsys.readouterr()
    assert out == ""
    told, hint = err.splitlines()
    assert told.startswith("vmio: this is a bug in vmio: ")
    assert "TH001 iothread-ignored-by-controller failed on ./100.conf" in told
    assert "of a rule" in told
    assert hint == "vmio: VMIO_DEBUG=1 in the environment shows where it happened"
    assert multiprocessing.active_children() == []


def test_check_in_many_processes_goes_on_after_an_unreadable_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A config in the middle that cannot be read is said, and all others are checked."""
    for number in range(102, 300):
        (folder / f"{number}.conf").write_text(IGNORED, encoding="utf-8")
    (folder / "200.conf").write_bytes(b"\0")
    assert call("check", "--jobs", "2", ".") == 3
    out, err = capsys.readouterr()
    assert "error: ./200.conf is binary, not a VM config\n" in err
    assert err.endswith(
        "198 warnings in 199 files, 1 file unreadable\n198 fixable with --unsafe-fixes\n"
    )
    heads = [line for line in out.splitlines() if line.endswith(": 1 warning")]
    numbers = [number for number in range(100, 300) if number not in {101, 200}]
    assert heads == [f"{number}: 1 warning" for number in numbers]
