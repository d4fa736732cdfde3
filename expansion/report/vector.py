"""Shapes of hand-written SVG: boxes, arcs, nodes, text; the same markup on every run."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "STYLES",
    "Style",
    "arc",
    "box",
    "dashed",
    "document",
    "label",
    "line",
    "node",
    "width_of",
]

_FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Style:
    """Colours of a box: its border and what fills it."""

    border: str
    fill: str


# Okabe and Ito's colours, as in the plots.
STYLES = {
    "branch": Style("#0072B2", "#D9EAF5"),
    "map": Style("#777777", "#F1F1F1"),
    "removed": Style("#D55E00", "#FFFFFF"),
}
_SIZE = 12


def width_of(text: str, size: int = _SIZE) -> float:
    """About how wide a text is, in pixels."""
    return round(0.58 * size * len(text), 1)


def label(x: float, y: float, text: str, *, size: int = _SIZE, anchor: str = "middle") -> str:
    """Text with its middle (or start, or end) at x and its baseline near y."""
    return (
        f'<text x="{x:.1f}" y="{y + 0.35 * size:.1f}" font-size="{size}" text-anchor="{anchor}">'
        f"{html.escape(text)}</text>"
    )


def box(x: float, y: float, text: str, style: Style, width: float) -> str:
    """A box with its middle at (x, y)."""
    dash = ' stroke-dasharray="4 3"' if style is STYLES["removed"] else ""
    frame = (
        f'<rect x="{x - width / 2:.1f}" y="{y - 11:.1f}" width="{width:.1f}" height="22" rx="5" '
        f'fill="{style.fill}" stroke="{style.border}" stroke-width="1.4"{dash}/>'
    )
    return frame + label(x, y, text)


def line(x1: float, y1: float, x2: float, y2: float, colour: str = "#333333") -> str:
    """A straight line."""
    return (
        f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" fill="none" stroke="{colour}" '
        'stroke-width="1.4"/>'
    )


def dashed(shape: str) -> str:
    """The same line or arc, dashed: what a lesion removes."""
    return shape.replace('fill="none"', 'fill="none" stroke-dasharray="4 3"')


def arc(x1: float, x2: float, y: float, height: float, colour: str = "#333333") -> str:
    """An arc from (x1, y) to (x2, y) whose top is ``height`` above, or below if negative."""
    # Rounded shoulders keep wide arcs apart from narrow ones below them.
    bend, top = min(26.0, (x2 - x1) / 2), y - height
    return (
        f'<path d="M{x1:.1f} {y:.1f}C{x1:.1f} {top:.1f} {x1:.1f} {top:.1f} {x1 + bend:.1f} '
        f"{top:.1f}L{x2 - bend:.1f} {top:.1f}C{x2:.1f} {top:.1f} {x2:.1f} {top:.1f} "
        f'{x2:.1f} {y:.1f}" fill="none" stroke="{colour}" stroke-width="1.4"/>'
    )


def node(x: float, y: float, *, adds: bool) -> str:
    """A signal: a dot, or a circled plus where several edges meet."""
    if not adds:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#333333"/>'
    cross = line(x - 4, y, x + 4, y) + line(x, y - 4, x, y + 4)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7.5" fill="#FFFFFF" stroke="#333333" '
        f'stroke-width="1.4"/>{cross}'
    )


def document(width: float, height: float, title: str, shapes: Sequence[str]) -> str:
    """The whole picture, on white, with its title above and for screen readers."""
    body = "\n".join(shapes)
    head = label(16, 18, title, size=14, anchor="start") if title else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{_FONT}" fill="#222222" role="img">'
        f"\n<title>{html.escape(title or 'architecture')}</title>\n"
        f'<rect width="100%" height="100%" fill="#FFFFFF"/>\n{head}\n{body}\n</svg>\n'
    )
