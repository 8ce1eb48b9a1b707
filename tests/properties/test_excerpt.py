"""A command line is read alike, whatever it is found in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

from vmio.formats.qemu.argv import Command, is_command, parse_command, parse_words
from vmio.formats.shell import join_words, split_words
from vmio.model.source import Source

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted((*GOLDEN.glob("qemu/*.args"), *GOLDEN.glob("proxmox/*.conf.cmd")))


def read_lines() -> dict[str, tuple[str, ...]]:
    """Returns the words of every golden command, from its program on, by its file's name."""
    lines: dict[str, tuple[str, ...]] = {}
    for path in FILES:
        text = re.sub(r"(?m)^#.*$", "", path.read_text(encoding="utf-8"))
        words = split_words(text)
        start = next((at for at, word in enumerate(words) if re.search("qemu-sys|kvm$", word)), -1)
        if start >= 0 and any(word.startswith("-") for word in words):
            lines[path.name] = tuple(words[start:])
    return lines


LINES = read_lines()
WORDS = st.sampled_from(sorted(LINES)).map(LINES.__getitem__)
BEFORE = st.sampled_from(
    (
        *("", "    ", "$ ", "# ", "user@host:~$ ", "[root@x ~]# ", "root@node-a:/srv# ", "+ "),
        *("sudo ", "env A=b C='d e' ", "timeout 500 ", "nohup ", "exec ", "nice -n 5 ", "time "),
        *("taskset --cpu-list 8-11 ", "numactl --cpunodebind=0 ", "strace -f -o out ", "A=b "),
        *("gdb --args ", "docker run --rm -it -v /dev/kvm:/dev/kvm image ", "ExecStart="),
        *("root@node-a:~# qm showcmd 103\n", "$ ps -ef | grep qemu-kvm\n", "  501  "),
        *(
            "Hello,\n\nI can't start qemu, and don't know why:\n\n",
            "```sh\n",
            "#!/bin/sh\nset -e\n",
        ),
    )
)
AFTER = st.sampled_from(
    (
        *("", "\n", " &", " &\nwait\n", " && reboot", "; echo -m 1", " | tee -a log", " > log"),
        *(" 2>&1 | tee log", " >> log 2>&1 &", " < /dev/null", " # -device x", "  \n\n# -S\n"),
        *(
            "\nroot@node-a:~# ",
            "\n$ ls -l\n-rw-r--r-- 1 root root 5 log\n",
            "\n```\n",
            " || exit 1",
        ),
        *("\nchar device redirected to /dev/pts/2\n", "\nkvm: -drive file=x: no such file\n"),
    )
)
LISTED = st.sampled_from(
    (
        "{}",
        "1234 {}",
        "root   14422     1 99 12:04 ?        00:45:17 {}",
        "qemu       50122   49850  0 12:34 pts/0        00:00:25 {}\n",
        "libvirt+  1234  0.5  1.2 34567 8910 ?  Sl  May05  12:34 {}\nroot  7 0:00 grep kvm\n",
        "3728112 ?        Sl     0:35  \\_ {}\n3728200 ? S 0:00 [kvm-nx-lpage-re]\n",
        "(root,1084544,530948,07:12:33,4088) {}\n(root,1,2,3,4) /usr/sbin/cron -f\n",
    )
)


def read(text: str) -> tuple[Source, Command]:
    """Recognises and reads a text."""
    source = Source(name="x.txt", data=text.encode())
    assert is_command(source)
    return source, parse_command(source)


def compare(read: Command, words: tuple[str, ...]) -> None:
    """Compares options without their places."""
    bare = parse_words(words)
    assert (read.program, [(each.name, each.properties) for each in read.options]) == (
        bare.program,
        [(each.name, each.properties) for each in bare.options],
    )


def break_lines(words: tuple[str, ...], end: str) -> str:
    """Returns a command with an option a line."""
    return "".join(
        (f"{end} " if at and word.startswith("-") else " " * (at > 0)) + join_words((word,))
        for at, word in enumerate(words)
    )


def test_goldens_are_many() -> None:
    """The properties are about something."""
    assert len(LINES) > 50


@given(WORDS, BEFORE, AFTER, st.sampled_from((" ", "\\\n", "\\\r\n  ")))
def test_command_is_found_in_a_shell(
    words: tuple[str, ...], before: str, after: str, end: str
) -> None:
    """Whatever starts it, and whatever a shell does after it, the command is the same."""
    source, command = read(before + break_lines(words, end) + after)
    compare(command, words)
    for option in command.options:
        if option.span is not None:
            (first, *_) = split_words(source.read_span(option.span))
            assert first.startswith("-") or option.name == "hda"


@given(WORDS, st.sampled_from(("> ", ">> ", "> > ", ">")), st.booleans())
def test_command_is_found_in_a_mail(words: tuple[str, ...], quote: str, join: bool) -> None:  # noqa: FBT001
    """What a mail program puts before each line is no part of it."""
    lines = ("I do", *break_lines(words, " \\\n" if join else "\n").split("\n"), "and it hangs")
    _, command = read(
        "Somebody wrote:\n" + "".join(f"{quote}{line}\n" for line in lines) + "So?\n"
    )
    compare(command, words)


@given(WORDS, LISTED)
def test_command_is_found_in_a_list_of_processes(words: tuple[str, ...], form: str) -> None:
    """No word of it is quoted there, and JSON has blanks all the same."""
    assume(all(re.fullmatch(r"[^\s'\"\\$&;|<>#(){}`]+|\{\"[^\\']*\}", word) for word in words))
    _, command = read(form.format(" ".join(words)))
    compare(command, words)


@given(WORDS)
def test_last_start_in_a_log_is_read(words: tuple[str, ...]) -> None:
    """A log of libvirt has a command for each start, and the guest is what the last one says."""
    head = "2026-01-0{}T10:00:00.000+0000: starting up libvirt version: 11.3.0, kernel: 6.12\n"
    body = break_lines(words, "\\\n")
    text = (
        f"{head.format(1)}LC_ALL=C \\\n/usr/bin/qemu-system-x86_64 \\\n-name old \\\n-S\n"
        "char device redirected to /dev/pts/1 (label charserial0)\n"
        "2026-01-01T11:00:00.000+0000: shutting down, reason=shutdown\n"
        f"{head.format(2)}LC_ALL=C \\\nPATH=/bin \\\nQEMU_AUDIO_DRV=none \\\n"
        f"{body}\n"
        "2026-01-02T10:00:01.000Z qemu-system-x86_64: warning: host doesn't support it\n"
    )
    _, command = read(text)
    compare(command, words)


LISTS: dict[str, Callable[[list[str]], str]] = {
    "go": lambda words: (
        f"10:08 Executing {words[0]}: []string{{{', '.join(map(json.dumps, words[1:]))}}}\n"
        f"10:09 stderr: {words[0]}: -drive file=x: no such file\n"
    ),
    "python": lambda words: f"INFO:x:Starting {[*words]!r}\n",
    "rust": lambda words: f"10:08 INFO cmd=[{', '.join(map(json.dumps, words))}] up\n",
    "task": lambda words: (
        f"Jul  9 14:10:58 a pvedaemon[71]: start failed: command '{join_words(words)}'"
        " failed: exit code 1\n"
    ),
}


@given(WORDS, st.sampled_from(sorted(LISTS)))
def test_command_is_found_in_a_log(words: tuple[str, ...], form: str) -> None:
    """Programs log the words that they start one with as their language shows a list."""
    assume(all(word.isprintable() and "'" not in word for word in words))
    assume(form != "python" or not any("\\" in word for word in words))
    _, command = read(LISTS[form](list(words)))
    compare(command, words)


@given(WORDS, st.sampled_from((" ", "\n  ", " # why\n  # more\n  ")))
def test_command_is_found_in_an_array(words: tuple[str, ...], end: str) -> None:
    """Scripts keep the words in one, where a comment may stand between them."""
    body = break_lines(words[1:], end)
    _, command = read(
        f"#!/usr/bin/env bash\nset -e\nargs=(\n  {body}\n)\n\n{join_words(words[:1])}"
        ' "${args[@]}" 2>&1 | tee log\n'
    )
    compare(command, words)


BRACKETS = st.sampled_from(
    (
        'time="x" level=debug msg="qCmd.Args: [{}]"\ntime="y" msg="up -m 2"\n',
        'time="x" msg="[hostagent] args: [{}]" arch=amd64\n',
        "I0501 10:00:00.123456 1 qemu.go:12] running [{}] as root\n",
    )
)


@given(WORDS, BRACKETS)
def test_command_is_found_in_brackets(words: tuple[str, ...], form: str) -> None:
    """Go prints a list with no quotes and no commas."""
    assume(all(re.fullmatch(r"[^\s'\"\\$&;|<>#(){}`\[\]]+", word) for word in words))
    _, command = read(form.format(" ".join(words)))
    compare(command, words)


@given(WORDS)
def test_clock_at_the_right_is_no_word(words: tuple[str, ...]) -> None:
    """A shell shows it at the end of the first line, where a terminal's copy has it too."""
    program, _, rest = break_lines(words, " \\\n").partition("\\\n")
    assume(rest)
    _, command = read(f"user@mac ~ % {program}\\            10:47:49 AM\n{rest}")
    compare(command, words)


FORMS: dict[str, Callable[[list[str]], object]] = {
    "list": lambda words: words,
    "docker": lambda words: {"Path": words[0], "Args": words[1:]},
    "image": lambda words: [{"Id": "a", "Config": {"Entrypoint": [words[0]], "Cmd": words[1:]}}],
    "pod": lambda words: {"spec": {"containers": [{"command": words[:1], "args": words[1:]}]}},
    "text": lambda words: {"data": join_words(words)},
}


@given(WORDS, st.sampled_from(sorted(FORMS)))
def test_command_is_found_in_json(words: tuple[str, ...], form: str) -> None:
    """A list of words is one, and so are those of a container, and a text of the API's."""
    _, command = read(json.dumps(FORMS[form](list(words)), indent=1))
    compare(command, words)
