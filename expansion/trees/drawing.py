"""Trees as SVG pictures, for notebooks and pages: root at the bottom, the way trees grow.

Leaves take the columns from left to right and every other vertex stands under the middle of its
children, so that no edges cross.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Protocol

__all__ = ["tree_svg", "trees_svg"]

_STEP = 34  # pixels between columns and between levels
_RADIUS = 11
_EMPTY_RADIUS = 4


class _Drawable(Protocol):
    @property
    def children(self) -> Sequence[_Drawable]: ...


def tree_svg(tree: _Drawable) -> str:
    """One tree as a whole SVG picture; labels stand in the vertices.

    Parameters
    ----------
    tree : Tree or LabelledTree

    Examples
    --------
    >>> from expansion import LabelledTree
    >>> tree_svg(LabelledTree.parse("3[2,1]")).count("<circle")
    3
    """
    return trees_svg([tree])


def trees_svg(trees: Iterable[_Drawable], captions: Sequence[str] = ()) -> str:
    """Several trees side by side, with captions below.

    Examples
    --------
    >>> from expansion import Tree
    >>> trees_svg([Tree.chain(2), Tree.chain(3)], ["a", "b"]).count("<line")
    3
    """
    pieces: list[str] = []
    left = 0.0
    tallest = 0
    placed = []
    for tree in trees:
        vertices = _layout(tree)
        placed.append((left, vertices))
        left += max(column for column, *_ in vertices) + 1.6
        tallest = max(tallest, *(level for _, level, *_ in vertices))
    bottom = (tallest + 0.6) * _STEP
    for number, (start, vertices) in enumerate(placed):
        spots = [((start + c + 0.6) * _STEP, bottom - level * _STEP) for c, level, *_ in vertices]
        for (x, y), (_, _, parent, _) in zip(spots, vertices, strict=True):
            if parent is not None:
                px, py = spots[parent]
                pieces.append(f'<line x1="{px:.1f}" y1="{py:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>')
        for (x, y), (_, _, _, label) in zip(spots, vertices, strict=True):
            pieces.append(_vertex(x, y, label))
        if number < len(captions):
            middle = (min(x for x, _ in spots) + max(x for x, _ in spots)) / 2
            text = escape(captions[number])
            pieces.append(f'<text x="{middle:.1f}" y="{bottom + _STEP:.1f}">{text}</text>')
    width = max(left, 1.2) * _STEP
    height = bottom + (1.4 if captions else 0.6) * _STEP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="serif" font-size="13" '
        'text-anchor="middle" stroke-linecap="round">'
        f'<g stroke="#444">{"".join(p for p in pieces if p.startswith("<line"))}</g>'
        f"{''.join(p for p in pieces if not p.startswith('<line'))}</svg>"
    )


def _vertex(x: float, y: float, label: str) -> str:
    if not label:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_EMPTY_RADIUS}" fill="#222"/>'
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}" fill="#fff" stroke="#0072B2"/>'
        f'<text x="{x:.1f}" y="{y:.1f}" dy=".35em">{escape(label)}</text>'
    )


_Vertex = tuple[float, int, int | None, str]


def _layout(tree: _Drawable) -> list[_Vertex]:
    """Column, level, parent's index and label of every vertex, parents first."""
    order: list[tuple[_Drawable, int, int | None]] = [(tree, 0, None)]
    stack = [0]
    while stack:  # depth first, without recursion: chains may be long
        index = stack.pop()
        vertex, level, _ = order[index]
        first = len(order)
        order += [(child, level + 1, index) for child in vertex.children]
        stack += range(len(order) - 1, first - 1, -1)
    columns = _columns(order)
    return [
        (column, level, parent, str(getattr(vertex, "label", "")))
        for column, (vertex, level, parent) in zip(columns, order, strict=True)
    ]


def _columns(order: Sequence[tuple[_Drawable, int, int | None]]) -> list[float]:
    below: list[list[int]] = [[] for _ in order]
    for index, (_, _, parent) in enumerate(order):
        if parent is not None:
            below[parent].append(index)
    columns = [0.0] * len(order)
    free = 0
    stack = [(0, False)]
    while stack:
        index, finished = stack.pop()
        if not below[index]:
            columns[index], free = float(free), free + 1
        elif finished:
            columns[index] = (columns[below[index][0]] + columns[below[index][-1]]) / 2
        else:
            stack.append((index, True))
            stack += [(child, False) for child in reversed(below[index])]
    return columns
