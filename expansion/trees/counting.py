r"""How many terms each order has, exactly, for any depth (claims C1, C2, C3).

- *Paths* of order k: C(n, k); with block weights, elementary symmetric polynomials.
- *Labelled trees* of order k: :math:`T_j(z) = z\,\mathrm{Exp}(\sum_{i<j} T_i)`, where
  :math:`\mathrm{Exp}(A)(z) = \exp \sum_m A(z^m)/m` counts multisets.
- *Weighted labelled trees* (each with 1/σ): :math:`a_j(z) = z \exp(\sum_{i<j} a_i)`. Their sum u
  is the scalar tower u ← u + z eᵘ.
- *Rooted trees*: OEIS A000081.

For a fixed order both counts of labelled trees are polynomials in n of that degree, so that any
depth is reached from the first K + 1 depths by exact interpolation in binomial form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from math import comb
from typing import TypeVar

import flint
from flint import fmpq, fmpq_series

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.trees.order_polynomials import to_fraction

__all__ = [
    "counts",
    "forest_counts",
    "path_counts",
    "rooted_tree_counts",
    "tree_counts",
    "weighted_path_counts",
    "weighted_tree_counts",
]

_Number = TypeVar("_Number", int, fmpq)


def counts(kind: str, depth: int, order: int) -> list[int] | list[Fraction]:
    """Counts of orders 0..``order``, of the kind named.

    Parameters
    ----------
    kind : {"paths", "trees", "weighted"}
        Computation paths (C1), labelled trees, or labelled trees weighted by 1/σ (C2).
    depth, order : int
        Number of blocks n ≥ 0, largest order K ≥ 0.

    Examples
    --------
    >>> counts("trees", 5, 3)
    [1, 5, 10, 30]
    """
    if kind not in _BY_KIND:
        raise InputError("kind must be paths, trees or weighted", kind, "choose one of the three")
    return _BY_KIND[kind](depth, order)


def path_counts(depth: int, order: int) -> list[int]:
    """Number of computation paths of each order 0..``order``: C(n, k) (claim C1).

    Examples
    --------
    >>> path_counts(5, 6)
    [1, 5, 10, 10, 5, 1, 0]
    """
    depth, order = _check(depth, order)
    row = [1]
    for k in range(1, order + 1):
        row.append(row[-1] * (depth - k + 1) // k)
    return row


def weighted_path_counts(weights: Sequence[Fraction], order: int) -> list[Fraction]:
    """Elementary symmetric polynomials e_0..e_K of the weights: paths weighted by block (C1).

    Parameters
    ----------
    weights : sequence of Fraction or int, length n
        One exact weight per block.
    order : int
        Largest order K ≥ 0.

    Examples
    --------
    >>> weighted_path_counts([Fraction(1), Fraction(1, 2), Fraction(1, 3)], 2)
    [Fraction(1, 1), Fraction(11, 6), Fraction(1, 1)]
    """
    order = check_count(order, "order", least=0)
    row = [Fraction(1)] + [Fraction(0)] * order
    for weight in weights:
        for k in range(order, 0, -1):
            row[k] += weight * row[k - 1]
    return row


def tree_counts(depth: int, order: int) -> list[int]:
    """Number of labelled trees of each order 0..``order`` (claim C2; order 0 is x itself).

    Examples
    --------
    >>> tree_counts(5, 5)
    [1, 5, 10, 30, 90, 279]
    """
    depth, order = _check(depth, order)
    totals = [_tree_totals(step, order) for step in _forest_steps(min(depth, order), order)]
    return [1] + [_at_depth([row[k] for row in totals], depth) for k in range(1, order + 1)]


def forest_counts(depth: int, order: int) -> list[int]:
    """Number of multisets of labelled trees of each order: the terms of D∘H_n (claim E2).

    Examples
    --------
    >>> forest_counts(2, 2)
    [1, 2, 4]
    """
    depth, order = _check(depth, order)
    steps = _forest_steps(min(depth, order), order)
    return [_at_depth([row[k] for row in steps], depth) for k in range(order + 1)]


def _forest_steps(depth: int, order: int) -> list[list[int]]:
    """Forests by order, after 0, 1, …, depth blocks."""
    forests = [1] + [0] * order
    steps = [forests]
    for _ in range(depth):
        new_trees = [0, *forests[:order]]
        forests = _multiply_by_multisets(forests, new_trees)
        steps.append(forests)
    return steps


def _multiply_by_multisets(forests: list[int], trees: list[int]) -> list[int]:
    """Coefficients of F(z) · Exp(T)(z), by the logarithmic derivative of Exp(T).

    With c_k = Σ_{d|k} d t_d the multisets satisfy n b_n = Σ_k c_k b_{n−k}.
    """
    size = len(forests)
    weights = [0] * size
    for part in range(1, size):
        if trees[part]:
            for multiple in range(part, size, part):
                weights[multiple] += part * trees[part]
    multisets = [1] + [0] * (size - 1)
    for n in range(1, size):
        multisets[n] = sum(weights[k] * multisets[n - k] for k in range(1, n + 1)) // n
    return [sum(multisets[k] * forests[n - k] for k in range(n + 1)) for n in range(size)]


def _tree_totals(forests: list[int], order: int) -> list[int]:
    """Trees in the forests: undo the multiset transform, t from b (Möbius over divisors)."""
    weights = [0] * (order + 1)
    trees = [0] * (order + 1)
    for n in range(1, order + 1):
        weights[n] = n * forests[n] - sum(weights[k] * forests[n - k] for k in range(1, n))
        smaller = sum(part * trees[part] for part in range(1, n) if n % part == 0)
        trees[n] = (weights[n] - smaller) // n
    return trees


def weighted_tree_counts(depth: int, order: int) -> list[Fraction]:
    """Σ 1/σ over the labelled trees of each order: coefficients of u ← u + z eᵘ (claim C2).

    Examples
    --------
    >>> [str(count) for count in weighted_tree_counts(5, 5)]
    ['1', '5', '10', '25', '200/3', '2183/12']
    """
    depth, order = _check(depth, order)
    if order == 0:
        return [Fraction(1)]
    with _series_length(order + 1):
        z = fmpq_series([0, 1], prec=order + 1)
        exponential = fmpq_series([1], prec=order + 1)  # exp(u), as u ← u + z exp(u)
        total = fmpq_series([0], prec=order + 1)
        rows = [total]
        for _ in range(min(depth, order)):
            added = z * exponential
            total = total + added
            exponential = exponential * added.exp()
            rows.append(total)
    by_order = [_at_depth([row[k] for row in rows], depth) for k in range(1, order + 1)]
    return [Fraction(1), *map(to_fraction, by_order)]


@contextmanager
def _series_length(length: int) -> Iterator[None]:
    """Let FLINT's truncated power series have this many coefficients."""
    before = flint.ctx.cap
    flint.ctx.cap = max(before, length)
    try:
        yield
    finally:
        flint.ctx.cap = before


def rooted_tree_counts(order: int) -> list[int]:
    """Number of rooted trees with 0..``order`` vertices: OEIS A000081 (claim C3).

    Examples
    --------
    >>> rooted_tree_counts(10)
    [0, 1, 1, 2, 4, 9, 20, 48, 115, 286, 719]
    """
    order = check_count(order, "order", least=0)
    trees = [0, 1] + [0] * order
    weights = [0] * (order + 1)  # Σ_{d | k} d t_d, filled as soon as t_k is known
    for n in range(1, order + 1):
        for multiple in range(n, order + 1, n):
            weights[multiple] += n * trees[n]
        trees[n + 1] = sum(weights[k] * trees[n - k + 1] for k in range(1, n + 1)) // n
    return trees[: order + 1]


def _at_depth(values: Sequence[_Number], depth: int) -> _Number:
    """The value at ``depth`` of the polynomial with these values at 0, 1, 2, …

    Newton's forward differences; a count of order k has degree k, so K + 1 values suffice.
    """
    if depth < len(values):
        return values[depth]
    differences = list(values)
    total = differences[0]
    for j in range(1, len(values)):
        differences = [b - a for a, b in pairwise(differences)]
        total = total + comb(depth, j) * differences[0]
    return total


def _check(depth: object, order: object) -> tuple[int, int]:
    return check_count(depth, "depth", least=0), check_count(order, "order", least=0)


_BY_KIND: dict[str, Callable[[int, int], list[int] | list[Fraction]]] = {
    "paths": path_counts,
    "trees": tree_counts,
    "weighted": weighted_tree_counts,
}
