r"""A network's own order spectrum: how large each order is, and how far partial sums are off.

Two ensembles of the same output are compared on the same inputs:

- *frozen gates* (claims E7, E7b): exact at the network's own scales, the sum of all n orders is
  the output;
- the *λ-series* about λ = 0 (claim E5): the theorem itself, which reaches the output only if
  λ = 1 times the network's scales lies inside its radius of convergence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.series.gated_paths import gated_orders
from expansion.series.jets import jet_orders
from expansion.towers.arrays import Array
from expansion.towers.tower import Tower

__all__ = ["Ensemble", "frozen_gate_ensemble", "lambda_series"]


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Sizes of the orders 0..K of a network's output, and of what partial sums leave out.

    All sizes are root mean squares over the inputs and relative to the output's.

    Parameters
    ----------
    name : str
        Which ensemble.
    sizes : array, shape (K + 1,)
        ‖P_k‖ relative to ‖output‖.
    errors : array, shape (K + 1,)
        ‖output − Σ_{j ≤ k} P_j‖ relative to ‖output‖.
    agreement : array, shape (K + 1,)
        Share of inputs on which the partial sum's largest coordinate is the output's: the class
        that a classifier would name.
    radius : float
        Estimated radius of convergence in multiples of the network's own scales; infinite for
        an ensemble that is finite and exact.
    """

    name: str
    sizes: NDArray[np.float64]
    errors: NDArray[np.float64]
    agreement: NDArray[np.float64]
    radius: float

    @property
    def reaches_output(self) -> bool:
        """Whether the sum of all orders is the output (for the series: by its radius)."""
        return self.radius > 1


def frozen_gate_ensemble(tower: Tower, inputs: Any) -> Ensemble:
    """All n orders with the gates frozen at each input's own forward pass (claims E7, E7b).

    Parameters
    ----------
    tower : Tower
        With affine, ReLU or MLP branches.
    inputs : array_like, shape (samples, inputs)

    Examples
    --------
    >>> from expansion.towers.branches.layered import relu_branch
    >>> tower = Tower.tied(relu_branch([[1.0]]), depth=2)
    >>> frozen_gate_ensemble(tower, [[1.0]]).errors
    array([0.75, 0.25, 0.  ])
    """
    return _ensemble("frozen gates", tower, inputs, gated_orders(tower, inputs), np.inf)


def lambda_series(tower: Tower, inputs: Any, order: int) -> Ensemble:
    """The first orders of the expansion about λ = 0, with the estimated radius (claim E5).

    Parameters
    ----------
    tower : Tower
        With branches that have power series.
    inputs : array_like, shape (samples, inputs)
    order : int
        Largest order K ≥ 0.

    Notes
    -----
    The radius is estimated from the decay of the order sizes over the later half of the orders
    (root test by least squares). It is an estimate, not a bound. Source: derived.

    Examples
    --------
    >>> from expansion.towers.branches.layered import AffineBranch
    >>> tower = Tower.tied(AffineBranch([[1.0]]), depth=2)
    >>> lambda_series(tower, [[1.0]], 2).sizes
    array([0.25, 0.5 , 0.25])
    """
    orders = jet_orders(tower, inputs, check_count(order, "order", least=0))
    return _ensemble(
        "λ-series", tower, inputs, orders, _estimated_radius(_root_mean_square(orders))
    )


def _ensemble(name: str, tower: Tower, inputs: Any, orders: Array, radius: float) -> Ensemble:
    output = tower(inputs)
    scale = float(_root_mean_square(output)) or 1.0
    partial = np.cumsum(orders, axis=0)
    named = output.argmax(axis=-1)
    agreement = (partial.argmax(axis=-1) == named).reshape(len(orders), -1).mean(axis=1)
    sizes = _root_mean_square(orders) / scale
    return Ensemble(name, sizes, _root_mean_square(output - partial) / scale, agreement, radius)


def _root_mean_square(vectors: Array) -> Any:
    """Over inputs, of the Euclidean norm; orders stay apart."""
    squares = (vectors.astype(float) ** 2).sum(axis=-1)
    return np.sqrt(squares.mean(axis=-1))


def _estimated_radius(sizes: NDArray[np.float64]) -> float:
    later = np.arange(len(sizes))[len(sizes) // 2 :]
    later = later[sizes[later] > 0]
    if len(later) < 2:
        return float("inf")
    slope = np.polyfit(later, np.log(sizes[later]), 1)[0]
    return float(np.exp(-slope))
