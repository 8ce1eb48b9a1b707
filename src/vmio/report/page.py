"""Makes an HTML page of a template, and writes its file; the look of all is in `templates`."""

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

_HINT: Final = "name another file with --html"


def render_page(template: str, *, title: str, css: str, vmio_version: str, **values: Any) -> str:  # noqa: ANN401 - a template takes anything
    """Returns a page without a single reference to anything outside of it.

    Everything that a template shows is escaped, and what XML forbids or a reader would not see is
    spelled out; only pictures go in as they are.

    Args:
        template: The page's file in `templates`.
        title: What stands in the window's title, as plain text.
        css: What its pictures need besides the look that all pages have.
        vmio_version: The version that made it.
        values: What the template tells.
    """
    # Only a verb that writes a page pays for it.
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


def check_report_path(path: Path) -> None:
    """Finds out before a long measurement whether its report can be written at all.

    Raises:
        OutputError: It cannot.
    """
    try:
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(path.stat().st_mode):
                raise OutputError(f"cannot write the report {path}: it is a folder", hint=_HINT)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot write the report {path}: {reason}", hint=_HINT) from error


def write_page(text: str, path: Path) -> None:
    """Writes a page to a file, whole or not at all.

    Raises:
        OutputError: The file cannot be written; what was there before is still there.
    """
    try:
        write_file(path, text.encode("utf-8", "replace"), force=True)
    except OutputError as error:
        error.hint = _HINT
        raise
