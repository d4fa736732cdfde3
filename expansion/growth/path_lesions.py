r"""Totals, mean length and lesions, without the polynomial: a pass forward and a pass backward.

Removing a block removes all paths through it (Veit, Wilber & Belongie 2016). With F_v the weight
of all paths from the input to v and B_v from v to the output, the paths through an edge
:math:`u \to v` have weight :math:`F_u\,w\,B_v`; for a block of several edges, paths are told apart
by the first of them that they pass. In a residual tower half the paths survive one block.

These are numbers of their own, computed by another route than the path polynomials that they are
tested against. Source: claim C4, derived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import fmpq, fmpz

from expansion.errors import InputError
from expansion.growth.path_graph import edges_removed
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge, Weight
from expansion.trees.order_polynomials import to_fraction

__all__ = ["lesion_shares", "mean_length", "surviving_share", "total_paths"]


def total_paths(architecture: Architecture, *, without: str | Iterable[str] = ()) -> Weight:
    """The number, or the total weight, of all paths that a lesion leaves.

    Parameters
    ----------
    architecture : Architecture
        Any size.
    without : str or iterable of str
        Blocks to remove, by name.

    Examples
    --------
    >>> from expansion.towers.architectures.residual import residual_tower
    >>> total_paths(residual_tower(10)), total_paths(residual_tower(10), without="block3")
    (1024, 512)
    """
    total, _ = _moments(architecture, without)
    return _weight(total)


def mean_length(architecture: Architecture, *, without: str | Iterable[str] = ()) -> Fraction:
    """The mean order of all paths, weighted if edges are: P′(1)/P(1).

    Raises
    ------
    InputError
        When no path is left, or weights of different signs add up to 0.

    Examples
    --------
    >>> from expansion.towers.architectures.residual import residual_tower
    >>> mean_length(residual_tower(55))
    Fraction(55, 2)
    """
    total, first = _moments(architecture, without)
    if not total:
        raise InputError("paths whose weights do not add up to 0", "0", "remove fewer blocks")
    return Fraction(_weight(first)) / _weight(total)


def surviving_share(architecture: Architecture, names: str | Iterable[str]) -> Fraction:
    """The share of paths that survive when blocks are removed together.

    Examples
    --------
    >>> from expansion.towers.architectures.residual import residual_tower
    >>> surviving_share(residual_tower(10), ["block1", "block2"])
    Fraction(1, 4)
    """
    total = total_paths(architecture)
    if not total:
        raise InputError("paths whose weights do not add up to 0", "0", "change the weights")
    return Fraction(total_paths(architecture, without=names)) / total


def lesion_shares(
    architecture: Architecture, names: Iterable[str] | None = None
) -> dict[str, Fraction]:
    """The share of paths that survives the removal of each block, for all blocks at once.

    Parameters
    ----------
    architecture : Architecture
        Any size; the numbers of paths to all nodes are in memory at once.
    names : iterable of str, optional
        Blocks, or beginnings of their names; all blocks by default.

    Returns
    -------
    dict
        Name to exact share, in the order of the names.

    Raises
    ------
    InputError
        For an unknown block, or weights of different signs that add up to 0.

    Examples
    --------
    >>> from expansion.towers.architectures.residual import layered_tower, residual_tower
    >>> {name: str(share) for name, share in lesion_shares(residual_tower(3)).items()}
    {'block1': '1/2', 'block2': '1/2', 'block3': '1/2'}
    >>> lesion_shares(layered_tower(3), ["block1", "block1.layer2"])
    {'block1': Fraction(1, 2), 'block1.layer2': Fraction(1, 2)}
    """
    walks = _Walks(architecture)
    if not walks.total:
        raise InputError("paths whose weights do not add up to 0", "0", "change the weights")
    shares = {}
    for name in architecture.blocks if names is None else names:
        if name not in walks.blocks:
            architecture.edges_of(name)  # says that it is unknown, and which are known
        lost = _weight(walks.through(walks.blocks[name]))
        shares[name] = 1 - Fraction(lost) / _weight(walks.total)
    return shares


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """An edge between numbered nodes."""

    tail: int
    head: int
    weight: Any


class _Walks:
    """Weights of all paths from the source to every node, and from there to the sink."""

    def __init__(self, architecture: Architecture) -> None:
        number = _number_of(architecture)
        self.into: list[list[_Step]] = [[] for _ in architecture.nodes]
        self.blocks: dict[str, list[_Step]] = {}
        out: list[list[_Step]] = [[] for _ in architecture.nodes]
        for (tail, head), edge in zip(architecture.ends, architecture.edges, strict=True):
            step = _Step(tail, head, number(edge.weight))
            self.into[step.head].append(step)
            out[step.tail].append(step)
            words = edge.block.split(".") if edge.block else []
            for count in range(1, len(words) + 1):
                self.blocks.setdefault(".".join(words[:count]), []).append(step)
        self.zero, last = number(0), len(architecture.nodes) - 1
        self.forward = {0: number(1)}
        for node in range(1, last + 1):
            self.forward[node] = self._sum(s.weight * self.forward[s.tail] for s in self.into[node])
        self.backward = {last: number(1)}
        for node in range(last - 1, -1, -1):
            self.backward[node] = self._sum(s.weight * self.backward[s.head] for s in out[node])
        self.total = self.forward[last]

    def through(self, block: Sequence[_Step]) -> Any:
        """The weight of the paths that pass at least one of these steps."""
        start, stop = (pick(step.tail for step in block) for pick in (min, max))
        removed = set(block)
        avoiding: dict[int, Any] = {}  # from the source, past no step of the block
        for node in range(start + 1, stop + 1):
            avoiding[node] = self._sum(
                step.weight * avoiding.get(step.tail, self.forward[step.tail])
                for step in self.into[node]
                if step not in removed
            )
        return self._sum(
            avoiding.get(s.tail, self.forward[s.tail]) * s.weight * self.backward[s.head]
            for s in block
        )

    def _sum(self, terms: Iterable[Any]) -> Any:
        return sum(terms, self.zero)


def _moments(architecture: Architecture, without: str | Iterable[str]) -> tuple[Any, Any]:
    """P(1) and P′(1): the total weight of all paths, and of all paths times their order."""
    number = _number_of(architecture)
    zero = number(0)
    removed = edges_removed(architecture, without)
    last = len(architecture.nodes) - 1
    out: list[list[tuple[int, Edge]]] = [[] for _ in architecture.nodes]
    for (tail, head), edge in zip(architecture.ends, architecture.edges, strict=True):
        if edge not in removed:
            out[tail].append((head, edge))
    reached = {0: (number(1), zero)}
    for node in range(last + 1):
        # Forgotten once passed on, so that only a frontier of long integers is in memory.
        total, first = reached.pop(node, (zero, zero))
        if node == last:
            break
        for head, edge in out[node]:
            weight = number(edge.weight)
            totals, firsts = reached.get(head, (zero, zero))
            more = firsts + weight * (first + edge.order * total)
            reached[head] = totals + weight * total, more
    return total, first


def _number_of(architecture: Architecture) -> Callable[[Weight], Any]:
    """Weights as FLINT's integers, or as its rationals when some are not whole."""
    if all(isinstance(edge.weight, int) for edge in architecture.edges):
        return fmpz
    return lambda weight: fmpq(weight.numerator, weight.denominator)


def _weight(number: Any) -> Weight:
    if isinstance(number, fmpz):
        return int(number)
    exact = to_fraction(number)
    return exact.numerator if exact.denominator == 1 else exact
