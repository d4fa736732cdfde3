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

__all__ = ["log_moment", "log_moment_slope", "propagate"]

_LARGEST = 300.0  # e to this, and its square, are floats


@compiled()
def log_moment_slope(table: NDArray[np.float64], row: int, log_variance: float) -> float:
    """d ln moment / d ln h: T_k' = k U_{k−1}, summed by the same recurrence."""
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
def _log_sum(a: float, b: float) -> float:
    larger, smaller = max(a, b), min(a, b)
    return larger if smaller == -math.inf else larger + math.log1p(math.exp(smaller - larger))


@compiled()
def propagate(
    scales: NDArray[np.float64],
    shape: NDArray[np.int64],
    numbers: NDArray[np.float64],
    table: NDArray[np.float64],
    weights: NDArray[np.float64],
    slopes: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Carry energy, correlation, overlap and fluctuation through all blocks.

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
    array, shape (6, n + 1)
        ln q_l; correlation; overlap; ln of the backward factor of block l; residual share of
        block l; variance of ln ‖x_l‖². The fourth and fifth rows have nothing at place 0.
    """
    code, activations = shape[0], shape[1]
    opens, closes, unit_closing = shape[2] == 1, shape[3] == 1, shape[4] == 1
    norm_in, norm_out, paired = shape[5] == 1, shape[6] == 1, shape[7] == 1
    log_weight, log_bias, log_q, correlation, overlap, log_factor, per_width, per_dim = numbers
    out = np.zeros((6, scales.size + 1))
    variance = 0.0
    out[0, 0], out[1, 0], out[2, 0] = log_q, correlation, overlap
    for block in range(scales.size):
        scale = scales[block]
        # Through the branch: log_h is ln of the energy, c the correlation of the two inputs,
        # follow how ln of the energy moves with ln q, spread its variance given q.
        log_h, c = (0.0 if norm_in else log_q), correlation
        log_slope, log_mean = 0.0, -math.inf
        follow, spread = (0.0 if norm_in else 1.0), 0.0
        if opens:
            before = log_weight + log_h
            log_h = _log_sum(before, log_bias)
            kept = math.exp(before - log_h) if log_h > -math.inf else 0.0
            c = kept * c + (1.0 - kept)
            follow *= kept
            log_slope += log_weight
        for layer in range(activations):
            if layer > 0:
                before = log_weight + log_h
                log_h = _log_sum(before, log_bias)
                kept = math.exp(before - log_h) if log_h > -math.inf else 0.0
                c = kept * c + (1.0 - kept)
                follow *= kept
                spread *= kept * kept
                log_slope += log_weight
            if log_h == -math.inf:
                break
            log_energy = log_moment(table, 0, log_h)
            if paired:
                value, _ = relative_pair(code, weights, slopes, math.exp(min(log_h, _LARGEST)), c)
                c = value / math.exp(log_energy)
            log_slope += log_moment(table, 2, log_h)
            if not closes and layer == activations - 1:
                log_mean = log_moment(table, 1, log_h) + 0.5 * log_h
            rises = 1.0
            if table.shape[2] > 1:
                rises += log_moment_slope(table, 0, log_h)
            follow *= rises
            spread = rises * rises * spread
            noise = (math.exp(log_moment(table, 4, log_h)) - 1.0) * per_width
            spread += noise + spread * noise
            log_h += log_energy
        if closes and not unit_closing and not (opens and activations == 0):
            before = log_weight + log_h
            log_h = _log_sum(before, log_bias)
            kept = math.exp(before - log_h) if log_h > -math.inf else 0.0
            c = kept * c + (1.0 - kept)
            log_slope += log_weight
        # Beside the skip, relative to q.
        if norm_in:
            log_slope -= log_q
        log_scale = math.log(abs(scale)) if scale != 0.0 else -math.inf
        log_added = 2.0 * log_scale + log_h - log_q
        if log_added > _LARGEST:  # the skip is lost beside the branch
            log_gain, share, bent = log_added, 1.0, follow
            mean = math.copysign(math.exp(log_mean - 0.5 * log_h), scale)
            correlation, overlap = c, mean
            relative = spread + 2.0 * per_dim
        else:
            added = math.exp(log_added)
            mean = math.copysign(math.exp(log_scale + log_mean - 0.5 * log_q), scale)
            if log_mean == -math.inf or scale == 0.0:
                mean = 0.0
            gained = 2.0 * overlap * mean + added
            log_gain = math.log1p(gained)
            gain = 1.0 + gained
            correlation = (correlation + 2.0 * overlap * mean + added * c) / gain
            overlap = (overlap + mean) / math.sqrt(gain)
            share = added / gain
            noise = (1.0 + spread) * (1.0 + 2.0 * per_dim) - 1.0
            relative = (4.0 * added * per_dim + added * added * noise) / (gain * gain)
            bent = (1.0 + added * follow) / gain
        variance = bent * bent * variance + relative
        log_back = _log_sum(0.0, 2.0 * log_scale + log_slope) + 2.0 * log_factor
        if norm_out:
            log_back -= log_q + log_gain + 2.0 * log_factor
            log_q, variance = 0.0, 0.0
        else:
            log_q += log_gain + 2.0 * log_factor
        out[0, block + 1], out[1, block + 1], out[2, block + 1] = log_q, correlation, overlap
        out[3, block + 1], out[4, block + 1], out[5, block + 1] = log_back, share, variance
    return out
