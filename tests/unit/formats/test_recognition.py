"""What a text is: a command or a config found in it, or a word on what it is instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmio.errors import InputError
from vmio.formats import registry, shell
from vmio.formats.base import Guest, ReadContext
from vmio.formats.proxmox import pasted
from vmio.formats.qemu import excerpt
from vmio.formats.shell import Token
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import parse_version

HOST = Host(qemu_version=parse_version("10.0.2"))
DATA = Path(__file__).parents[2] / "data" / "pasted"
REPORTS = Path(__file__).parents[3].parent / "shared" / "peers" / "reports"
LINE = "qemu-system-x86_64 -m 64 -drive file=/a.img,if=virtio -S"
CONFIG = (
    "boot: order=scsi0\ncores: 4\nmemory: 2048\nname: web\n"
    "scsi0: local-lvm:vm-1-disk-0,iothread=1,size=3G\nscsihw: virtio-scsi-single\n"
)


def read(text: str, name: str = "x.txt") -> Guest:
    """Reads a guest as the verbs do."""
    return registry.read(Source(name=name, data=text.encode()), ReadContext(host=HOST))


def list_disks(guest: Guest) -> list[str]:
    """Returns each disk with the threads that serve it."""
    topology = registry.lay_out(guest)
    return [f"{each.disk.id}: {', '.join(topology.served_by(each))}" for each in topology.disks]


def list_notes(guest: Guest) -> list[str]:
    """Returns what is said of how a command was read."""
    return [each.message for each in guest.vm.problems if each.kind == "partial-command"]


@pytest.mark.parametrize(
    "text",
    [
        f"sh -c '{LINE}'",
        f'ssh root@host "{LINE}"',
        f"[Service]\nType=simple\nExecStart=/usr/bin/{LINE}\nRestart=no\n",
        f"CMD=({LINE} )\n",
        f'CMD="{LINE}"\n$CMD\n',
        "$ qemu-system-x86_64 -m 64 \\\n> -drive file=/a.img,if=virtio \\\n> -S\n$ ",
        "qemu-system-x86_64.exe -m 64 ^\r\n  -drive file=/a.img,if=virtio ^\r\n -S\r\n",
        f"QEMU=/usr/bin/qemu-system-x86_64\n{LINE.replace('qemu-system-x86_64', '$QEMU')}\n",
        f"# qemu-system-x86_64 -m 1 -S\n{LINE}\n",
        LINE.replace(" ", "\0"),
        "kvm -m 64 -S -drive\nfile=/a.img,if=virtio\n",
        f"'/opt/my qemu/qemu-system-x86_64'{LINE.removeprefix('qemu-system-x86_64')}",
        f"[12:30] user@host:~$ {LINE} -name 'a b'\n",
        f"# {LINE}\n",
        f"TASK ERROR: start failed: command '{LINE} -name 'a b'' failed: exit code 1\n",
        f"  71 ?  Sl  0:01 {LINE} -name a LANG=C PATH=/bin HOME=/root\n",
        f"root 1 0 0 12:00 ? 0:00 sudo {LINE}\nroot 2 1 0 12:00 ? 0:01  \\_ {LINE}\n",
        f"Jul  9 14:10:58 a pvedaemon[71]: start failed: command '{LINE} -name 'a b'' failed: x\n",
        f"Jul  9 14:10:58 a starter[71]: {LINE} -name 'a b' -boot 'menu=on'\n",
        f'time=x level=debug msg="qCmd.Args: [/usr/bin/{LINE} -name a]"\ntime=y msg="up -m 2"\n',
        (
            'msg="launching /opt/k/qemu-system-x86_64 with: [-m 64 -append a=b c d=/x -drive'
            ' file=/a.img,if=virtio -S]" arch=amd64\n'
        ),
        '{"msg":"q: [/usr/bin/' + LINE + ' -device {a]}]","time":"x"}\n{"msg":"[other -m 2]"}\n',
        (
            '11:08 Executing /usr/bin/qemu-system-x86_64: []string{"-m", "64", "-drive",'
            ' "file=/a.img,if=virtio", "-name", "a \\"b\\" c"}\n'
            "11:09 Qemu stderr: qemu-system-x86_64: -drive file=/a.img: Invalid parameter\n"
        ),
        f"DEBUG:root:Starting: {LINE.split()!r}\n",
        f"+avx,check, {LINE.partition(' ')[2]} -smp 2\nqemu-system-x86_64: -drive a: warning: b\n",
        f"qemu args: {LINE.partition(' ')[2]}\n",
        f"The command is `{LINE}`.\n$ qemu-system-x86_64 --version\nQEMU emulator\n",
        (
            "~ % qemu-system-x86_64 \\                      10:47:49 AM\n  -m 64 \\\n"
            "  -drive file=/a.img,if=virtio -S\n"
        ),
        (
            "#!/bin/bash\nargs=(\n  -accel kvm -m 64 # MiB\n  # -device x\n"
            "  -drive file=/a.img,if=virtio\n)\nargs+=(-name 'a b')\n# qemu-system-x86_64: no\n"
            'exec qemu-system-x86_64 "${args[@]}" -S\n'
        ),
        "kvm\n-m 64\n-append root=/dev/vda1 ro console=ttyS0\n-drive file=/a.img,if=virtio\n",
        "7 ? Sl 0:01 kvm -m 64 -append a=b c -drive file=/my vm/a,if=virtio -name a b,c=on\n",
    ],
)
def test_command_is_found(text: str) -> None:
    """Where a command is, and what it is called by, does not change what it says."""
    guest = read(text)
    assert guest.vm.notation == "qemu"
    assert list_disks(guest) == ["virtio0: main loop"]
    assert guest.vm.memory_mib == 64
    assert not list_notes(guest)


@pytest.mark.parametrize(
    ("text", "disks", "note"),
    [
        (
            "qemu-system-x86_64 -m 64 \\  \n  -drive file=/a.img,if=virtio\n",
            [],
            "blanks after the backslash of line 1 end the command: what follows is not read",
        ),
        (
            "qemu-system-x86_64 -m 64 \\\n  # disks\n  -drive file=/a.img,if=virtio\n",
            ["virtio0: main loop"],
            "a shell ends the command at the comment of line 2: what follows is read all the same",
        ),
        (
            "qemu-system-x86_64 \\\n  -m 64\n  -drive file=/a.img,if=virtio\n",
            ["virtio0: main loop"],
            "line 2 has no backslash at its end, where a shell ends the command: what"  # noqa: ISC004
            " follows is read all the same",
        ),
        (
            'exec qemu-system-x86_64 -m 64 -hda $DISK "$@"\n',
            ["ide0-hd0: main loop"],
            "$DISK, $@: variables of a script, whose values are not known here",
        ),
        (
            "qemu-system-x86_64 -m 64 [...]\\\n-drive file=/a.img,if=virtio \\\n...\n",
            ["virtio0: main loop"],
            "line 1 leaves words out, at '[...]'",
        ),
        (
            "qemu-system-x86_64 -drive file=/a.img,if=virtio \u2026 -S\n",
            ["virtio0: main loop"],
            "line 1 leaves words out, at '\u2026'",
        ),
        (
            'qemu-system-x86_64 -S "${MORE[@]}"\n',
            [],
            "${MORE[@]}: a variable of a script, whose value is not known here",
        ),
        (
            "qemu-system-x86_64 -hda '$DISK' $*\n",
            ["ide0-hd0: main loop"],
            "$*: a variable of a script, whose value is not known here",
        ),
        (
            f"{LINE} &\nkvm -m 1\n{LINE}\n",
            ["virtio0: main loop"],
            "2 QEMU command lines are in this text: the first one, of line 1, is read",
        ),
    ],
)
def test_what_is_read_otherwise_is_told(text: str, disks: list[str], note: str) -> None:
    """What a shell would do otherwise, or is left out, is one line."""
    guest = read(text)
    assert list_disks(guest) == disks
    assert list_notes(guest) == [note]


def test_second_word_without_an_option_is_named() -> None:
    """QEMU takes the first one as a disk, and refuses the next."""
    guest = read("qemu-system-x86_64 -m 64 a.img b.img")
    (refused,) = (each for each in guest.vm.problems if each.subject == "b.img")
    assert refused.message == "'b.img' is not an option, and 'a.img' is the first disk already"
    assert guest.vm.source.read_span(refused.span) == "b.img"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kvm -id 1 -m 64 -drive file=/a.im\ng,if=virtio -device lsi -S", "line 2 goes on in the"),
        ("kvm -id 1 -m 64 -device virtio\n-scsi-pci,id=s -device lsi", "line 2 goes on in the"),
        ('1 ? S 0:01 kvm -m 64 -blockdev {"driver":"ra\n', "line 1 ends within a quotation"),
        ("\n\nqemu-system-x86_64 -m 64 -name 'a\n -S\n", "line 3 ends within a quotation"),
        ("kvm -m 64 -device", "line 1 ends at -device, without its value"),
        (
            'failed: "kvm -m 64 -drive file=/a -cpu host,+kvm_pv... (6.46 s)\n',
            "line 1 ends in '...'",
        ),
        ('kvm: []string{"-m", "64", "-drive", "file=/a,if=vir', "line 1 ends within a list"),
    ],
)
def test_line_that_is_not_whole_is_named(text: str, said: str) -> None:
    """A line that was cut or broken is told by its number, with how to get it whole."""
    with pytest.raises(InputError, match=said) as caught:
        read(text)
    assert "pid:PID" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("root@h:~# virsh dumpxml a\n<domain type='kvm' id='1'>\n", "libvirt's XML"),
        ("<?xml version='1.0'?>\n<a/>\n", "is XML"),
        ("apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: {}\n", "manifest of KubeVirt"),
        ("apiVersion: v1\nkind: Pod\n", "manifest of Kubernetes"),
        ("vm:\n  name: foo\n  memory: 2048\n  cores: 4\n  scsi0: a\n", "YAML"),
        ("- name: a\n  x.proxmox_kvm:\n    name: web\n    memory: 1\n    cores: 4\n", "YAML"),
        ('[device "a"]\n  driver = "virtio-scsi-pci"\n', "-readconfig"),
        ("#!/bin/bash\necho hello\n", "shell script"),
        ('{"data":{"name":"web","status":"running","cpus":4,"vmid":1}}', "JSON"),
        ("arch: amd64\nhostname: a\nmemory: 512\nrootfs: local:1\n", "container"),
        ("name: foo\nHello there,\nthis is no config\n", "not a VM config"),
        ("error: failed\n", "not a VM config"),
        ("kvm: -drive file=/a: Could not open\n", "what a QEMU says of one of its options"),
        ("Hi,\n-object iothread,id=a \\\n-device '{\"a\": 1}'\n", "without the program"),
        ("# qm create 107 --scsi0 local:8 --cores 2\n", "a command of Proxmox VE"),
        (
            "Jul 1 pve qm[7]: <root@pam> update VM 100: -boot order=scsi0\n",
            "a command of Proxmox VE",
        ),
        ("- Remove the -device from it\n -drive it home\n", "not a VM config"),
        ("root 1 0 0 ? 0:00 grep --color=auto qemu-kvm\n", "not a VM config"),
        ("proxmox-ve: 9.1.0 (running kernel: 6.17)\nqemu-server: 9.1.1\n", "not a VM config"),
        (" \n", "is empty"),
    ],
)
def test_stranger_is_named(text: str, said: str) -> None:
    """What is neither a command nor a config is told what it is."""
    with pytest.raises(InputError, match=said):
        read(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("".join(f"    {line}\n" for line in CONFIG.splitlines()), 5),
        ("".join(f"> {line}\n" for line in CONFIG.splitlines()), 5),
        (f"root@a:~# qm config 1\nvm 1 - unable\nhost: value does not\n{CONFIG}root@a:~# \n", 8),
        (f"[root@a ~]# qm config 1\n{CONFIG}[root@a ~]# qm config 2\n{CONFIG}", 6),
        (f"My config:\n\n```\n{CONFIG}```\nThanks\nname: none\n", 8),
        (f"It is slow:\n\n{CONFIG}\nThe other one:\n\n{CONFIG.replace('single', 'pci')}", 7),
        ("".join(f"cur {line}\n" for line in CONFIG.splitlines()) + "new cores: 8\n", 5),
    ],
)
def test_config_is_found(text: str, line: int) -> None:
    """A config is read within another text, and a place in it is that of the text."""
    guest = read(text)
    assert guest.vm.notation == "proxmox"
    assert list_disks(guest) == ["scsi0: iothread-virtioscsi0"]
    assert (guest.vm.name, guest.vm.vcpus) == ("web", 4)
    assert {each.kind for each in guest.vm.problems} <= {"partial-command"}
    assert len(list_notes(guest)) == (text.count("boot:") > 1)
    assert guest.vm.source.excerpt == "a longer text"
    (disk,) = guest.vm.disks
    assert disk.span is not None
    assert guest.vm.source.locate(disk.span).line == line


SETTINGS = {"cores": 4, "scsi0": "local-lvm:vm-1-disk-0,iothread=1", "digest": "a", "name": "web"}
HARDWARE = {"scsihw": "virtio-scsi-single", "description": "a\nb", "kvm": True}


@pytest.mark.parametrize(
    "document",
    [
        SETTINGS | HARDWARE,
        {"data": SETTINGS | HARDWARE},
        [{"key": key, "value": value} for key, value in (SETTINGS | HARDWARE).items()],
    ],
)
def test_config_is_found_in_json(document: object) -> None:
    """What the API answers is a config."""
    guest = read(json.dumps(document))
    assert list_disks(guest) == ["scsi0: iothread-virtioscsi0"]
    assert (guest.vm.name, guest.vm.vcpus, guest.vm.problems) == ("web", 4, ())
    assert guest.vm.source.excerpt == "JSON"


def test_pending_changes_are_found() -> None:
    """What waits for a restart is told, of `qm pending` and of the API."""
    now = "".join(f"cur {line}\n" for line in CONFIG.splitlines())
    told = read(f"{now}new memory: 4096\ndel name: web\n")
    assert told.vm.waiting == {"memory", "name"}
    answer = [
        {"key": "scsi0", "value": "/dev/a"},
        {"key": "cores", "value": 4, "pending": 8},
        {"key": "name", "value": "a", "delete": 1},
    ]
    assert read(json.dumps(answer)).vm.waiting == {"cores", "name"}


@pytest.mark.parametrize(
    "text",
    [CONFIG, f"#It runs kvm -m 64\n{CONFIG}", f"{CONFIG}oops\n", f"{CONFIG}\n[snap]\ncores: 1\n"],
)
def test_config_of_its_own_is_the_file(text: str) -> None:
    """A config that is nothing else is the very text that a person edits."""
    guest = read(text)
    assert guest.vm.notation == "proxmox"
    assert (guest.vm.source.excerpt, guest.vm.source.data) == ("", text.encode())


def test_name_of_a_config_counts() -> None:
    """What Proxmox VE itself would read as a config is one, however little is in it."""
    text = "name: a\nthis is\nno setting\nat all\n"
    assert read(text, "/etc/pve/qemu-server/100.conf").vm.name == "a"
    with pytest.raises(InputError):
        read(text, "100.txt")


def list_inputs(folder: Path) -> list[Path]:
    """Returns the inputs of a folder that an expected answer is beside, or known of."""
    return sorted(path for path in folder.glob("*") if path.suffix not in {".json", ".md"})


@pytest.mark.parametrize("path", list_inputs(DATA), ids=lambda path: path.name)
def test_pasted_text_is_what_it_is(path: Path) -> None:
    """Each text of the kinds that people give comes to the answer beside it."""
    source = Source(name=path.name, data=path.read_bytes())
    expected = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
    if "error" in expected:
        with pytest.raises(InputError, match=re.escape(expected["error"])):
            registry.read(source, ReadContext(host=HOST))
        return
    guest = registry.read(source, ReadContext(host=HOST))
    assert expected == {
        "notation": guest.vm.notation,
        "disks": list_disks(guest),
        "excerpt": guest.vm.source.excerpt,
        "notes": list_notes(guest),
    }


ANSWERS = {
    "01-orphan-iothread.argv": ["scsi0-0-0-0: main loop"],
    "03-pve-igd-ps.argv": [
        "ide0: main loop",
        "ide2: main loop",
        "scsi0: iothread-virtioscsi0",
    ],
    "05-kubevirt-ps-ef.argv": ["ua-containerdisk: main loop"],
    "08-realtime-windows-mail.argv": ["sata0-0-0: main loop", "sata0-0-1: main loop"],
    "08b-realtime-windows-unquoted.argv": ["sata0-0-0: main loop", "sata0-0-1: main loop"],
    "13-comments-between.argv": ["ide0-cd0: main loop", "vda0: io1"],
    "16-llfree-balloon.argv": ["ide0-hd0: main loop"],
    "20-checkmk-ps.txt": ["virtio0: main loop", "ide2: main loop"],
    "40-pve91-session.txt": ["ide2: main loop", "scsi0: iothread-virtioscsi0"],
    "40d-qm-config-session.txt": ["scsi0: iothread-virtioscsi0"],
    "44-pbs-zvol-ps-ax.txt": ["ide2: main loop", "virtio0: iothread-virtio0"],
    "47-lucid-libvirt.log": ["ide0-hd0: main loop", "ide1-cd0: main loop"],
    "53-femu-pipe-tee.argv": ["hd0: main loop"],
}


@pytest.mark.skipif(not REPORTS.is_dir(), reason="the reports do not lie beside the checkout")
@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_report_is_read_as_an_expert_does(name: str) -> None:
    """What people have pasted elsewhere comes to the disks that an expert sees."""
    path = REPORTS / name
    source = Source(name=path.name, data=path.read_bytes())
    assert list_disks(registry.read(source, ReadContext(host=HOST))) == ANSWERS[name]


@pytest.mark.skipif(not REPORTS.is_dir(), reason="the reports do not lie beside the checkout")
def test_file_of_options_is_no_config() -> None:
    """LXD's qemu.conf has a name like a config of Proxmox VE's, and is none."""
    path = REPORTS / "31-lxd-qemu.conf"
    source = Source(name=path.name, data=path.read_bytes())
    with pytest.raises(InputError, match="a file of options for QEMU's -readconfig"):
        registry.read(source, ReadContext(host=HOST))


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ("", "kvm "),
        ("", "# kvm\n"),
        ("", "kvm '\n"),
        ("", "kvm -m 1\n"),
        ("", "kvm \\ \n# kvm \\ \n"),
        ("", "> kvm -m 1\n"),
        ("", "1 ? S 0:00 kvm -m\n"),
        ("kvm -m 1 ", "$(${`a "),
        ("kvm -m 1 ", '{"a":1} '),
        ("kvm -m 1 ", '{"a":'),
        ("kvm -m 1 ", "\\ \n#kvm\n"),
        ("1 ? S 0:00 kvm -m 1 ", 'a {"'),
    ],
)
def test_each_part_of_a_text_is_looked_at_a_few_times(
    piece: str, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a megabyte is made up, no part of it is taken apart again and again."""
    size = 1 << 20
    text = head + piece * ((size - len(head)) // len(piece))
    taken = 0

    def count(*arguments: object, **options: bool) -> Iterator[Token]:
        nonlocal taken
        for token in scan(*arguments, **options):  # type: ignore[arg-type]
            taken += max(1, token.end - token.start)
            yield token

    scan = shell.scan_tokens
    monkeypatch.setattr(excerpt, "scan_tokens", count)
    excerpt.find_command(Source(name="x", data=text.encode()))
    assert taken <= 3 * size


@pytest.mark.parametrize(
    "piece", ["boot: c\n", "boot: c\nx y\n", "a@b:# \n", "[a]\n", "a:\n  b: c\n"]
)
def test_lines_of_a_config_are_looked_at_once(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of lines is gone through line by line."""
    text = piece * ((1 << 20) // len(piece))
    calls = 0

    def count(line: bytes) -> bytes:
        nonlocal calls
        calls += 1
        return take(line)

    take = pasted._take_line
    monkeypatch.setattr(pasted, "_take_line", count)
    pasted.find_config(Source(name="x", data=text.encode()))
    assert calls <= text.count("\n") + 1


@pytest.mark.parametrize("data", [b"a" * (1 << 20), b"a_" * (1 << 19), b"a1" * (1 << 19)])
def test_file_with_the_name_of_a_config_is_looked_through_once(data: bytes) -> None:
    """A megabyte in which no name ever ends; looked for from each letter it took an hour."""
    with pytest.raises(InputError):
        registry.read(
            Source(name="/etc/pve/qemu-server/701.conf", data=data), ReadContext(host=HOST)
        )


BOX = """root@pve:~# pvesh get /nodes/pve/qemu/105/config
┌────────┬────────────────────────────┐
│ key    │ value                      │
╞════════╪════════════════════════════╡
│ boot   │ order=scsi0                │
├────────┼────────────────────────────┤
│ digest │ 0123abc                    │
├────────┼────────────────────────────┤
│ memory │ 2048                       │
├────────┼────────────────────────────┤
│ name   │ web                        │
├────────┼────────────────────────────┤
│ scsi0  │ local-lvm:vm-105-disk-0,ioth│
│        │ read=1,size=3G             │
├────────┼────────────────────────────┤
│ scsihw │ virtio-scsi-single         │
└────────┴────────────────────────────┘
"""


@pytest.mark.parametrize("text", [BOX, re.sub("[┌┬┐╞╪╡├┼┤└┴┘─]", "-", BOX).replace("│", "|")])
def test_table_of_the_api_is_a_config(text: str) -> None:
    """`pvesh get` draws a table where no other form is asked for, values in several lines too."""
    guest = read(text)
    assert list_disks(guest) == ["scsi0: iothread-virtioscsi0"]
    assert (guest.vm.id, guest.vm.name, guest.vm.memory_mib) == ("105", "web", 2048)
    assert not guest.vm.problems


@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("root@pve:~# qm config 105 --current 1", "105"),
        ("[root@pve ~]# cat /etc/pve/qemu-server/107.conf", "107"),
        ("# qm pending 106", "106"),
        ("root@pve:~# pvesh get /nodes/a/qemu/108/config", "108"),
        ("root@pve:~# hostname", "x"),
    ],
)
def test_number_is_that_of_the_command(command: str, number: str) -> None:
    """The command that printed a config names the VM; else it is called as its file."""
    assert read(f"{command}\n{CONFIG}").vm.id == number


def test_first_of_several_configs_is_read() -> None:
    """That there are more is told, and one VM asked for twice is one."""
    once = f"root@pve:~# qm config 105\n{CONFIG}"
    other = f"root@pve:~# qm config 106\n{CONFIG.replace('web', 'mail')}"
    guest = read(f"Hello\n{once}{other}")
    assert guest.vm.name == "web"
    assert list_notes(guest) == ["2 configs are in this text: the first one, of line 3, is read"]
    assert not list_notes(read(once + once))


def test_mark_of_the_byte_order_is_no_part_of_a_config() -> None:
    """Editors of Windows put it before the first setting."""
    assert read("\ufeff" + CONFIG).vm.disks[0].bootindex == 100


@pytest.mark.parametrize(
    "text",
    [
        "dir: local\n\tpath /var/lib/vz\n",
        "# ours\n\nzfspool: tank\r\n        pool tank\r\n",
        "lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\nname: x\n\tx 1\n",
    ],
)
def test_storages_of_a_cluster_are_named(text: str) -> None:
    """A storage.cfg describes no guest, and there is an option for it."""
    with pytest.raises(InputError, match=r"x\.txt is a storage\.cfg") as caught:
        read(text)
    assert "--storage FILE" in caught.value.hint


def test_process_without_options_is_a_command() -> None:
    """A QEMU can be started with nothing but its program, or with a file."""
    guest = read("/usr/bin/qemu-system-x86_64\0", "pid:7")
    assert list_disks(guest) == []
    assert list_disks(read("qemu-system-x86_64\0/a.img\0", "pid:7")) != []
    with pytest.raises(InputError):
        read("/usr/bin/cat\0/a.img\0")


def test_text_of_windows_is_named() -> None:
    """A redirection of PowerShell is in an encoding that nothing here reads."""
    data = CONFIG.encode("utf-16")
    with pytest.raises(InputError, match="UTF-16") as caught:
        registry.read(Source(name="x.txt", data=data), ReadContext(host=HOST))
    assert "utf8" in caught.value.hint


def test_binary_file_is_no_process() -> None:
    """Words that end in a zero are a command line where one is an option of QEMU's."""
    with pytest.raises(InputError, match="is binary"):
        read("\ufffd7z\0-x\0-\0-Q!\0")
    assert list_disks(read(LINE.replace(" ", "\0") + "\0")) == ["virtio0: main loop"]


def test_line_of_a_kernel_in_a_list_of_processes_is_one_value() -> None:
    """Its words have no quotes there; none of them is the file of a disk."""
    line = (
        "root 7 9.0 0.1 1 2 ? Sl 21:47 0:18 qemu-system-x86_64 -kernel k -append console=ttyS0"
        "  quiet panic=-1 -drive file=/a.img,if=virtio,id=a -append last one HOME=/root\n"
    )
    guest = read(line)
    assert list_disks(guest) == ["a: main loop"]
    values = {each.name: each.properties.get("value") for each in guest.vm.options}
    assert values["append"] == "last one"
    appended = [each for each in guest.vm.options if each.name == "append"]
    assert [guest.vm.source.read_span(each.span) for each in appended if each.span] == [
        "-append console=ttyS0  quiet panic=-1",
        "-append last one",
    ]
    # In a shell's line the next word is a file.
    assert len(list_disks(read("qemu-system-x86_64 -append quiet a.img -S"))) == 1
