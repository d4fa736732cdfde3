r"""Means and their standard errors over samples that come in batches; no sample is kept.

With n samples so far, mean m and scatter :math:`S = \sum (x - m)(x - m)^T`, a batch of b samples
with mean m' and scatter S' gives, with δ = m' − m,

.. math:: m \leftarrow m + \delta\,\frac{b}{n + b}, \qquad
          S \leftarrow S + S' + \delta\delta^T \frac{nb}{n + b}.

Source: Chan, Golub & LeVeque's pairwise update; unlike sums of squares it does not cancel.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Moments"]


class Moments:
    """Mean vector and covariance of a stream of samples.

    Parameters
    ----------
    size : int
        Entries of a sample.

    Examples
    --------
    >>> moments = Moments(1)
    >>> moments.add([[1.0], [2.0]])
    >>> moments.add([[6.0]])
    >>> moments.mean, moments.count, round(moments.error_of([1.0]), 4)
    (array([3.]), 3, 1.5275)
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.mean: NDArray[np.float64] = np.zeros(size)
        self._scatter: NDArray[np.float64] = np.zeros((size, size))

    def add(self, samples: ArrayLike) -> None:
        """Take in samples, shape (samples, size)."""
        batch = np.asarray(samples, dtype=np.float64)
        mean = batch.mean(axis=0)
        apart = batch - mean
        delta, total = mean - self.mean, self.count + len(batch)
        self._scatter += apart.T @ apart
        self._scatter += np.outer(delta, delta) * (self.count * len(batch) / total)
        self.mean = self.mean + delta * (len(batch) / total)
        self.count = total

    def error_of(self, slope: ArrayLike) -> float:
        """Standard error of g(mean), given the slope of g at the mean; nan for one sample.

        Notes
        -----
        To first order in the errors of the means (the delta method).
        """
        if self.count < 2:
            return math.nan
        vector = np.asarray(slope, dtype=np.float64)
        variance = vector @ self._scatter @ vector / (self.count - 1)
        return math.sqrt(max(float(variance), 0.0) / self.count)
