"""Compiled kernels: floats and logarithms only, never counts.

Each body is plain Python that reads as the definition; Numba compiles the same body. The
uncompiled function stays at hand as ``kernel.py_func``, and tests run both.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from expansion.compiling import compiled
from expansion.growth.units import relative_value

__all__ = ["carry", "log_elementary_symmetric", "tower_gains"]

_LARGEST = 300.0  # e to this, and its square, are floats


@compiled()
def log_elementary_symmetric(log_weights: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """ln e_k of positive weights given by their logarithms, for k = 0..order.

    ``e_k(w_1..w_l) = e_k(w_1..w_{l-1}) + w_l e_{k-1}(w_1..w_{l-1})`` in log space: no overflow
    and no underflow at any depth. A weight of zero is given as −∞.
    """
    row = np.full(order + 1, -np.inf)
    row[0] = 0.0
    for number in range(log_weights.size):
        weight = log_weights[number]
        for k in range(min(order, number + 1), 0, -1):
            added = weight + row[k - 1]
            larger, smaller = (row[k], added) if row[k] > added else (added, row[k])
            if smaller > -np.inf:
                larger += np.log1p(np.exp(smaller - larger))
            row[k] = larger
    return row


@compiled()
def _roots(gram: NDArray[np.float64], weight: float, bias: float) -> tuple[float, float, float]:
    """Cholesky factor of weight·gram + bias for one or two inputs: a, b and c of [[a], [b, c]]."""
    first = math.sqrt(weight * gram[0, 0] + bias)
    if gram.shape[0] == 1 or first == 0.0:
        return first, 0.0, 0.0
    cross = (weight * gram[0, 1] + bias) / first
    return first, cross, math.sqrt(max(0.0, weight * gram[1, 1] + bias - cross * cross))


@compiled()
def carry(
    y: NDArray[np.float64],
    log_scale: float,
    scales: NDArray[np.float64],
    shape: NDArray[np.int64],
    numbers: NDArray[np.float64],
    gains: NDArray[np.float64],
    seed: int,
) -> float:
    """One trial of :func:`tower_gains`: overwrites y and gains, returns the new log_scale."""
    np.random.seed(seed)
    inputs, dimension = y.shape
    code, activations = shape[0], shape[1]
    opens, closes, unit_closing = shape[2] == 1, shape[3] == 1, shape[4] == 1
    norm_in, norm_out, width = shape[5] == 1, shape[6] == 1, shape[7]
    weight, bias, log_factor = numbers
    gram = np.empty((inputs, inputs))
    unit = np.empty(inputs)
    pair = np.empty(inputs)
    for block in range(scales.size):
        # What the branch sees is T·(unit_a y_a), T the signal's scale S or, normalised, 1; its
        # output is λ·T/S relative to the signal. Activations do not change any more beyond e^300.
        seen = 1.0 if norm_in else math.exp(min(log_scale, _LARGEST))
        step = scales[block] * (math.exp(min(-log_scale, _LARGEST)) if norm_in else 1.0)
        shift = bias / seen / seen
        for a in range(inputs):
            unit[a] = 1.0
            if norm_in:
                unit[a] = math.sqrt(dimension / np.dot(y[a], y[a]))
        for a in range(inputs):
            for b in range(inputs):
                gram[a, b] = np.dot(y[a], y[b]) * unit[a] * unit[b] / dimension
        pending = opens  # whether a matrix stands between what is known and what comes
        for layer in range(activations):
            last = layer == activations - 1
            if last and not closes:
                break
            units = width if pending else dimension
            first, cross, second = _roots(gram, weight, shift)
            gram[:] = 0.0
            for entry in range(units):
                if pending:
                    z = np.random.normal()
                    pair[0] = first * z
                    if inputs == 2:
                        pair[1] = cross * z + second * np.random.normal()
                else:
                    for a in range(inputs):
                        pair[a] = y[a, entry] * unit[a]
                for a in range(inputs):
                    pair[a] = relative_value(code, pair[a], seen)
                    for b in range(a + 1):
                        gram[a, b] += pair[a] * pair[b] / units
            if inputs == 2:
                gram[0, 1] = gram[1, 0]
            pending = True
        own_weight = 1.0 if closes and unit_closing else weight
        own_shift = 0.0 if closes and unit_closing else shift
        first, cross, second = _roots(gram, own_weight, own_shift)
        for entry in range(dimension):
            z = np.random.normal()
            pair[0] = first * z
            if inputs == 2:
                pair[1] = cross * z + second * np.random.normal()
            for a in range(inputs):
                if not closes:
                    pair[a] = relative_value(code, pair[a], seen)
                y[a, entry] += step * pair[a]
        squared = np.dot(y[0], y[0]) / dimension
        gains[block] = squared
        y /= math.sqrt(squared)
        log_scale += 0.5 * math.log(squared) + log_factor
        if norm_out:
            log_scale = 0.0
            if inputs == 2:
                y[1] *= math.sqrt(dimension / np.dot(y[1], y[1]))
    return log_scale


@compiled(parallel=True)
def tower_gains(
    signals: NDArray[np.float64],
    log_scales: NDArray[np.float64],
    scales: NDArray[np.float64],
    shape: NDArray[np.int64],
    numbers: NDArray[np.float64],
    seeds: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Push one or two inputs per trial through random blocks; return ‖x_l‖²/‖x_{l−1}‖².

    Parameters
    ----------
    signals : array, shape (trials, inputs, dimension)
        x divided by e^log_scale, the first of the inputs with ‖x‖² = dimension; overwritten.
    log_scales : array, shape (trials,)
        ln of what the signals are to be multiplied by; overwritten.
    scales : array, shape (blocks,)
        λ_l.
    shape : array of int
        Activation code, activations, opens, closes, unit closing, normalises input, normalises
        output (as in :mod:`~expansion.growth.mean_field_kernel`), hidden width.
    numbers : array
        σ_w², σ_b², ln s of the whole block.
    seeds : array of int, shape (trials,)
        One seed per trial, so that the result does not depend on the number of threads.

    Notes
    -----
    Every weight matrix is used once, on one or two vectors, so its products are drawn directly:
    given x and y the entries of W x and W y, W ~ N(0, σ_w²/fan-in), are normal with covariance
    σ_w² times the Gram matrix of x and y over fan-in, independent from entry to entry. The law
    is exactly that of drawing the matrices, at width + dimension numbers a block.
    """
    gains = np.empty((signals.shape[0], scales.size))
    for trial in numba.prange(signals.shape[0]):
        log_scales[trial] = carry(
            signals[trial], log_scales[trial], scales, shape, numbers, gains[trial], seeds[trial]
        )
    return gains
