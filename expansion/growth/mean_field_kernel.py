"""The compiled recursion of mean field: one block after the other, relative to the signal.

Nothing here is larger than a ratio: energies are logarithms, correlations are cosines.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from expansion.compiling import compiled
from expansion.growth.moments import TABLE_START, TABLE_STEP
from expansion.growth.pairs import relative_pair

__all__ = [
    "beside_skip",
    "log_moment",
    "log_moment_slope",
    "log_sum",
    "propagate",
    "through_branch",
]

_LARGEST = 300.0  # e to this, and its square, are floats


@compiled()
def log_moment_slope(table: NDArray[np.float64], row: int, log_variance: float) -> float:
    """d ln moment / d ln h: T_k' = k U_{k−1}, summed by the same recurrence."""
    if table.shape[2] == 1:
        return 0.0
    end = TABLE_START + TABLE_STEP * table.shape[1]
    place = (min(max(log_variance, TABLE_START), end) - TABLE_START) / TABLE_STEP
    piece = min(table.shape[1] - 1, int(place))
    x = 2.0 * (place - piece) - 1.0
    above, here = 0.0, 0.0
    for k in range(table.shape[2] - 1, 0, -1):
        above, here = here, 2.0 * x * here - above + k * table[row, piece, k]
    return here * 2.0 / TABLE_STEP


@compiled()
def log_moment(table: NDArray[np.float64], row: int, log_variance: float) -> float:
    """ln of a moment from its Chebyshev pieces, by Clenshaw's recurrence.

    A homogeneous activation has one piece of degree 0. Outside the table a moment is a power of
    h: the logarithm goes on in a straight line.
    """
    pieces = table.shape[1]
    degree = table.shape[2] - 1
    if degree == 0:
        return table[row, 0, 0]
    end = TABLE_START + TABLE_STEP * pieces
    inside = min(max(log_variance, TABLE_START), end)
    place = (inside - TABLE_START) / TABLE_STEP
    piece = min(pieces - 1, int(place))
    x = 2.0 * (place - piece) - 1.0
    above, here = 0.0, 0.0
    for k in range(degree, 0, -1):
        above, here = here, 2.0 * x * here - above + table[row, piece, k]
    value = x * here - above + table[row, piece, 0]
    if inside != log_variance:
        value += log_moment_slope(table, row, log_variance) * (log_variance - inside)
    return value


@compiled()
def log_sum(a: float, b: float) -> float:
    """ln(eᵃ + eᵇ); either may be −∞."""
    larger, smaller = max(a, b), min(a, b)
    return larger if smaller == -math.inf else larger + math.log1p(math.exp(smaller - larger))


@compiled()
def through_branch(
    shape: NDArray[np.int64],
    numbers: NDArray[np.float64],
    table: NDArray[np.float64],
    weights: NDArray[np.float64],
    slopes: NDArray[np.float64],
    log_q: float,
    correlation: float,
) -> tuple[float, float, float, float, float, float, float, float]:
    """One branch: what comes out of it for a signal of this energy and correlation.

    Parameters
    ----------
    shape, numbers, table, weights, slopes : arrays
        As in :func:`propagate`.
    log_q, correlation : float
        Of the signal that enters the block.

    Returns
    -------
    log_h, correlation : float
        ln of the branch's energy, and the correlation of the two inputs behind it.
    log_slope : float
        ln of the backward factor.
    log_mean : float
        ln of the branch's mean; −∞ without one.
    kept : float
        The part of the branch's energy that comes from its input rather than from its biases.
    follow, spread : float
        How ln of the branch's energy moves with ln q, and its variance given q. For a branch
        that ends with an activation: up to that; for one that begins with it: from there.
    log_u : float
        ln of the variance that met the last activation.
    """
    code, activations = shape[0], shape[1]
    opens, closes, unit_closing = shape[2] == 1, shape[3] == 1, shape[4] == 1
    norm_in, paired = shape[5] == 1, shape[7] == 1
    log_weight, log_bias, per_width = numbers[0], numbers[1], numbers[6]
    log_h, c, log_u = (0.0 if norm_in else log_q), correlation, -math.inf
    log_slope, log_mean, kept = 0.0, -math.inf, 1.0
    follow, spread = (0.0 if norm_in else 1.0), 0.0
    for layer in range(activations + 1):
        last = layer == activations
        # Matrices that meet an activation, and the closing one unless it is V ~ N(0, 1/fan-in).
        matrix = layer > 0 or opens
        if last:
            matrix = closes and not unit_closing and (activations > 0 or opens)
        if matrix:
            before = log_weight + log_h
            log_h = log_sum(before, log_bias)
            share = math.exp(before - log_h) if log_h > -math.inf else 0.0
            c = share * c + (1.0 - share)
            kept *= share
            follow *= share
            spread *= share * share
            log_slope += log_weight
        if last or log_h == -math.inf:
            break
        log_u = log_h
        log_energy = log_moment(table, 0, log_h)
        if paired:
            value, _ = relative_pair(code, weights, slopes, math.exp(min(log_h, _LARGEST)), c)
            c = value / math.exp(log_energy)
        log_slope += log_moment(table, 2, log_h)
        if layer == 0 and not opens:
            follow, spread = 1.0, 0.0
        elif layer < activations - 1 or closes:
            rises = 1.0 + log_moment_slope(table, 0, log_h)
            follow *= rises
            noise = (math.exp(log_moment(table, 4, log_h)) - 1.0) * per_width
            spread = rises * rises * spread * (1.0 + noise) + noise
        if layer == activations - 1 and not closes:
            log_mean = log_moment(table, 1, log_h) + 0.5 * log_h
        log_h += log_energy
    if norm_in:
        log_slope -= log_q
    return log_h, c, log_slope, log_mean, kept, follow, spread, log_u


@compiled()
def beside_skip(
    scale: float, log_h: float, log_mean: float, log_q: float, overlap: float
) -> tuple[float, float, float, float]:
    """A branch added to its skip, relative to what leaves the block.

    Returns
    -------
    log_gain : float
        ln of the energy behind over the energy before.
    skip, share, mean : float
        The skip's and the branch's part of the energy that leaves, and the branch's mean over
        its root: 1 = skip + 2·√skip·overlap·mean + share.
    """
    log_scale = math.log(abs(scale)) if scale != 0.0 else -math.inf
    log_added = 2.0 * log_scale + log_h - log_q
    if log_added > _LARGEST:  # the skip is lost beside the branch
        mean = 0.0 if log_mean == -math.inf else math.exp(log_mean - 0.5 * log_h)
        return log_added, 0.0, 1.0, math.copysign(mean, scale)
    added, mean = math.exp(log_added), 0.0
    if log_mean > -math.inf and scale != 0.0:
        mean = math.copysign(math.exp(log_scale + log_mean - 0.5 * log_q), scale)
    gained = 2.0 * overlap * mean + added
    gain = 1.0 + gained
    return math.log1p(gained), 1.0 / gain, added / gain, mean / math.sqrt(gain)


@compiled()
def propagate(
    scales: NDArray[np.float64],
    shape: NDArray[np.int64],
    numbers: NDArray[np.float64],
    table: NDArray[np.float64],
    weights: NDArray[np.float64],
    slopes: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Carry energy, correlation, overlap and orders through all blocks.

    Parameters
    ----------
    scales : array, shape (n,)
        λ_l.
    shape : array of int
        Activation code, activations, opens, closes, unit closing, normalises input, normalises
        output, follow a pair of inputs.
    numbers : array
        ln σ_w², ln σ_b², ln q_0, correlation, overlap, ln s of the whole block, 1/width of the
        hidden layers, 1/dimension.
    table : array
        Of :func:`~expansion.growth.moments.moment_table`.
    weights, slopes : array
        Of :func:`~expansion.growth.pairs.mixture`.

    Returns
    -------
    array, shape (11, n + 1)
        ln q_l; correlation; overlap; mean order; then of block l: ln of the backward factor,
        residual share, and log_h, log_mean, follow, spread, log_u of :func:`through_branch`, with
        nothing at place 0.
    """
    norm_out = shape[6] == 1
    log_q, correlation, overlap, log_factor = numbers[2], numbers[3], numbers[4], numbers[5]
    out = np.zeros((11, scales.size + 1))
    out[0, 0], out[1, 0], out[2, 0] = log_q, correlation, overlap
    # Σ k ⟨P_k, x⟩ over ‖x‖² and Σ k ⟨P_k, 1⟩ over √d ‖x‖: all orders, and those along the mean.
    order, order_overlap = 0.0, 0.0
    for block in range(scales.size):
        scale = scales[block]
        log_h, c, log_slope, log_mean, kept, follow, spread, log_u = through_branch(
            shape, numbers, table, weights, slopes, log_q, correlation
        )
        log_gain, skip, share, mean = beside_skip(scale, log_h, log_mean, log_q, overlap)
        root = math.sqrt(skip)
        raised = kept * order + 1.0
        crossed = root * mean
        order = skip * order + crossed * (order_overlap + overlap * raised) + share * raised
        order_overlap = root * order_overlap + mean * raised
        correlation = skip * correlation + 2.0 * crossed * overlap + share * c
        overlap = root * overlap + mean
        log_scale = math.log(abs(scale)) if scale != 0.0 else -math.inf
        log_back = log_sum(0.0, 2.0 * log_scale + log_slope) + 2.0 * log_factor
        if norm_out:
            log_back -= log_q + log_gain + 2.0 * log_factor
            log_q = 0.0
        else:
            log_q += log_gain + 2.0 * log_factor
        out[0, block + 1], out[1, block + 1], out[2, block + 1] = log_q, correlation, overlap
        out[3, block + 1], out[4, block + 1], out[5, block + 1] = order, log_back, share
        out[6, block + 1], out[7, block + 1], out[8, block + 1] = log_h, log_mean, follow
        out[9, block + 1], out[10, block + 1] = spread, log_u
    return out
