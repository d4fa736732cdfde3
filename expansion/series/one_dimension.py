r"""One dimension: where labelled trees that are not equal still give equal terms.

For a scalar state every derivative is a number, so a term is the product of its factors

.. math:: F_t = \prod_{v \in t} f_{\ell(v)}^{(m_v)}(x), \qquad m_v = \text{children of } v,

and trees with the same factors (*isomeric* trees) collapse into one term, their coefficients
added. The first time this happens is at n = k = 4, where
:math:`f_4''(f_1, f_3' f_2) = f_4''(f_2, f_3' f_1)`: 32 trees, 31 terms. Source: derived; in two
dimensions nothing collapses, which is why the theorem is tested there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.series.expansion import Expansion
from expansion.trees.bulk import Integers
from expansion.trees.labelled import Forest, LabelledTree, Term
from expansion.trees.labelled_bulk import LabelledTable, labelled_table
from expansion.trees.tree import Tree

__all__ = ["Factors", "ScalarTerms", "collapse", "collapsed_order", "factors_of"]

Factors = tuple[tuple[int, int], ...]
_LARGEST_ORDER = 15  # k! times three million trees fits into a machine word


def factors_of(term: Term) -> Factors:
    """The factors of a term in one dimension: (block, order of derivative), largest first.

    Branches of a tied tower have the number 1; a decoder has the number 0 and comes last.

    Examples
    --------
    >>> factors_of(LabelledTree.parse("4[3[2],1]"))
    ((4, 2), (3, 1), (2, 0), (1, 0))
    """
    if isinstance(term, Forest):
        found = [factor for tree in term.trees for factor in factors_of(tree)]
        return (*sorted(found, reverse=True), (0, len(term.trees)))
    if isinstance(term, LabelledTree):
        pairs = zip(term.key[::2], term.key[1::2], strict=True)
        return tuple(sorted(pairs, reverse=True))
    assert isinstance(term, Tree)
    return tuple((1, count) for count in sorted(term.key, reverse=True))


def collapse(expansion: Expansion | Mapping[Term, Any]) -> dict[Factors, Any]:
    """Terms that are equal in one dimension taken together, coefficients added.

    Parameters
    ----------
    expansion : Expansion
        Of any tower; exact coefficients stay exact.

    Examples
    --------
    >>> from expansion.series.expansion import expand
    >>> trees = expand(4, 4).order(4)
    >>> len(trees), len(collapse(trees))
    (32, 31)
    >>> collapse(trees)[factors_of(LabelledTree.parse("4[3[2],1]"))]
    Fraction(2, 1)
    """
    sums: dict[Factors, Any] = {}
    for term, coefficient in expansion.items():
        factors = factors_of(term)
        sums[factors] = sums[factors] + coefficient if factors in sums else coefficient
    return sums


@dataclass(frozen=True, slots=True, eq=False)
class ScalarTerms:
    """The terms of one order in one dimension, all scales 1, as arrays.

    Parameters
    ----------
    order : int
        k.
    powers : array of int, shape (terms, n, k)
        ``powers[t, l, m]``: how often the m-th derivative of block l + 1 is a factor.
    numerators : array of int, shape (terms,)
        The coefficients times k!.

    Examples
    --------
    >>> from expansion.series.expansion import expand
    >>> collapsed_order(4, 4).as_dict() == collapse(expand(4, 4).order(4))
    True
    """

    order: int
    powers: NDArray[np.int8]
    numerators: NDArray[Any]

    def __len__(self) -> int:
        return len(self.powers)

    def as_dict(self) -> dict[Factors, Fraction]:
        """Factors to coefficient, as :func:`collapse` gives them."""
        lists: list[list[tuple[int, int]]] = [[] for _ in range(len(self))]
        term, block, derivative = np.nonzero(self.powers)
        times = self.powers[term, block, derivative]
        # np.nonzero counts upwards, factors are written downwards.
        for t, label, m, count in zip(
            *(part[::-1].tolist() for part in (term, block + 1, derivative, times)), strict=True
        ):
            lists[t] += [(label, m)] * count
        scale = factorial(self.order)
        return {
            tuple(factors): Fraction(int(number), scale)
            for factors, number in zip(lists, self.numerators, strict=True)
        }


def collapsed_order(depth: int, order: int) -> ScalarTerms:
    """The order-k terms of an untied tower of scalar branches with scale 1.

    Parameters
    ----------
    depth, order : int
        n ≥ 1 and 1 ≤ k ≤ 15, at most three million trees.

    Raises
    ------
    TooManyTermsError
        At once, when there are more trees than that.

    Notes
    -----
    Trees are compared by a random fingerprint of their factors, which follows the Butcher product
    by addition, and then factor by factor: the result is exact whatever the fingerprints.

    Examples
    --------
    >>> [len(collapsed_order(n, 6)) for n in (6, 8, 10)]
    [1933, 11872, 47697]
    """
    if check_count(order, "order", least=1) > _LARGEST_ORDER:
        mend = "use collapse(expand(...))"
        raise InputError(f"an order up to {_LARGEST_ORDER}", order, mend)
    table = labelled_table(depth, order)
    counts = table.child_counts()
    last = slice(int(table.starts[order]), int(table.starts[order + 1]))
    scale = factorial(order)
    weights = scale // table.symmetries()[last]
    powers = _powers(table, counts)[last]
    for seed in range(100):
        prints = _fingerprints(table, counts, seed)[last]
        sorted_ = np.argsort(prints, kind="stable")
        ordered = prints[sorted_]
        is_first = np.ones(len(ordered), bool)
        is_first[1:] = ordered[1:] != ordered[:-1]
        starts, group = np.flatnonzero(is_first), np.cumsum(is_first) - 1
        kept = powers[sorted_[starts]]
        if (powers[sorted_] == kept[group]).all():
            sums = np.add.reduceat(weights[sorted_], starts) if len(starts) else weights
            return ScalarTerms(order, kept.reshape(-1, depth, order), sums)
    raise AssertionError("a hundred random fingerprints in a row had a collision")


def _powers(table: LabelledTable, counts: NDArray[np.int8]) -> NDArray[np.int8]:
    """Shape (trees, n k): how often each factor occurs in each tree."""
    powers = np.zeros((len(table), table.depth * table.order), np.int8)
    column = (table.labels - 1) * table.order + counts
    single = np.arange(table.depth)
    powers[single, column[single]] = 1
    for k in range(2, table.order + 1):
        numbers = np.arange(table.starts[k], table.starts[k + 1])
        powers[numbers] = powers[table.rest[numbers]] + powers[table.largest[numbers]]
        # The root has one child more than it had in r.
        powers[numbers, column[numbers] - 1] -= 1
        powers[numbers, column[numbers]] += 1
    return powers


def _fingerprints(table: LabelledTable, counts: NDArray[np.int8], seed: int) -> Integers:
    """A random word per factor, added up over the tree; words wrap around."""
    size = table.depth * table.order
    words = np.random.default_rng(seed).integers(-(2**62), 2**62, size)
    column = (table.labels - 1) * table.order + counts
    prints = np.zeros(len(table), np.int64)
    prints[: table.depth] = words[column[: table.depth]]
    for k in range(2, table.order + 1):
        here = slice(int(table.starts[k]), int(table.starts[k + 1]))
        changed = words[column[here]] - words[column[here] - 1]
        prints[here] = prints[table.rest[here]] + prints[table.largest[here]] + changed
    return prints
