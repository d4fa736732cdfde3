"""Natural mistakes that serve as saboteurs in several checks, and what they are mistakes about.

The subject of E1 and E2 maps a tower and an order to the coefficients of all terms; that of E7
and G2 maps a tower and an input to the orders of its gated paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from expansion.series.expansion import expand
from expansion.towers.arrays import Array
from expansion.towers.branches.layered import MLPBranch
from expansion.towers.tower import Tower
from expansion.trees.labelled import LabelledTree, Term

__all__ = [
    "Coefficients",
    "PathOrders",
    "block_feeds_itself",
    "blocks_reversed",
    "decoded_terms",
    "gates_of_the_input",
    "last_block_left_out",
    "on_terms",
    "only_paths",
    "scale_once_per_block",
    "scales_forgotten",
    "terms",
    "without_gates",
]

Coefficients = Callable[[Tower, int], Mapping[Term, Any]]
PathOrders = Callable[[Tower, Array], Array]


def terms(tower: Tower, order: int) -> Mapping[Term, Any]:
    """The terms of H_n, or of D∘H_n∘E if the tower has a decoder: the subject of E1."""
    return expand(tower, order)


def decoded_terms(tower: Tower, order: int) -> Mapping[Term, Any]:
    """The terms of D∘H_n∘E, forests, for an abstract decoder too: the subject of E2."""
    return expand(tower, order, decoder=True)


def on_terms(change: Callable[[Any, Any], Any], subject: Coefficients = terms) -> Coefficients:
    """A wrong subject that changes every coefficient, or leaves a term out by None.

    Examples
    --------
    >>> linear = on_terms(only_paths)
    >>> [str(term) for term in linear(Tower.abstract(2), 3)]
    ['1', '2', '2[1]']
    """

    def wrong(tower: Tower, order: int) -> Mapping[Term, Any]:
        changed = {term: change(term, c) for term, c in subject(tower, order).items()}
        return {term: c for term, c in changed.items() if c is not None}

    return wrong


def block_feeds_itself(tower: Tower, order: int) -> Mapping[Term, Any]:
    """Labels ≤ instead of <, at the root: f_j' applied to f_j too.

    Examples
    --------
    >>> [str(term) for term in block_feeds_itself(Tower.abstract(1), 2)]
    ['1', '1[1]']
    """
    right = expand(tower, order)
    repeated: dict[Term, Any] = {
        LabelledTree.from_sorted(tree.label, (tree,)): c * tower.scales[tree.label - 1]
        for tree, c in right.items()
        if isinstance(tree, LabelledTree) and tree.order < order
    }
    return {**right, **repeated}


def last_block_left_out(tower: Tower, order: int) -> Mapping[Term, Any]:
    """Depth off by one: no term that uses block n."""
    right = expand(tower, order)
    return {term: c for term, c in right.items() if tower.depth not in _labels(term)}


def scale_once_per_block(tower: Tower, order: int) -> Mapping[Term, Any]:
    """λ_i once for every block in the term, instead of once for every vertex."""
    return {
        term: prod((tower.scales[block - 1] for block in set(_labels(term))), start=Fraction(1))
        / term.symmetry
        for term in expand(tower, order)
    }


def only_paths(term: Any, coefficient: Any) -> Any:
    """A change for :func:`on_terms`: branches taken as linear, so that only chains survive."""
    return coefficient if _is_path(term) else None


def _is_path(term: Any) -> bool:
    return len(term.children) <= 1 and all(map(_is_path, term.children))


def _labels(term: Any) -> tuple[int, ...]:
    return tuple(term.labels)


# --- orders of gated paths --------------------------------------------------------------------


def _carried(tower: Tower, point: Array, jacobians: Iterable[Array]) -> Array:
    """The orders of Π (1 + z λ_l J_l) x."""
    orders = np.stack([point] + [point * 0] * tower.depth)
    for scale, jacobian in zip(tower.scales, jacobians, strict=True):
        orders[1:] = orders[1:] + scale * (orders[:-1] @ jacobian.T)
    return orders


def _jacobian(branch: Any, state: Array) -> Array:
    assert isinstance(branch, MLPBranch)
    gates = (branch.inner @ state > 0).astype(bool)
    return branch.outer @ (gates[:, None] * branch.inner)


def gates_of_the_input(tower: Tower, point: Array) -> Array:
    """Every gate as it is at x, not where the forward pass comes through."""
    return _carried(tower, point, (_jacobian(branch, point) for branch in tower.branches))


def without_gates(tower: Tower, point: Array) -> Array:
    """V U for V diag(gate) U."""
    maps = [branch.outer @ branch.inner for branch in tower.branches]  # type: ignore[attr-defined]
    return _carried(tower, point, maps)


def blocks_reversed(tower: Tower, point: Array) -> Array:
    """The last block first."""
    places = list(zip(tower.scales, tower.branches, tower.states(point), strict=False))[::-1]
    swapped = Tower(tower.branches[::-1], tower.scales[::-1])
    return _carried(swapped, point, (_jacobian(branch, state) for _, branch, state in places))


def scales_forgotten(tower: Tower, point: Array) -> Array:
    """Every λ taken as 1."""
    places = zip(tower.branches, tower.states(point), strict=False)
    return _carried(Tower(tower.branches), point, (_jacobian(b, state) for b, state in places))
