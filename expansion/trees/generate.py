"""Streams of all trees of an order, all labelled trees of a depth, and their forests.

Rooted trees are generated in constant amortised time per tree by the successor rule for
canonical level sequences (Beyer and Hedetniemi, SIAM J. Comput. 9, 1980). Labelled trees are
built block by block: the forests with root labels up to j are those up to j − 1, each joined
with every multiset of trees rooted at j. Every object appears once and already in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, product

from expansion.checking import check_count
from expansion.trees.labelled import Forest, LabelledTree
from expansion.trees.tree import Tree

__all__ = [
    "labelled_forests",
    "labelled_trees",
    "level_sequences",
    "rooted_forests",
    "rooted_trees",
]

_Forests = list[list[tuple[LabelledTree, ...]]]


def level_sequences(order: int) -> Iterator[tuple[int, ...]]:
    """Canonical level sequences of all rooted trees with ``order`` vertices.

    Parameters
    ----------
    order : int
        Number of vertices, at least 1.

    Yields
    ------
    tuple of int
        Each vertex's distance from the root, depth first; from the chain to the bush.

    Examples
    --------
    >>> list(level_sequences(3))
    [(0, 1, 2), (0, 1, 1)]
    """
    levels = list(range(check_count(order, "order", least=1)))
    while True:
        yield tuple(levels)
        last = len(levels) - 1
        while last > 0 and levels[last] == 1:
            last -= 1
        if last <= 0:
            return
        parent = last - 1
        while levels[parent] != levels[last] - 1:
            parent -= 1
        for vertex in range(last, len(levels)):
            levels[vertex] = levels[vertex - last + parent]


def rooted_trees(order: int) -> Iterator[Tree]:
    """Every rooted tree with ``order`` vertices, once.

    Their number is OEIS A000081 (claim C3).

    Examples
    --------
    >>> [str(tree) for tree in rooted_trees(4)]
    ['[[[[]]]]', '[[[],[]]]', '[[[]],[]]', '[[],[],[]]']
    """
    return map(Tree.from_levels, level_sequences(order))


def rooted_forests(order: int) -> Iterator[Forest[Tree]]:
    """Every multiset of rooted trees with ``order`` vertices in all (claim E2, tied).

    Examples
    --------
    >>> [str(forest) for forest in rooted_forests(2)]
    ['D[[[]]]', 'D[[],[]]']
    """
    order = check_count(order, "order", least=0)
    # Grafting a forest onto a new root is a bijection onto the trees with one vertex more.
    return (Forest(tree.children) for tree in rooted_trees(order + 1))


def labelled_trees(depth: int, order: int) -> Iterator[LabelledTree]:
    """Every labelled tree of at most ``order`` vertices with labels in 1..``depth``.

    Their number by order is given beforehand by :func:`expansion.trees.counting.tree_counts`.

    Parameters
    ----------
    depth : int
        Number of blocks n ≥ 0.
    order : int
        Largest number of vertices K ≥ 0.

    Yields
    ------
    LabelledTree
        By order, then by root label.

    Examples
    --------
    >>> [str(tree) for tree in labelled_trees(2, 3)]
    ['1', '2', '2[1]', '2[1,1]']
    """
    order = check_count(order, "order", least=0)
    by_root = _grow(depth, order, trees_only=True)[1]
    for size in range(1, order + 1):
        for trees in by_root:
            yield from trees[size]


def labelled_forests(depth: int, order: int) -> Iterator[Forest[LabelledTree]]:
    """Every multiset of labelled trees with at most ``order`` vertices in all (claim E2).

    Examples
    --------
    >>> [str(forest) for forest in labelled_forests(2, 2)]
    ['D[]', 'D[1]', 'D[2]', 'D[1,1]', 'D[2,1]', 'D[2[1]]', 'D[2,2]']
    """
    for same_size in _grow(depth, order, trees_only=False)[0]:
        yield from map(Forest, same_size)


def _grow(
    depth: int, order: int, *, trees_only: bool
) -> tuple[_Forests, list[list[list[LabelledTree]]]]:
    """Forests by size, and for each root label the trees by size."""
    depth = check_count(depth, "depth", least=0)
    order = check_count(order, "order", least=0)
    forests: _Forests = [[] for _ in range(order + 1)]
    forests[0].append(())
    by_root: list[list[list[LabelledTree]]] = []
    for label in range(1, depth + 1):
        trees: list[list[LabelledTree]] = [[]] + [
            [LabelledTree.from_sorted(label, forest) for forest in forests[size - 1]]
            for size in range(1, order + 1)
        ]
        by_root.append(trees)
        if trees_only and label == depth:
            break
        # The last order of forests is never grafted when only trees are wanted.
        largest = order - 1 if trees_only else order
        joined = [list(same_size) for same_size in forests]
        for size in range(1, largest + 1):
            bundles = list(_bundles(trees, size, size))
            for rest in range(largest - size + 1):
                joined[size + rest] += [a + b for a, b in product(bundles, forests[rest])]
        forests = joined
    return forests, by_root


def _bundles(
    trees: list[list[LabelledTree]], total: int, largest: int
) -> Iterator[tuple[LabelledTree, ...]]:
    """Multisets of trees of one root label with ``total`` vertices, largest key first."""
    if total == 0:
        yield ()
        return
    for size in range(min(total, largest), 0, -1):
        if not trees[size]:
            continue
        for count in range(1, total // size + 1):
            for rest in _bundles(trees, total - count * size, size - 1):
                for chosen in combinations_with_replacement(trees[size], count):
                    yield tuple(sorted(chosen + rest, key=_key, reverse=True))


def _key(tree: LabelledTree) -> tuple[int, ...]:
    return tree.key
