r"""The expansion of the geometric complexity in the scale (claim B2).

For exact polynomial branches the complexity at the scales zλ is a polynomial in z. Its values at
z = 0, 1, 2, …, by the chain rule, determine it (degree at most twice that of the tower in z), and
its coefficients of 1, z and z² must be those that the theorem's derivatives give.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from expansion.bounds.geometric_complexity import complexity_orders, geometric_complexity
from expansion.towers.arrays import Array, as_array
from expansion.towers.tower import Tower
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, difference
from proofs_check.interpolation import polynomial_through
from proofs_check.sampling import sample
from proofs_check.strategies import affine_towers, points, polynomial_towers

__all__ = ["CHECKS"]

Orders = Callable[[Tower, Any], Array]


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
    places = st.tuples(towers, points(2))
    reach = "exact affine and quadratic towers, depths ≤ 3, any scale, orders ≤ 2"
    return sample(places, counterexample, effort, name="complexity", number=45, reach=reach)


def _scaled(tower: Tower, factor: int) -> Tower:
    return Tower(tower.branches, [scale * factor for scale in tower.scales])


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
    """Orders from the dimension, tr J_1, ‖J_1‖² and the two traces of J_2."""

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
        },
    ),
)
