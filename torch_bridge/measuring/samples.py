"""Rows of signals put together into samples, where not all blocks have equally many rows.

A block may see a batch flattened, all tokens of all sequences in one dimension, or cut into
patches: then several rows in a row are one sample, and their energies add up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_sample"]

_Floats = NDArray[np.float64]


def by_sample(rows: Mapping[int, _Floats]) -> dict[int, _Floats]:
    """Sums over the rows of one sample, for as many samples as fit every block.

    Parameters
    ----------
    rows : mapping from block to array of shape (rows, k)
        Squared norms and products of one batch, one or more rows for each sample.

    Returns
    -------
    dict from block to array of shape (samples, k)

    Examples
    --------
    >>> by_sample({0: np.array([[1.0], [2.0]]), 1: np.array([[1.0], [1.0], [3.0], [4.0]])})[1]
    array([[2.],
           [7.]])
    """
    samples = math.gcd(*map(len, rows.values()))
    return {
        number: found.reshape(samples, -1, found.shape[1]).sum(axis=1)
        for number, found in rows.items()
    }
