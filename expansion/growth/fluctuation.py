r"""Finite width: how much ln ‖x_n‖² varies over draws of the weights, to first order in 1/width.

Linear response. A block draws something afresh, its *noise*, and hands on what the signal had
deviated before; variances add up, all relative to what leaves the block: its skip keeps the part
``skip`` = q/q' of the energy, its branch adds the part ``share``, v = E φ⁴/(E φ²)² − 1.

* *Branches that end in a matrix.* Given the signal f is √κ̂·z with z normal and κ̂ the branch's own
  energy, whose relative variance adds up over hidden layers, v/width each (5/width for ReLU). The
  noise of the gain is 4·skip·share/d + share²·[(1 + Var κ̂/κ²)(1 + 2/d) − 1].
* *Branches that end in an activation.* Coordinates φ(u_i) are independent given the energy that
  meets the weights. Two numbers deviate, ‖x‖² and ⟨x, 1⟩, the latter because the mean branch points
  along it; their joint noise needs the moments of φ up to the fourth.
* *Branches that begin with an activation.* κ̂ = mean φ(x_i)² depends on the whole law of the
  coordinates. In the basis of Hermite polynomials of x_i/√Q, Q the variance that the drawn
  energies give them, φ² has coefficients e_k, and the k-th mean deviates by a process of its own
  that keeps skip^{k/2} of itself from block to block. Eight are followed; what they leave of v is
  treated as the ninth. The input's coordinates are taken as typical of normal ones.

Source: derived, held against simulations.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from expansion.compiling import compiled
from expansion.growth.gaussian import normal_expectations
from expansion.growth.mean_field_kernel import (
    beside_skip,
    log_moment,
    log_moment_slope,
)
from expansion.growth.moments import TABLE_START, TABLE_STEP
from expansion.growth.units import HOMOGENEOUS, LEAKY_SLOPE
from expansion.towers.activations import ACTIVATIONS

__all__ = ["MODES", "fluctuation", "mode_coefficient", "mode_table"]

MODES = 8
_PIECES = 50
_DEGREE = 5


def mode_coefficient(branch: str, k: int, variance: float) -> float:
    r"""The k-th Hermite coefficient of φ(u)²/h for u ~ N(0, h), E φ(√h z)² He_k(z)/(h √k!).

    Examples
    --------
    >>> [round(mode_coefficient("linear", k, 3.0), 4) for k in (0, 1, 2, 3)]  # z² = 1 + He_2(z)
    [1.0, 0.0, 1.4142, 0.0]
    >>> [round(mode_coefficient("relu", k, 1.0), 4) for k in (0, 1, 2, 3)]
    [0.5, 0.7979, 0.7071, 0.3257]
    """
    root = math.sqrt(math.factorial(k))
    if branch in HOMOGENEOUS:
        slope = {"linear": 1.0, "relu": 0.0, "leaky-relu": LEAKY_SLOPE}[branch]
        hermite = np.polynomial.hermite_e.herme2poly([0] * k + [1])
        half = sum(c * _half_moment(m + 2) for m, c in enumerate(hermite))
        return float(half * (1 + (-1) ** k * slope**2) / root)
    if branch == "sin":  # (1 − cos 2u)/2: the transform of He_k times the normal density
        if k == 0:
            return -math.expm1(-2 * variance) / (2 * variance)
        even = 0 if k % 2 else (-1) ** (k // 2)
        return (
            -0.5 * even * (2 * math.sqrt(variance)) ** k * math.exp(-2 * variance) / variance / root
        )
    return float(_by_quadrature(branch, [k], variance)[0])


def _by_quadrature(branch: str, orders: Sequence[int], variance: float) -> NDArray[np.float64]:
    """Several Hermite coefficients on the same nodes."""
    value = ACTIVATIONS[branch].value if branch in ACTIVATIONS else _silu
    degree = max(orders) + 1
    series = np.eye(degree)[:, list(orders)]  # one column for each He_k

    def weighted(u: NDArray[np.float64]) -> NDArray[np.float64]:
        hermite = np.polynomial.hermite_e.hermeval(u / math.sqrt(variance), series)
        return np.asarray(value(u) ** 2 * hermite)

    roots = np.sqrt([math.factorial(k) for k in orders])
    return np.asarray(normal_expectations(weighted, variance)[0] / variance / roots)


def _half_moment(m: int) -> float:
    """E z^m over z > 0."""
    return 2 ** (m / 2 - 1) * math.gamma((m + 1) / 2) / math.sqrt(math.pi)


def _silu(u: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(u * 0.5 * (1 + np.tanh(u / 2)))


@functools.lru_cache(maxsize=16)
def mode_table(branch: str) -> NDArray[np.float64]:
    """Coefficients 1..8 as Chebyshev series in ln h; shape (8, pieces, degree + 1).

    Examples
    --------
    >>> mode_table("relu").shape, mode_table("tanh").shape
    ((8, 1, 1), (8, 50, 6))
    """
    if branch in HOMOGENEOUS:
        found = [mode_coefficient(branch, k, 1.0) for k in range(1, MODES + 1)]
        return np.array(found).reshape(-1, 1, 1)
    points = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    logs = TABLE_START + TABLE_STEP * (np.arange(_PIECES)[:, None] + 0.5 + 0.5 * points)
    orders = range(1, MODES + 1)
    values = np.empty((MODES, *logs.shape))
    for place in np.ndindex(*logs.shape):
        variance = math.exp(logs[place])
        if branch == "sin":
            values[(..., *place)] = [mode_coefficient(branch, k, variance) for k in orders]
        else:
            values[(..., *place)] = _by_quadrature(branch, orders, variance)
    basis = np.polynomial.chebyshev.chebvander(points, _DEGREE)
    basis *= np.where(np.arange(_DEGREE + 1) == 0, 1, 2) / (_DEGREE + 1)
    table = np.asarray(values @ basis, dtype=np.float64)
    table.setflags(write=False)
    return table


@compiled()
def fluctuation(
    rows: NDArray[np.float64],
    scales: NDArray[np.float64],
    shape: NDArray[np.int64],
    numbers: NDArray[np.float64],
    table: NDArray[np.float64],
    modes: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Variance of ln ‖x_l‖² behind every block.

    Parameters
    ----------
    rows : array, shape (11, n + 1)
        Of :func:`~expansion.growth.mean_field_kernel.propagate`.
    scales, shape, numbers, table : arrays
        Its arguments.
    modes : array
        Of :func:`mode_table`; read only for branches that begin with an activation.

    Returns
    -------
    array, shape (n + 1,)
    """
    opens, closes, norm_in, norm_out = shape[2] == 1, shape[3] == 1, shape[5] == 1, shape[6] == 1
    per_dim, count = numbers[7], modes.shape[0] + 1
    out = np.zeros(scales.size + 1)
    # Deviations: of ln q and ⟨x, 1⟩/(√d‖x‖), or of ln Q and the Hermite means, of variance 1/d.
    var, cross, along = 0.0, 0.0, 0.0
    with_mode, mode = np.zeros(count), np.ones(count)
    mode[:2] = 0.0  # the input's mean and energy are what they are
    chosen = np.zeros(count)
    for block in range(scales.size):
        log_q, overlap = rows[0, block], rows[2, block]
        log_h, log_mean, follow = rows[6, block + 1], rows[7, block + 1], rows[8, block + 1]
        spread, log_u = rows[9, block + 1], rows[10, block + 1]
        _, skip, share, mean = beside_skip(scales[block], log_h, log_mean, log_q, overlap)
        if closes and opens:
            noise = share * share * ((1.0 + spread) * (1.0 + 2.0 * per_dim) - 1.0)
            var = (skip + share * follow) ** 2 * var + noise + 4.0 * skip * share * per_dim
            out[block + 1] = var
        elif opens:
            root = math.sqrt(skip)
            rises = 1.0 + log_moment_slope(table, 0, log_u)
            mean_rises = mean * (0.5 + log_moment_slope(table, 1, log_u))
            bent = 2.0 * root * overlap * mean_rises + share * rises
            a, b, c = skip + bent * follow, 2.0 * root * mean, mean_rises * follow
            third = math.copysign(math.exp(log_moment(table, 5, log_u)), scales[block])
            third = third * share**1.5 - mean * share
            fourth = math.exp(log_moment(table, 4, log_u)) - 1.0
            varied = share - mean * mean
            noise = 4.0 * skip * varied + 4.0 * overlap * root * third + share * share * fourth
            noise = noise * per_dim + bent * bent * spread
            noise_cross = (2.0 * overlap * root * varied + third) * per_dim
            noise_cross += bent * mean_rises * spread
            noise_along = varied * per_dim + mean_rises * mean_rises * spread
            var, cross, along = (
                a * a * var + 2.0 * a * b * cross + b * b * along + noise,
                a * c * var + (a * root + b * c) * cross + b * root * along + noise_cross,
                c * c * var + 2.0 * c * root * cross + root * root * along + noise_along,
            )
            out[block + 1] = var
        else:
            log_x = 0.0 if norm_in else log_q
            end = TABLE_START + TABLE_STEP * table.shape[1]
            inside = min(max(log_x, TABLE_START), end) if table.shape[2] > 1 else log_x
            energy = math.exp(log_moment(table, 0, inside))
            left = math.exp(log_moment(table, 4, inside)) - 1.0
            for k in range(count - 1):
                chosen[k] = log_moment(modes, k, inside) / energy
                left -= chosen[k] ** 2
            chosen[count - 1] = math.sqrt(max(0.0, left))
            rises = 1.0 + log_moment_slope(table, 0, log_x)
            response = skip
            if norm_in:  # the signal is divided by its own, drawn size
                chosen[1] -= rises * math.sqrt(2.0)
            else:
                response += share * follow * rises
            moved = share * follow
            noise = share * share * spread
            for k in range(count):
                e = moved * chosen[k]
                noise += 2.0 * response * e * with_mode[k] + e * e * mode[k] * per_dim
                keeps = skip ** (0.5 * (k + 1))
                with_mode[k] = keeps * (response * with_mode[k] + e * mode[k] * per_dim)
                mode[k] = keeps * keeps * mode[k] + 1.0 - keeps * keeps
            var = response * response * var + noise
            out[block + 1] = var + 2.0 * math.sqrt(2.0) * with_mode[1] + 2.0 * mode[1] * per_dim
        if norm_out:
            var, out[block + 1] = 0.0, 0.0
    return out
