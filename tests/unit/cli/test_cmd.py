"""What `vmio cmd` says besides the command line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from vmio.cli.main import main
from vmio.testing import call


def run(config: Path, *arguments: str) -> int:
    """Runs `vmio cmd` for QEMU 11.0 and returns its exit status."""
    with pytest.raises(SystemExit) as caught:
        main(["cmd", str(config), "--set", "qemu_version=11.0.0", *arguments])
    code = caught.value.code
    return code if isinstance(code, int) else 0


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (
            "scsi0: /dev/sda,iothread=1",
            [
                (
                    "WARN: iothread is only valid with virtio disk or virtio-scsi-single"
                    " controller, ignoring"
                ),
            ],
        ),
        ("scsi0: /dev/sda,mbps_rd_max=5", ["mbps_rd_max requires mbps_rd"]),
        ("scsi0: /dev/sda,bps=5,mbps=5", ["both bps and mbps specified"]),
        ("scsi0: /dev/sda,mbps=5,mbps_rd=5", []),
        ("virtio0: none,media=cdrom", []),
        (
            "scsi0: /dev/sda,scsiblock=1",
            [
                (
                    "scsi0 is a scsi-block if /dev/sda is a SCSI disk of the host, which is not"
                    " looked at here: cache and aio have no effect on it then"
                ),
            ],
        ),
        (
            "name: a_b",
            [
                (
                    "vm 100 - unable to parse value of 'name' - value does not look like a valid"
                    " DNS name"
                ),
            ],
        ),
        ("bios: ovmf", ["WARN: no efidisk configured! Using temporary efivars disk."]),
    ],
)
def test_proxmox_warnings_are_repeated(
    text: str, warnings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard error has what Proxmox would say, standard output the command alone."""
    config = tmp_path / "100.conf"
    config.write_text(f"cores: 1\n{text}\n")
    assert run(config) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines() == warnings
    assert captured.out.startswith("/usr/bin/kvm -id 100 ")
    assert len(captured.out.splitlines()) == 1


def test_snapshot_is_printed_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A snapshot's command is its own, and one that is not there is an error."""
    config = tmp_path / "100.conf"
    config.write_text("name: now\n[before]\nname: then\n")
    assert run(config, "--snapshot", "before") == 0
    assert " -name then " in capsys.readouterr().out
    assert run(config, "--snapshot", "after") == 3
    assert "snapshot 'after' does not exist" in capsys.readouterr().err


def test_saved_command_line_needs_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is printed as it is written, from a file of any name and from standard input."""
    monkeypatch.chdir(tmp_path)
    facts = ("--set", "qemu_version=11.0.0")
    line = "qemu-system-x86_64 -name web -drive 'file=/a b.img,if=virtio' -S"
    Path("ps.txt").write_text(f"root 1 0:00 {line}\n")
    Path("web.sh").write_text(f"{line}\n")
    assert call("cmd", "web.sh", *facts) == 0
    assert capsys.readouterr().out == f"{line}\n"
    assert call("cmd", "ps.txt", "web.sh", *facts) == 0
    assert capsys.readouterr().out.count("-name web") == 2
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    assert call("cmd", "-", *facts) == 0
    assert capsys.readouterr().out == f"{line}\n"


DOMAIN = (
    "<domain type='kvm'><name>web</name><iothreads>1</iothreads><devices>"
    "<disk type='file'><driver type='raw'><iothreads><iothread id='1'/></iothreads></driver>"
    "<source file='/a'/><target dev='vda' bus='virtio'/></disk></devices></domain>"
)


@pytest.mark.parametrize(("libvirt", "thread"), [("9.0", False), ("11.3.0", True)])
def test_domain_is_printed_as_its_libvirt_reads_it(
    libvirt: str, *, thread: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A libvirt that does not know queue mapping drops it, and its disk runs in the main loop."""
    config = tmp_path / "web.xml"
    config.write_text(DOMAIN, encoding="utf-8")
    assert run(config, "--libvirt-version", libvirt) == 0
    assert ("iothread-vq-mapping" in capsys.readouterr().out) == thread


def test_domain_is_printed_with_what_is_assumed_of_its_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the libvirt of its host matters, and neither its QEMU nor its processors."""
    config = tmp_path / "web.xml"
    config.write_text(DOMAIN, encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["cmd", str(config)])
    said = capsys.readouterr().err.splitlines()
    assert [line[:40] for line in said] == [
        "this is the storage half of the command ",
        "the host's libvirt is not known: 11.3 is",
    ]
