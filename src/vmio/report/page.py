"""Makes an HTML page from a template and writes its file; the design is in `templates`."""

from __future__ import annotations

import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from vmio.characters import printable_lines
from vmio.errors import OutputError, UsageError
from vmio.host.files import is_file
from vmio.host.save import write_file
from vmio.report.figures import format_ratio
from vmio.units import format_bytes

__all__ = ["check_report_path", "render_page", "write_page"]

_HTML: Final = "--html"
"""The option that names a page, in most verbs."""
_DOCTYPE: Final = b"<!doctype html"
"""With what each page begins, in small letters."""


def render_page(template: str, *, title: str, css: str, vmio_version: str, **values: Any) -> str:  # noqa: ANN401 - a template takes anything
    """Returns a page that refers to nothing outside of itself.

    Everything that a template inserts is escaped, except pictures; characters that XML forbids or
    that are invisible are written as escapes.

    Args:
        template: The page's file in `templates`.
        title: The window's title, as plain text.
        css: Styles for its pictures, in addition to the shared ones.
        vmio_version: The version that made it.
        values: The template's values.
    """
    # Imported only by verbs that write a page.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        finalize=_spell_out,
        loader=PackageLoader("vmio.report"),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"bytes": format_bytes, "ratio": format_ratio}
    return environment.get_template(template).render(
        title=title, css=css, vmio_version=vmio_version, **values
    )


def _spell_out(value: object) -> object:
    return value if hasattr(value, "__html__") else printable_lines(str(value))


def check_report_path(path: Path, *, option: str = _HTML) -> None:
    """Checks before a long measurement that its report can be written.

    Args:
        path: The report's file.
        option: The option that names it.

    Raises:
        UsageError: A file is there that is no page.
        OutputError: It cannot be written.
    """
    hint = _hint(option)
    _refuse_other(path, hint)
    try:
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(path.stat().st_mode):
                raise OutputError(f"cannot write the report {path}: it is a folder", hint=hint)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot write the report {path}: {reason}", hint=hint) from error


def write_page(text: str, path: Path, *, option: str = _HTML) -> None:
    """Writes a page to a file, whole or not at all; it replaces another page, and no other file.

    Args:
        text: The page.
        path: Its file.
        option: The option that names it.

    Raises:
        UsageError: The file is there, and is no page.
        OutputError: It cannot be written; the old one is still there.
    """
    _refuse_other(path, _hint(option))
    try:
        write_file(path, text.encode("utf-8", "replace"), force=True)
    except OutputError as error:
        error.hint = _hint(option)
        raise


def _refuse_other(path: Path, hint: str) -> None:
    """Refuses to replace a file that is no page, such as the config that a page is about."""
    with suppress(OSError, ValueError):  # whoever writes it says what is wrong
        if not is_file(path):
            return
        with path.open("rb") as file:
            head = file.read(len(_DOCTYPE))
        if head and head.lower() != _DOCTYPE:
            raise UsageError(f"{path} exists and is not a page, so it is not replaced", hint=hint)


def _hint(option: str) -> str:
    return f"name another file with {option}"
