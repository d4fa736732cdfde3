r"""Orders of towers in floats, against balls (claims E1, E4, E5).

Towers in floats go through other code than exact ones: jets through a compiled loop for few
vectors and products of matrices for many, single terms through arrays, Taylor coefficients through
Cauchy integrals. All are held against power series in ball arithmetic, for towers of tanh, gelu,
erf and sin units with scales of either sign. A float may be off by 2^-34 of the largest number of
its order and of those before it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import factorial
from typing import Any

import numpy as np
from flint import ctx
from hypothesis import strategies as st

from expansion.bounds.ball_series import orders_in_balls
from expansion.bounds.balls import PRECISION
from expansion.series.composition import cauchy_orders
from expansion.series.fast_jets import load_kernels
from expansion.series.jets import jet_orders, plain_series
from expansion.series.tree_values import tree_values
from expansion.towers.arrays import Array
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, difference
from proofs_check.sampling import sample
from proofs_check.strategies import float_towers

__all__ = ["CHECKS"]

Jets = Callable[[Tower, Array, int], Array]

_ORDER = 3
_MANY = 40  # beyond what the compiled loop takes
_SCALES = tuple(Fraction(k, 8) for k in (1, -1, 3, -5, 8))


@st.composite
def _places(draw: st.DrawFn) -> tuple[Tower, Array]:
    tower = draw(float_towers())
    scales = draw(st.lists(st.sampled_from(_SCALES), min_size=4, max_size=4))
    entries = draw(st.lists(st.integers(-8, 8), min_size=3, max_size=3))
    return Tower(tower.branches, ScalingRule.of(scales[: tower.depth])), np.array(entries) / 4


def _in_balls(subject: Jets, effort: Effort) -> Evidence:
    load_kernels()  # or small towers would go the plain way

    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        with ctx.workprec(PRECISION):
            balls = orders_in_balls(tower, point, _ORDER)[:-1]
        true = np.array([[float(entry.mid()) for entry in row] for row in balls])
        sizes = np.maximum.accumulate(np.abs(true).max(axis=1))
        for batch in (1, _MANY):
            found = subject(tower, np.tile(point, (batch, 1)), _ORDER)
            for claimed in (found[:, 0], found[:, -1]):
                near = np.abs(claimed - true) <= 2.0**-34 * (1 + sizes[:, None])
                if not near.all():
                    given = {"tower": tower, "point": point, "batch": batch}
                    return difference(claimed, true, **given)
        return None

    reach = f"tanh, gelu, erf and sin towers, depths ≤ 4, any scale, orders ≤ {_ORDER}, in balls"
    return sample(_places(), counterexample, effort, name="float jets", number=45, reach=reach)


def _changed(change: Callable[[Tower], Tower]) -> Jets:
    return lambda tower, points, order: jet_orders(change(tower), points, order)


_SABOTEURS: dict[str, Jets] = {
    "|λ| for λ": _changed(lambda t: Tower(t.branches, [abs(scale) for scale in t.scales])),
    "scales in reverse": _changed(lambda t: Tower(t.branches, t.scales[::-1])),
    "λ forgotten": _changed(lambda t: Tower(t.branches)),
    "1/k! left out": lambda tower, points, order: np.stack(
        [row * factorial(k) for k, row in enumerate(jet_orders(tower, points, order))]
    ),
}


def _plain(tower: Tower, points: Array, order: int) -> Array:
    return plain_series(tower, tower.encode(points), order)


def _terms(tower: Tower, points: Array, order: int) -> Array:
    """The values of all terms, added up by order; the same at every point."""
    found = tree_values(tower, points[0], order)
    orders = np.zeros((order + 1, *points.shape))
    orders[0] = points
    for tree, value in zip(found.trees, found.values, strict=True):
        orders[tree.order] += value
    return orders


def _integrals(tower: Tower, points: Array, order: int) -> Array:
    """On a circle so small that no series diverges there."""
    return cauchy_orders(tower, points, order, radius=0.125)


CHECKS: tuple[Check[Any], ...] = (
    Check("E1", "terms in floats, added up, in balls", _in_balls, _terms, _SABOTEURS),
    Check("E4", "Cauchy integrals in floats, in balls", _in_balls, _integrals, _SABOTEURS),
    Check("E5", "jets in floats, in balls", _in_balls, jet_orders, _SABOTEURS),
    Check("E5", "jets in floats the plain way, in balls", _in_balls, _plain, _SABOTEURS),
)
