r"""Rooted trees, and the numbers that the expansion of a tied tower attaches to them.

A rooted tree :math:`\tau = [\tau_1 \ldots \tau_m]` is the multiset of its root's subtrees. Its

- *order* :math:`|\tau|` is the number of vertices;
- *symmetry* :math:`\sigma(\tau) = \prod_i m_i!\,\sigma(\tau_i)^{m_i}`, over the distinct subtrees
  with multiplicities :math:`m_i`, is the size of its automorphism group;
- *tree factorial* :math:`\tau! = |\tau| \prod_i \tau_i!`.

Two trees are equal exactly when they are isomorphic: the constructor sorts the children by a
flat key, so that equality and hashing never recurse and chains of any length are safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import total_ordering
from itertools import groupby, pairwise
from math import factorial, prod
from typing import Any, Protocol

from expansion.errors import InputError
from expansion.trees.drawing import tree_svg

__all__ = ["Tree", "fold", "symmetry_of"]


class _HasSymmetry(Protocol):
    @property
    def symmetry(self) -> int: ...


def symmetry_of(children: Iterable[_HasSymmetry]) -> int:
    """Symmetry of a root whose sorted subtrees are ``children`` (equal ones adjacent).

    Examples
    --------
    >>> leaf = Tree()
    >>> symmetry_of((leaf, leaf, leaf))
    6
    """
    result = 1
    for child, equal in groupby(children):
        multiplicity = sum(1 for _ in equal)
        result *= factorial(multiplicity) * child.symmetry**multiplicity
    return result


@total_ordering
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tree:
    """A rooted tree; ``==`` is isomorphism.

    Parameters
    ----------
    children : iterable of Tree, optional
        The root's subtrees, in any order.

    Attributes
    ----------
    order : int
        Number of vertices, the power of λ that the tree comes with.
    symmetry : int
        σ, the number of automorphisms.
    factorial : int
        τ!, the tree factorial.
    key : tuple of int
        Number of children of each vertex in depth-first order; equal exactly for equal trees.

    Raises
    ------
    InputError
        When a child is not a Tree.

    Notes
    -----
    Source: Butcher's theory of rooted trees; the numbers enter claims E3, E6 and C3.

    Examples
    --------
    >>> cherry = Tree([Tree(), Tree()])
    >>> print(cherry, cherry.order, cherry.symmetry, cherry.factorial)
    [[],[]] 3 2 3
    >>> Tree([Tree(), Tree([Tree()])]) == Tree([Tree([Tree()]), Tree()])
    True
    """

    children: tuple[Tree, ...] = ()
    order: int = field(init=False)
    symmetry: int = field(init=False)
    factorial: int = field(init=False)
    key: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        children = tuple(self.children)
        for child in children:
            if not isinstance(child, Tree):
                raise InputError("a tree's children must be trees", child, "wrap it in Tree(...)")
        children = tuple(sorted(children, key=_sort_key, reverse=True))
        order = 1 + sum(child.order for child in children)
        _set(self, "children", children)
        _set(self, "order", order)
        _set(self, "symmetry", symmetry_of(children))
        _set(self, "factorial", order * prod(child.factorial for child in children))
        _set(self, "key", sum((child.key for child in children), (len(children),)))

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, Tree) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: Tree) -> bool:
        return _sort_key(self) < _sort_key(other) if isinstance(other, Tree) else NotImplemented

    def __reduce__(self) -> tuple[Any, ...]:
        # As text: pickling vertex by vertex would recurse, and long chains fail.
        return Tree.parse, (str(self),)

    @property
    def is_chain(self) -> bool:
        """Whether no vertex has two children: the shape of a computation path."""
        return all(count <= 1 for count in self.key)

    @property
    def height(self) -> int:
        """Number of edges on the longest way from the root to a leaf."""
        return max(_depths(self.key))

    @property
    def branching(self) -> int:
        """The largest number of children of a vertex: the highest derivative the tree needs."""
        return max(self.key)

    @classmethod
    def chain(cls, order: int) -> Tree:
        """The tree of ``order`` vertices without branching.

        Examples
        --------
        >>> print(Tree.chain(3))
        [[[]]]
        """
        tree = cls()
        for _ in range(order - 1):
            tree = cls((tree,))
        return tree

    @classmethod
    def from_levels(cls, levels: Sequence[int]) -> Tree:
        """Build a tree from its level sequence: each vertex's distance from the root, depth first.

        Examples
        --------
        >>> print(Tree.from_levels([0, 1, 2, 1]))
        [[[]],[]]
        """
        if not levels or levels[0] != 0:
            raise InputError("a level sequence starts at 0", list(levels), "give e.g. [0, 1, 1]")
        waiting: list[list[Tree]] = [[]]
        for before, level in pairwise(levels):
            if not 1 <= level <= before + 1:
                required = "each level is between 1 and one more than the level before"
                raise InputError(required, list(levels), "give e.g. [0, 1, 2, 1]")
            _close(waiting, level, cls)
            waiting.append([])
        _close(waiting, 1, cls)
        return cls(tuple(waiting[0]))

    @classmethod
    def parse(cls, text: str) -> Tree:
        """Read a tree written as nested brackets, the way :func:`str` writes it.

        Raises
        ------
        InputError
            When the brackets do not form one tree.

        Examples
        --------
        >>> Tree.parse("[[], [[]]]").order
        4
        """
        wrong = InputError("a tree written in brackets", repr(text), "write e.g. [[],[]]")
        levels: list[int] = []
        level, may_open, may_close = 0, True, False
        for character in "".join(text.split()):
            if character == "[" and may_open:
                levels.append(level)
                level, may_close = level + 1, True
            elif character == "]" and may_close and level > 0:
                level, may_open = level - 1, False
            elif character == "," and level > 0 and not may_open:
                may_open, may_close = True, False
            else:
                raise wrong
        if level or not levels or may_open:
            raise wrong
        return cls.from_levels(levels)

    def _repr_svg_(self) -> str:
        return tree_svg(self)

    def __repr__(self) -> str:
        return f"Tree.parse({str(self)!r})"

    def __str__(self) -> str:
        pieces: list[str] = []
        before = -1
        for level in _depths(self.key):
            pieces.append("]" * (before - level + 1))
            pieces.append(",[" if level <= before else "[")
            before = level
        return "".join(pieces) + "]" * (before + 1)


def fold(root: Any, combine: Callable[[Any, list[Any]], Any]) -> Any:
    """Combine a tree from the leaves down to the root, without recursion.

    Parameters
    ----------
    root : Tree, LabelledTree or Forest
        Anything with ``children``.
    combine : callable
        Given a vertex and the results of its children, in order, returns its own result.

    Examples
    --------
    >>> fold(Tree.parse("[[[]],[]]"), lambda vertex, heights: 1 + max(heights, default=0))
    3
    """
    results: list[Any] = []
    waiting = [(root, False)]
    while waiting:
        vertex, ready = waiting.pop()
        if ready:
            first = len(results) - len(vertex.children)
            results[first:] = [combine(vertex, results[first:])]
        else:
            waiting.append((vertex, True))
            waiting += [(child, False) for child in reversed(vertex.children)]
    return results[0]


def _sort_key(tree: Tree) -> tuple[int, tuple[int, ...]]:
    return tree.order, tree.key


def _close(waiting: list[list[Tree]], level: int, build: type[Tree]) -> None:
    """Finish every open vertex at ``level`` or below it and hand it to its parent."""
    while len(waiting) > level:
        children = waiting.pop()
        waiting[-1].append(build(tuple(children)))


def _depths(key: Sequence[int]) -> Iterator[int]:
    """Level of each vertex, read off the numbers of children in depth-first order."""
    unfinished: list[int] = []
    for count in key:
        yield len(unfinished)
        unfinished.append(count)
        while unfinished and unfinished[-1] == 0:
            unfinished.pop()
            if unfinished:
                unfinished[-1] -= 1


def _set(instance: object, name: str, value: object) -> None:
    object.__setattr__(instance, name, value)
