r"""Paths of architectures against enumeration, and of residual towers at every depth (claim C4).

On random graphs with parallel edges, weights and blocks of several edges, all paths are walked one
by one, edge by edge. A lesion leaves the paths that pass no edge of the block.

A residual tower of n blocks has C(n, k) paths of order k at every n by Pascal's identity, as in
C1. Losing m different blocks leaves the paths of the others: 2^(n − m) of 2^n.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from expansion.growth.path_lesions import lesion_shares, surviving_share, total_paths
from expansion.growth.path_polynomials import path_polynomial
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge, Weight
from expansion.towers.architectures.residual import residual_tower
from proofs_check.check import Check, Effort
from proofs_check.counting.terms import pascal
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.sampling import sample
from proofs_check.strategies import architectures, rationals

__all__ = ["CHECKS", "enumerated"]

Counts = Callable[[Architecture], Sequence[Weight]]
Lesion = Callable[[Architecture, str], Sequence[Weight]]
Share = Callable[[Architecture, Sequence[str]], Fraction]


def _paths(edges: Collection[Edge], start: str, end: str) -> Iterator[tuple[Edge, ...]]:
    """Every path from start to end, walked edge by edge."""
    if start == end:
        yield ()
        return
    for edge in edges:
        if edge.tail == start:
            for rest in _paths(edges, edge.head, end):
                yield (edge, *rest)


def enumerated(
    architecture: Architecture,
    removed: Collection[Edge] = (),
    order: Callable[[Edge], int] | None = None,
) -> list[Weight]:
    """Total weights of the paths of each order, walked one by one; the last one not 0.

    Examples
    --------
    >>> enumerated(residual_tower(2))
    [1, 2, 1]
    """
    kept = [edge for edge in architecture.edges if edge not in removed]
    order = order or (lambda edge: edge.order)
    counts: dict[int, Weight] = {}
    for path in _paths(kept, architecture.source, architecture.sink):
        weight: Weight = 1
        for edge in path:
            weight *= edge.weight
        k = sum(map(order, path))
        counts[k] = counts.get(k, 0) + weight
    return _trimmed([counts.get(k, 0) for k in range(max(counts, default=-1) + 1)])


def _trimmed(counts: list[Weight]) -> list[Weight]:
    while counts and not counts[-1]:
        counts.pop()
    return counts


def _edges_of(architecture: Architecture, name: str) -> list[Edge]:
    """The edges of a block: its own name, or names that go on after a dot."""
    return [e for e in architecture.edges if e.block == name or e.block.startswith(f"{name}.")]


def _graphs() -> Any:
    return st.one_of(architectures(), architectures(weights=rationals()))


# --- path polynomials -------------------------------------------------------------------------


def _polynomials(subject: Counts, effort: Effort) -> Evidence:
    def counterexample(graph: Architecture) -> str | None:
        return difference(list(subject(graph)), enumerated(graph), architecture=graph)

    reach = "graphs of at most 6 nodes with weights and parallel edges, all orders"
    return sample(_graphs(), counterexample, effort, name="paths", number=60, reach=reach)


def _counts(architecture: Architecture) -> Sequence[Weight]:
    return path_polynomial(architecture).counts


def _nodes_for_edges(architecture: Architecture) -> Sequence[Weight]:
    """Parallel edges taken as one: a path is its nodes."""
    ends = {(edge.tail, edge.head): edge for edge in architecture.edges}
    return path_polynomial(Architecture(tuple(ends.values()))).counts


def _all_ends(architecture: Architecture) -> Sequence[Weight]:
    """Paths from the source to any node, not only to the sink."""
    total: list[Weight] = []
    for node in architecture.nodes[1:]:
        for path in _paths(architecture.edges, architecture.source, node):
            k = sum(edge.order for edge in path)
            total += [0] * (k + 1 - len(total))
            total[k] += 1
    return total


def _first_path_twice(architecture: Architecture) -> Sequence[Weight]:
    counts = enumerated(architecture)
    path = next(_paths(architecture.edges, architecture.source, architecture.sink))
    k = sum(edge.order for edge in path)
    counts += [0] * (k + 1 - len(counts))
    counts[k] += 1
    return counts


# --- lesions ----------------------------------------------------------------------------------


def _lesions(subject: Lesion, effort: Effort) -> Evidence:
    def counterexample(graph: Architecture) -> str | None:
        names = {part for block in graph.blocks for part in (block, block.split(".")[0])}
        for name in sorted(names):
            true = enumerated(graph, _edges_of(graph, name))
            claimed = list(subject(graph, name))
            given = {"architecture": graph, "without": name}
            if found := difference(claimed, [*true, sum(true)], **given):
                return found
        return None

    reach = "every block of graphs of at most 6 nodes, with weights and parallel edges"
    return sample(_graphs(), counterexample, effort, name="lesions", number=60, reach=reach)


def _lesion(architecture: Architecture, name: str) -> Sequence[Weight]:
    """What is left by both routes: orders from the polynomial, and the total from the lesion."""
    counts = path_polynomial(architecture, without=name).counts
    total = total_paths(architecture)
    if not total:
        return [*counts, total_paths(architecture, without=name)]
    share = lesion_shares(architecture, [name])[name]
    return [*counts, share * total]


def _removing(pick: Callable[[Architecture, str], Collection[Edge]]) -> Lesion:
    def wrong(architecture: Architecture, name: str) -> Sequence[Weight]:
        counts = enumerated(architecture, pick(architecture, name))
        return [*counts, sum(counts)]

    return wrong


def _signals(architecture: Architecture, name: str) -> Collection[Edge]:
    heads = {edge.head for edge in _edges_of(architecture, name)}
    return [edge for edge in architecture.edges if edge.head in heads]


# --- residual towers --------------------------------------------------------------------------


def _tower_counts(depth: int, order: int) -> Sequence[Weight]:
    if depth == 0:
        return [1] + [0] * order
    polynomial = _tower_polynomial(depth)
    return [polynomial.at(k) for k in range(order + 1)]


@cache
def _tower_polynomial(depth: int) -> Any:
    return path_polynomial(residual_tower(depth))


def _depth_shifted(depth: int, order: int) -> Sequence[Weight]:
    return _tower_counts(depth + 1, order)


def _skips_counted(depth: int, order: int) -> Sequence[Weight]:
    """Every path of order n: skips taken as branches."""
    return [2**depth if k == depth else 0 for k in range(order + 1)]


def _without_input(depth: int, order: int) -> Sequence[Weight]:
    """The path of skips alone left out."""
    return [0, *_tower_counts(depth, order)[1:]]


def _survivors(subject: Share, effort: Effort) -> Evidence:
    depth = effort.pick(quick=5, deep=9)

    def cases() -> Iterator[str | None]:
        for n in range(1, depth + 1):
            tower = residual_tower(n)
            for m in range(n + 1):
                for lost in combinations(tower.blocks, m):
                    given = {"architecture": tower, "lost": lost}
                    yield difference(subject(tower, lost), Fraction(1, 2**m), **given)

    return exhaust(cases(), Verdict.EXHAUSTED, f"every set of blocks, depths ≤ {depth}")


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "C4",
        "path polynomials against enumeration",
        _polynomials,
        _counts,
        {
            "nodes for edges: parallel edges as one": _nodes_for_edges,
            "skips counted as branches": lambda graph: enumerated(graph, order=lambda edge: 1),
            "every branch of order 1": lambda graph: enumerated(
                graph, order=lambda edge: min(edge.order, 1)
            ),
            "paths to every node": _all_ends,
            "one path counted twice": _first_path_twice,
        },
    ),
    Check(
        "C4",
        "lesions against enumeration",
        _lesions,
        _lesion,
        {
            "only the block's first edge removed": _removing(lambda g, n: _edges_of(g, n)[:1]),
            "signals removed, not branches": _removing(_signals),
            "nothing removed": _removing(lambda g, n: ()),
            "parts of a block left in place": _removing(
                lambda g, n: [e for e in g.edges if e.block == n]
            ),
        },
    ),
    Check(
        "C4",
        "residual towers by Pascal's identity in n",
        pascal,
        _tower_counts,
        {
            "depth off by one": _depth_shifted,
            "skips counted as branches": _skips_counted,
            "the path of skips left out": _without_input,
        },
    ),
    Check(
        "C4",
        "lesions of residual towers",
        _survivors,
        surviving_share,
        {
            "1/n of the paths per block": lambda g, lost: 1 - Fraction(len(lost), len(g.blocks)),
            "half once, whatever is lost": lambda g, lost: Fraction(1, 2) if lost else Fraction(1),
            "what is lost for what survives": lambda g, lost: 1 - surviving_share(g, lost),
        },
    ),
)
