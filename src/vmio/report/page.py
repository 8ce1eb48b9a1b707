"""What the HTML pages of all reports have in common: their look, their parts, their file."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from vmio.errors import OutputError
from vmio.host.save import write_file
from vmio.report.markup import escape

__all__ = ["check_report_path", "render_facts", "render_page", "render_table", "write_page"]

_HINT: Final = "name another file with --html"
_CSS: Final = """
:root{color-scheme:light dark;--ink:#1b2430;--soft:#586474;--page:#f5f7f9;--card:#fff;
--line:#dfe4ea;--a:#5d6b7a;--b:#a3358c;--good:#00664b;--bad:#a33a00;--code:#f0f3f6}
@media (prefers-color-scheme:dark){:root{--ink:#e8edf3;--soft:#a3afbd;--page:#12171e;
--card:#1d2530;--line:#323d4a;--a:#b4bfcb;--b:#e58fd0;--good:#4fd8b0;--bad:#ffab73;
--code:#161c24}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
main{max-width:1360px;margin:0 auto;padding:28px clamp(12px,3vw,36px) 56px}
h1{font-size:clamp(22px,3.2vw,30px);line-height:1.2;margin:0 0 6px;letter-spacing:-.01em;
overflow-wrap:anywhere}
h2{font-size:19px;margin:40px 0 12px}h3{font-size:15px;margin:0 0 2px;overflow-wrap:anywhere}
h4{font-size:13px;margin:0 0 6px;font-weight:650}
p{margin:0 0 10px}.method{max-width:80ch;margin:0}.soft{color:var(--soft)}
.grid{display:grid;gap:16px}
.cards{grid-template-columns:repeat(auto-fit,minmax(min(100%,250px),1fr));margin-top:22px}
.two{grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr))}
.four{grid-template-columns:repeat(auto-fit,minmax(min(100%,270px),1fr))}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:16px 18px;min-width:0}
.card+.card.job{margin-top:16px}
.verdict{font-size:26px;font-weight:700;line-height:1.2;letter-spacing:-.01em}
.faster{color:var(--good)}.slower{color:var(--bad)}
.key{display:inline-block;min-width:1.6em;padding:0 .4em;border-radius:5px;font-weight:700;
text-align:center;border:2px solid var(--a);color:var(--a);line-height:1.35}
.key.b{border-color:var(--b);background:var(--b);color:var(--card)}
figure{margin:0;min-width:0}
.scroll{overflow-x:auto}
.scroll svg.tp{min-width:480px}
svg{display:block;width:100%;height:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13.5px}
caption{text-align:left;color:var(--soft);padding-bottom:8px}
th,td{padding:7px 12px 7px 0;border-bottom:1px solid var(--line);text-align:right;
white-space:nowrap}
th:first-child,td:first-child{text-align:left}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}
tbody th{font-weight:600}
tbody tr.b td,tbody tr.b th{border-bottom-color:var(--soft)}
code,pre{font:12.5px/1.55 ui-monospace,"SF Mono","DejaVu Sans Mono",monospace}
pre{background:var(--code);border-radius:8px;padding:12px 14px;margin:8px 0 0;
white-space:pre-wrap;overflow-wrap:anywhere;user-select:all;-webkit-user-select:all}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 18px;margin:0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
summary{cursor:pointer;font-weight:600}
@media (max-width:560px){dl{grid-template-columns:1fr}dd{margin-bottom:6px}}
@media print{body{background:#fff}.card{break-inside:avoid}}
""".strip()


def render_page(title: str, sections: Iterable[str], *, css: str, vmio_version: str) -> str:
    """Returns a page without a single reference to anything outside of it.

    Args:
        title: What stands in the window's title, as plain text.
        sections: The page's content, as HTML.
        css: What its pictures need besides the look that all pages have.
        vmio_version: The version that made it.
    """
    lines = (
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="generator" content="vmio {escape(vmio_version)}">',
        f"<title>{escape(title)}</title>",
        f"<style>{_CSS}\n{css}</style></head>",
        "<body><main>",
        *sections,
        "</main></body></html>\n",
    )
    return "\n".join(lines)


def render_table(caption: str, heads: Iterable[str], rows: Iterable[str]) -> str:
    """Returns a table in a box that scrolls by itself; its rows are HTML."""
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    return (
        f'<div class="card job scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def render_facts(facts: Iterable[tuple[str, str]]) -> str:
    """Returns facts by name, without those that nothing is known of."""
    return (
        "<dl>"
        + "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts if text
        )
        + "</dl>"
    )


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
