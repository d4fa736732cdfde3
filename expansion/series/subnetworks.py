r"""The sub-network ensemble: any network, any scale, no smoothness (claim E8).

Let :math:`F_S` be the network with only the branches in S. Inclusion and exclusion,

.. math:: \Delta_S = \sum_{T \subseteq S} (-1)^{|S \setminus T|} F_T(x),

splits the output exactly, :math:`H_n(x) = \sum_S \Delta_S`, and :math:`\Delta_S` is of the order
:math:`\prod_{i \in S} \lambda_i`. The order-k part is :math:`A_k = \sum_{|S| = k} \Delta_S`. Under
stochastic depth, where every branch survives independently with probability p, the expected
output is the polynomial :math:`E F_S = \sum_k p^k A_k`. Source: derived (Möbius inversion).

Orders 0, 1, 2 need 1 + n + C(n, 2) evaluations; all orders need all 2^n and a fast transform.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from expansion.checking import check_count
from expansion.errors import InputError, TooManyTermsError
from expansion.series.transforms import moebius_transform
from expansion.towers.arrays import Array, as_array, is_exact
from expansion.towers.tower import Tower

__all__ = ["SubnetworkEnsemble", "subnetwork_orders", "tower_subnetworks"]

Evaluate = Callable[[frozenset[int]], Any]
_INSTEAD = "ask for orders 0 to 2, or use gated_orders"
_LARGEST_DEPTH = 20


@dataclass(frozen=True, slots=True, eq=False)
class SubnetworkEnsemble:
    """The orders of a network's output by inclusion and exclusion.

    Parameters
    ----------
    depth : int
        n, the number of branches.
    orders : array, shape (K + 1, ...)
        A_0..A_K.
    evaluations : int
        How many sub-networks were run.
    """

    depth: int
    orders: Array
    evaluations: int

    @property
    def is_complete(self) -> bool:
        """Whether all orders are there, so that they add up to the output."""
        return len(self.orders) == self.depth + 1

    def expected(self, survival: Fraction | float) -> Array:
        """The mean output under stochastic depth with that survival probability.

        Raises
        ------
        InputError
            For a probability outside [0, 1], or when orders are missing.
        """
        if not 0 <= survival <= 1:
            raise InputError("a probability between 0 and 1", survival, "give e.g. 0.8")
        if not self.is_complete:
            came = f"orders 0..{len(self.orders) - 1} of {self.depth}"
            raise InputError("all orders for the stochastic-depth mean", came, "ask for all")
        total = self.orders[-1]
        for order in self.orders[-2::-1]:
            total = total * survival + order
        return np.asarray(total)


def subnetwork_orders(
    evaluate: Evaluate, depth: int, order: int | None = None
) -> SubnetworkEnsemble:
    """Orders of any network that can be run with some of its branches only.

    Parameters
    ----------
    evaluate : callable
        Given the set of branches to keep, numbered 1..n, returns the output.
    depth : int
        n ≥ 0.
    order : int, optional
        Largest order: 0, 1 or 2 at any depth; all by default, for n ≤ 20.

    Raises
    ------
    TooManyTermsError
        When more than 2^20 evaluations would be needed.

    Examples
    --------
    >>> ensemble = subnetwork_orders(lambda kept: [2 ** len(kept)], 3)
    >>> [str(a[0]) for a in ensemble.orders]
    ['1', '3', '3', '1']
    """
    depth = check_count(depth, "depth", least=0)
    largest = _check_order(depth, order)

    def run(*kept: int) -> Array:
        return as_array(evaluate(frozenset(kept)), "a sub-network's output")

    if largest > 2:
        masks = range(2**depth)
        outputs = np.stack([run(*_members(mask)) for mask in masks])
        return _from_outputs(outputs, depth, largest)
    empty = run()
    single = {i: run(i) - empty for i in range(1, depth + 1)} if largest >= 1 else {}
    orders = [empty, sum(single.values(), empty * 0)][: largest + 1]
    if largest == 2:
        pairs = combinations(range(1, depth + 1), 2)
        total = empty * 0
        for i, j in pairs:
            total = total + (run(i, j) - empty - single[i] - single[j])
        orders.append(total)
    evaluations = sum(comb(depth, k) for k in range(largest + 1))
    return SubnetworkEnsemble(depth, np.stack(orders), evaluations)


def tower_subnetworks(tower: Tower, x: Any, order: int | None = None) -> SubnetworkEnsemble:
    """All orders of a tower, its 2^n sub-networks run together.

    Block by block the states of all sub-networks so far are doubled: each is kept as it is, and
    run through the block's branch.

    Parameters
    ----------
    tower : Tower
        Of depth at most 20, of any branches that have values.
    x : array_like, shape (inputs,)
        Exact numbers give exact orders.
    order : int, optional
        Largest order to return; all n by default.

    Examples
    --------
    >>> from expansion.towers.branches.layered import relu_branch
    >>> tower = Tower.tied(relu_branch([[1]]), depth=3)
    >>> [str(a[0]) for a in tower_subnetworks(tower, [1]).orders]
    ['1', '3', '3', '1']
    """
    largest = tower.depth if order is None else check_count(order, "order", least=0)
    _check_order(tower.depth, tower.depth)
    states = tower.encode(x)[None]
    for scale, branch in zip(tower.scales_for(states), tower.branches, strict=True):
        states = np.concatenate([states, states + scale * branch(states)])
    outputs = states if tower.decoder is None else tower.decoder(states)
    return _from_outputs(outputs, tower.depth, min(largest, tower.depth))


def _from_outputs(outputs: Array, depth: int, largest: int) -> SubnetworkEnsemble:
    """Orders from the outputs of all sub-networks, where bit i of the row keeps branch i + 1."""
    flat = np.ascontiguousarray(outputs.reshape(len(outputs), -1))
    transform = moebius_transform.py_func if is_exact(flat) else moebius_transform
    terms = transform(flat.copy()).reshape(outputs.shape)
    sizes = np.array([mask.bit_count() for mask in range(len(outputs))])
    orders = [terms[sizes == k].sum(axis=0) for k in range(largest + 1)]
    return SubnetworkEnsemble(depth, np.stack(orders), len(outputs))


def _check_order(depth: int, order: int | None) -> int:
    largest = depth if order is None else check_count(order, "order", least=0)
    if largest > 2 and depth > _LARGEST_DEPTH:
        raise TooManyTermsError(2**depth, 2**_LARGEST_DEPTH, _INSTEAD)
    return min(largest, depth)


def _members(mask: int) -> Collection[int]:
    return [i + 1 for i in range(mask.bit_length()) if mask >> i & 1]
