"""`vmio diff` as a person calls it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmio.testing import call

CONFIG = """\
cores: 1
memory: 512
scsi0: /dev/disk0,discard=on,iothread=1
scsi1: /dev/disk1
scsihw: virtio-scsi-pci
"""
SINGLE = CONFIG.replace("virtio-scsi-pci", "virtio-scsi-single").replace("discard=on,", "")
HOST = ("--set", "qemu_version=10.0.2")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the current folder, with two configs of one VM."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("a", CONFIG), ("b", SINGLE)):
        Path(name).mkdir()
        Path(name, "100.conf").write_text(text, encoding="utf-8")
    return tmp_path


def save(*options: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Prints a config's command line and returns it."""
    assert call("cmd", "a/100.conf", *HOST, *options) == 0
    return capsys.readouterr().out


def test_configs_that_differ_are_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Each object is named once with what became of it, and the status is 1."""
    assert call("diff", "a/100.conf", "b/100.conf", *HOST) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert "device scsihw0 (virtio-scsi-pci) only in A" in lines
    assert "IOThread iothread-virtioscsi0 only in B" in lines
    assert "scsi1: bus scsihw0.0 → virtioscsi1.0" in lines
    assert any(line.startswith("scsi0: ") and "discard" in line for line in lines)
    assert err == ""


def test_config_equals_itself_and_its_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A saved line, pretty or not, in a file or on standard input, says what the config says."""
    Path("line").write_text(save(capsys=capsys), encoding="utf-8")
    Path("pretty").write_text(save("--pretty", capsys=capsys), encoding="utf-8")
    for a, b in (("a/100.conf", "a/100.conf"), ("a/100.conf", "line"), ("pretty", "line")):
        assert call("diff", a, b, *HOST) == 0
        assert capsys.readouterr() == ("", "no differences\n")
    line = Path("line").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line)))
    assert call("diff", "a/100.conf", "-", *HOST) == 0


def test_both_dialects_of_a_disk_differ_but_are_no_crash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A `-drive` and a `-blockdev` are two things, and each is named."""
    assert call("cmd", "a/100.conf", "--set", "qemu_version=9.0.0") == 0
    Path("old").write_text(capsys.readouterr().out, encoding="utf-8")
    assert call("diff", "old", "a/100.conf", *HOST) == 1
    out = capsys.readouterr().out
    assert "drive scsi0 only in A" in out
    assert "block node drive-scsi0 (throttle) only in B" in out


@pytest.mark.parametrize(
    ("a", "b", "line"),
    [
        (
            "-drive id=drive-scsi0,aio=io_uring",
            "-drive id=drive-scsi0,aio=native",
            "scsi0: aio io_uring → native",
        ),
        ("-object iothread,id=t", "-S", "IOThread t only in A"),
        ("-device d,id=c", "-device d,id=c,iothread=t", "c: iothread none → t"),
        ("-S", "-kernel a,b", "-kernel a,b only in B"),
        ("-netdev tap,id=n", "-netdev user,id=n", "netdev n (tap): type tap → user"),
        ("-device d,addr=1", "-device d,addr=2", "-device d: addr 1 → 2"),
        ("-smp 2", "-smp 2,cores=2", "-smp: cores unset → 2"),
        ("qemu -S", "kvm -S", "program: qemu → kvm"),
        (
            "-blockdev raw,node-name=n,file.driver=file,file.aio=native",
            "-blockdev qcow2,node-name=n,file.driver=host_device,file.aio=threads",
            "n: driver raw → qcow2, file.driver file → host_device, aio native → threads",
        ),
        (
            "-device a,id=a -device b,id=b",
            "-device b,id=b -device a,id=a",
            (
                "devices without an address come in another order, and so get other addresses:"
                " a, b → b, a"
            ),
        ),
        ("-append \x1b[1m", "-append x", "-append: \\x1b[1m → x"),
    ],
)
def test_difference_is_one_line(
    a: str, b: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values are told as from → to, with a name that a person knows the thing by."""
    Path("one").write_text(a, encoding="utf-8")
    Path("other").write_text(b, encoding="utf-8")
    assert call("diff", "one", "other") == 1
    assert line in capsys.readouterr().out.splitlines()


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the same is told for programs."""
    Path("one").write_text("-device d,id=c", encoding="utf-8")
    Path("other").write_text("-device d,id=c,iothread=t", encoding="utf-8")
    assert call("diff", "--json", "one", "other") == 1
    assert json.loads(capsys.readouterr().out)["data"] == {
        "a": "one",
        "b": "other",
        "equal": False,
        "differences": [
            {
                "kind": "changed",
                "option": "device",
                "id": "c",
                "driver": "d",
                "changes": [{"key": "iothread", "a": None, "b": "t"}],
            }
        ],
    }
    assert call("diff", "--json", "one", "one") == 0
    assert json.loads(capsys.readouterr().out)["data"]["equal"] is True


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("-", "-"), 2, "standard input can be one side only"),
        ((), 2, "Missing argument"),
        (("a/100.conf",), 2, "name what to compare a/100.conf with"),
        (("pid:0", "a/100.conf"), 2, "'0' is not a process number"),
        (("pid:x", "a/100.conf"), 2, "'x' is not a process number"),
        (("pid:4294967295", "a/100.conf"), 3, "there is no process 4294967295"),
        (("missing", "a/100.conf"), 3, "cannot read missing"),
        (("words", "a/100.conf"), 3, "words is not a VM config"),
        (("bad.conf", "a/100.conf"), 3, "bad.conf"),
    ],
)
def test_side_that_makes_no_sense_is_named(
    words: tuple[str, ...], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says which side it is; nothing is compared."""
    Path("words").write_text("hello world", encoding="utf-8")
    Path("bad.conf").write_bytes(b"\n#only\n")
    assert call("diff", *words, *HOST) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_process_is_a_side(capsys: pytest.CaptureFixture[str]) -> None:
    """The words of a running process are read, here those of one that calls itself QEMU."""
    words = ["qemu-system-x86_64", "-c", "print(flush=True), input()", "-m", "512"]
    with subprocess.Popen(
        words, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # for a moment a process that starts has no words yet
        side = f"pid:{process.pid}"
        assert call("diff", side, side) == 0
        assert call("diff", side, "a/100.conf", *HOST) == 1
        process.kill()
    assert "scsi0" in capsys.readouterr().out


def test_process_that_is_no_qemu_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The tests' own process is not a guest."""
    assert call("diff", f"pid:{os.getpid()}", "a/100.conf", *HOST) == 3
    assert f"process {os.getpid()} is not a QEMU" in capsys.readouterr().err


def test_thousands_of_changes_are_told_in_one_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """Only a name that two of them would share is written out."""
    many = ",".join(f"x{number}=1" for number in range(9_000))
    Path("one").write_text(f"qemu -device lsi,id=a,{many},file.y=1,y=1\n", encoding="utf-8")
    Path("two").write_text("qemu -device lsi,id=a\n", encoding="utf-8")
    assert call("diff", "one", "two") == 1
    out = capsys.readouterr().out
    assert "x8999 1 → unset, file.y 1 → unset, y 1 → unset" in out
