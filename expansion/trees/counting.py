r"""How many terms each order has, exactly, for any depth (claims C1, C2, C3).

- *Paths* of order k: C(n, k); with block weights, elementary symmetric polynomials.
- *Labelled trees* of order k: :math:`T_j(z) = z\,\mathrm{Exp}(\sum_{i<j} T_i)`, where
  :math:`\mathrm{Exp}(A)(z) = \exp \sum_m A(z^m)/m` counts multisets.
- *Weighted labelled trees* (each with 1/σ): :math:`a_j(z) = z \exp(\sum_{i<j} a_i)`. Their sum u
  is the scalar tower u ← u + z eᵘ.
- *Rooted trees*: OEIS A000081.

For a fixed order both counts of labelled trees are polynomials in n of that degree, so that any
depth is reached from the first K + 1 depths by exact interpolation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import flint
from flint import fmpq, fmpq_series, fmpz

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

_MOST_ORDER = 10**5
_MOST_DIGITS = 10**8  # of path counts: a hundred megabytes
_MOST_STEPS = 10**9  # of tree counts: some minutes


def counts(kind: str, depth: int, order: int) -> list[int] | list[Fraction]:
    """Counts of orders 0..``order``, of the kind named.

    Parameters
    ----------
    kind : {"paths", "trees", "weighted"}
        Computation paths (C1), labelled trees, or labelled trees weighted by 1/σ (C2).
    depth, order : int
        Number of blocks n ≥ 0, largest order K ≥ 0.

    Raises
    ------
    InputError
        For an unknown kind, and at once for counts that would fill the memory or take minutes.

    Examples
    --------
    >>> counts("trees", 5, 3)
    [1, 5, 10, 30]
    """
    if kind not in _BY_KIND:
        raise InputError("kind must be paths, trees or weighted", kind, "choose one of the three")
    _refuse_too_large(kind, *_check(depth, order))
    return _BY_KIND[kind](depth, order)


def _refuse_too_large(kind: str, depth: int, order: int) -> None:
    """Say at once what would fill the memory or take more than some minutes."""
    check_count(order, "order", least=0, most=_MOST_ORDER)
    if kind == "paths":
        greatest = max(1, min(order, depth // 2))
        # C(n, k) ≤ (e n/k)^k, written without a float of n, which may be beyond them.
        digits = greatest * (math.log10(math.e) + math.log10(max(depth, 1)) - math.log10(greatest))
        if order * digits > _MOST_DIGITS:
            came = f"about 10^{math.log10(order * digits):.0f} digits"
            raise InputError("counts of at most 10^8 digits in all", came, "lower the order")
    elif min(depth, order) * order**2 > _MOST_STEPS:
        required = "at most 10^9 steps, of the order squared times the smaller of depth and order"
        raise InputError(required, f"depth {depth} and order {order}", "lower the order")


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
    trees = [trees for trees, _ in _by_block(depth, order, _multiset_exponent)]
    return [1] + [int(count.p) for count in _at_depth(trees, depth)[1:]]


def forest_counts(depth: int, order: int) -> list[int]:
    """Number of multisets of labelled trees of each order: the terms of D∘H_n (claim E2).

    Examples
    --------
    >>> forest_counts(2, 2)
    [1, 2, 4]
    """
    depth, order = _check(depth, order)
    forests = [forests for _, forests in _by_block(depth, order, _multiset_exponent)]
    return [int(count.p) for count in _at_depth(forests, depth)]


def weighted_tree_counts(depth: int, order: int) -> list[Fraction]:
    """Σ 1/σ over the labelled trees of each order: coefficients of u ← u + z eᵘ (claim C2).

    Examples
    --------
    >>> [str(count) for count in weighted_tree_counts(5, 5)]
    ['1', '5', '10', '25', '200/3', '2183/12']
    """
    depth, order = _check(depth, order)
    trees = [trees for trees, _ in _by_block(depth, order, lambda added: added)]
    return [Fraction(1), *map(to_fraction, _at_depth(trees, depth)[1:])]


def _by_block(depth: int, order: int, exponent: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    """Generating functions of trees and of forests after 0, 1, … blocks, as lists to z^order.

    Block j adds the trees z·F, one for each forest F of smaller labels to graft onto it, and the
    forests are multiplied by the multisets of the new trees. Depths beyond the order follow by
    interpolation, so no more blocks are needed.
    """
    size = order + 1
    with _series_length(size):
        z = fmpq_series([0, 1], prec=size)
        trees, forests = fmpq_series([0], prec=size), fmpq_series([1], prec=size)
        yield [trees[k] for k in range(size)], [forests[k] for k in range(size)]
        for _ in range(min(depth, order)):
            added = z * forests
            trees, forests = trees + added, forests * exponent(added).exp()
            yield [trees[k] for k in range(size)], [forests[k] for k in range(size)]


def _multiset_exponent(trees: Any) -> Any:
    """Σ_m T(z^m)/m, whose exponential counts multisets; z^n has coefficient Σ_{d|n} d t_d / n."""
    size = trees.prec
    totals = [fmpq(0)] * size
    for part in range(1, size):
        for multiple in range(part, size, part):
            totals[multiple] += part * trees[part]
    return fmpq_series([total / (n or 1) for n, total in enumerate(totals)], prec=size)


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


def _at_depth(by_block: Sequence[Sequence[Any]], depth: int) -> list[Any]:
    """The row at ``depth``, from the rows at depths 0, 1, …, K.

    Column k is a polynomial in the depth of degree k, so that Lagrange's formula gives it from
    its first k + 1 values: the weight of the value at j is (−1)^(k−j) C(n, j) C(n−j−1, k−j).
    """
    if depth < len(by_block):
        return list(by_block[depth])
    row = []
    weights: list[fmpz] = []
    chosen = fmpz(1)  # C(n, k)
    for k in range(len(by_block)):
        for j, weight in enumerate(weights):
            # From C(n−j−1, k−1−j) to C(n−j−1, k−j), with the other sign.
            weights[j] = -weight * (depth - k) // (k - j)
        weights.append(chosen)
        row.append(sum(w * by_block[j][k] for j, w in enumerate(weights)))
        chosen = chosen * (depth - k) // (k + 1)
    return row


def _check(depth: object, order: object) -> tuple[int, int]:
    return check_count(depth, "depth", least=0), check_count(order, "order", least=0)


_BY_KIND: dict[str, Callable[[int, int], list[int] | list[Fraction]]] = {
    "paths": path_counts,
    "trees": tree_counts,
    "weighted": weighted_tree_counts,
}
