r"""Moments of an activation under one normal argument: what the variance map is made of (G7).

For u ~ N(0, h), each relative to h so that no number depends on the scale of a homogeneous φ:

================ ========================== ===================================================
name             number                     where it enters
================ ========================== ===================================================
``energy``       E φ(u)² / h                forward energy
``mean``         E φ(u) / √h                branches that end in an activation (G6)
``slope``        E φ'(u)²                   backward energy
``gate``         E (φ(u)/u)²                energy of what a frozen gate lets pass across u
``fourth``       E φ(u)⁴ / (E φ(u)²)²       finite-width fluctuation
``third``        E φ(u)³ / (E φ(u)²)^{3/2}  the same, of branches that end in an activation
================ ========================== ===================================================

Homogeneous activations have constants. sin has closed forms; erf and gelu have them for the
first moments (``closed_energy``), which the tests hold against the quadrature that serves all
smooth activations. For compiled loops :func:`moment_table` stores the logarithms as piecewise
Chebyshev series in ln h over h = e⁻³⁰…e⁷⁰; beyond both ends the numbers are powers of h.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from expansion.growth.gaussian import Expectation, normal_expectation
from expansion.growth.units import HOMOGENEOUS, LEAKY_SLOPE, check_branch

__all__ = [
    "MOMENTS",
    "TABLE_START",
    "TABLE_STEP",
    "closed_energy",
    "homogeneous_moments",
    "moment",
    "moment_table",
]

MOMENTS = ("energy", "mean", "slope", "gate", "fourth", "third")
TABLE_START = -30.0
TABLE_STEP = 2.0
_PIECES = 50
_DEGREE = 15
_ROOT = math.sqrt(2 * math.pi)
_Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _over(
    value: NDArray[np.float64], u: NDArray[np.float64], at_zero: float
) -> NDArray[np.float64]:
    """value/u, with its limit at u = 0."""
    zero = u == 0
    return np.asarray(np.where(zero, at_zero, value / np.where(zero, 1, u)))


def _logistic_slope(u: NDArray[np.float64]) -> NDArray[np.float64]:
    s = special.expit(u)
    return np.asarray(s + u * s * special.expit(-u))


# φ through parts that lose no digits at small arguments: φ, φ', φ(u)/u, the even part of φ.
_SMOOTH: dict[str, tuple[_Function, _Function, _Function, _Function | None]] = {
    "tanh": (
        np.tanh,
        lambda u: 1 / np.cosh(np.clip(u, -350, 350)) ** 2,
        lambda u: _over(np.tanh(u), u, 1.0),
        None,
    ),
    "erf": (
        special.erf,
        lambda u: 2 / math.sqrt(math.pi) * np.exp(-u * u),
        lambda u: _over(special.erf(u), u, 2 / math.sqrt(math.pi)),
        None,
    ),
    "gelu": (
        lambda u: u * special.ndtr(u),
        lambda u: special.ndtr(u) + u * np.exp(-u * u / 2) / _ROOT,
        special.ndtr,
        lambda u: u * special.erf(u / math.sqrt(2)) / 2,
    ),
    "silu": (
        lambda u: u * special.expit(u),
        _logistic_slope,
        special.expit,
        lambda u: u * np.tanh(u / 2) / 2,
    ),
}


def homogeneous_moments(branch: str) -> tuple[float, float, float, float, float, float]:
    """The moments of :data:`MOMENTS` of linear, relu and leaky-relu, whatever h.

    Examples
    --------
    >>> homogeneous_moments("relu")[0], homogeneous_moments("relu")[4]
    (0.5, 6.0)
    """
    slope = {"linear": 1.0, "relu": 0.0, "leaky-relu": LEAKY_SLOPE}[branch]
    energy = (1 + slope**2) / 2
    fourth = 1.5 * (1 + slope**4) / energy**2
    third = 2 * (1 - slope**3) / _ROOT / energy**1.5
    return energy, (1 - slope) / _ROOT, energy, energy, fourth, third


def moment(branch: str, name: str, variance: float) -> Expectation:
    """One moment with its error.

    Parameters
    ----------
    branch : str
        The activation.
    name : str
        One of :data:`MOMENTS`.
    variance : float
        h > 0.

    Examples
    --------
    >>> moment("erf", "energy", 1.0).value - closed_energy("erf", 1.0) < 1e-13
    True
    """
    h = float(variance)
    if check_branch(branch) in HOMOGENEOUS:
        return Expectation(homogeneous_moments(branch)[MOMENTS.index(name)], 0.0, 0)
    if branch == "sin":
        value = _sine_moment(name, h)
        return Expectation(value, 1e-14 * abs(value), 0)
    value_of, slope_of, gate_of, even_part = _SMOOTH[branch]
    if name in ("mean", "third"):
        return _odd_moment(name, even_part, value_of, h)
    if name == "slope":
        return normal_expectation(lambda u: slope_of(u) ** 2, h)
    if name == "gate":
        return normal_expectation(lambda u: gate_of(u) ** 2, h)
    second = normal_expectation(lambda u: value_of(u) ** 2, h)
    if name == "energy":
        return _divided(second, h)
    return _divided(normal_expectation(lambda u: value_of(u) ** 4, h), second.value**2)


def _odd_moment(
    name: str, even_part: _Function | None, value_of: _Function, h: float
) -> Expectation:
    """The mean and third moment of φ = u/2 + e(u), from its even part e; 0 for odd φ."""
    if even_part is None:
        return Expectation(0.0, 0.0, 0)
    even = even_part
    if name == "mean":
        return _divided(normal_expectation(even, h), math.sqrt(h))
    second = normal_expectation(lambda u: value_of(u) ** 2, h).value
    third = normal_expectation(lambda u: even(u) * (0.75 * u * u + even(u) ** 2), h)
    return _divided(third, second**1.5)


def _divided(found: Expectation, by: float) -> Expectation:
    return Expectation(found.value / by, found.error / by, found.nodes)


def _sine_moment(name: str, h: float) -> float:
    """Closed forms of sin: quadrature would have to resolve √h oscillations."""
    if name in ("mean", "third"):
        return 0.0
    if name == "energy":
        return -math.expm1(-2 * h) / (2 * h)
    if name == "slope":
        return (1 + math.exp(-2 * h)) / 2
    if name == "fourth":
        if h < 1e-2:
            found = normal_expectation(lambda u: np.sin(u) ** 4, h)
            return found.value / (math.expm1(-2 * h) / 2) ** 2
        return (3 - 4 * math.exp(-2 * h) + math.exp(-8 * h)) / 8 / (math.expm1(-2 * h) / 2) ** 2
    if h < 1:
        return normal_expectation(lambda u: np.sinc(u / math.pi) ** 2, h).value
    # E (1 − cos 2u)/(2u²): its second derivative in the 2 is E cos, a normal's transform.
    return math.sqrt(math.pi / (2 * h)) * math.erf(math.sqrt(2 * h)) + math.expm1(-2 * h) / (2 * h)


def closed_energy(branch: str, variance: float) -> float:
    r"""E φ(u)²/h where it is known in closed form: erf, gelu, sin and the homogeneous ones.

    Examples
    --------
    >>> round(closed_energy("erf", 1.0), 4)  # (2/π) arcsin(2/3)
    0.4646
    """
    h = float(variance)
    if branch == "erf":
        return 2 / math.pi * math.asin(2 * h / (1 + 2 * h)) / h
    if branch == "gelu":
        root = math.sqrt(1 + 2 * h)
        return 0.25 + math.asin(h / (1 + h)) / (2 * math.pi) + h / (math.pi * (1 + h) * root)
    return moment(branch, "energy", h).value


@functools.lru_cache(maxsize=16)
def moment_table(branch: str) -> NDArray[np.float64]:
    """ln of every moment as Chebyshev coefficients in ln h; shape (6, pieces, degree + 1).

    A mean or third moment of zero is stored as −10⁴. Built once per activation and process, in some
    hundredths of a second.

    Examples
    --------
    >>> moment_table("tanh").shape
    (6, 50, 16)
    """
    points = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    middles = TABLE_START + TABLE_STEP * (np.arange(_PIECES) + 0.5)
    logs = middles[:, None] + 0.5 * TABLE_STEP * points
    values = np.empty((len(MOMENTS), *logs.shape))
    for row, name in enumerate(MOMENTS):
        for place in np.ndindex(*logs.shape):
            found = moment(branch, name, math.exp(logs[place])).value
            values[(row, *place)] = math.log(found) if found > 0 else -1e4
    basis = np.polynomial.chebyshev.chebvander(points, _DEGREE)
    basis *= np.where(np.arange(_DEGREE + 1) == 0, 1, 2) / (_DEGREE + 1)
    table = np.asarray(values @ basis, dtype=np.float64)
    table.setflags(write=False)
    return table
