"""What a check reads: the configs, and everything that their findings depend on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct, field

from vmio.app.check import (
    check_all,
    choose_baseline,
    find_project_config,
    read_baseline,
    read_project_config,
)
from vmio.app.guests import find_vms, read_places
from vmio.lint.project import ProjectConfig
from vmio.managers.proxmox.places import Places

if TYPE_CHECKING:
    from vmio.lint.baseline import Baseline
    from vmio.lint.diagnostic import CheckedFile, Severity
    from vmio.lint.registry import Entry
    from vmio.managers.proxmox.inventory import Found

__all__ = ["CheckInputs", "Fixing"]

_Result = TypeVar("_Result")


class Fixing(Struct, frozen=True, kw_only=True):
    """What is done with findings besides reporting them."""

    unsafe: bool
    write: bool
    """Whether files are changed; otherwise the changes are only shown."""


class CheckInputs(Struct, kw_only=True):
    """The guests of a check, with the hosts, storages and settings as last read."""

    paths: Sequence[str]
    """Files, folders and processes, as `find_guests` returns them."""
    find_paths: Callable[[], Sequence[str]] | None = None
    """Returns them as they are now, where those of a start would not do; None where they do."""
    config: str | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: Severity | None = None
    baseline: str | None = None
    host: str | None = None
    overrides: Sequence[str] = ()
    qemu_version: str | None = None
    storage: str | None = None
    project: ProjectConfig = field(default_factory=ProjectConfig)
    known: Baseline | None = None
    vms: tuple[Found, ...] = ()
    places: Places = field(default_factory=Places)

    def refresh(self) -> None:
        """Reads everything.

        Raises:
            UsageError: The options are not valid.
            InputError: A file that the call or the project configuration names cannot be read.
        """
        self.read_project_config()
        self.known = read_baseline(self.project, self.baseline)
        self.read_vms()

    def read_project_config(self) -> None:
        """Reads the project configuration and applies the call's options."""
        self.project = read_project_config(
            self.config, select=self.select, ignore=self.ignore, severity=self.severity
        )

    def read_vms(self) -> None:
        """Finds the configs, and reads the facts of their hosts and storages."""
        self.vms = self.find_vms()
        self.places = read_places(
            self.vms,
            host=self.host or self.project.host or None,
            overrides=self.overrides,
            qemu_version=self.qemu_version,
            storage=self.storage or self.project.storage or None,
        )

    def find_vms(self) -> tuple[Found, ...]:
        """Returns the configs that exist now."""
        return find_vms(self.paths if self.find_paths is None else self.find_paths())

    def list_files(self) -> tuple[str, ...]:
        """Returns the files besides the configs that findings depend on."""
        named = (
            self.config or find_project_config(),
            choose_baseline(self.project, self.baseline)[0],
            self.host or self.project.host,
            self.storage or self.project.storage,
        )
        return (*filter(None, named), *self.places.files)

    def list_rules(self) -> tuple[Entry, ...]:
        """Returns the rules that run."""
        from vmio.lint.project import choose_rules

        return choose_rules(self.project)

    def check(
        self,
        vms: Sequence[Found],
        convert: Callable[[CheckedFile], _Result],
        *,
        fixing: Fixing | None = None,
        workers: int | None = None,
    ) -> Generator[_Result, None, None]:
        """Yields the result of each config's check, in order, as `check_all` does."""
        return check_all(
            vms,
            self.places,
            convert,
            project=self.project,
            baseline=self.known,
            fixing=fixing is not None,
            unsafe=fixing is not None and fixing.unsafe,
            write=fixing is not None and fixing.write,
            workers=workers,
        )
