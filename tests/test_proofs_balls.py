"""Floats against balls: inside, outside, or given up, and never a pass by rounding."""

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings

from expansion import MLPBranch, Tower
from expansion.series.gated_paths import gated_orders
from proofs_check.balls import ball, near
from proofs_check.bounds.remainder import _holds
from proofs_check.series.gates import _enclosures
from proofs_check.strategies import float_towers


def test_a_float_is_inside_outside_or_undecided():
    assert near(1.0, arb(1), arb("1e-9")) is None
    assert "true = 1.0" in near(1.1, arb(1), arb("1e-9"), n=1)
    assert near(math.inf, arb(1), arb(1)) is not None
    with pytest.raises(ArithmeticError, match="too wide"):
        near(1.0, arb(1, 0.1), arb(2) ** -30)
    with pytest.raises(ArithmeticError, match="too wide"):
        near(math.nan, arb(1), arb(1))


def test_fractions_are_enclosed():
    third = ball(Fraction(1, 3))
    assert (3 * third).contains(1)
    assert ball(0.1) == arb(0.1)


@settings(max_examples=25)
@given(float_towers())
def test_a_mistake_of_a_billionth_leaves_its_ball(tower):
    point = np.array([0.5, -1.25, 2.0])
    balls, _ = _enclosures(tower, point)
    orders = gated_orders(tower, point)
    assert all(b.contains(arb(v)) for b, v in zip(balls.ravel(), orders.ravel(), strict=True))
    assert not any(
        b.contains(arb(v + 1e-9)) for b, v in zip(balls.ravel(), orders.ravel(), strict=True)
    )


def test_a_gate_at_zero_is_given_up():
    branch = MLPBranch([[1.0]], [[1.0]], [0.0], [0.0], "tanh")
    with pytest.raises(ArithmeticError, match="too near 0"):
        _enclosures(Tower([branch]), np.array([0.0]))


def test_a_bound_is_crossed_attained_or_undecided():
    assert _holds(arb(2), arb(1))
    assert not _holds(arb(1), arb(2))
    assert _holds(arb(1, 2.0**-60), arb(1, 2.0**-60))
    assert _holds(arb("inf"), arb(1))
    with pytest.raises(ArithmeticError, match="too wide"):
        _holds(arb(1, 0.1), arb(1, 0.1))
