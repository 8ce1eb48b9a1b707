"""Shared parts of SVG charts."""

from __future__ import annotations

from collections.abc import Iterable

from vmio.report.markup import escape

__all__ = ["draw_label", "draw_line", "render_svg"]


def render_svg(
    parts: Iterable[str],
    *,
    identity: str,
    title: str,
    desc: str,
    css: str,
    size: tuple[float, float],
) -> str:
    """Returns a picture with a description for screen readers.

    Args:
        parts: Its content, as SVG.
        identity: The prefix of its ids, unique on the page.
        title: Its name.
        desc: Its description in words.
        css: Its class.
        size: Its width and height, in its own units.
    """
    width, height = size
    return (
        f'<svg class="{css}" role="img" aria-labelledby="{identity}-t {identity}-d" '
        f'viewBox="0 0 {width:g} {height:g}">\n'
        f'<title id="{identity}-t">{escape(title)}</title>\n'
        f'<desc id="{identity}-d">{escape(desc)}</desc>\n{"".join(parts)}\n</svg>'
    )


def draw_line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """Draws a line."""
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def draw_label(x: float, y: float, text: str, css: str = "") -> str:
    """Draws text."""
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
