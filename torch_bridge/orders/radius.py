r"""The radius of convergence in λ, estimated from the sizes of the orders (THEORY M3).

Near the singularity that ends the convergence the orders behave like
:math:`a_k \sim C\, k^{\alpha-1} R^{-k}`, or, near a pair of complex ones, like that times
:math:`|\cos(k\theta + \phi)|`. On the last two thirds and on the last half of the orders:

* if the ratios follow the line of Domb and Sykes (Proc. R. Soc. A 240, 1957),
  :math:`a_k / a_{k-1} = \frac{1}{R}(1 + \frac{\alpha - 1}{k} + \ldots)`, to a twentieth, R comes
  from that line at 1/k = 0 and from least squares of log a_k in 1, k and log k;
* otherwise, where extrapolation would follow the oscillation, from least squares of log a_k in 1
  and k, with two standard errors of the slope on either side.

The median is the estimate, the smallest and the largest are the spread. It is an estimate and no
bound: a singularity that the orders seen do not feel yet is not found. Tried on functions with
known singularities; derived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree as pytree

from expansion.errors import InputError

__all__ = ["Radius", "estimate_radius", "order_sizes"]

_LEAST = 4  # orders beyond order 0 that an extrapolation needs
_SMOOTH = 0.05  # how far ratios may lie from their line, relative to their mean


@dataclass(frozen=True, slots=True)
class Radius:
    """An estimated radius of convergence: the common factor z of all scales up to which it goes.

    Parameters
    ----------
    estimate : float
        R; infinite for a series that stops.
    low, high : float
        The spread of the estimators.
    stops : bool
        Whether the series is a polynomial as far as it was seen.
    """

    estimate: float
    low: float
    high: float
    stops: bool = False

    def sentence(self, at: float = 1.0) -> str:
        """Whether the series can be added up at z = ``at``, in words.

        Examples
        --------
        >>> Radius(0.25, 0.2, 0.3).sentence().partition(":")[0]
        'λ = 1 lies outside the estimated radius of convergence 0.25 (0.2 to 0.3)'
        """
        if self.stops:
            return "The λ-series stops, so it converges at every scale."
        told = f"the estimated radius of convergence {self.estimate:.3g} "
        told += f"({self.low:.3g} to {self.high:.3g})"
        exact = "the frozen-gate and the sub-network orders add up to the output at any scale"
        point = f"λ = {at:g}" if at == 1 else f"{at:g} λ"
        if self.high < at:
            return (
                f"{point} lies outside {told}: the λ-series does not add up to the output; {exact}."
            )
        if self.low > at:
            return f"{point} lies inside {told}: the λ-series adds up to the output."
        return f"{point} lies near {told}: the λ-series may not add up to the output; {exact}."


def order_sizes(orders: Sequence[Any]) -> list[float]:
    """The Euclidean norm of every order, over all its floating-point tensors.

    Examples
    --------
    >>> import torch
    >>> order_sizes([torch.tensor([3.0, 4.0]), {"a": torch.zeros(1)}])
    [5.0, 0.0]
    """
    sizes = []
    for order in orders:
        leaves = pytree.tree_leaves(order)
        real = [v for v in leaves if isinstance(v, Tensor) and v.is_floating_point()]
        sizes.append(math.sqrt(sum(float(v.detach().double().square().sum()) for v in real)))
    return sizes


def estimate_radius(sizes: Sequence[float]) -> Radius:
    """The radius from the sizes of orders 0..K.

    Parameters
    ----------
    sizes : sequence of float
        a_0..a_K, K ≥ 4.

    Raises
    ------
    InputError
        For too few orders, or orders that are not finite.

    Examples
    --------
    >>> found = estimate_radius([0.5**k * max(k, 1) ** 0.5 for k in range(12)])
    >>> round(found.estimate, 2), found.high - found.low < 0.05
    (2.01, True)
    """
    if not all(math.isfinite(size) for size in sizes):
        raise InputError("finite orders for the radius", "infinities or nan", "use float64")
    if len(sizes) <= _LEAST:
        came = f"orders 0..{len(sizes) - 1}"
        raise InputError(f"orders 0..{_LEAST} or more for the radius", came, "give a larger K")
    if not sizes[-1]:
        return Radius(math.inf, math.inf, math.inf, stops=True)
    last = len(sizes) - 1
    known = [k for k in range(1, last + 1) if sizes[k] > 0]
    found: list[float] = []
    for part in (1 / 3, 1 / 2):
        tail = [k for k in known if k >= last * part]
        tail = tail if len(tail) >= _LEAST else known[-_LEAST:]
        found += _estimates(np.array(tail), np.array([sizes[k] for k in tail]))
    finite = [value for value in found if math.isfinite(value) and value > 0]
    if not finite:
        return Radius(math.inf, 0.0, math.inf)
    return Radius(float(np.median(finite)), min(finite), max(finite))


def _estimates(k: NDArray[np.int_], sizes: NDArray[np.float64]) -> list[float]:
    """Extrapolated where the ratios are smooth, by the mean slope elsewhere."""
    logs = np.log(sizes)
    ratios = np.exp(np.diff(logs) / np.diff(k))
    line = np.stack([np.ones(len(ratios)), 1 / k[1:]], axis=1)
    limit, slope = np.linalg.lstsq(line, ratios, rcond=None)[0]
    smooth = np.abs(line @ (limit, slope) - ratios).max() < _SMOOTH * ratios.mean()
    if smooth and limit > 0:
        full = np.column_stack([np.ones(len(k)), k, np.log(k)])
        return [float(np.exp(-np.linalg.lstsq(full, logs, rcond=None)[0][1])), float(1 / limit)]
    plain = np.stack([np.ones(len(k)), k], axis=1)
    fit = np.linalg.lstsq(plain, logs, rcond=None)[0]
    variance = np.square(logs - plain @ fit).sum() / (len(k) - 2)
    error = np.sqrt(variance / np.square(k - k.mean()).sum())
    return [float(np.exp(-fit[1] + sign * error)) for sign in (-2, 0, 2)]
