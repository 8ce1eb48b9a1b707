"""The program `vmio`: its verbs, and the output and exit status for errors.

Exit statuses are in `_STATUSES`.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import IO, TYPE_CHECKING, NoReturn

import click

from vmio import __version__
from vmio.characters import printable
from vmio.cli.terminal import guard_streams, say, say_error, say_hint
from vmio.errors import OutputError, ToolError, VmioError, describe_bug

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["main"]

_BUG = 70
_INTERRUPTED = 130
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""The errno values of a full disk behind standard output; vmio's own files report it earlier."""

_GROUPS = {
    "Inspect": {
        "ps": "List the QEMU guests that run on this host, and what limits each.",
        "top": "Watch what each thread and disk of running guests does.",
        "exporter": "Serve metrics of the running guests to Prometheus.",
        "show": "Show which thread serves each disk.",
        "explain": "Explain what becomes of each option of a disk.",
        "check": "Find settings that are ignored, slow or unsafe.",
        "cmd": "Print the QEMU command line that would run.",
        "diff": "Show how two QEMU command lines differ.",
        "rule": "Explain a rule, or list them all.",
    },
    "Change": {
        "plan": "Plan which IOThreads serve a guest's disks.",
        "apply": "Apply a plan, or print the commands for it.",
        "undo": "Restore configs to what they were before vmio changed them.",
    },
    "Measure": {
        "autopilot": "Keep guests' polling at the least CPU that holds latency.",
        "record": "Record what the running guests of this host do.",
        "report": "Make a page of a recording: guests over time.",
        "run": "Boot a config on this host.",
        "bench": "Measure two layouts of a guest against each other.",
        "tune": "Find a guest's best layout and parameters by measuring.",
        "calibrate": "Measure this host's costs, which predictions use.",
    },
    "Predict": {
        "simulate": "Predict what a guest's layout does under a load.",
        "replay": "Analyse the polling in a trace or a recording of QEMU.",
    },
    "Set up": {
        "baseline": "Record current findings, so that check reports only new ones.",
        "host": "Print this host's facts, which command lines depend on.",
        "completion": "Print a shell's completion script.",
    },
}
"""Each verb is a module of this package; its help is here so that the module is not imported."""

_VERBS = {verb: words for verbs in _GROUPS.values() for verb, words in verbs.items()}

_EXAMPLES = {
    "vmio show": "every guest of this host, and which thread serves each disk",
    "vmio check /etc/pve": "every VM of a cluster",
    "vmio explain 701.conf scsi0": "how one disk is served, and by which thread",
    "vmio plan 701.conf -o plan.json": "a better layout, for vmio apply plan.json",
}

_STATUSES = {
    "0": "no findings, no differences",
    "1": "findings or differences, or something could not be changed",
    "2": "wrong usage",
    "3": "an input that cannot be read or planned",
    "4": "a missing tool, a host that cannot do it, or unwritable output",
    "70": "a bug in vmio",
    "130, 143": "ended by Ctrl-C or SIGTERM",
}


class _ReaderGoneError(Exception):
    """The reader of the output has gone, such as `head`."""


class _LazyGroup(click.Group):
    """A group whose verbs are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        command = import_module(f"vmio.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - every verb's module has one
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds a verb; for a wrong one, suggests the most similar."""
        verb = args[0]
        if verb not in _VERBS and not verb.startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(verb, _VERBS, n=1)
            ctx.fail(f"No such command '{verb}'." + "".join(f" Did you mean {n}?" for n in near))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Runs a verb; click itself would exit with 1 if the reader of the output has gone."""
        try:
            result = super().invoke(ctx)
            # Otherwise Python would report the failed write after vmio has ended.
            sys.stdout.flush()
            return result  # noqa: TRY300 - where it is flushed is the point
        except BrokenPipeError as error:
            raise _ReaderGoneError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        width = max(map(len, _VERBS))
        for title, verbs in _GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.ljust(width), words) for verb, words in verbs.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, rows in (("Examples", _EXAMPLES), ("Exit status", _STATUSES)):
            with formatter.section(title):
                formatter.write_dl(list(rows.items()), col_max=32)


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vmio", message="%(prog)s %(version)s")
def program() -> None:
    """Make the I/O threads of QEMU/KVM guests visible, right and fast."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs vmio and exits with its status.

    Args:
        arguments: The words after the program's name; None for those of the process.
    """
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    _fill_closed_streams()
    _write_anything()
    with guard_streams():
        return _call(arguments)


def _call(arguments: Sequence[str] | None) -> int:
    try:
        result = program.main(arguments, prog_name="vmio", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        with _saying():
            _show(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return _INTERRUPTED
    except VmioError as error:
        _explain(error)
        return error.exit_status
    except _ReaderGoneError:
        _discard(sys.stdout)
        return 0
    except SystemExit as error:
        # If the reader has gone, rich exits with 1, which here means findings.
        if isinstance(error.__context__, BrokenPipeError):
            return 0
        raise
    except Exception as error:  # noqa: BLE001 - whatever is left is a bug, and says so
        if isinstance(error, OSError) and _is_about_output(error):
            _explain(OutputError(f"cannot write the output: {error.strerror}"))
            _discard(sys.stdout)
            return OutputError.exit_status
        return _report_bug(error)
    return result if isinstance(result, int) else 0


def _fill_closed_streams() -> None:
    """Opens streams that the caller has closed, as by `>&-`, so that no file gets their number.

    Standard input stays unreadable and standard output unwritable, which fails on use; messages on
    standard error are lost.
    """
    for name, mode, flags in (
        ("stdin", "r", os.O_WRONLY),
        ("stdout", "w", os.O_RDONLY),
        ("stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            # The lowest free number, which is the stream's own.
            descriptor = os.open(os.devnull, flags)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _write_anything() -> None:
    r"""Makes any text writable, in any encoding of the terminal.

    A name that is not UTF-8 is written as its bytes; a character that the encoding lacks is
    written as `\xNN`, as Python does on standard error.
    """
    import codecs

    codecs.register_error("vmio", _encode_unknown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="vmio")


def _encode_unknown(error: UnicodeError) -> tuple[bytes, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - nothing is read with it
    character = error.object[error.start]
    is_byte = "\udc80" <= character <= "\udcff"
    how = "surrogateescape" if is_byte else "backslashreplace"
    return character.encode("ascii", how), error.start + 1


def _is_about_output(error: OSError) -> bool:
    """Returns whether standard output or error could not be written."""
    if error.errno != errno.EBADF:
        return error.errno in _FULL
    # Closed, or open for reading only; any other bad descriptor is a bug.
    import fcntl

    modes = [fcntl.fcntl(each.fileno(), fcntl.F_GETFL) for each in (sys.stdout, sys.stderr)]
    return any(mode & os.O_ACCMODE == os.O_RDONLY for mode in modes)


def _discard(stream: IO[str]) -> None:
    """Discards unwritten output, which Python would otherwise write again and exit with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _saying() -> Iterator[None]:
    """Continues if standard error cannot be written: the exit status still shows the error."""
    try:
        yield
    except OSError:
        _discard(sys.stderr)


def _show(error: click.ClickException) -> None:
    """Prints what is wrong with a call; text that click quotes stays on its line."""
    if not isinstance(error, (click.MissingParameter, click.exceptions.NoArgsIsHelpError)):
        # These two quote nothing, and take several lines.
        message = printable(error.format_message())
        error = click.UsageError(message, ctx=getattr(error, "ctx", None))
    error.show()


def _say(text: str) -> None:
    with _saying():
        say(text)


def _explain(error: VmioError) -> None:
    with _saying():
        say_error(error)
        if isinstance(error, ToolError):
            _quote(error.output.strip().splitlines()[-5:])
        if error.hint:
            say_hint(error.hint)


def _quote(lines: Iterable[str]) -> None:
    """Prints quoted lines with a bar: a CI takes `::error::` for a command even after blanks."""
    for line in lines:
        click.echo(f"    | {printable(line)}", err=True)


def _report_bug(error: Exception) -> int:
    if os.environ.get("VMIO_DEBUG"):
        from traceback import format_exception

        with _saying():
            _quote("".join(format_exception(error)).splitlines())
    _say(f"this is {describe_bug(error)}")
    if not os.environ.get("VMIO_DEBUG"):
        _say("VMIO_DEBUG=1 in the environment shows where it happened")
    return _BUG
