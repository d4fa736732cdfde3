"""Compiled kernels: floats and logarithms only, never counts.

Each body is plain Python that reads as the definition; Numba compiles the same body. The
uncompiled function stays at hand as ``kernel.py_func``, and tests run both.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from expansion.compiling import compiled

__all__ = ["block_gains", "log_elementary_symmetric"]


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


@compiled(parallel=True)
def block_gains(
    directions: NDArray[np.float64],
    log_norms: NDArray[np.float64],
    scales: NDArray[np.float64],
    width: int,
    normalised: bool,
    seeds: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Push one unit vector per trial through random blocks; return ‖x_l‖²/‖x_{l−1}‖².

    Parameters
    ----------
    directions : array, shape (trials, dimension)
        x/‖x‖ of every trial; overwritten by the final direction.
    log_norms : array, shape (trials,)
        ln ‖x‖ of every trial; overwritten.
    scales : array, shape (blocks,)
        λ_l.
    width : int
        Hidden units of V relu(U x); 0 for a linear branch.
    normalised : bool
        Whether the branch sees x/‖x‖ instead of x.
    seeds : array of int, shape (trials,)
        One seed per trial, so that the result does not depend on the number of threads.

    Notes
    -----
    Every weight matrix is used once, on one vector, so its product is drawn directly: given x,
    U x with U ~ N(0, 2/width) has independent N(0, 2‖x‖²/width) entries, and V h with
    V ~ N(0, 1/dimension) has independent N(0, ‖h‖²/dimension) entries. The law is exactly that
    of drawing the matrices, at width + dimension numbers a block.
    """
    trials, dimension = directions.shape
    gains = np.empty((trials, scales.size))
    for trial in numba.prange(trials):
        np.random.seed(seeds[trial])
        direction = directions[trial].copy()
        for block in range(scales.size):
            hidden = 1.0
            if width > 0:
                hidden = 0.0
                for _ in range(width):
                    pre_activation = np.random.normal()
                    if pre_activation > 0:
                        hidden += 2.0 * pre_activation * pre_activation / width
            # Relative to the current signal, which is kept at length 1 to avoid overflow.
            scale = scales[block]
            if normalised:
                scale = np.exp(-log_norms[trial])
            spread = scale * np.sqrt(hidden / dimension)
            squared = 0.0
            for entry in range(dimension):
                direction[entry] += spread * np.random.normal()
                squared += direction[entry] * direction[entry]
            gains[trial, block] = squared
            log_norms[trial] += 0.5 * np.log(squared)
            direction /= np.sqrt(squared)
        directions[trial] = direction
    return gains
