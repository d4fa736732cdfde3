r"""The sub-network ensemble against its definition (claim E8).

The true :math:`\Delta_S` are written out: every sub-network is composed on its own, and the signed
sums run over all pairs of sets.

**Size.** If λ_i = 0 the networks with and without branch i are the same, so that :math:`\Delta_S`
vanishes for every S that holds i. With a symbol for every scale, order k of a polynomial tower
must therefore be a sum of monomials with at least k different scales each.

**Stochastic depth.** Both sides are polynomials of degree ≤ n in p: n + 1 probabilities decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import sympy
from hypothesis import strategies as st

from expansion.series.subnetworks import subnetwork_orders, tower_subnetworks
from expansion.towers.arrays import Array, as_array
from expansion.towers.tower import Tower
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, difference
from proofs_check.sampling import sample
from proofs_check.strategies import points, polynomial_towers, relu_towers

__all__ = ["CHECKS"]

Ensemble = Callable[[Tower, Array, int], Array]
Expected = Callable[[Tower, Array, Fraction], Array]
Blocks = frozenset[int]


def _alone(tower: Tower, point: Array, kept: Blocks) -> Array:
    """F_S(x): the tower with only the branches in S, numbered 1..n."""
    state = point
    for block in sorted(kept):
        state = state + tower.scales[block - 1] * tower.branches[block - 1](state)
    return state


def _subsets(depth: int) -> Iterator[Blocks]:
    for size in range(depth + 1):
        yield from map(frozenset, combinations(range(1, depth + 1), size))


def _towers() -> Any:
    return st.one_of(polynomial_towers(depths=(1, 3)), relu_towers())


# --- orders -----------------------------------------------------------------------------------


def _by_definition(subject: Ensemble, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array, int]) -> str | None:
        tower, point, order = case
        order = min(order, tower.depth)
        given = {"tower": tower, "point": point, "order": order}
        claimed = subject(tower, point, order)
        outputs = {kept: _alone(tower, point, kept) for kept in _subsets(tower.depth)}
        true = np.stack([point * 0] * (tower.depth + 1))
        for chosen in outputs:
            for kept in outputs:
                if kept <= chosen:
                    sign = (-1) ** len(chosen - kept)
                    true[len(chosen)] = true[len(chosen)] + sign * outputs[kept]
        found = difference(claimed, true[: order + 1], **given)
        if order < tower.depth:
            return found
        return found or difference(sum(claimed), tower(point), **given)

    places = st.tuples(_towers(), points(2), st.integers(0, 4))
    reach = "quadratic and ReLU towers, depths ≤ 4, any scale, orders 0 to all"
    return sample(places, counterexample, effort, name="ensemble", number=60, reach=reach)


def _together(tower: Tower, point: Array, order: int) -> Array:
    return tower_subnetworks(tower, point, order).orders


def _one_by_one(tower: Tower, point: Array, order: int) -> Array:
    def evaluate(kept: Blocks) -> Array:
        return _alone(tower, point, kept)

    return subnetwork_orders(evaluate, tower.depth, order).orders


def _summed(weight: Callable[[Blocks, Blocks, int], int]) -> Ensemble:
    """Orders from another sign for every pair of sets T ⊆ S."""

    def wrong(tower: Tower, point: Array, order: int) -> Array:
        orders = np.stack([point * 0] * (order + 1))
        for chosen in _subsets(tower.depth):
            for kept in _subsets(tower.depth):
                if len(chosen) <= order and (factor := weight(chosen, kept, tower.depth)):
                    value = factor * _alone(tower, point, kept)
                    orders[len(chosen)] = orders[len(chosen)] + value
        return orders

    return wrong


_WRONG: dict[str, Ensemble] = {
    "zeta for Möbius: no signs": _summed(lambda s, t, n: int(t <= s)),
    "sign (−1)^|T| for (−1)^|S∖T|": _summed(lambda s, t, n: int(t <= s) * (-1) ** len(t)),
    "F_S itself": _summed(lambda s, t, n: int(t == s)),
    "branches removed for branches kept": _summed(lambda s, t, n: int(t >= s) * (-1) ** len(t - s)),
}


# --- the size of a term -----------------------------------------------------------------------


def _sizes(subject: Ensemble, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        drawn, point = case
        tower = Tower(drawn.branches, "lambda_l")
        orders = subject(tower, point, tower.depth)
        claimed = [[_too_few(formula, tower, k) for formula in a] for k, a in enumerate(orders)]
        true = [[sympy.Integer(0)] * len(point)] * (tower.depth + 1)
        return difference(claimed, true, tower=tower, point=point)

    places = st.tuples(polynomial_towers(depths=(1, 3)), points(2))
    reach = "quadratic towers, depths ≤ 3, every scale"
    return sample(places, counterexample, effort, name="sizes", number=45, reach=reach)


def _too_few(formula: Any, tower: Tower, order: int) -> sympy.Expr:
    """The monomials of A_k that use fewer than k different scales."""
    polynomial = sympy.Poly(formula, *tower.scales)
    terms = polynomial.terms()
    few = {powers: c for powers, c in terms if c and sum(p > 0 for p in powers) < order}
    return sympy.Poly.from_dict(few, *tower.scales).as_expr() if few else sympy.Integer(0)


# --- stochastic depth -------------------------------------------------------------------------


def _stochastic_depth(subject: Expected, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        n = tower.depth
        outputs = {kept: _alone(tower, point, kept) for kept in _subsets(n)}
        for p in (Fraction(j, n) for j in range(n + 1)):
            shares = {kept: p ** len(kept) * (1 - p) ** (n - len(kept)) for kept in outputs}
            true = sum((shares[kept] * outputs[kept] for kept in outputs), point * 0)
            given = {"tower": tower, "point": point, "survival": p}
            if found := difference(subject(tower, point, p), true, **given):
                return found
        return None

    places = st.tuples(_towers(), points(2))
    reach = "quadratic and ReLU towers, depths ≤ 4, every survival probability"
    return sample(places, counterexample, effort, name="stochastic depth", number=45, reach=reach)


def _expected(tower: Tower, point: Array, p: Fraction) -> Array:
    return tower_subnetworks(tower, point).expected(p)


CHECKS: tuple[Check[Any], ...] = (
    Check("E8", "sub-networks run together, by definition", _by_definition, _together, _WRONG),
    Check("E8", "sub-networks one by one, by definition", _by_definition, _one_by_one, _WRONG),
    Check(
        "E8",
        "order k has k different scales",
        _sizes,
        _together,
        {name: _WRONG[name] for name in ("zeta for Möbius: no signs", "F_S itself")},
    ),
    Check(
        "E8",
        "mean under stochastic depth",
        _stochastic_depth,
        _expected,
        {
            "p for 1 − p": lambda tower, x, p: _expected(tower, x, 1 - p),
            "the network at scales p λ": lambda tower, x, p: Tower(
                tower.branches, [p * scale for scale in tower.scales]
            )(x),
            "mean of the whole and the empty network": lambda tower, x, p: as_array(
                p * tower(x) + (1 - p) * x, "the mean"
            ),
        },
    ),
)
