r"""Gated paths: the exact path ensemble of a tower whose gates are frozen (claims E7, E7b).

At the actual forward pass every branch with gates is an affine map,
:math:`f_l(x_{l-1}) = J_l x_{l-1} + b_l`, exactly at the visited point, so that

.. math:: H_n(x) = \prod_l (1 + z\lambda_l J_l)\, x + \ldots \Big|_{z=1}

splits into 2^n paths, exactly, at the scales the tower was run with. The order-k vector sums
the paths through k branches; all of them come from one pass that carries polynomials in z.
For ReLU without biases nothing is approximated and only the gates are frozen (E7); for other
activations the gate is φ(a)/a (E7b, derived).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from expansion.checking import check_count
from expansion.towers.arrays import Array, zeros_like
from expansion.towers.branches.branch import FrozenMap
from expansion.towers.tower import Tower

__all__ = ["enumerated_paths", "gated_orders"]


def gated_orders(tower: Tower, x: Any, order: int | None = None) -> Array:
    """The order-0..K parts of D(H_n(E(x))) with every gate frozen at the forward pass.

    Parameters
    ----------
    tower : Tower
        With affine, ReLU or MLP branches.
    x : array_like, shape (..., inputs)
        Exact numbers give exact orders.
    order : int, optional
        Largest order K; all n by default.

    Returns
    -------
    array, shape (K + 1, ..., outputs)
        With K = n the rows sum to the tower's output, at any scale.

    Notes
    -----
    Source: derived (claims E7, E7b). Costs n·(K + 1) products with each branch. The decoder is
    applied to every order with its own gates frozen; its offset belongs to order 0.

    Examples
    --------
    >>> from expansion.towers.branches.layered import relu_branch
    >>> tower = Tower.tied(relu_branch([[1]]), depth=3)
    >>> [str(row[0]) for row in gated_orders(tower, [1])]
    ['1', '3', '3', '1']
    """
    largest = tower.depth if order is None else check_count(order, "order", least=0)
    states = tower.states(x)
    start = states[0]
    orders = np.stack([start] + [zeros_like(start, start.shape[-1])] * largest)
    for scale, branch, state in zip(tower.scales_for(start), tower.branches, states, strict=False):
        if largest:
            orders[1:] = orders[1:] + scale * _apply(branch.frozen(state), orders[:-1])
    if tower.decoder is None:
        return orders
    return _apply(tower.decoder.frozen(states[-1]), orders)


def _apply(frozen: FrozenMap, orders: Array) -> Array:
    moved = frozen.linear(orders)
    moved[0] = moved[0] + frozen.offset
    return moved


def enumerated_paths(tower: Tower, x: Any) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Every path of a tower without offsets, one by one: its blocks and its vector.

    The second route to :func:`gated_orders`, for small towers: 2^n paths.

    Yields
    ------
    blocks : tuple of int
        The branches that the path goes through, first to last.
    vector : array, shape (..., dimension)
        Π λ_l J_l over those branches, applied to x.

    Examples
    --------
    >>> from expansion.towers.branches.layered import relu_branch
    >>> tower = Tower.tied(relu_branch([[2]]), depth=2)
    >>> [(blocks, str(v[0])) for blocks, v in enumerated_paths(tower, [1])]
    [((), '1'), ((1,), '2'), ((2,), '2'), ((1, 2), '4')]
    """
    states = tower.states(x)
    scales = tower.scales_for(states[0])
    frozen = [branch.frozen(s) for branch, s in zip(tower.branches, states, strict=False)]
    for k in range(tower.depth + 1):
        for blocks in combinations(range(tower.depth), k):
            vector = states[0]
            for block in blocks:
                vector = scales[block] * frozen[block].linear(vector)
            yield tuple(block + 1 for block in blocks), vector
