"""Makes an HTML page from a template and writes its file; the design is in `templates`."""

from __future__ import annotations

import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from vmio.characters import printable_lines
from vmio.errors import OutputError
from vmio.host.save import write_file
from vmio.report.figures import format_ratio
from vmio.units import format_bytes

__all__ = ["check_report_path", "render_page", "write_page"]

_HTML: Final = "--html"
"""The option that names a page, in most verbs."""


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
        OutputError: It cannot be written.
    """
    hint = _hint(option)
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
    """Writes a page to a file, whole or not at all.

    Args:
        text: The page.
        path: Its file.
        option: The option that names it.

    Raises:
        OutputError: The file cannot be written; the old one is still there.
    """
    try:
        write_file(path, text.encode("utf-8", "replace"), force=True)
    except OutputError as error:
        error.hint = _hint(option)
        raise


def _hint(option: str) -> str:
    return f"name another file with {option}"
