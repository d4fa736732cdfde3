r"""All rooted trees up to an order as arrays, without an object per tree.

A tree that is not a single vertex is one thing only: its largest subtree c, grafted onto the root
of the tree r that is left when c is taken away (the Butcher product r ∘ c),

.. math:: \tau = r \circ c, \qquad |\tau| = |r| + |c|, \qquad c \ge \text{largest subtree of } r.

Trees are numbered by order, and within an order by c and then r. So the trees r that may go with
a given c are a first few of theirs, and every order is written down by a handful of array
operations on the orders below it. Any number of trees that follows the Butcher product is
computed for all trees at once in the same way (:mod:`expansion.trees.weights`).

Orders too large to hold are streamed (:mod:`expansion.trees.streams`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.errors import InputError, TooManyTermsError
from expansion.trees.counting import rooted_tree_counts
from expansion.trees.tree import Tree

__all__ = ["MOST_TREES", "TreeTable", "joined_ranges", "tree_table"]

Integers = NDArray[np.int64]
MOST_TREES = 3_000_000
_INSTEAD = "stream the level sequences (expansion.trees.streams), or lower the order"


@dataclass(frozen=True, slots=True, eq=False)
class TreeTable:
    """Every rooted tree with 1..``order`` vertices, numbered from 0 (the single vertex).

    Made by :func:`tree_table`. A :class:`~expansion.trees.tree.Tree` is built only when one is
    asked for by its number.

    Parameters
    ----------
    order : int
        K, the largest number of vertices.
    starts : array of int, shape (K + 2,)
        Trees of order k have the numbers ``starts[k]`` to ``starts[k + 1] - 1``.
    rest, largest : array of int, shape (trees,)
        The numbers of r and c in τ = r ∘ c; −1 for the single vertex.

    Notes
    -----
    Source: the Butcher product (Butcher 1972); claims C3 and E3.

    Examples
    --------
    >>> table = tree_table(4)
    >>> len(table), [str(table.tree(number)) for number in table.numbers(4)]
    (8, ['[[],[],[]]', '[[[]],[]]', '[[[],[]]]', '[[[[]]]]'])
    """

    order: int
    starts: Integers
    rest: Integers
    largest: Integers
    _known: dict[int, Tree] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def numbers(self, order: int) -> range:
        """The numbers of the trees with that many vertices."""
        if not 1 <= check_count(order, "order", least=1) <= self.order:
            raise InputError(f"an order up to {self.order}", order, "make a larger table")
        return range(int(self.starts[order]), int(self.starts[order + 1]))

    def tree(self, number: int) -> Tree:
        """The tree of that number; subtrees are shared between trees."""
        number = check_count(number, "a tree's number", least=0)
        if number >= len(self):
            raise InputError(f"a tree's number below {len(self)}", number, "make a larger table")
        if number not in self._known:
            children = []
            rest = number
            while rest:  # the children, largest first
                children.append(self.tree(int(self.largest[rest])))
                rest = int(self.rest[rest])
            self._known[number] = Tree(tuple(children))
        return self._known[number]

    def levels(self, order: int) -> NDArray[np.int8]:
        """Level sequences of all trees of an order, shape (trees, order), children largest first.

        Examples
        --------
        >>> tree_table(3).levels(3).tolist()
        [[0, 1, 1], [0, 1, 2]]
        """
        self.numbers(order)
        known = [np.zeros((0, 0), np.int8), np.zeros((1, 1), np.int8)]
        for k in range(2, order + 1):
            rows = np.zeros((self.starts[k + 1] - self.starts[k], k), np.int8)
            sizes = self._orders(self.largest[self.numbers(k)])
            for size in range(1, k):
                # c ascends and with it its size, so that each size is one stretch of rows.
                here = slice(*np.searchsorted(sizes, [size, size + 1]))
                numbers = slice(self.starts[k] + here.start, self.starts[k] + here.stop)
                grafted = self.largest[numbers] - self.starts[size]
                left = self.rest[numbers] - self.starts[k - size]
                rows[here, 1 : size + 1] = known[size][grafted] + np.int8(1)
                rows[here, size + 1 :] = known[k - size][left, 1:]
            known.append(rows)
        return known[order]

    def _orders(self, numbers: Integers) -> Integers:
        return np.searchsorted(self.starts, numbers, side="right") - 1


def tree_table(order: int) -> TreeTable:
    """All rooted trees with at most ``order`` vertices, as arrays.

    Parameters
    ----------
    order : int
        K ≥ 1; the trees are counted first (OEIS A000081).

    Raises
    ------
    TooManyTermsError
        At once, for more than three million trees (order 19 and up).

    Examples
    --------
    >>> [len(tree_table(k)) for k in (1, 5, 12)]
    [1, 17, 7813]
    """
    order = check_count(order, "order", least=1)
    counts = rooted_tree_counts(order)
    if sum(counts) > MOST_TREES:
        raise TooManyTermsError(sum(counts), MOST_TREES, _INSTEAD)
    starts = np.concatenate([[0], np.cumsum(counts)])
    rest, largest = np.full(starts[-1], -1), np.full(starts[-1], -1)
    for k in range(2, order + 1):
        grafted = np.arange(starts[k])  # every smaller tree as c
        left = k - (np.searchsorted(starts, grafted, side="right") - 1)
        # Within an order r ascends with its own largest subtree: those that fit come first.
        fitting = np.empty_like(grafted)
        for size in range(1, k):
            here = slice(starts[k - size], starts[k - size + 1])
            own = largest[starts[size] : starts[size + 1]]
            fitting[here] = np.searchsorted(own, grafted[here], side="right")
        here = slice(starts[k], starts[k + 1])
        largest[here] = np.repeat(grafted, fitting)
        rest[here] = joined_ranges(starts[left], fitting)
    return TreeTable(order, starts, rest, largest)


def joined_ranges(starts: Integers, lengths: Integers) -> Integers:
    """The ranges ``starts[i] .. starts[i] + lengths[i] - 1``, one after the other.

    Examples
    --------
    >>> joined_ranges(np.array([3, 10]), np.array([2, 3])).tolist()
    [3, 4, 10, 11, 12]
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
