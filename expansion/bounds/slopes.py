r"""Slopes of activations: between which numbers φ' stays, everywhere or on intervals (claim B2).

============ ============================= =====================================================
φ            φ' lies in                    where φ' turns
============ ============================= =====================================================
``linear``   [1, 1]                        nowhere
``relu``     [0, 1]                        jumps at 0; at the kink any value between counts
``tanh``     [0, 1]                        at 0, its largest value
``erf``      [0, 2/√π]                     at 0, its largest value
``sin``      [−1, 1]                       at every multiple of π
``gelu``     [1 − m, m], m = 1.128904…     at ±√2: φ'' = (2 − a²) × normal density;
                                           m = (1 + erf 1)/2 + 1/(e√π)
============ ============================= =====================================================

Between the points where it turns φ' is monotone, so that on an interval it lies between the
smallest and the largest of its values at the ends and at the turning points inside.

On any segment :math:`\varphi(a) - \varphi(b) = s\,(a - b)` with a slope s in that range, at kinks
too (Lebourg's mean value theorem). This is all that the bounds use.

A polynomial, say, has no bounded slope: a branch with one is refused. Source: derived.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.errors import InputError
from expansion.towers.activations import Activation

__all__ = ["SLOPES", "slope_intervals", "slope_range"]

_Array = NDArray[np.float64]

# Evaluating φ' in floats is good to 2^-48; intervals are widened by more.
_ROUNDING = 2.0**-44
_STEEPEST_GELU = (1 + math.erf(1)) / 2 + math.exp(-1) / math.sqrt(math.pi)


def _up(value: float) -> float:
    return value + _ROUNDING


# By name: the smallest and the largest slope, rounded outwards where they are irrational.
SLOPES: dict[str, tuple[float, float]] = {
    "linear": (1.0, 1.0),
    "relu": (0.0, 1.0),
    "tanh": (0.0, 1.0),
    "erf": (0.0, _up(2 / math.sqrt(math.pi))),
    "sin": (-1.0, 1.0),
    "gelu": (-_up(_STEEPEST_GELU - 1), _up(_STEEPEST_GELU)),
}
_TURNS = {"linear": (), "tanh": (0.0,), "erf": (0.0,), "gelu": (-math.sqrt(2), math.sqrt(2))}


def slope_range(activation: Activation) -> tuple[float, float]:
    """The smallest and the largest slope of an activation.

    Raises
    ------
    InputError
        For an activation without a bounded slope, or one that is not in the table.

    Examples
    --------
    >>> from expansion.towers.activations import activation
    >>> slope_range(activation("sin"))
    (-1.0, 1.0)
    """
    if activation.name not in SLOPES:
        required = f"an activation with slopes in a known range: {', '.join(SLOPES)}"
        raise InputError(required, activation.name, "choose one of these")
    return SLOPES[activation.name]


def slope_intervals(activation: Activation, low: Any, high: Any) -> tuple[_Array, _Array]:
    """The smallest and the largest slope on each interval [low, high].

    Parameters
    ----------
    activation : Activation
        φ.
    low, high : arrays of one shape
        Ends of the intervals.

    Returns
    -------
    least, most : arrays of the same shape
        Rounded outwards.

    Examples
    --------
    >>> from expansion.towers.activations import activation
    >>> slope_intervals(activation("relu"), np.array([-2.0, -1.0]), np.array([-1.0, 1.0]))
    (array([0., 0.]), array([0., 1.]))
    """
    least, most = slope_range(activation)
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if activation.name == "relu":
        return (low > 0).astype(np.float64), (high >= 0).astype(np.float64)
    ends = [activation.derivative(low, 1), activation.derivative(high, 1)]
    smallest, largest = np.minimum(*ends) - _ROUNDING, np.maximum(*ends) + _ROUNDING
    for turn in _TURNS.get(activation.name, ()):
        value = activation.derivative(np.array(turn), 1)
        inside = (low <= turn) & (turn <= high)
        smallest = np.where(inside, np.minimum(smallest, value - _ROUNDING), smallest)
        largest = np.where(inside, np.maximum(largest, value + _ROUNDING), largest)
    if activation.name == "sin":
        # A turn at kπ with k even is a largest slope, with k odd a smallest; the margin covers
        # what π in floats is off by, and where floats cannot tell anything any slope may be met.
        margin = 2.0**-40 * (1 + np.maximum(abs(low), abs(high)))
        first, last = (low - margin) / math.pi, (high + margin) / math.pi
        tops = 2 * np.ceil(first / 2) <= last
        bottoms = 2 * np.ceil((first - 1) / 2) + 1 <= last
        unsure = margin > 2.0**-10
        largest = np.where(tops | unsure, 1.0, largest)
        smallest = np.where(bottoms | unsure, -1.0, smallest)
    return np.maximum(smallest, least), np.minimum(largest, most)
