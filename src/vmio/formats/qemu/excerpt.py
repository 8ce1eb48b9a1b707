"""The command line of a QEMU, found in whatever text a person has of it.

A line of `ps`, a session with its prompts, a script, a log of libvirt, a mail: somewhere in it is
a QEMU program with options. The words of that command are taken as a shell takes them, from there
to where a shell ends the command; in a list of processes, whose words nothing quotes, to the end
of the line. Each word keeps its place in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct

from vmio.bounds import load_json
from vmio.formats.qemu.options import OPTIONS, TELLING, TOLD
from vmio.formats.shell import Token, Word, quote, scan_tokens
from vmio.model.source import Problem, Source, Span
from vmio.values import replace

__all__ = ["Excerpt", "find_command", "unwrap"]


class Excerpt(Struct, frozen=True, kw_only=True):
    """A command that was found in a text."""

    words: tuple[Word, ...]
    """From the program on, or from the first option where there is none."""
    problems: tuple[Problem, ...] = ()
    """What a person has to know of how it was read."""
    error: str = ""
    """Why it cannot be read, which is then all that is known."""
    hint: str = ""


@lru_cache(maxsize=1)
def find_command(source: Source) -> Excerpt | None:
    """Returns the command line of a QEMU in a text; None where there is none.

    Of several it is the first; in a log of libvirt, which has one for each start, the last.
    """
    # A character a byte, so that places in the text are places in the file.
    text = source.data.decode("latin-1")
    if "\0" in text:
        words = _split_process(text)
        has_options = any(word.text.startswith("-") for word in words)
        return Excerpt(words=words) if has_options or is_program(words[0].text) else None
    starts = [match.start() for match in _STARTS.finditer(text)]
    # A log is searched from the last start on, and else as any other text is.
    found = list(_find_all(text, starts[-1])) if starts else []
    is_log = bool(found)
    found = found or list(_find_all(text))
    if not found:
        return None
    told = [each for each in found if each.known] or found
    told = [each for each in told if not _is_commented(text, each)] or told
    chosen = told[0]
    problems = list(_list_problems(text, chosen))
    count = len(starts if is_log else {tuple(word.text for word in each.words) for each in told})
    if count > 1:
        where = _count_line(text, chosen.words[0].start)
        what = "starts of a QEMU" if is_log else "QEMU command lines"
        which = "last" if is_log else "first"
        said = f"{count} {what} are in this text: the {which} one, of line {where}, is read"
        problems.insert(0, _note(said, chosen.words[0]))
    error, hint = _explain_cut(text, chosen)
    return Excerpt(words=tuple(chosen.words), problems=tuple(problems), error=error, hint=hint)


def _is_commented(text: str, taken: _Taken) -> bool:
    begin = taken.words[0].start
    return (
        text[text.rfind("\n", max(0, begin - _MAX_PREFIX), begin) + 1 : begin].lstrip()[:1] == "#"
    )


def _split_process(text: str) -> tuple[Word, ...]:
    """Returns the words of a process as /proc shows them."""
    words: list[Word] = []
    start = 0
    for word in text.removesuffix("\0").split("\0"):
        end = start + len(word)
        words.append(Word(text=word, start=start, end=end, runs=((0, start),)))
        start = end + 1
    return tuple(words)


# In JSON.

_PAIRS = (("path", "args"), ("entrypoint", "cmd"), ("command", "args"))
"""What holds a program, and what its words; as Docker and Kubernetes call them."""


@lru_cache(maxsize=1)
def unwrap(source: Source) -> Source:
    """Returns the command line that is a list of words in JSON, an option a line.

    Any other text comes back as it is.
    """
    if source.data.lstrip()[:1] not in {b"[", b"{"}:
        return source
    try:
        document = load_json(source.data)
    except ValueError:
        return source
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if _NAME.search(value) and any(taken.known for taken in _find_all(value)):
                return replace(source, data=value.encode(), excerpt="JSON")
            continue
        for words in _list_words(value):
            if _is_line(words):
                return replace(source, data="".join(_quote(words)).encode(), excerpt="JSON")
        inner = value.values() if isinstance(value, dict) else value
        if isinstance(inner, Iterable):
            waiting += reversed(list(inner))
    return source


def _list_words(value: object) -> Iterator[list[str]]:
    """Yields the lists of words that a list or an object could be."""
    if isinstance(value, list):
        yield [word for word in value if isinstance(word, str)]
    if not isinstance(value, dict):
        return
    lower = {key.lower(): each for key, each in value.items()}
    for first, second in _PAIRS:
        program, words = lower.get(first), lower.get(second)
        if isinstance(words, list) and isinstance(program, str | list):
            yield [
                word
                for word in (*(program if isinstance(program, list) else (program,)), *words)
                if isinstance(word, str)
            ]


def _is_line(words: Sequence[str]) -> bool:
    first = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    if not first:
        return any(word.lstrip("-") in TELLING for word in words)
    named = any(is_program(word) for word in words[:first])
    return named and any(word.lstrip("-") in OPTIONS for word in words[first:])


def _quote(words: Sequence[str]) -> Iterator[str]:
    for position, word in enumerate(words):
        if position:
            yield "\n" if word.startswith("-") else " "
        yield quote(word)


# Where a command may begin.

_NAME = re.compile(r"qemu|kvm", re.IGNORECASE)
_EDGES = frozenset(" \t\r\n'\"()`;|&<>")
_EDGE = re.compile(r"[ \t\r\n'\"()`;|&<>]")
_ASSIGNED = re.compile(r"(?:[A-Za-z_]\w*\+?=)?[-@:+!]*", re.ASCII)
_PROGRAM = re.compile(
    r"\.?[\w.+-]*qemu-system[\w.+-]*|(?:[\w.-]*-)?qemu-kvm|kvm(?:-spice)?|qemu(?:-dm)?", re.ASCII
)
_PROGRAM_VARIABLE = re.compile(
    r"\$\{?(?!\w*(?:ARG|OPT|PARAM|FLAG|DISK|DRIVE|IMG|IMAGE|DEV))\w*(?:QEMU|KVM)\w*\}?",
    re.ASCII | re.IGNORECASE,
)
_LISTED = frozenset({",", "]"})
_NO_PROGRAMS = frozenset({"/dev/kvm"})
_STARTS = re.compile(r"[ :]starting up\b")
"""What libvirt writes before each command line of a log."""

_COMMENT = re.compile(r"\s+|\\\r?\n|#[^\n]*\n")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=[^\s\0]*[\s\\\0]+")
_FIRST_WORD = re.compile(r"""(?:'[^'\n]*'|"[^"\n]*"|(?P<program>[^\s\0'"-][^\s\0'"]*))[\s\\\0]+""")
_DASHED_WORD = re.compile(r"--?[A-Za-z]")


def is_program(name: str) -> bool:
    """Returns whether a word is the name of a QEMU, or of a variable that holds it."""
    if name in _NO_PROGRAMS:
        return False
    base = re.split(r"[/\\]", name)[-1].removesuffix(".exe")
    return bool(_PROGRAM.fullmatch(base) or _PROGRAM_VARIABLE.fullmatch(name))


_MAX_COMMANDS = 1000
_MAX_NAMES_TRIED = 20_000
"""So many names of programs are looked at, which no text that is about a guest has."""
_FIRST_OPTION = re.compile(r"[\s'\"]--?[A-Za-z]")


def _find_all(text: str, low: int = 0) -> Iterator[_Taken]:
    """Yields the commands of a text from a place on; each part of it is gone through once."""
    masked = _mask(text, _QUOTED_OPTION)
    quoted: str | None = None
    done = line = low
    found = 0
    tried = 0
    last = max((match.start() for match in _FIRST_OPTION.finditer(text, low)), default=low)
    for match in _NAME.finditer(text, low):
        if match.start() < done:
            continue
        if match.start() > last or found >= _MAX_COMMANDS or tried >= _MAX_NAMES_TRIED:
            break
        start, end = _find_word(text, match.start(), done)
        done = end
        while (begin := _find_program(text, start, end)) is not None and tried < _MAX_NAMES_TRIED:
            line = max(line, text.rfind("\n", line, begin) + 1)
            body = masked
            if _QUOTED_LINE.match(text, line, begin):
                quoted = quoted if quoted is not None else _mask(text, _QUOTED_LINE)
                body = quoted
            tried += 1
            taken = _take(body, begin, end, line)
            if taken.restart:
                start, end = taken.restart
                continue
            done = max(done, taken.end)
            if taken.options:
                found += 1
                yield taken
            break
    if not found and (unnamed := _take_unnamed(masked)) is not None:
        yield unnamed


def _find_word(text: str, at: int, low: int) -> tuple[int, int]:
    start = at
    while start > low and text[start - 1] not in _EDGES:
        start -= 1
    edge = _EDGE.search(text, at)
    return start, edge.start() if edge is not None else len(text)


def _find_program(text: str, start: int, end: int) -> int | None:
    """Returns where the name of a program begins in a word; None if it is none's."""
    assigned = _ASSIGNED.match(text, start, end)
    begin = assigned.end() if assigned is not None else start
    name = text[begin:end].rstrip("\\")
    if text[end : end + 1] in _QUOTES and text[end + 1 : end + 2] in _LISTED:
        return None  # a word in a list of some program's
    return begin if is_program(name) else None


def _take_unnamed(text: str) -> _Taken | None:
    """Returns a command whose program has another name, where it is the first thing in a text."""
    position = 0
    for pattern in (_COMMENT, _VARIABLE):
        while match := pattern.match(text, position):
            position = match.end()
    word = _FIRST_WORD.match(text, position)
    if not _DASHED_WORD.match(text, word.end() if word is not None else position):
        return None
    if word is not None and (word["program"] or "").endswith(":"):
        return None  # what a program says of its own options
    taken = _take(text, position, position, position)
    return taken if taken.telling or (word is None and taken.known) else None


_QUOTED_LINE = re.compile(r"(?m)^[ \t]*>[> \t]*")
"""How a mail program begins the lines that it quotes."""
_QUOTED_OPTION = re.compile(r"(?m)^[ \t]*>[> \t]*(?=['\"]?--?[A-Za-z])")
"""How a shell asks for the rest of a command, which no redirection could look like."""


def _mask(text: str, prefix: re.Pattern[str]) -> str:
    """Returns a text with what stands before its lines made blanks, every other thing in place."""
    return prefix.sub(lambda match: " " * len(match[0]), text) if ">" in text else text


# How far it goes.

_SKIPPED = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?\n){0,50}[ \t\r]*")
"""Blank lines and comments; so many at most, since each program that is named looks over them."""
_OPTION = re.compile(r"['\"]?--?(?P<name>[A-Za-z][\w.-]*)(?P<more>[,=])?", re.ASCII)
_MODES = re.compile(r"-[rwxsStT-]{9}")
"""What a list of files begins with."""
_KNOWN = re.compile(r"(?<=[ \t])--?(?P<name>[a-z][\w-]*)(?=[ \t\r\n\\]|\Z)", re.ASCII)
_PROMPT = re.compile(
    r"[ \t]*(?:\[[^\]\n]{1,99}\]|[^\s@]{1,64}@[^\s#$%>]{1,99}[^#$%>\n]{0,99})?[#$%] "
)
_CLOCK = re.compile(
    r"\b\d{1,3}:\d\d\b|[ \t](?:\?|pts/\d+|tty\w*)[ \t]|(?:^|[ \t])\\_ |\xe2\x94|\|-", re.ASCII
)
_CHECKMK = re.compile(r"[ \t]*\([^()\s]*,[^()\n]*\)[ \t]*$")
_NUMBER = re.compile(r"[ \t]*\d+[ \t]+(?:\d+[ \t]+)*$", re.ASCII)

_ENVIRONMENT = re.compile(r"[A-Z_][A-Z0-9_]*=", re.ASCII)

_SPACED = frozenset({"-append", "--append"})
"""Options whose value is nearly always several words, which is more than the file of a disk."""

_SHELLED = re.compile(r"[';]|[ \t](?:[&|<>#]|\d>)", re.ASCII)
"""What only a shell has."""

_Gap = Literal["comment", "line", "loose"]


class _Taken(NamedTuple):
    """What was taken from where a program stands."""

    words: list[Word]
    end: int
    options: int = 0
    known: int = 0
    telling: int = 0
    gaps: tuple[tuple[_Gap, int], ...] = ()
    """Where a shell would have ended the command, and why."""
    restart: tuple[int, int] | None = None
    """A second program before any option, which the first one starts."""
    cut: tuple[str, int] | None = None
    """Why the command is not whole, and where."""
    quoted: bool = True


def _is_listed(text: str, line: int, begin: int) -> bool:
    """Returns whether a line is one of a list of processes, going by what is before the program.

    A line of a shell's history has a number too; what is quoted or goes on is of a shell.
    """
    if begin - line > _MAX_PREFIX:
        return False
    prefix = text[line:begin]
    if _PROMPT.match(prefix) or prefix.rstrip()[-1:] in {"#", "$", "%", ">"}:
        return False
    if _CHECKMK.fullmatch(prefix):
        return True
    if _CLOCK.search(prefix) and not prefix.rstrip().endswith((":", "=")):
        return "=" not in prefix
    if not _NUMBER.fullmatch(prefix):
        return False
    end = text.find("\n", begin)
    rest = text[begin : len(text) if end < 0 else end]
    return not _SHELLED.search(rest) and not rest.rstrip().endswith("\\")


_MAX_PREFIX = 400


def _take(text: str, begin: int, end: int, line: int) -> _Taken:
    """Takes the words of a command from its program on.

    Args:
        text: The text, without what quotes lines.
        begin: Where the program's name begins.
        end: Where it ends; the same place where the first word is to be found yet.
        line: Where its line begins.
    """
    quoted = not _is_listed(text, line, begin)
    words: list[Word] = []
    position, stop = end, len(text)
    if end > begin:
        name = text[begin:end].rstrip("\\")
        end = begin + len(name)
        words.append(Word(text=name, start=begin, end=end, runs=((0, begin),)))
        position, stop = _find_bounds(text, begin, end)
    taking = _Taking(text, words, stop, quoted=quoted)
    for token in scan_tokens(text, position, stop, quoted=quoted):
        if token.start >= taking.resume and not taking.add(token):
            break
    return taking.finish()


_MAX_LOGGED = 1 << 16
"""Of a command in a log: each one looks no further for its end."""
_QUOTES = frozenset({"'", '"'})


def _find_bounds(text: str, begin: int, end: int) -> tuple[int, int]:
    """Returns where the words after a program begin, and where they have to end.

    A quotation that begins before the program and not ends after it is of the whole command.
    """
    if text[end : end + 1] in _QUOTES:
        return end + 1, len(text)
    opened = text[max(0, begin - 1) : begin]
    if opened == "'" and text.endswith("command ", 0, begin - 1):
        # Proxmox VE's log of a task quotes a command whose words have the same quotes.
        line_end = text.find("\n", end, end + _MAX_LOGGED)
        closed = text.rfind("' failed", end, line_end if line_end >= 0 else end + _MAX_LOGGED)
        if closed >= 0:
            return end, closed
    if opened in _QUOTES:
        closed = text.find(opened, end)
        return end, closed if closed >= 0 else len(text)
    return end, len(text)


class _Taking:
    """Words of one command, taken one after another."""

    def __init__(self, text: str, words: list[Word], stop: int, *, quoted: bool) -> None:
        self.text = text
        self.words = words
        self.stop = stop
        self.quoted = quoted
        self.resume = 0
        """What is before is skipped: blank lines and comments between options."""
        self.end = words[-1].end if words else 0
        self.options = self.known = self.telling = 0
        self.pending = ""
        """The option that the next word is the value of."""
        self.spaced: list[Word] = []
        """The words of one value that nothing quotes: in a list of processes, a kernel's line."""
        self.joined = self.commented = False
        self.gaps: list[tuple[_Gap, int]] = []
        self.restart: tuple[int, int] | None = None
        self.cut: tuple[str, int] | None = None

    def finish(self) -> _Taken:
        self._join_value()
        if self.pending and self.cut is None and self.options:
            self.cut = (f"ends at -{self.pending}, without its value", self.words[-1].start)
        return _Taken(
            words=self.words,
            end=self.end,
            options=self.options,
            known=self.known,
            telling=self.telling,
            # Without a single backslash it is a list of options, an option a line.
            gaps=tuple(gap for gap in self.gaps if gap[0] != "line" or self.joined),
            restart=self.restart,
            cut=self.cut,
            quoted=self.quoted,
        )

    def add(self, token: Token) -> bool:
        """Adds what comes next, and returns whether the command goes on."""
        self.end = token.end
        match token.kind:
            case "word":
                return token.word is None or self._add_word(token.word)
            case "line":
                return self._go_on(token)
            case "join":
                self.joined = True
            case "comment":
                self.commented = True
            case "loose":
                self._end_loosely(token)
                return False
            case "open":
                if self.options:
                    self.cut = ("ends within a quotation or a value", token.start)
                self.end = self._find_line_end(token.start)
                return False
            case _:
                self.pending = ""
                return False
        return True

    def _add_word(self, word: Word) -> bool:
        text = word.text
        self.commented = False
        if not self.options and "\n" in text:
            # An apostrophe of prose, which another one far below seems to end.
            self.end = self._find_line_end(word.start)
            return False
        if self.pending:
            self.pending = ""
        elif text.startswith("-") and len(text) > 1:
            self._join_value()
            name = text.lstrip("-")
            self.options += 1
            self.known += name in OPTIONS
            self.telling += name in TELLING
            self.pending = name if name in TOLD else ""
        elif self.words and not self.options and is_program(text) and not text.startswith("$"):
            self.restart = word.start, word.end
            return False
        elif (
            not self.quoted
            and not self.words[-1].text.startswith("-")
            and _ENVIRONMENT.match(text)
        ):
            return False  # what `ps e` prints behind a command
        elif self.spaced:
            self.spaced.append(word)
            return True
        elif not self.quoted and self.words[-1].text in _SPACED:
            self.spaced = [word]
        self.words.append(word)
        return True

    def _join_value(self) -> None:
        """Puts the words of one value together, with a blank between two."""
        if len(self.spaced) > 1:
            runs: list[tuple[int, int]] = []
            length = 0
            for word in self.spaced:
                runs += [(length + at, place) for at, place in word.runs]
                length += len(word.text)
                runs.append((length, word.end))
                length += 1
            self.words[-1] = Word(
                text=" ".join(word.text for word in self.spaced),
                start=self.spaced[0].start,
                end=self.spaced[-1].end,
                runs=tuple(runs[:-1]),
            )
        self.spaced = []

    def _find_line_end(self, position: int) -> int:
        end = self.text.find("\n", position, self.stop)
        return self.stop if end < 0 else end

    def _go_on(self, token: Token) -> bool:
        """Returns whether the command goes on after a line that nothing joins to the next."""
        text = self.text
        skipped = _SKIPPED.match(text, token.end, self.stop)
        position = skipped.end() if skipped is not None else token.end
        is_next = "\n" not in text[token.end : position]
        option = _OPTION.match(text, position, self.stop)
        if not self.words or position >= self.stop:
            self.resume = position
            return not self.words
        if self.pending and is_next and option is None:
            return True
        if option is not None and option["more"] and not self.pending and is_next:
            if self.options and option["name"] not in OPTIONS:
                self.cut = ("goes on in the middle of a word", position)
            return False
        if option is not None and self._is_option(option, position, is_next=is_next):
            commented = self.commented or "#" in text[token.end : position]
            self.gaps.append(("comment" if commented else "line", token.start))
            self.resume = position
            return True
        if self.options and is_next and self._is_rest(position):
            self.cut = ("goes on in the middle of a word", position)
        return False

    def _is_option(self, option: re.Match[str], position: int, *, is_next: bool) -> bool:
        if option["name"] in OPTIONS:
            return True
        return is_next and not self.joined and not _MODES.match(self.text, position)

    def _is_rest(self, position: int) -> bool:
        """Returns whether a line is the rest of one that was broken in the middle of a word."""
        line = self.text[position : self._find_line_end(position)]
        if ": -" in line or _PROMPT.match(line) or (not self.quoted and _CLOCK.search(line[:200])):
            return False
        if any(is_program(word) for word in line.split(None, 12)[:12]):
            return False
        return any(match["name"] in TELLING for match in _KNOWN.finditer(line))

    def _end_loosely(self, token: Token) -> None:
        skipped = _SKIPPED.match(self.text, token.end, self.stop)
        position = skipped.end() if skipped is not None else token.end
        if _OPTION.match(self.text, position, self.stop):
            self.gaps.append(("loose", token.start))


# What there is to say of it.

_NAMED = re.compile(r"\$(?:[A-Za-z_]\w*|\{[^}\n]{1,200}\}|[*@])", re.ASCII)
_SINGLE = re.compile(r"'[^']*+'")
_MAX_NAMES = 5
_GAPS: dict[_Gap, str] = {
    "comment": "a shell ends the command at the comment of line {line}: what follows is read"
    " all the same",
    "line": "line {line} has no backslash at its end, where a shell ends the command: what follows"
    " is read all the same",
    "loose": "blanks after the backslash of line {line} end the command: what follows is not read",
}


def _count_line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _note(message: str, word: Word) -> Problem:
    return Problem(
        kind="partial-command",
        message=message,
        span=Span(start=word.start, end=word.end),
        subject="command",
    )


def _list_problems(text: str, taken: _Taken) -> Iterator[Problem]:
    for kind, said in _GAPS.items():
        place = next((place for gap, place in taken.gaps if gap == kind), None)
        if place is not None:
            message = said.format(line=_count_line(text, place))
            span = Span(start=place, end=place)
            yield Problem(kind="partial-command", message=message, span=span, subject="command")
    if not taken.quoted:
        return
    names: dict[str, Word] = {}
    for word in taken.words[1:]:
        if "$" in word.text:
            written = _SINGLE.sub("", text[word.start : word.end])
            names |= {name: word for name in _NAMED.findall(written) if name not in names}
    if names:
        listed = ", ".join(list(names)[:_MAX_NAMES]) + (", ..." if len(names) > _MAX_NAMES else "")
        what = (
            "variables of a script, whose values are"
            if len(names) > 1
            else ("a variable of a script, whose value is")
        )
        listed = listed.encode("latin-1", "replace").decode("utf-8", "replace")
        yield _note(f"{listed}: {what} not known here", next(iter(names.values())))


def _explain_cut(text: str, taken: _Taken) -> tuple[str, str]:
    if taken.cut is None:
        return "", ""
    said, place = taken.cut
    return (
        f"line {_count_line(text, place)} {said}: the command line is cut off or wrapped",
        "give each line whole, as 'ps -ww -o args= -p PID' prints it; pid:PID is read without it",
    )
