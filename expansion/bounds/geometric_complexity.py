r"""Geometric complexity, measured at data and expanded in the scale (claim B2).

.. math::

   \mathrm{GC} = \frac{1}{|D|} \sum_{x \in D} \|\nabla_x f(x)\|_F^2 .

**The expansion.** With the scales zλ the theorem gives :math:`\nabla H_n = I + z J_1 + z^2 J_2 +
O(z^3)`, the derivatives of its first orders:

.. math::

   J_1 = \sum_l \lambda_l f_l', \qquad
   J_2 = \sum_{i<j} \lambda_i \lambda_j \big( f_j''[f_i, \cdot] + f_j' f_i' \big),

everything at x. Hence, without encoder and decoder,

.. math::

   \mathrm{GC} = d + 2z \sum_l \lambda_l \overline{\mathrm{tr} f_l'}
   + z^2 \big( \overline{\|J_1\|_F^2} + 2\, \overline{\mathrm{tr} J_2} \big) + O(z^3).

With an affine encoder E and decoder D every J_k is taken at E(x) and becomes D' J_k E'. For ReLU
the second derivative is zero and the expansion holds where no kink is crossed.

At random initialisation the *mean* complexity of independent energy-preserving branches is
:math:`d \prod_l (1 + \lambda_l^2)`: each column of ∇H_n grows as the signal does (claim G1).

Source: the definition: Dherin et al. 2022 (arXiv 2209.13083); the expansion: derived.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.errors import InputError
from expansion.towers.arrays import Array, as_array, is_exact
from expansion.towers.branches.branch import Branch
from expansion.towers.branches.layered import AffineBranch
from expansion.towers.tower import Tower

__all__ = ["complexity_orders", "geometric_complexity", "jacobians", "measured_lipschitz"]


def jacobians(tower: Tower, inputs: Any) -> Array:
    """The network's Jacobians, by the chain rule through its blocks.

    Parameters
    ----------
    tower : Tower
        With any branches that have derivatives.
    inputs : array_like, shape (samples, inputs)

    Returns
    -------
    array, shape (samples, outputs, inputs)
        Exact for exact towers and inputs.

    Examples
    --------
    >>> tower = Tower.tied(AffineBranch([[0, 1], [0, 0]]), depth=3)
    >>> jacobians(tower, [[0, 0]])[0].astype(int)
    array([[1, 3],
           [0, 1]])
    """
    places, directions = _start(tower, inputs)
    state = places
    scales = tower.scales_for(places)
    if tower.encoder is not None:
        directions = tower.encoder.derivative(state, [directions])
        state = tower.encoder(state)
    for branch, scale in zip(tower.branches, scales, strict=True):
        moved = branch.derivative(state, [directions])
        directions, state = directions + scale * moved, state + scale * branch(state)
    if tower.decoder is not None:
        directions = tower.decoder.derivative(state, [directions])
    return np.swapaxes(directions, -1, -2)


def geometric_complexity(tower: Tower, inputs: Any) -> Any:
    """The mean of ‖∇_x f(x)‖_F² over inputs; a Fraction if everything is exact.

    Examples
    --------
    >>> tower = Tower.tied(AffineBranch([[0, 1], [0, 0]]), depth=3)
    >>> print(geometric_complexity(tower, [[0, 0]]))
    11
    """
    return _mean_product(*[jacobians(tower, inputs)] * 2)


def measured_lipschitz(tower: Tower, inputs: Any) -> float:
    """The largest ‖∇_x f(x)‖ among the inputs: at most the Lipschitz constant.

    Examples
    --------
    >>> tower = Tower.tied(AffineBranch([[0.0, 1.0], [0.0, 0.0]]), depth=3)
    >>> round(measured_lipschitz(tower, [[0.0, 0.0]]), 4)
    3.3028
    """
    found = jacobians(tower, inputs).astype(np.float64)
    _, _, right = np.linalg.svd(found)
    # A quotient of lengths is at most the norm, whatever the direction is.
    top = right[:, 0, :]
    moved = (found @ top[..., None])[..., 0]
    return float((np.linalg.norm(moved, axis=-1) / np.linalg.norm(top, axis=-1)).max())


def complexity_orders(tower: Tower, inputs: Any) -> Array:
    """The coefficients of 1, z and z² of the geometric complexity at the scales zλ.

    Parameters
    ----------
    tower : Tower
        With an affine encoder and decoder, or none.
    inputs : array_like, shape (samples, inputs)

    Returns
    -------
    array, shape (3,)
        Their sum approximates the complexity at the tower's own scales; exact for exact towers
        and inputs.

    Raises
    ------
    InputError
        For an encoder or decoder that is not affine.

    Examples
    --------
    >>> tower = Tower.tied(AffineBranch([[0, 1], [0, 0]]), depth=3)
    >>> [str(order) for order in complexity_orders(tower, [[0, 0]])]
    ['2', '0', '9']
    """
    places, directions = _start(tower, inputs)
    for end in (tower.encoder, tower.decoder):
        if end is not None and not isinstance(end, AffineBranch):
            came = type(end).__name__
            raise InputError("an affine encoder and decoder", came, "leave it out")
    scales = tower.scales_for(places)
    zeroth = _through(tower.encoder, directions)
    state = places if tower.encoder is None else tower.encoder(places)
    moved = state * 0  # Σ_{i<j} λ_i f_i, and its derivative
    first = zeroth * 0
    second = first
    for branch, scale in zip(tower.branches, scales, strict=True):
        bent = branch.derivative(state, [moved, zeroth]) + branch.derivative(state, [first])
        second = second + scale * bent
        first = first + scale * branch.derivative(state, [zeroth])
        moved = moved + scale * branch(state)
    orders = [_through(tower.decoder, part) for part in (zeroth, first, second)]
    return np.array(
        [
            _mean_product(orders[0], orders[0]),
            2 * _mean_product(orders[0], orders[1]),
            _mean_product(orders[1], orders[1]) + 2 * _mean_product(orders[0], orders[2]),
        ]
    )


def _start(tower: Tower, inputs: Any) -> tuple[Array, Array]:
    """The inputs with an axis for directions, shape (samples, 1, d), and the unit directions."""
    places = as_array(inputs, "inputs", dimensions=2)
    tower.encode(places)  # says so if they do not fit
    if not len(places):
        raise InputError("at least one input", "none", "give some")
    if is_exact(places) and not tower.is_exact:
        places = places.astype(np.float64)
    unit = np.eye(places.shape[-1], dtype=int)
    directions = as_array(unit, "directions") if is_exact(places) else unit.astype(places.dtype)
    # An affine branch's derivative does not know of the samples; the sizes below do.
    return places[:, None, :], np.broadcast_to(directions, (len(places), *unit.shape))


def _through(end: Branch | None, directions: Array) -> Array:
    """An affine end's derivative, the same everywhere."""
    return directions if end is None else end.derivative(directions, [directions])


def _mean_product(a: NDArray[Any], b: NDArray[Any]) -> Any:
    return (a * b).sum() / len(a)
