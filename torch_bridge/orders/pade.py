r"""Resummation of a λ-series beyond its radius: Padé approximants by Wynn's ε-algorithm.

From the partial sums :math:`\varepsilon_0^{(j)} = \sum_{k \le j} P_k`,

.. math:: \varepsilon_{r+1}^{(j)} = \varepsilon_{r-1}^{(j+1)}
          + \bigl(\varepsilon_r^{(j+1)} - \varepsilon_r^{(j)}\bigr)^{-1},

the even columns are Padé approximants at z = 1, :math:`\varepsilon_{2m}^{(j)} = [j+m/m]`, entry by
entry (Wynn 1956). With the inverse :math:`v^{-1} = v / \lVert v \rVert^2` of a whole output it is
the vector ε-algorithm (Wynn 1962), which treats the output as one function with common poles.
A resummation is no proof of anything: its error against the real output is measured and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from expansion.errors import InputError

__all__ = ["Resummation", "relative_error", "resummed"]


@dataclass(frozen=True, slots=True, eq=False)
class Resummation:
    """A resummed series beside the real output.

    Parameters
    ----------
    output : Any
        The resummed output, with the model's own structure.
    degrees : tuple of int
        Of numerator and denominator.
    error : float
        Its distance from the real output, relative to that one's norm.
    series_error : float
        The same for the plain sum of the orders.
    """

    output: Any
    degrees: tuple[int, int]
    error: float
    series_error: float


def resummed(orders: Sequence[Any], output: Any, method: str = "entries") -> Resummation:
    """The Padé approximant of highest degree that the orders give, and its measured error.

    Parameters
    ----------
    orders : sequence of K + 1 outputs
        Of the λ-series.
    output : Any
        The model's real output.
    method : {"entries", "vector"}
        Every entry by itself, or every tensor as one vector.

    Raises
    ------
    InputError
        For another method.

    Notes
    -----
    Where a denominator vanishes, the plain sum is kept for that entry.

    Examples
    --------
    >>> orders = [torch.tensor([(-3.0) ** k], dtype=torch.float64) for k in range(5)]
    >>> found = resummed(orders, torch.tensor([0.25], dtype=torch.float64))
    >>> found.degrees, round(float(found.output), 6), found.error < 1e-12, found.series_error > 200
    ((2, 2), 0.25, True, True)
    """
    if method not in ("entries", "vector"):
        raise InputError("a method among entries, vector", method, "choose one of these")
    largest = len(orders) - 1

    def one(*values: Any) -> Any:
        if not isinstance(values[0], Tensor) or not values[0].is_floating_point():
            return values[0]
        return _epsilon(torch.stack(values), whole=method == "vector")

    def plain(*values: Any) -> Any:
        return torch.stack(values).sum(0) if isinstance(values[0], Tensor) else values[0]

    found = pytree.tree_map(one, *orders)
    degrees = ((largest + 1) // 2, largest // 2)
    summed = pytree.tree_map(plain, *orders)
    error, series_error = (relative_error(value, output) for value in (found, summed))
    return Resummation(found, degrees, error, series_error)


def relative_error(value: Any, output: Any) -> float:
    """The distance of two outputs over all their floating-point tensors, relative to the second.

    Examples
    --------
    >>> relative_error(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0]))
    1.25
    """
    distance = size = 0.0
    pairs = zip(pytree.tree_leaves(value), pytree.tree_leaves(output), strict=True)
    for found, real in pairs:
        if isinstance(real, Tensor) and real.is_floating_point():
            distance += float((found.double() - real.double()).square().sum())
            size += float(real.double().square().sum())
    return float(torch.tensor(distance / size).sqrt()) if size else distance**0.5


def _epsilon(coefficients: Tensor, *, whole: bool) -> Tensor:
    sums = coefficients.cumsum(0)
    before, now = torch.zeros_like(sums[:1]).expand(len(sums) + 1, *sums.shape[1:]), sums
    best = sums[-1]
    for column in range(1, len(sums)):
        steps = now[1:] - now[:-1]
        if whole:
            squares = steps.flatten(1).square().sum(1).reshape(-1, *[1] * (steps.ndim - 1))
            inverse = steps / squares
        else:
            inverse = steps.reciprocal()
        before, now = now, before[1:-1] + inverse
        if column % 2 == 0:
            best = torch.where(torch.isfinite(now[-1]), now[-1], best)
    return best
