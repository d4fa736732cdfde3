"""Slopes of activations lie where the table says, everywhere and on intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion import InputError
from expansion.bounds.slopes import SLOPES, slope_intervals, slope_range
from expansion.towers.activations import ACTIVATIONS, Activation, activation

SMOOTH = sorted(set(SLOPES) - {"relu"})
GRID = np.linspace(-12, 12, 48_001)


def differences(name, a, b):
    return (activation(name).value(b) - activation(name).value(a)) / (b - a)


@pytest.mark.parametrize("name", SLOPES)
def test_ranges_hold_and_are_attained(name):
    low, high = slope_range(activation(name))
    # Difference quotients over 0.0005: their rounding is below 1e-12.
    found = differences(name, GRID[:-1], GRID[1:])
    assert low - 1e-11 <= found.min()
    assert found.max() <= high + 1e-11
    # The grid is fine enough to come within its step of the steepest place.
    assert found.max() >= high - 1e-3
    assert found.min() <= low + 1e-3


@given(
    st.sampled_from(sorted(SLOPES)),
    st.floats(-8, 8),
    st.floats(0, 6),
    st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True),
)
def test_slopes_inside_an_interval_stay_inside(name, low, width, shares):
    high = low + width
    a, b = (low + share * width for share in sorted(shares))
    least, most = slope_intervals(activation(name), np.array([low]), np.array([high]))
    if b - a > 1e-6:
        quotient = differences(name, np.array([a]), np.array([b]))[0]
        assert least[0] - 1e-8 <= quotient <= most[0] + 1e-8  # rounding 1e-15 over 1e-6


@pytest.mark.parametrize("name", SMOOTH)
def test_small_intervals_give_small_ranges(name):
    # The control: an answer that is always the whole range would pass the test above.
    low, high = GRID[::37], GRID[::37] + 1e-3
    least, most = slope_intervals(activation(name), low, high)
    assert (most - least).max() < 3e-3  # second derivatives are below 2
    middle = activation(name).derivative((low + high) / 2, 1)
    assert (least <= middle).all()
    assert (middle <= most).all()


def test_sines_far_out_have_any_slope():
    least, most = slope_intervals(activation("sin"), np.array([1e15]), np.array([1e15]))
    assert (least[0], most[0]) == (-1.0, 1.0)


def test_an_activation_without_a_range_is_refused_by_name():
    square = Activation("square", lambda a: a * a, lambda a, m: 2 * a, lambda s: s * s)
    with pytest.raises(InputError, match=r"slopes in a known range.*got square"):
        slope_range(square)
    assert set(ACTIVATIONS) <= set(SLOPES)  # all that the library has are known
