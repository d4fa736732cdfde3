r"""The expansion of the geometric complexity in the scale (claim B2).

For exact polynomial branches the complexity at the scales zλ is a polynomial in z. Its values at
z = 0, 1, 2, …, by the chain rule, determine it (degree at most twice that of the tower in z), and
its coefficients of 1, z and z² must be those that the theorem's derivatives give. The largest
stretch at an input is the norm of the Jacobian there.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from flint import arb
from hypothesis import strategies as st

from expansion.bounds.geometric_complexity import (
    complexity_orders,
    geometric_complexity,
    measured_lipschitz,
)
from expansion.towers.arrays import Array, as_array
from expansion.towers.branches.layered import AffineBranch
from expansion.towers.tower import Tower
from proofs_check.balls import near
from proofs_check.bounds.near_start import norm_of_two
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, difference
from proofs_check.interpolation import polynomial_through
from proofs_check.sampling import sample
from proofs_check.strategies import affine_towers, points, polynomial_towers

__all__ = ["CHECKS"]

Orders = Callable[[Tower, Any], Array]
Stretch = Callable[[Tower], float]


def _expansion(subject: Orders, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        # Order 2^n − 1 for quadratic branches, and the complexity is a square.
        count = 2 * (2**tower.depth - 1) + 1
        values = [geometric_complexity(_scaled(tower, z), [point]) for z in range(count)]
        found = polynomial_through(list(map(Fraction, values))).coeffs()
        true = [Fraction(int(c.p), int(c.q)) for c in found[:3]]
        true += [Fraction(0)] * (3 - len(true))
        claimed = [Fraction(value) for value in subject(tower, [point])]
        return difference(claimed, true, tower=tower, point=point)

    towers = st.one_of(polynomial_towers(depths=(1, 3)), affine_towers(depths=(1, 3)))
    places = st.tuples(st.one_of(towers, _with_ends(towers)), points(2))
    reach = "exact affine and quadratic towers, depths ≤ 3, any scale, orders ≤ 2, affine ends"
    return sample(places, counterexample, effort, name="complexity", number=45, reach=reach)


def _with_ends(towers: st.SearchStrategy[Tower]) -> st.SearchStrategy[Tower]:
    """The same with an affine encoder and decoder."""
    ends = affine_towers(depths=(2, 2)).map(lambda tower: tower.branches)
    return st.tuples(towers, ends).map(
        lambda drawn: Tower(drawn[0].branches, drawn[0].rule, *drawn[1])
    )


def _scaled(tower: Tower, factor: int) -> Tower:
    scales = [scale * factor for scale in tower.scales]
    return Tower(tower.branches, scales, tower.encoder, tower.decoder)


# --- the largest stretch ----------------------------------------------------------------------


def _stretches(subject: Stretch, effort: Effort) -> Evidence:
    """Affine towers: the norm of the product of their matrices, the same everywhere."""

    def counterexample(tower: Tower) -> str | None:
        product = as_array([[1, 0], [0, 1]], "the unit matrix")
        for scale, branch in zip(tower.scales, tower.branches, strict=True):
            assert isinstance(branch, AffineBranch)
            product = product + scale * (branch.matrix @ product)
        true = norm_of_two(product)
        return near(subject(tower), true, arb("1e-12") * (1 + true), tower=tower)

    reach = "exact affine towers of two dimensions, depths ≤ 4"
    towers = affine_towers()
    return sample(towers, counterexample, effort, name="stretch", number=45, reach=reach)


def _measured(tower: Tower) -> float:
    return measured_lipschitz(tower, [[0.0, 1.0]])


def _parts(tower: Tower, inputs: Any) -> tuple[Any, Any, Any, Any]:
    """tr J_1, ‖J_1‖², and the traces of the two parts of J_2, at one input."""
    point = as_array(inputs[0], "the input")
    size = len(point)
    units = [as_array([int(i == j) for j in range(size)], "unit") for i in range(size)]
    pairs = list(zip(tower.scales, tower.branches, strict=True))
    slopes = [
        [scale * branch.derivative(point, [unit]) for unit in units] for scale, branch in pairs
    ]
    first = [sum(column) for column in zip(*slopes, strict=True)]
    bent = slid = Fraction(0)
    for later, (scale, branch) in enumerate(pairs):
        for earlier, (other, below) in enumerate(pairs[:later]):
            moved = other * below(point)
            for a, unit in enumerate(units):
                bent += scale * branch.derivative(point, [moved, unit])[a]
                slid += scale * branch.derivative(point, [slopes[earlier][a]])[a]
    trace = sum(first[a][a] for a in range(size))
    return trace, sum(entry**2 for column in first for entry in column), bent, slid


def _wrong(form: Callable[[int, Any, Any, Any, Any], list[Any]]) -> Orders:
    """Orders from the dimension, tr J_1, ‖J_1‖² and the two traces of J_2; ends left out."""

    def wrong(tower: Tower, inputs: Any) -> Array:
        return as_array(form(len(inputs[0]), *_parts(tower, inputs)), "orders")

    return wrong


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "B2",
        "geometric complexity to second order",
        _expansion,
        complexity_orders,
        {
            "the trace once": _wrong(lambda d, t, s, b, c: [d, t, s + 2 * (b + c)]),
            "second derivatives left out": _wrong(lambda d, t, s, b, c: [d, 2 * t, s + 2 * c]),
            "J_2 left out": _wrong(lambda d, t, s, b, c: [d, 2 * t, s]),
            "‖J_1‖² left out": _wrong(lambda d, t, s, b, c: [d, 2 * t, 2 * (b + c)]),
            "1 for d": _wrong(lambda d, t, s, b, c: [1, 2 * t, s + 2 * (b + c)]),
            "the ends left out": _wrong(lambda d, t, s, b, c: [d, 2 * t, s + 2 * (b + c)]),
        },
    ),
    Check(
        "B2",
        "the largest stretch measured",
        _stretches,
        _measured,
        {
            "the Frobenius norm": lambda tower: float(
                geometric_complexity(tower, [[Fraction(0), Fraction(1)]]) ** 0.5
            ),
            "the last block left out": lambda tower: (
                _measured(Tower(tower.branches[:-1], tower.scales[:-1])) if tower.depth > 1 else 1.0
            ),
            "the blocks in reverse": lambda tower: _measured(
                Tower(tower.branches[::-1], tower.scales[::-1])
            ),
        },
    ),
)
