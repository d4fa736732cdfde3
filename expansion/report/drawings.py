"""Pictures of architectures: the graph along a line, and the unravelled view of all its paths.

In the graph, signals stand on a line from the input to the output, in several rows if it is long.
Skips arch above the line, branches stand on it or hang below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from expansion.errors import TooManyTermsError
from expansion.growth.path_graph import edges_removed
from expansion.growth.unravelled import list_paths
from expansion.report.vector import (
    STYLES,
    Style,
    arc,
    box,
    dashed,
    document,
    label,
    line,
    node,
    width_of,
)
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge

__all__ = ["draw_architecture", "draw_paths"]

_LARGEST = 400  # edges that a picture can show
_ROW = 1000.0  # pixels after which a row ends, where all paths meet
_LEVEL = 27.0  # pixels between arcs
_MARGIN = 44.0


def draw_architecture(
    architecture: Architecture, *, title: str = "", without: str | Iterable[str] = ()
) -> str:
    """The graph as SVG.

    Parameters
    ----------
    architecture : Architecture
        Of at most 400 edges.
    title : str
        Above the picture.
    without : str or iterable of str
        Blocks shown as removed, by name.

    Raises
    ------
    TooManyTermsError
        When it is too large for a picture.
    InputError
        For an unknown block.

    Examples
    --------
    >>> from expansion.towers.architectures.residual import residual_tower
    >>> picture = draw_architecture(residual_tower(3))
    >>> picture.count("<rect"), picture.startswith("<svg"), picture == picture
    (4, True, True)
    """
    if len(architecture.edges) > _LARGEST:
        raise TooManyTermsError(len(architecture.edges), _LARGEST, "draw a smaller one")
    removed = edges_removed(architecture, without)
    pairs = sorted(zip(architecture.ends, architecture.edges, strict=True), key=lambda p: p[0])
    arrows = [_Arrow(tail, head, edge, edge in removed) for (tail, head), edge in pairs]
    incoming = Counter(arrow.head for arrow in arrows)
    shapes: list[str] = []
    width, top = 0.0, 36.0 if title else 12.0
    for first, last in _rows(arrows, len(architecture.nodes)):
        row = [arrow for arrow in arrows if first <= arrow.tail and arrow.head <= last]
        xs = _positions(row, first, last)
        on_line, above, below = _levels(row)
        y = top + 22 + _LEVEL * max(above.values(), default=0)
        for arrow in on_line:
            shapes += _straight(arrow, xs, y)
        for levels, side in ((above, 1), (below, -1)):
            # Wide arcs first, so that the boxes of narrow ones stay in front.
            for arrow, level in sorted(levels.items(), key=lambda pair: -pair[1]):
                shapes += _bent(arrow, xs, y, side * _LEVEL * level)
        for number in range(first, last + 1):
            shapes.append(node(xs[number], y, adds=incoming[number] > 1))
        shapes += _ends(architecture, first, last, xs, y)
        width = max(width, xs[last] + _MARGIN)
        top = y + 22 + _LEVEL * max(below.values(), default=0)
    return document(max(width, width_of(title, 14) + 40), top + 6, title, shapes)


def draw_paths(
    architecture: Architecture,
    *,
    title: str = "",
    without: str | Iterable[str] = (),
    budget: int = 64,
) -> str:
    """The unravelled view as SVG: a row for every path, with the blocks that it passes.

    Parameters
    ----------
    architecture : Architecture
        With at most ``budget`` paths.
    title : str
        Above the picture.
    without : str or iterable of str
        Blocks to remove: paths that pass one are shown as lost.
    budget : int
        Largest number of paths.

    Raises
    ------
    TooManyTermsError
        Above the budget.
    InputError
        For an unknown block.

    Examples
    --------
    >>> from expansion.towers.architectures.residual import residual_tower
    >>> draw_paths(residual_tower(3)).count("block2")
    4
    """
    paths = list_paths(architecture, budget)
    removed = edges_removed(architecture, without)
    columns: dict[str, float] = {}
    x = 120.0
    for name in architecture.branches:
        size = width_of(name) + 16
        columns[name] = x + size / 2
        x += size + 18
    shapes: list[str] = []
    y, before = (36.0 if title else 12.0) + 14, -1
    for path in paths:
        order = sum(edge.order for edge in path)
        if order != before:
            y += 12 if before >= 0 else 0
            shapes.append(label(16, y, f"order {order}", anchor="start"))
        before = order
        lost = not removed.isdisjoint(path)
        through = line(88, y, x + 8, y, "#BBBBBB" if lost else "#333333")
        shapes.append(dashed(through) if lost else through)
        shapes += [node(88, y, adds=False), node(x + 8, y, adds=False)]
        for edge in path:
            if edge.block in columns:
                style = STYLES["removed" if edge in removed else "map" if lost else "branch"]
                width = width_of(edge.block) + 16
                shapes.append(box(columns[edge.block], y, edge.block, style, width))
        y += 28
    return document(max(x + 40, width_of(title, 14) + 40), y, title, shapes)


@dataclass(frozen=True, slots=True, eq=False)
class _Arrow:
    """An edge between numbered signals, and whether a lesion removes it."""

    tail: int
    head: int
    edge: Edge
    removed: bool

    @property
    def style(self) -> Style:
        kind = "branch" if self.edge.order else "map"
        return STYLES["removed" if self.removed else kind]

    @property
    def box_width(self) -> float:
        return width_of(self.edge.block) + 16 if self.edge.block else 0.0


def _rows(arrows: Sequence[_Arrow], count: int) -> Iterator[tuple[int, int]]:
    """First and last signal of every row: broken where no arrow passes over."""
    furthest = [0] * count
    for arrow in arrows:
        furthest[arrow.tail] = max(furthest[arrow.tail], arrow.head)
    cuts, reach = [0], furthest[0]
    for number in range(1, count):
        if reach <= number:
            cuts.append(number)
        reach = max(reach, furthest[number])
    first = 0
    for before, cut in pairwise(cuts):
        row = [arrow for arrow in arrows if first <= arrow.tail and arrow.head <= cut]
        if before > first and _positions(row, first, cut)[cut] > _ROW:
            yield first, before
            first = before
    yield first, count - 1


def _levels(
    row: Sequence[_Arrow],
) -> tuple[list[_Arrow], dict[_Arrow, int], dict[_Arrow, int]]:
    """What stands on the line, and how high above or below it everything else bends."""
    on_line: dict[int, _Arrow] = {}
    for arrow in row:
        if arrow.head == arrow.tail + 1:
            before = on_line.get(arrow.tail)
            if before is None or _rank(arrow.edge) > _rank(before.edge):
                on_line[arrow.tail] = arrow
    straight = set(on_line.values())
    sides: tuple[dict[_Arrow, int], dict[_Arrow, int]] = ({}, {})
    for arrow in sorted(row, key=lambda a: (a.head - a.tail, bool(a.edge.block), a.tail)):
        if arrow not in straight:
            side = sides[arrow.edge.order > 0]
            covered = [
                level for a, level in side.items() if a.tail < arrow.head and arrow.tail < a.head
            ]
            side[arrow] = max(covered, default=0) + 1
    return list(on_line.values()), *sides


def _rank(edge: Edge) -> tuple[bool, bool]:
    return edge.order > 0, bool(edge.block)


def _positions(row: Sequence[_Arrow], first: int, last: int) -> dict[int, float]:
    """Where the signals of a row stand: neighbours leave room for the boxes between them."""
    room = dict.fromkeys(range(first, last), 34.0)
    for arrow in row:
        if arrow.edge.block:
            share = (arrow.box_width + 34) / (arrow.head - arrow.tail)
            for number in range(arrow.tail, arrow.head):
                room[number] = max(room[number], share)
    xs = {first: _MARGIN + 12}
    for number in range(first, last):
        xs[number + 1] = xs[number] + room[number]
    return xs


def _straight(arrow: _Arrow, xs: dict[int, float], y: float) -> list[str]:
    x1, x2 = xs[arrow.tail], xs[arrow.head]
    return _with_box(arrow, line(x1, y, x2, y, _colour(arrow)), (x1 + x2) / 2, y)


def _bent(arrow: _Arrow, xs: dict[int, float], y: float, height: float) -> list[str]:
    x1, x2 = xs[arrow.tail], xs[arrow.head]
    return _with_box(arrow, arc(x1, x2, y, height, _colour(arrow)), (x1 + x2) / 2, y - height)


def _with_box(arrow: _Arrow, stroke: str, x: float, y: float) -> list[str]:
    shapes = [dashed(stroke) if arrow.removed else stroke]
    if arrow.edge.block:
        shapes.append(box(x, y, arrow.edge.block, arrow.style, arrow.box_width))
    return shapes


def _colour(arrow: _Arrow) -> str:
    return arrow.style.border if arrow.removed else "#333333"


def _ends(
    architecture: Architecture, first: int, last: int, xs: dict[int, float], y: float
) -> Iterator[str]:
    """Names of the input and the output; dots where a row goes on."""
    for number, side, anchor in ((first, -14, "end"), (last, 14, "start")):
        inner = 0 < number < len(architecture.nodes) - 1
        text = "…" if inner else ("in" if number == 0 else "out")
        yield label(xs[number] + side, y, text, anchor=anchor)
