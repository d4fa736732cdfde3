r"""All labelled trees of a depth as arrays, without an object per tree (claims E1, C2).

As in :mod:`expansion.trees.bulk`, t = r ∘ c: the largest subtree c grafted onto the root of the
rest r, where now c's root label is below r's,

.. math:: \ell(c) < \ell(r), \qquad c \ge \text{largest subtree of } r.

Trees are numbered by order, then by root label, then by c, then by r. The trees r of one order
and one label that may go with a given c are a first few of theirs, so that every order is
written down by a handful of array operations on the orders below it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.errors import InputError, TooManyTermsError
from expansion.trees.bulk import MOST_TREES, Integers, joined_ranges
from expansion.trees.counting import tree_counts
from expansion.trees.labelled import LabelledTree

__all__ = ["LabelledTable", "labelled_table"]

_LARGEST_ORDER = 20  # σ ≤ (K − 1)! and τ-like products fit into machine words
_INSTEAD = "for the counts alone use count, for the sum of each order jet_orders; lower the order"


@dataclass(frozen=True, slots=True, eq=False)
class LabelledTable:
    """Every labelled tree with 1..``order`` vertices and labels in 1..``depth``.

    Made by :func:`labelled_table`. A :class:`~expansion.trees.labelled.LabelledTree` is built
    only when one is asked for by its number.

    Parameters
    ----------
    depth, order : int
        n and K.
    starts : array of int, shape (K + 2,)
        Trees of order k have the numbers ``starts[k]`` to ``starts[k + 1] - 1``.
    labels : array of int, shape (trees,)
        Root labels.
    rest, largest : array of int, shape (trees,)
        The numbers of r and c in t = r ∘ c; −1 for a single vertex.

    Examples
    --------
    >>> table = labelled_table(3, 2)
    >>> [str(table.tree(number)) for number in range(len(table))]
    ['1', '2', '3', '2[1]', '3[1]', '3[2]']
    """

    depth: int
    order: int
    starts: Integers
    labels: Integers
    rest: Integers
    largest: Integers
    _known: dict[int, LabelledTree] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def numbers(self, order: int) -> range:
        """The numbers of the trees with that many vertices."""
        if check_count(order, "order", least=1) > self.order:
            raise InputError(f"an order up to {self.order}", order, "make a larger table")
        return range(int(self.starts[order]), int(self.starts[order + 1]))

    def tree(self, number: int) -> LabelledTree:
        """The labelled tree of that number; subtrees are shared between trees."""
        if number not in self._known:
            if not 0 <= check_count(number, "a tree's number", least=0) < len(self):
                mend = "make a larger table"
                raise InputError(f"a tree's number below {len(self)}", number, mend)
            children = []
            rest = number
            while (largest := int(self.largest[rest])) >= 0:
                children.append(self.tree(largest))
                rest = int(self.rest[rest])
            children.sort(key=_key, reverse=True)
            label = int(self.labels[number])
            self._known[number] = LabelledTree.from_sorted(label, tuple(children))
        return self._known[number]

    def symmetries(self) -> Integers:
        """σ of every tree.

        Examples
        --------
        >>> labelled_table(2, 3).symmetries().tolist()
        [1, 1, 1, 2]
        """
        result = np.ones(len(self), np.int64)
        equal = np.ones(len(self), np.int64)  # how many subtrees of the root equal the largest
        for k in range(2, self.order + 1):
            here = slice(int(self.starts[k]), int(self.starts[k + 1]))
            rest, largest = self.rest[here], self.largest[here]
            equal[here] += np.where(self.largest[rest] == largest, equal[rest], 0)
            result[here] = result[rest] * result[largest] * equal[here]
        return result

    def child_counts(self) -> NDArray[np.int8]:
        """Number of subtrees of every tree's root."""
        counts = np.zeros(len(self), np.int8)
        for k in range(2, self.order + 1):
            here = slice(int(self.starts[k]), int(self.starts[k + 1]))
            counts[here] = counts[self.rest[here]] + 1
        return counts


def labelled_table(depth: int, order: int) -> LabelledTable:
    """All labelled trees with at most ``order`` vertices and labels 1..``depth``, as arrays.

    Parameters
    ----------
    depth, order : int
        n ≥ 1 and 1 ≤ K ≤ 20; the trees are counted first (claim C2).

    Raises
    ------
    TooManyTermsError
        At once, for more than three million trees.

    Notes
    -----
    Source: derived (claim E1); the Butcher product with labels.

    Examples
    --------
    >>> len(labelled_table(10, 6).numbers(6))
    96291
    """
    depth = check_count(depth, "depth", least=1)
    order = check_count(order, "order", least=1)
    counts = [0, *tree_counts(depth, order)[1:]]
    if sum(counts) > MOST_TREES:
        raise TooManyTermsError(sum(counts), MOST_TREES, _INSTEAD)
    if order > _LARGEST_ORDER:
        raise InputError(f"an order up to {_LARGEST_ORDER}", order, "use labelled_trees")
    starts = np.concatenate([[0], np.cumsum(counts)])
    total = int(starts[-1])
    labels, rest, largest = (np.full(total, -1) for _ in range(3))
    labels[:depth] = np.arange(1, depth + 1)
    # Sorted, for trees are: (order, label, largest subtree), packed into one integer.
    keys = np.zeros(total, np.int64)
    unit = total + 1
    keys[:depth] = (depth + 1 + labels[:depth]) * unit
    above = np.arange(2, depth + 1)
    for k in range(2, order + 1):
        smaller = int(starts[k])
        root, grafted = np.nonzero(labels[:smaller] < above[:, None])
        root += 2
        left = k - (np.searchsorted(starts, grafted, side="right") - 1)
        first = (left * (depth + 1) + root) * unit
        begin = np.searchsorted(keys[:smaller], first)
        fitting = np.searchsorted(keys[:smaller], first + grafted + 1, side="right") - begin
        here = slice(smaller, int(starts[k + 1]))
        labels[here] = np.repeat(root, fitting)
        largest[here] = np.repeat(grafted, fitting)
        rest[here] = joined_ranges(begin, fitting)
        keys[here] = (k * (depth + 1) + labels[here]) * unit + largest[here] + 1
    return LabelledTable(depth, order, starts, labels, rest, largest)


def _key(tree: LabelledTree) -> tuple[int, ...]:
    return tree.key
