r"""Towers that see a single term: every vertex of a tree has a coordinate of its own.

For a tree t, branch j moves the coordinate of a vertex with label j by the product of its
children's coordinates. At x = 0 an elementary differential has a part along the root's
coordinate only if it is F_t, or carried to it by an automorphism of the shape that respects
labels: there it is σ(t), as many as there are. So a formula that is wrong about t is wrong about
this tower, and a vertex with m children needs no more than a polynomial of degree m. Derived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import prod
from typing import Any

import sympy

from expansion.series.composition import composed_orders
from expansion.series.differentials import Differentials
from expansion.towers.arrays import Array, as_array
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower
from expansion.trees.labelled import Forest, Term
from proofs_check.evidence import difference
from proofs_check.formula.meaning import START

__all__ = ["claimed_part", "counterexample", "tower_of"]


def tower_of(term: Term, depth: int, scales: Sequence[Any]) -> Tower:
    """The tower whose last coordinates see the term, to be run at 0.

    Parameters
    ----------
    term : tree or forest
        Trees without labels give tied branches, forests a decoder.
    depth : int
        n, at least the largest label.
    scales : sequence
        λ_1, …, λ_n.

    Examples
    --------
    >>> from expansion.trees.labelled import LabelledTree
    >>> tower = tower_of(LabelledTree.parse("2[1,1]"), 2, [1, 1])
    >>> [str(value) for value in tower([0, 0, 0])]
    ['1', '1', '1']
    """
    labels: list[int | None] = []
    below: list[list[int]] = []

    def place(vertex: Any) -> int:
        mine = len(labels)
        labels.append(getattr(vertex, "label", None))
        below.append([])
        below[mine].extend(place(child) for child in vertex.children)
        return mine

    trees = term.trees if isinstance(term, Forest) else (term,)
    roots = [place(tree) for tree in trees]
    variables = sympy.symbols(f"x1:{max(len(labels), 1) + 1}")
    products = [prod((variables[i] for i in ones), start=sympy.Integer(1)) for ones in below]

    def branch(block: int | None) -> SymbolicBranch:
        moved = [p if label == block else 0 for p, label in zip(products, labels, strict=True)]
        return SymbolicBranch(variables, tuple(map(sympy.sympify, moved or [0])))

    decoder = None
    if isinstance(term, Forest):
        along = prod((variables[root] for root in roots), start=sympy.Integer(1))
        decoder = SymbolicBranch(variables, (along,))
    if labels and labels[0] is None:
        return Tower.tied(branch(None), depth, scales, decoder=decoder)
    return Tower(tuple(branch(block + 1) for block in range(depth)), scales, decoder=decoder)


def claimed_part(terms: Mapping[Any, Any], tower: Tower, point: Any) -> Array:
    """Σ c_t F_t at a point, for any trees, also those of wrong formulas."""
    differentials = Differentials(tower, point)
    start = differentials.value(Forest(()))
    total = start * 0
    for term, coefficient in terms.items():
        value = start if term == START else differentials.value(term)
        total = total + coefficient * value
    return total


def counterexample(
    term: Any, order: int, claimed: Mapping[Any, Any], depth: int, scales: Sequence[Any]
) -> str | None:
    """The tower of a term with the part of an order that is claimed and the true one, as Python.

    Parameters
    ----------
    term : tree or forest
        Where the claim is wrong.
    order : int
        Of the part.
    claimed : mapping
        Term to coefficient, as numbers: the claim about that part.
    depth, scales
        Of the tower.

    Returns
    -------
    str or None
        None if the two agree after all.
    """
    tower = tower_of(term, depth, scales)
    point = as_array([Fraction(0)] * tower.branches[0].inputs, "the point")  # type: ignore[operator]
    part = claimed_part(claimed, tower, point)
    true = composed_orders(tower, point, order)[order]
    return difference(part, true, term=term, tower=tower, point=point, order=order)
