r"""Jets: every order at once, by carrying a truncated power series through the tower (claim E5).

Replace each λ_i by zλ_i and push :math:`x + O(z)` through the blocks in the arithmetic of
power series. The coefficient of :math:`z^k` is the order-k part of the expansion,

.. math:: P_k(x) = \frac{1}{k!}\,\partial_z^k\, H_n(z\lambda)(x)\big|_{z=0},

in O(n K²) operations, with no tree enumerated: the second route to every number of
:mod:`expansion.series.expansion`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from expansion.checking import check_count
from expansion.series.fast_jets import compiled_series
from expansion.towers.arrays import Array, zeros_like
from expansion.towers.tower import Tower

__all__ = ["jet_orders", "plain_series"]


def jet_orders(tower: Tower, x: Any, order: int) -> Array:
    """The order-0..K parts of D(H_n(E(x))).

    Parameters
    ----------
    tower : Tower
        With branches that have values.
    x : array_like, shape (..., inputs)
        Exact numbers give exact orders.
    order : int
        Largest order K ≥ 0.

    Returns
    -------
    array, shape (K + 1, ..., outputs)
        Row k is the order-k part; their sum over all k is the tower's output wherever the
        expansion converges.

    Notes
    -----
    Source: derived (claim E5).

    Examples
    --------
    >>> from expansion.towers.branches.layered import AffineBranch
    >>> double = Tower.tied(AffineBranch([[1]]), depth=3)
    >>> [str(row[0]) for row in jet_orders(double, [1], 3)]
    ['1', '3', '3', '1']
    """
    order = check_count(order, "order", least=0)
    state = tower.encode(x)
    series = compiled_series(tower, state, order)
    if series is None:
        series = plain_series(tower, state, order)
    return series if tower.decoder is None else tower.decoder.jet(series)


def plain_series(tower: Tower, state: Array, order: int) -> Array:
    """Orders 0..K after the last block, for any branch and any kind of number.

    The reference for :func:`expansion.series.fast_jets.compiled_series`.

    Examples
    --------
    >>> from expansion.towers.branches.layered import AffineBranch
    >>> tower = Tower.tied(AffineBranch([[1.0]]), depth=2)
    >>> plain_series(tower, np.array([1.0]), 2)[:, 0]
    array([1., 2., 1.])
    """
    series = np.stack([state] + [zeros_like(state, state.shape[-1])] * order)
    for scale, branch in zip(tower.scales_for(state), tower.branches, strict=True):
        if order:  # z·λ f(u) needs one coefficient less than u has
            moved = branch.jet(series[:-1]) * scale
            series = np.concatenate([series[:1], series[1:] + moved])
    return series
