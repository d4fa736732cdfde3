r"""Trees by the thousand: tables of all trees, and the numbers of single ones (claims C2, E3, E6).

A table holds σ, τ!, Ω° and ω of every tree up to an order, computed for all of them at once. Its
polynomials take the steps that single trees take (:mod:`~proofs_check.series.induction`,
:mod:`~proofs_check.series.flow`). σ and τ! are counted: of the k! ways to number the vertices of a
tree, σ leave it as it is and k!/τ! number every vertex below its parent.

Forests of labelled trees are multisets of them: as polynomials in the depth their counts are Exp of
the counts of trees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from itertools import permutations
from math import factorial
from typing import Any

from flint import fmpq_poly

from expansion.trees.bulk import tree_table
from expansion.trees.counting import forest_counts, tree_counts
from expansion.trees.generate import rooted_trees
from expansion.trees.order_polynomials import modified_weight, order_polynomial
from expansion.trees.tree import Tree
from expansion.trees.weights import factorials, modified_weights, order_polynomials, symmetries
from proofs_check.check import Check, Effort
from proofs_check.counting.terms import Counts, multisets, polynomials_of
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.series.flow import modified
from proofs_check.series.induction import order_polynomial_steps

__all__ = ["CHECKS"]

Sizes = Callable[[Tree], tuple[int, int]]


@cache
def _positions(order: int) -> dict[Tree, int]:
    table = tree_table(order)
    return {table.tree(number): number for number in range(len(table))}


@cache
def _polynomials(order: int) -> list[fmpq_poly]:
    return order_polynomials(tree_table(order))


@cache
def _weights(order: int) -> list[Fraction]:
    return modified_weights(tree_table(order))


def _tabled_polynomial(tree: Tree) -> fmpq_poly:
    return _polynomials(tree.order)[_positions(tree.order)[tree]]


def _tabled_weight(tree: Tree) -> Fraction:
    return _weights(tree.order)[_positions(tree.order)[tree]]


# --- σ and τ! ---------------------------------------------------------------------------------


def _numberings(subject: Sizes, effort: Effort) -> Evidence:
    order = effort.pick(quick=6, deep=8)

    def cases() -> Iterator[str | None]:
        for size in range(1, order + 1):
            for tree in rooted_trees(size):
                parents = _parents(tree)
                true = _automorphisms(parents), factorial(size) // _rising(parents)
                yield difference(subject(tree), true, tree=tree)

    return exhaust(cases(), Verdict.EXHAUSTED, f"every tree of at most {order} vertices")


def _automorphisms(parents: list[int]) -> int:
    """Permutations of the vertices that keep the root and every edge."""
    rest = range(1, len(parents))
    return sum(
        all(parents[p[v - 1]] == (p[parents[v] - 1] if parents[v] else 0) for v in rest)
        for p in permutations(rest)
    )


def _rising(parents: list[int]) -> int:
    """Numberings of the vertices in which every vertex comes after its parent."""
    rest = range(1, len(parents))
    return sum(all(p[v] > p[parents[v]] for v in rest) for p in permutations(range(len(parents))))


def _parents(tree: Tree) -> list[int]:
    """The parent of every vertex, the root's own number for the root."""
    parents: list[int] = []

    def place(vertex: Tree, above: int) -> None:
        mine = len(parents)
        parents.append(above)
        for child in vertex.children:
            place(child, mine)

    place(tree, 0)
    return parents


def _own_sizes(tree: Tree) -> tuple[int, int]:
    return tree.symmetry, tree.factorial


@cache
def _all_sizes(order: int) -> list[tuple[int, int]]:
    table = tree_table(order)
    pairs = zip(symmetries(table), factorials(table), strict=True)
    return [(int(sigma), int(product)) for sigma, product in pairs]


def _tabled_sizes(tree: Tree) -> tuple[int, int]:
    return _all_sizes(tree.order)[_positions(tree.order)[tree]]


_WRONG_SIZES: dict[str, Sizes] = {
    "children counted, not compared": lambda t: (factorial(len(t.children)), t.factorial),
    "equal subtrees of the root only": lambda t: (
        t.symmetry if t.order < 4 else t.symmetry // max(c.symmetry for c in t.children),
        t.factorial,
    ),
    "k! for τ!": lambda t: (t.symmetry, factorial(t.order)),
    "σ for τ!": lambda t: (t.symmetry, t.symmetry),
}


# --- forests ----------------------------------------------------------------------------------


def _forests(subject: Counts, effort: Effort) -> Evidence:
    order = effort.pick(quick=7, deep=12)

    def cases() -> Iterator[str | None]:
        zero = fmpq_poly([0])
        trees = [zero, *polynomials_of(tree_counts, order)[1:]]
        found = polynomials_of(subject, order)
        true = multisets([*trees, zero])
        for k in range(order + 1):
            yield difference(found[k], true[k], order=k)
        for depth in (order + 1, 3 * order, 1000):
            expected = [int(polynomial(depth)) for polynomial in true[: order + 1]]
            yield difference(list(subject(depth, order)), expected, depth=depth)

    reach = f"every depth n, orders ≤ {order}; the engine's counts at depths ≤ {order} and 1000"
    return exhaust(cases(), Verdict.PROVED, reach)


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "C2",
        "forests as multisets of trees, in n",
        _forests,
        forest_counts,
        {
            "trees for forests": tree_counts,
            "one depth behind": lambda n, k: forest_counts(max(n - 1, 0), k),
            "sets for multisets": lambda n, k: [
                a - (i == 2) * n for i, a in enumerate(forest_counts(n, k))
            ],
        },
    ),
    Check("E3", "σ and τ! of single trees, by counting", _numberings, _own_sizes, _WRONG_SIZES),
    Check("E3", "σ and τ! of all trees, by counting", _numberings, _tabled_sizes, _WRONG_SIZES),
    Check(
        "E3",
        "order polynomials of all trees at once",
        order_polynomial_steps,
        _tabled_polynomial,
        {
            "depth off by one": lambda t: order_polynomial(t)(fmpq_poly([1, 1])),
            "one tree for the next": lambda t: _polynomials(t.order)[
                max(_positions(t.order)[t] - 1, 0)
            ],
        },
    ),
    Check(
        "E6",
        "ω of all trees at once: its flow takes Euler's steps",
        modified,
        _tabled_weight,
        {
            "every sign positive": lambda t: abs(modified_weight(t)),
            "one tree for the next": lambda t: _weights(t.order)[
                max(_positions(t.order)[t] - 1, 0)
            ],
        },
    ),
)
