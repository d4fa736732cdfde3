r"""Counts against enumeration and against polynomial identities in n (claims C1, C2, C3).

Counts of a fixed order are polynomials in n. The polynomials through the first values of an
implementation are checked to satisfy the recursion of the counts, as polynomials, together with
the value at n = 0; then they are the counts at every n, by induction. The implementation itself
is compared with them far beyond the values that they came from.

- Paths: a path of n + 1 blocks goes through the last one or not, so
  :math:`p_k(n+1) - p_k(n) = p_{k-1}(n)`. The totals 2^n and the mean length n/2 involve all
  orders at once and are compared depth by depth.
- Labelled trees: those with root n + 1 are multisets of trees with smaller roots, so
  :math:`T(n+1) - T(n) = z\,\mathrm{Exp}(T(n))`, and with 1/σ the same with exp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import combinations, product
from math import comb, factorial, prod
from typing import Any

import sympy
from flint import fmpq, fmpq_poly

from expansion.trees.counting import (
    path_counts,
    rooted_tree_counts,
    tree_counts,
    weighted_path_counts,
    weighted_tree_counts,
)
from expansion.trees.generate import labelled_trees, rooted_trees
from expansion.trees.order_polynomials import labelling_count, order_polynomial, to_fraction
from expansion.trees.tree import Tree
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.interpolation import polynomial_through

__all__ = ["A000081", "CHECKS", "Counts", "exponential", "multisets", "pascal", "polynomials_of"]

Number = int | Fraction
Counts = Callable[[int, int], Sequence[Number]]

# fmt: off
A000081 = (
    1, 1, 2, 4, 9, 20, 48, 115, 286, 719, 1842, 4766, 12486, 32973, 87811, 235381, 634847, 1721159,
    4688676, 12826228,
)
# fmt: on
_SHIFT = fmpq_poly([1, 1])


def polynomials_of(counts: Counts, order: int) -> list[fmpq_poly]:
    """Counts of orders 0..K as polynomials in the depth, through the first K + 1 depths.

    Examples
    --------
    >>> polynomials_of(path_counts, 2)[2]
    1/2*x^2 + (-1/2)*x
    """
    rows = [counts(depth, order) for depth in range(order + 1)]
    return [polynomial_through(column) for column in zip(*rows, strict=True)]


def _far(counts: Counts, polynomials: list[fmpq_poly], depths: Sequence[int]) -> Iterator[Any]:
    """The implementation against the polynomials, beyond where they came from."""
    for depth in depths:
        true = [to_fraction(polynomial(fmpq(depth))) for polynomial in polynomials]
        claimed = list(counts(depth, len(polynomials) - 1))
        yield difference(claimed, true, depth=depth)


# --- C1: paths --------------------------------------------------------------------------------


def pascal(subject: Counts, effort: Effort) -> Evidence:
    """Whether counts of paths, (n, K) to orders 0..K, are C(n, k) at every n."""
    order = effort.pick(quick=20, deep=200)

    def cases() -> Iterator[str | None]:
        polynomials = polynomials_of(subject, order)
        before = fmpq_poly([0])
        for k, value in enumerate(polynomials):
            claimed = [value(_SHIFT) - value, value(0)]
            yield difference(claimed, [before, int(k == 0)], order=k)
            before = value
        yield from _far(subject, polynomials, (order + 1, 3 * order, 1000))
        for depth in range(2 * order):
            row = subject(depth, depth + 1)
            mean = sum(k * count for k, count in enumerate(row))
            claimed = [sum(row), 2 * mean, row[-1]]
            yield difference(claimed, [2**depth, depth * 2**depth, 0], depth=depth)

    reach = f"every depth n, orders ≤ {order}; the engine's counts at depths ≤ {2 * order} and 1000"
    return exhaust(cases(), Verdict.PROVED, reach)


def _repeated_paths(depth: int, order: int) -> list[int]:
    """C(n + k − 1, k): multisets of blocks instead of sets."""
    return [1] + [comb(depth + k - 1, k) if depth else 0 for k in range(1, order + 1)]


Weighted = Callable[[Sequence[Any], int], Sequence[Any]]


def _weighted_paths(subject: Weighted, effort: Effort) -> Evidence:
    depth = effort.pick(quick=5, deep=8)

    def cases() -> Iterator[str | None]:
        for n in range(depth + 1):
            scales = sympy.symbols(f"a1:{n + 1}")
            subsets = (combinations(scales, k) for k in range(n + 2))
            true = [sympy.Add(*(prod(chosen) for chosen in sets)) for sets in subsets]
            claimed = [sympy.expand(value) for value in subject(scales, n + 1)]
            yield difference(claimed, true, scales=scales)

    return exhaust(cases(), Verdict.EXHAUSTED, f"all scales, depths ≤ {depth}, all orders")


def _weighted_by(series: Callable[[Any, int], list[Any]]) -> Weighted:
    """Coefficients of a product over the blocks of one power series each."""

    def wrong(scales: Sequence[Any], order: int) -> list[Any]:
        row = [sympy.Integer(1)] + [sympy.Integer(0)] * order
        for scale in scales:
            factor = series(scale, order)
            row = [sum(factor[i] * row[k - i] for i in range(k + 1)) for k in range(order + 1)]
        return row

    return wrong


# --- C2: labelled trees -----------------------------------------------------------------------


def _enumerated(weight: Callable[[Any], Number]) -> Callable[[Counts, Effort], Evidence]:
    def procedure(subject: Counts, effort: Effort) -> Evidence:
        size = effort.pick(quick=5, deep=6)

        def cases() -> Iterator[str | None]:
            for depth in range(size + 1):
                true: list[Number] = [1, *[0] * size]
                for tree in labelled_trees(depth, size):
                    true[tree.order] += weight(tree)
                claimed = list(subject(depth, size))
                yield difference(claimed, true, depth=depth, order=size)

        return exhaust(cases(), Verdict.EXHAUSTED, f"depths and orders ≤ {size}")

    return procedure


def _generated(
    multisets: Callable[[list[fmpq_poly]], list[fmpq_poly]], leading: bool
) -> Callable[[Counts, Effort], Evidence]:
    def procedure(subject: Counts, effort: Effort) -> Evidence:
        order = effort.pick(quick=8, deep=14)

        def cases() -> Iterator[str | None]:
            zero = fmpq_poly([0])
            trees = [zero, *polynomials_of(subject, order)[1:]]
            new = [zero, *multisets(trees)]
            for k in range(1, order + 1):
                claimed = [trees[k](_SHIFT) - trees[k], trees[k](0)]
                true = [new[k], fmpq(0)]
                if leading:
                    claimed.append(trees[k][k])
                    true.append(fmpq(1, k))
                yield difference(claimed, true, order=k)
            polynomials = [fmpq_poly([1]), *trees[1:]]
            yield from _far(subject, polynomials, (order + 1, 3 * order, 1000))

        reach = f"every depth n, orders ≤ {order}; the engine's counts at depths ≤ {order} and 1000"
        return exhaust(cases(), Verdict.PROVED, reach)

    return procedure


def exponential(series: list[fmpq_poly]) -> list[fmpq_poly]:
    """exp of a power series without constant term: n b_n = Σ_k k a_k b_{n−k}."""
    result = [fmpq_poly([1])]
    for n in range(1, len(series)):
        terms = (k * series[k] * result[n - k] for k in range(1, n + 1))
        result.append(sum(terms, fmpq_poly([0])) / n)
    return result


def multisets(series: list[fmpq_poly]) -> list[fmpq_poly]:
    """Exp(A) = exp Σ_m A(z^m)/m."""
    total = [fmpq_poly([0]) for _ in series]
    for k in range(1, len(series)):
        for m in range(1, (len(series) - 1) // k + 1):
            total[k * m] += series[k] / m
    return exponential(total)


# --- C3: rooted trees and their labellings ----------------------------------------------------


def _rooted(subject: Callable[[int], Sequence[int]], effort: Effort) -> Evidence:
    generated = effort.pick(quick=10, deep=13)

    def cases() -> Iterator[str | None]:
        claimed = subject(len(A000081))
        for order, true in enumerate((0, *A000081)):
            yield difference(claimed[order], true, order=order)
        for order in range(1, generated + 1):
            yield difference(claimed[order], len(set(rooted_trees(order))), order=order)

    reach = f"orders ≤ {len(A000081)} against OEIS, ≤ {generated} against generated trees"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _labellings(subject: Callable[[Tree, int], Number], effort: Effort) -> Evidence:
    order, depth = effort.pick(quick=(6, 4), deep=(8, 4))

    def cases() -> Iterator[str | None]:
        for size in range(1, order + 1):
            for tree in rooted_trees(size):
                for n in range(depth + 1):
                    true = _strict_labellings(tree, n)
                    yield difference(subject(tree, n), true, tree=tree, depth=n)

    reach = f"all trees of orders ≤ {order}, depths ≤ {depth}"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


@cache
def _strict_labellings(tree: Tree, depth: int) -> int:
    """Try every labelling of the vertices, with the parent of each at hand."""
    parents: list[int] = []
    unfinished: list[tuple[int, int]] = []  # vertex, how many children are still to come
    for vertex, children in enumerate(tree.key):
        while unfinished and unfinished[-1][1] == 0:
            unfinished.pop()
        if unfinished:
            parent, waiting = unfinished.pop()
            unfinished.append((parent, waiting - 1))
            parents.append(parent)
        unfinished.append((vertex, children))
    edges = list(enumerate(parents, 1))
    labellings = product(range(depth), repeat=tree.order)
    return sum(all(ell[v] < ell[p] for v, p in edges) for ell in labellings)


def _polynomial_value(tree: Tree, depth: int) -> Fraction:
    return to_fraction(order_polynomial(tree)(fmpq(depth)))


def _weak_labellings(tree: Tree, depth: int) -> int:
    return (-1) ** tree.order * int(order_polynomial(tree)(-depth))


def _different_labels(tree: Tree, depth: int) -> Fraction:
    return Fraction(comb(depth, tree.order) * factorial(tree.order), tree.factorial)


_WRONG_LABELLINGS: dict[str, Callable[[Tree, int], Number]] = {
    "labels ≤ instead of <": _weak_labellings,
    "C(n, k) for every shape": lambda tree, depth: comb(depth, tree.order),
    "blocks used at most once": _different_labels,
    "depth off by one": lambda tree, depth: labelling_count(tree, depth + 1),
}

CHECKS: tuple[Check[Any], ...] = (
    Check(
        "C1",
        "Pascal's identity in n",
        pascal,
        path_counts,
        {
            "blocks used again: C(n+k−1, k)": _repeated_paths,
            "blocks in any order: n!/(n−k)!": lambda n, k: [
                comb(n, i) * factorial(i) for i in range(k + 1)
            ],
            "depth off by one": lambda n, k: path_counts(n + 1, k),
        },
    ),
    Check(
        "C1",
        "weights multiplied out",
        _weighted_paths,
        weighted_path_counts,
        {
            "blocks used again": _weighted_by(lambda a, order: [a**i for i in range(order + 1)]),
            "exponential of the sum": _weighted_by(
                lambda a, order: [a**i / factorial(i) for i in range(order + 1)]
            ),
            "the last block left out": lambda scales, order: weighted_path_counts(
                scales[:-1], order
            ),
        },
    ),
    Check(
        "C2",
        "labelled trees against enumeration",
        _enumerated(lambda tree: 1),
        tree_counts,
        {
            "paths only": path_counts,
            "depth off by one": lambda n, k: tree_counts(n + 1, k),
            "weighted by 1/σ": weighted_tree_counts,
        },
    ),
    Check(
        "C2",
        "labelled trees by their generating function in n",
        _generated(multisets, leading=False),
        tree_counts,
        {
            "paths only": path_counts,
            "weighted by 1/σ: exp for Exp": weighted_tree_counts,
            "one depth behind": lambda n, k: tree_counts(max(n - 1, 0), k),
        },
    ),
    Check(
        "C2",
        "weighted trees against enumeration",
        _enumerated(lambda tree: Fraction(1, tree.symmetry)),
        weighted_tree_counts,
        {
            "1/σ dropped": tree_counts,
            "1/σ of the shape": lambda n, k: (
                [1]
                + [
                    sum(Fraction(1, t.shape.symmetry) for t in labelled_trees(n, k) if t.order == i)
                    for i in range(1, k + 1)
                ]
            ),
            "only the leading term n^k/k": lambda n, k: (
                [1] + [Fraction(n**i, i) for i in range(1, k + 1)]
            ),
        },
    ),
    Check(
        "C2",
        "weighted trees by their generating function in n",
        _generated(exponential, leading=True),
        weighted_tree_counts,
        {
            "1/σ dropped: Exp for exp": tree_counts,
            "paths only": path_counts,
            "one depth behind": lambda n, k: weighted_tree_counts(max(n - 1, 0), k),
        },
    ),
    Check(
        "C3",
        "rooted trees against OEIS and generated trees",
        _rooted,
        rooted_tree_counts,
        {
            "ordered trees: Catalan numbers": lambda order: (
                [0] + [comb(2 * k - 2, k - 1) // k for k in range(1, order + 1)]
            ),
            "vertices told apart: k^(k−1)": lambda order: (
                [0] + [k ** (k - 1) for k in range(1, order + 1)]
            ),
            "orders off by one": lambda order: rooted_tree_counts(order + 1)[1:],
        },
    ),
    Check("C3", "Ω° as counted, by brute force", _labellings, labelling_count, _WRONG_LABELLINGS),
    Check(
        "C3", "Ω° as polynomial, by brute force", _labellings, _polynomial_value, _WRONG_LABELLINGS
    ),
)
