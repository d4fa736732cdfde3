"""Identities between the routes to the expansion, on random polynomial towers (E1 to E5).

Terms summed one by one, blocks substituted into one another, values of the tower interpolated in
z, power series carried through: each identity compares two of them in exact rationals, in two
and three dimensions. One dimension would not do, because isomeric trees collapse there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from math import comb, factorial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from expansion.series.algebra import compose
from expansion.series.composition import composed_orders
from expansion.series.expansion import Expansion, expand
from expansion.series.jets import jet_orders
from expansion.towers.arrays import Array
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower
from expansion.trees.labelled import Term
from expansion.trees.order_polynomials import to_fraction
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.interpolation import polynomial_through
from proofs_check.mistakes import (
    Coefficients,
    block_feeds_itself,
    on_terms,
    only_paths,
    terms,
)
from proofs_check.sampling import sample
from proofs_check.strategies import points, polynomial_towers

__all__ = ["CHECKS", "composed_halves"]

Orders = Callable[[Tower, Array, int], Array]
Halves = Callable[[Tower, int, Array, int], Array]


def _compare(claimed: Array, true: Array, order: int, **given: Any) -> str | None:
    """The first order that differs, as a counterexample."""
    if claimed.shape != true.shape:
        return difference(claimed, true, **given, order=order)
    for k in range(order + 1):
        if found := difference(claimed[: k + 1], true[: k + 1], **given, order=k):
            return found
    return None


# --- E1, E2: terms summed one by one against direct composition -------------------------------


def _composition(subject: Coefficients, effort: Effort) -> Evidence:
    order = 5
    places = st.one_of([st.tuples(polynomial_towers(d), points(d)) for d in (2, 3)])
    return _against_composition(subject, effort, places, order, "composition", 60)


def _composition_with_ends(subject: Coefficients, effort: Effort) -> Evidence:
    places = st.tuples(polynomial_towers(depths=(1, 3), ends=True), points(2))
    return _against_composition(subject, effort, places, 4, "composition with ends", 45)


def _against_composition(
    subject: Coefficients, effort: Effort, places: Any, order: int, name: str, number: int
) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        summed = Expansion(subject(tower, order), order, tower).orders(point)
        true = composed_orders(tower, point, order)
        return _compare(summed, true, order, tower=tower, point=point)

    reach = f"quadratic towers, orders ≤ {order}"
    return sample(places, counterexample, effort, name=name, number=number, reach=reach)


# --- E3: labelled terms of equal branches add up ----------------------------------------------


TiedTerms = Callable[[Tower, int, bool], Mapping[Term, Any]]


def _tied_terms(tower: Tower, order: int, decoder: bool) -> Mapping[Term, Any]:
    return expand(tower, order, tied=True, decoder=decoder)


def _tied_sums(subject: TiedTerms, effort: Effort) -> Evidence:
    depth, order = effort.pick(quick=(4, 4), deep=(5, 5))
    listed = (Fraction(1), Fraction(1, 2), Fraction(2), Fraction(-1, 3), Fraction(3))

    def cases() -> Iterator[str | None]:
        for n in range(1, depth + 1):
            for scales in ((Fraction(2, 3),) * n, listed[:n]):
                for decoder in (False, True):
                    tower = Tower.abstract(n, scales, tied=True)
                    claimed = subject(tower, order, decoder)
                    labelled: Mapping[Any, Any] = expand(tower, order, decoder=decoder).by_shape()
                    for term in sorted({*claimed, *labelled}):
                        true = sum(labelled.get(term, {}).values(), Fraction(0))
                        given = {"term": term, "scales": scales}
                        yield difference(claimed.get(term, Fraction(0)), true, **given)

    return exhaust(cases(), Verdict.EXHAUSTED, f"depths ≤ {depth}, orders ≤ {order}")


def _wrong_tied(change: Callable[[Any, Any, Tower], Any]) -> TiedTerms:
    def wrong(tower: Tower, order: int, decoder: bool) -> Mapping[Term, Any]:
        right = _tied_terms(tower, order, decoder)
        return {term: change(term, c, tower) for term, c in right.items()}

    return wrong


# --- E4: split towers, and orders as Taylor coefficients --------------------------------------


def composed_halves(tower: Tower, block: int, point: Array, order: int) -> Array:
    """The orders of a tower from the expansions of its first ``block`` blocks and of the rest.

    Examples
    --------
    >>> import sympy
    >>> u = sympy.Symbol("u")
    >>> tower = Tower.tied(SymbolicBranch([u], [u**2]), 2)
    >>> [str(row[0]) for row in composed_halves(tower, 1, [1], 3)]
    ['1', '2', '2', '1']
    """
    first, second = tower.split(block)
    return _insert(expand(second, order), expand(first, order).orders(point))


def _insert(outer: Expansion, series: Array) -> Array:
    """The outer expansion, as formulas in its own variables, applied to a power series in z."""
    assert outer.tower is not None
    branch = outer.tower.branches[0]
    assert isinstance(branch, SymbolicBranch)
    total = series * 0
    for k, formulas in enumerate(outer.orders(branch.variables)):
        moved = SymbolicBranch(branch.variables, tuple(formulas)).jet(series)
        total[k:] = total[k:] + moved[: len(series) - k]
    return total


def _composed_terms(tower: Tower, block: int, point: Array, order: int) -> Array:
    """The orders of the composed expansion, and the output of the tower that it belongs to."""
    first, second = tower.split(block)
    whole = compose(expand(first, order), expand(second, order))
    assert whole.tower is not None
    return np.stack([*whole.orders(point), whole.tower(point)])


def _terms_and_output(tower: Tower, point: Array, order: int) -> Array:
    return np.stack([*expand(tower, order).orders(point), tower(point)])


def _splitting(subject: Halves, effort: Effort, whole: Orders | None = None) -> Evidence:
    order = 3

    @st.composite
    def places(draw: st.DrawFn) -> tuple[Tower, int, Array]:
        tower = draw(polynomial_towers(depths=(2, 4)))
        return tower, draw(st.integers(1, tower.depth - 1)), draw(points(2))

    def counterexample(case: tuple[Tower, int, Array]) -> str | None:
        tower, block, point = case
        claimed = subject(tower, block, point, order)
        true = (whole or _summed)(tower, point, order)
        return _compare(claimed, true, len(true) - 1, tower=tower, block=block, point=point)

    reach = f"quadratic towers split anywhere, orders ≤ {order}"
    return sample(places(), counterexample, effort, name="split", number=45, reach=reach)


def _swapped(tower: Tower, block: int, point: Array, order: int) -> Array:
    first, second = tower.split(block)
    return _insert(expand(first, order), expand(second, order).orders(point))


def _overlapping(tower: Tower, block: int, point: Array, order: int) -> Array:
    first, _ = tower.split(block)
    second = Tower(tower.branches[block - 1 :], tower.scales[block - 1 :])
    return _insert(expand(second, order), expand(first, order).orders(point))


def _added(tower: Tower, block: int, point: Array, order: int) -> Array:
    parts = [expand(part, order).orders(point) for part in tower.split(block)]
    total = parts[0] + parts[1]
    total[0] = point
    return total


def _summed(tower: Tower, point: Array, order: int) -> Array:
    return expand(tower, order).orders(point)


def _taylor(subject: Orders, effort: Effort) -> Evidence:
    order = 4

    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        claimed = subject(tower, point, order)
        true = _interpolated_orders(tower, point, order)
        return _compare(claimed, true, order, tower=tower, point=point)

    places = st.tuples(polynomial_towers(depths=(1, 3)), points(2))
    reach = f"quadratic towers, orders ≤ {order}"
    return sample(places, counterexample, effort, name="taylor", number=60, reach=reach)


def _interpolated_orders(tower: Tower, point: Array, order: int) -> Array:
    """1/k! ∂_z^k H_n(zλ) at 0, from values of the tower alone.

    A tower of n quadratic blocks is a polynomial of degree < 2^n in z, so its values at
    z = 0, …, 2^n − 1 determine it.
    """
    scaled = ([z * scale for scale in tower.scales] for z in range(2**tower.depth))
    values = [Tower(tower.branches, scales)(point) for scales in scaled]
    polynomials = [polynomial_through(column) for column in zip(*values, strict=True)]
    orders = np.empty((order + 1, len(polynomials)), dtype=object)
    for (k, coordinate), _ in np.ndenumerate(orders):
        orders[k, coordinate] = to_fraction(polynomials[coordinate][k])
    return orders


def _by_height(tower: Tower, point: Array, order: int) -> Array:
    parts = Expansion({}, order, tower).orders(point)
    for k in range(1, order + 1):
        group = {t: c for t, c in expand(tower, order).items() if t.order == k}
        for term, c in group.items():
            value = Expansion({term: c}, order, tower).orders(point)[k]
            height = 1 + term.shape.height  # type: ignore[union-attr]
            parts[height] = parts[height] + value
    return parts


# --- E5: jets ---------------------------------------------------------------------------------


def _jets(subject: Orders, effort: Effort) -> Evidence:
    order = 4

    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        true = expand(tower, order).orders(point)
        return _compare(subject(tower, point, order), true, order, tower=tower, point=point)

    towers = st.one_of(polynomial_towers(), polynomial_towers(depths=(1, 3), ends=True))
    places = st.tuples(towers, points(2))
    reach = f"quadratic towers with and without ends, orders ≤ {order}"
    return sample(places, counterexample, effort, name="jets", number=60, reach=reach)


def _rebuilt(change: Callable[[Tower], Tower]) -> Orders:
    return lambda tower, point, order: jet_orders(change(tower), point, order)


def _reversed(tower: Tower) -> Tower:
    ends = {"encoder": tower.encoder, "decoder": tower.decoder}
    return Tower(tower.branches[::-1], tower.scales[::-1], **ends)


def _linear_response(tower: Tower, point: Array, order: int) -> Array:
    return Expansion(on_terms(only_paths)(tower, order), order, tower).orders(point)


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "E1",
        "terms against direct composition",
        _composition,
        terms,
        {
            "1/σ dropped": on_terms(lambda t, c: c * t.symmetry),
            "labels ≤ instead of <": block_feeds_itself,
            "only paths": on_terms(only_paths),
        },
    ),
    Check(
        "E2",
        "forests against direct composition",
        _composition_with_ends,
        terms,
        {
            "1/σ dropped": on_terms(lambda t, c: c * t.symmetry),
            "D' only, no higher derivatives": on_terms(
                lambda f, c: c if len(f.trees) <= 1 else None
            ),
        },
    ),
    Check(
        "E3",
        "tied coefficients against sums over labelled terms",
        _tied_sums,
        _tied_terms,
        {
            "1/σ dropped": _wrong_tied(lambda t, c, tower: c * t.symmetry),
            "C(n, k) for every shape": _wrong_tied(
                lambda t, c, tower: comb(tower.depth, t.order) * Fraction(2, 3) ** t.order
            ),
            "λ instead of λ^k": _wrong_tied(
                lambda t, c, tower: c / tower.scales[0] ** max(t.order - 1, 0)
            ),
        },
    ),
    Check(
        "E4",
        "two expanded halves composed",
        _splitting,
        composed_halves,
        {
            "the second half first": _swapped,
            "the block of the split in both halves": _overlapping,
            "halves added instead of composed": _added,
        },
    ),
    Check(
        "E4",
        "composed terms of split towers, and their tower",
        partial(_splitting, whole=_terms_and_output),
        _composed_terms,
        {
            "the second half first": lambda tower, block, point, order: _composed_terms(
                Tower(
                    tower.branches[block:] + tower.branches[:block],
                    tower.scales[block:] + tower.scales[:block],
                ),
                tower.depth - block,
                point,
                order,
            ),
            "scales of the other half": lambda tower, block, point, order: _composed_terms(
                Tower(tower.branches, tower.scales[block:] + tower.scales[:block]),
                block,
                point,
                order,
            ),
            "the output of the second half alone": lambda tower, block, point, order: np.stack(
                [
                    *_composed_terms(tower, block, point, order)[:-1],
                    tower.split(block)[1](point),
                ]
            ),
        },
    ),
    Check(
        "E4",
        "orders as Taylor coefficients in z",
        _taylor,
        _summed,
        {
            "derivatives without 1/k!": lambda tower, point, order: np.stack(
                [row * factorial(k) for k, row in enumerate(_summed(tower, point, order))]
            ),
            "order k is everything up to k": lambda tower, point, order: np.cumsum(
                _summed(tower, point, order), axis=0
            ),
            "order is the height of the tree": _by_height,
        },
    ),
    Check(
        "E5",
        "jets against terms",
        _jets,
        jet_orders,
        {
            "blocks composed in reverse": _rebuilt(_reversed),
            "λ forgotten": _rebuilt(lambda t: Tower(t.branches, "1", t.encoder, t.decoder)),
            "branches taken as linear": _linear_response,
        },
    ),
)
