r"""Labelled trees: the summands of the Residual Expansion Theorem, and forests of them.

A labelled tree carries a block number at every vertex, each child's smaller than its parent's
(labels on different branches may coincide). It stands for the elementary differential

.. math:: F_t = f_j^{(m)}(x)[F_{t_1}, \ldots, F_{t_m}]

of the branch :math:`f_j` of its root. Its symmetry :math:`\sigma(t)` counts the automorphisms
that respect labels: subtrees are interchangeable only if they carry the same numbers.

A forest is what an outer map (the decoder) is applied to: the multiset of trees under its
derivative :math:`D^{(m)}[F_{t_1}, \ldots, F_{t_m}]` (claim E2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import total_ordering
from itertools import groupby
from typing import Generic, TypeVar

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.trees.drawing import tree_svg
from expansion.trees.tree import Tree, fold, symmetry_of

__all__ = ["Forest", "LabelledTree", "Term"]

_LONGEST_LABEL = 18  # digits


@total_ordering
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LabelledTree:
    """A rooted tree of block numbers, each child's smaller than its parent's.

    Parameters
    ----------
    label : int
        Block number of the root, at least 1.
    children : iterable of LabelledTree, optional
        Subtrees, in any order, with root labels below ``label``.

    Attributes
    ----------
    order : int
        Number of vertices: how many branches the term uses.
    symmetry : int
        σ(t) of the labelled tree; the term's coefficient is Πλ/σ(t).
    key : tuple of int
        (label, number of children) of each vertex, depth first; equal exactly for equal trees.

    Raises
    ------
    InputError
        When a label is not positive or does not decrease towards the leaves.

    Notes
    -----
    Source: derived (claim E1). The text form is ``3[2[1],1]``: the root, then its children in
    brackets, the larger label first.

    Examples
    --------
    >>> t = LabelledTree(3, [LabelledTree(1), LabelledTree(1)])
    >>> print(t, t.order, t.symmetry, t.is_path)
    3[1,1] 3 2 False
    >>> LabelledTree.parse("3[1,2[1]]") == LabelledTree.parse("3[2[1],1]")
    True
    """

    label: int
    children: tuple[LabelledTree, ...] = ()
    order: int = field(init=False)
    symmetry: int = field(init=False)
    key: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        label = check_count(self.label, "a block's label", least=1)
        children = tuple(self.children)
        for child in children:
            if not isinstance(child, LabelledTree):
                mend = "wrap it in LabelledTree(label, ...)"
                raise InputError("a labelled tree's children must be labelled trees", child, mend)
            if child.label >= label:
                required = "each child's label smaller than its parent's"
                raise InputError(required, f"{child.label} below {label}", "lower the child's")
        _fill(self, label, tuple(sorted(children, key=_key, reverse=True)))

    @classmethod
    def from_sorted(cls, label: int, children: tuple[LabelledTree, ...]) -> LabelledTree:
        """Build without validation from children already sorted, largest key first.

        For generators, which produce valid trees in order by construction.

        Examples
        --------
        >>> print(LabelledTree.from_sorted(2, (LabelledTree(1),)))
        2[1]
        """
        tree = cls.__new__(cls)
        _fill(tree, label, children)
        return tree

    @classmethod
    def path(cls, *labels: int) -> LabelledTree:
        """The chain through the given blocks, root (latest block) first.

        Examples
        --------
        >>> print(LabelledTree.path(4, 2, 1))
        4[2[1]]
        """
        if not labels:
            raise InputError("a path through at least one block", "none", "give e.g. path(2, 1)")
        tree = cls(labels[-1])
        for label in reversed(labels[:-1]):
            tree = cls(label, (tree,))
        return tree

    @classmethod
    def parse(cls, text: str) -> LabelledTree:
        """Read a labelled tree written the way :func:`str` writes it.

        Raises
        ------
        InputError
            When the text is not one labelled tree with decreasing labels.

        Examples
        --------
        >>> LabelledTree.parse("5[3[1], 2]").order
        4
        """
        wrong = InputError("a labelled tree", repr(text), "write e.g. 3[2[1],1]")
        stack: list[tuple[int, list[LabelledTree]]] = []
        finished: LabelledTree | None = None
        token = ""
        # Spaces are allowed around brackets and commas, not inside a number.
        for character in re.sub(r"\s*([\[\],])\s*", r"\1", text.strip()) + "\0":
            if character.isascii() and character.isdigit() and finished is None:
                token += character
                continue
            if len(token) > _LONGEST_LABEL:
                raise wrong
            if token:
                if character == "[":
                    stack.append((int(token), []))
                else:
                    finished = cls(int(token))
                token = ""
                if character == "[":
                    continue
            if character in ",]" and stack and finished is not None:
                stack[-1][1].append(finished)
                finished = None
                if character == "]":
                    label, children = stack.pop()
                    finished = cls(label, tuple(children))
            elif character != "\0" or finished is None or stack:
                raise wrong
        assert finished is not None
        return finished

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, LabelledTree) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: LabelledTree) -> bool:
        if not isinstance(other, LabelledTree):
            return NotImplemented
        return (self.order, self.key) < (other.order, other.key)

    def _repr_svg_(self) -> str:
        return tree_svg(self)

    def __repr__(self) -> str:
        return f"LabelledTree.parse({str(self)!r})"

    def __str__(self) -> str:
        return str(fold(self, _write))

    @property
    def labels(self) -> tuple[int, ...]:
        """Block numbers of all vertices, depth first (with repetitions)."""
        return self.key[::2]

    @property
    def is_path(self) -> bool:
        """Whether the term is a computation path, a chain of Jacobians."""
        return all(count <= 1 for count in self.key[1::2])

    @property
    def shape(self) -> Tree:
        """The unlabelled tree."""
        shape: Tree = fold(self, lambda _, shapes: Tree(tuple(shapes)))
        return shape


AnyTree = TypeVar("AnyTree", Tree, LabelledTree)


@total_ordering
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Forest(Generic[AnyTree]):
    """A multiset of trees under the decoder's derivative.

    Parameters
    ----------
    trees : iterable of LabelledTree, or of Tree
        The trees, in any order; none for the decoder's value itself.

    Attributes
    ----------
    order : int
        Number of vertices of all trees together.
    symmetry : int
        σ of the forest, counting interchangeable trees.

    Notes
    -----
    Source: derived (claim E2). The text form is ``D[2[1],1]``.

    Examples
    --------
    >>> forest = Forest([LabelledTree(1), LabelledTree(1)])
    >>> print(forest, forest.order, forest.symmetry)
    D[1,1] 2 2
    """

    trees: tuple[AnyTree, ...] = ()
    order: int = field(init=False)
    symmetry: int = field(init=False)

    def __post_init__(self) -> None:
        trees = tuple(self.trees)
        kinds = {type(tree) for tree in trees}
        if not (kinds <= {Tree} or kinds <= {LabelledTree}):
            came = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise InputError("trees all labelled, or all unlabelled", came, "give one kind")
        trees = tuple(sorted(trees, key=_forest_key, reverse=True))
        object.__setattr__(self, "trees", trees)
        object.__setattr__(self, "order", sum(tree.order for tree in trees))
        object.__setattr__(self, "symmetry", symmetry_of(trees))

    def __eq__(self, other: object) -> bool:
        return self.trees == other.trees if isinstance(other, Forest) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.trees)

    def __lt__(self, other: Forest[AnyTree]) -> bool:
        if not isinstance(other, Forest):
            return NotImplemented
        return (self.order, self.trees) < (other.order, other.trees)

    def __repr__(self) -> str:
        return f"Forest({list(self.trees)!r})"

    def __str__(self) -> str:
        return f"D[{','.join(str(tree) for tree in self.trees)}]"

    @property
    def labels(self) -> tuple[int, ...]:
        """Block numbers of all vertices of all trees (empty for unlabelled trees)."""
        return sum((getattr(tree, "labels", ()) for tree in self.trees), ())

    @property
    def children(self) -> tuple[AnyTree, ...]:
        """The trees, under the name by which a tree's own subtrees go."""
        return self.trees

    @property
    def shape(self) -> Forest[Tree]:
        """The forest without its labels."""
        return Forest(tuple(t if isinstance(t, Tree) else t.shape for t in self.trees))

    def distinct(self) -> Iterator[tuple[AnyTree, int]]:
        """Each distinct tree with its multiplicity."""
        for tree, equal in groupby(self.trees):
            yield tree, sum(1 for _ in equal)


Term = LabelledTree | Tree | Forest[LabelledTree] | Forest[Tree]


def _write(vertex: LabelledTree, below: list[str]) -> str:
    return f"{vertex.label}[{','.join(below)}]" if below else str(vertex.label)


def _key(tree: LabelledTree) -> tuple[int, ...]:
    return tree.key


def _forest_key(tree: Tree | LabelledTree) -> tuple[int, tuple[int, ...]]:
    return (tree.order if isinstance(tree, Tree) else 0, tree.key)


def _fill(tree: LabelledTree, label: int, children: tuple[LabelledTree, ...]) -> None:
    put = object.__setattr__
    put(tree, "label", label)
    put(tree, "children", children)
    put(tree, "order", 1 + sum(child.order for child in children))
    put(tree, "symmetry", symmetry_of(children) if len(children) > 1 else _only(children))
    put(tree, "key", sum((child.key for child in children), (label, len(children))))


def _only(children: tuple[LabelledTree, ...]) -> int:
    return children[0].symmetry if children else 1
