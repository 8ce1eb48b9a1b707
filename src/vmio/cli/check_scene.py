"""What a check is about, once or watching, and how it says what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from attrs import field, mutable

from vmio import api
from vmio.cli.check_options import Fixing
from vmio.cli.progress import ProgressLine
from vmio.cli.terminal import say, say_error, say_hint
from vmio.errors import VmioError
from vmio.lint.diagnostic import CheckedFile, Severity
from vmio.lint.house import House
from vmio.report.findings.summary import Part, Report, Summary, assemble

if TYPE_CHECKING:
    from vmio.lint.baseline import Baseline
    from vmio.managers.proxmox.inventory import Found
    from vmio.managers.proxmox.places import Places

__all__ = ["Scene", "print_report", "say_problem", "say_unknown"]

_Result = TypeVar("_Result")


@mutable(kw_only=True)
class Scene:
    """What a call is about, and what its findings go by as that was last read."""

    paths: tuple[str, ...]
    config: str | None
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    severity: Severity | None
    baseline: str | None
    host: str | None
    overrides: tuple[str, ...]
    qemu_version: str | None
    storage: str | None
    house: House = field(factory=House, init=False)
    known: Baseline | None = field(default=None, init=False)
    vms: tuple[Found, ...] = field(default=(), init=False)
    """The configs."""
    places: Places = field(init=False)

    def refresh(self) -> None:
        """Reads it all.

        Raises:
            UsageError: The call makes no sense.
            InputError: A file that the call or the house names cannot be read.
        """
        self.house = api.read_house(
            self.config, select=self.select, ignore=self.ignore, severity=self.severity
        )
        self.known = api.read_baseline(self.house, self.baseline)
        self.vms = self.find_vms()
        self.places = api.read_places(
            self.vms,
            host=self.host or self.house.host or None,
            overrides=self.overrides,
            qemu_version=self.qemu_version,
            storage=self.storage or self.house.storage or None,
        )

    def find_vms(self) -> tuple[Found, ...]:
        """Returns the configs that there are now."""
        return api.find_vms(self.paths)

    def list_files(self) -> tuple[str, ...]:
        """Returns the files that findings go by, besides the configs."""
        named = (
            self.config or api.find_house(),
            api.choose_baseline(self.house, self.baseline)[0],
            self.host or self.house.host,
            self.storage or self.house.storage,
        )
        return (*filter(None, named), *self.places.files)

    def check(
        self,
        vms: Sequence[Found],
        convert: Callable[[CheckedFile], _Result],
        *,
        fixing: Fixing | None = None,
        workers: int | None,
    ) -> Generator[_Result, None, None]:
        """Yields what comes of checking configs, in their order."""
        return api.check_all(
            vms,
            self.places,
            convert,
            house=self.house,
            baseline=self.known,
            fixing=fixing is not None,
            unsafe=fixing is not None and fixing.unsafe,
            write=fixing is not None and fixing.write,
            workers=workers,
        )


def print_report(
    report: Report,
    results: Generator[tuple[Part, VmioError | None], None, None],
    total: int,
) -> Summary:
    """Prints a report as its parts come, and what could not be read; returns the sums."""
    summary = Summary()
    # Bytes, since a config's may not be text; not click.echo, which flushes every time.
    stdout = sys.stdout.buffer
    is_terminal = sys.stdout.isatty()
    with closing(results), ProgressLine(total, "checking") as progress:

        def pass_on() -> Iterator[Part]:
            for part, error in results:
                if error is not None:
                    progress.hide()
                    say_problem(error)
                yield part
                progress.advance()

        for piece in assemble(report, pass_on(), summary):
            if piece:
                if is_terminal:
                    progress.hide()
                stdout.write(piece.encode("utf-8", "surrogateescape"))
                if is_terminal:
                    stdout.flush()
        stdout.flush()
    return summary


def say_unknown(vms: tuple[Found, ...], places: Places) -> None:
    """Tells of which hosts nothing is known: silence about them must not be taken for health.

    Of a file that is in no node's folder a person is told, and a program that asks again and again
    is not.
    """
    unknown = {vm.node for vm in vms if vm.error is None and not places.by_folder[vm.folder].known}
    nodes = ", ".join(sorted(unknown - {""}))
    hosts = [f"the hosts of {nodes}"] if nodes else []
    if "" in unknown and sys.stderr.isatty():
        hosts.append("the host of files from elsewhere")
    if hosts:
        say(
            f"nothing is known of {' and '.join(hosts)}, so that rules about hosts and versions"
            " are silent there"
        )
        say_hint(
            "--host FILE names what vmio host --save wrote there, --qemu-version and --set"
            " single facts"
        )


def say_problem(error: VmioError) -> None:
    """Says what went wrong with a file, where the rest goes on."""
    say_error(error)
    if error.hint:
        say_hint(error.hint)
