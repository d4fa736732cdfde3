r"""Lipschitz constants on balls about the data (claim B2).

If x lies within R of an input, the segment between them does too. By induction over the blocks
the states on it lie within :math:`L_k R` of the input's own states, :math:`L_k` bounding the chain
so far (:mod:`expansion.bounds.consecutive`). So every pre-activation lies in a known interval,
its unit's slope in a smaller one than the activation's range, and the next factor is known better.
At R = 0 the bound is the norm of the Jacobian; it is never above the global bound.

The distance to the states *computed* for the input is increased by a bound on their rounding.
Source: derived.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.bounds.consecutive import SEGMENT, Chain, chain_bounds
from expansion.bounds.factors import Factor, Layers, layers_of
from expansion.bounds.slopes import slope_intervals
from expansion.checking import check_finite
from expansion.errors import InputError
from expansion.towers.arrays import Array, as_array
from expansion.towers.branches.branch import Branch
from expansion.towers.tower import Tower

__all__ = ["local_lipschitz"]

_Array = NDArray[np.float64]

_UP = 1 + 2.0**-40


def local_lipschitz(tower: Tower, inputs: Any, radius: float) -> _Array:
    """Bound the network's Lipschitz constant on the ball of a radius about each input.

    Parameters
    ----------
    tower : Tower
        With affine or one-hidden-layer branches, encoder and decoder.
    inputs : array_like, shape (samples, inputs)
        The centres, in the space before the encoder.
    radius : float
        R ≥ 0, Euclidean.

    Returns
    -------
    array, shape (samples,)

    Raises
    ------
    InputError
        For a negative radius, or a branch without a Lipschitz constant.

    Examples
    --------
    >>> from expansion.towers.branches.layered import MLPBranch
    >>> tower = Tower.tied(MLPBranch([[1.0]], activation="tanh"), depth=2)
    >>> [local_lipschitz(tower, [[3.0]], radius).round(2).tolist() for radius in (0.0, 0.5, 100.0)]
    [[1.01], [1.03], [4.0]]
    """
    if check_finite(radius, "the radius") < 0:
        raise InputError("a radius of at least 0", radius, "give its size")
    state = as_array(inputs, "inputs", dimensions=2).astype(np.float64)
    tower.encode(state)  # says so if they do not fit
    scales: list[float | None] = tower.rule.floats(tower.depth).tolist()
    ends: list[Branch | None] = [tower.encoder, *tower.branches, tower.decoder]
    chain, finished = Chain(), np.ones(len(state))  # segments are chained by their product
    factors: list[Factor] = []
    reach = np.full(len(state), float(radius))  # of a neighbour's state from the input's
    drift = np.zeros(len(state))  # of the computed state from the input's
    for branch, scale in zip(ends, [None, *scales, None], strict=True):
        if branch is None:
            continue
        layers = layers_of(branch)
        before, spread, rounding = _seen(layers, state, reach + drift)
        slopes = slope_intervals(layers.activation, before - spread, before + spread)
        if factors and len(factors) % SEGMENT == 0:
            chain, finished = Chain(), finished * chain.norms()[0] * _UP
        chain.append(layers.factor(scale, *slopes))
        factors.append(layers.factor(scale))
        gain = layers.steepest * float(layers.outer.norm() * layers.inner.norm())
        share, kept = (1.0, 0.0) if scale is None else (abs(scale), 1.0)
        length = np.sqrt((state**2).sum(axis=-1))
        drift = (kept + share * gain) * drift + share * rounding + kept * 2.0**-50 * length
        drift = drift * _UP
        state = branch(state) if scale is None else state + scale * branch(state)
        reach = finished * chain.norms()[0] * radius * _UP
    log_anywhere = chain_bounds(factors)[0]
    anywhere = math.exp(log_anywhere) * _UP * _UP if log_anywhere < 700 else math.inf
    return np.minimum(finished * chain.norms()[0] * _UP, anywhere)


def _seen(layers: Layers, state: _Array, distance: _Array) -> tuple[_Array, _Array, _Array]:
    """Pre-activations, how far neighbours' ones may be from them, and the branch's rounding."""
    inner, outer = layers.inner.centre, layers.outer
    before = state @ inner.T + _floats(layers.inner_bias)
    rows = np.sqrt((inner * inner).sum(axis=1)) + float(layers.inner.error)
    # A sum of k products is good to k·2^-53 of the sizes in it, φ to some 2^-49 of its own.
    terms = sum(outer.centre.shape) + sum(inner.shape) + 64
    part = terms * 2.0**-49
    length = np.sqrt((state**2).sum(axis=-1))
    size = float(layers.inner.frobenius()) * length + np.linalg.norm(_floats(layers.inner_bias))
    spread = (rows * distance[:, None] + part * size[:, None]) * _UP
    width = np.sqrt(inner.shape[0])
    image = float(outer.frobenius()) * (layers.steepest * size + width)
    return before, spread, part * (image + np.linalg.norm(_floats(layers.outer_bias)) + length)


def _floats(bias: Array | None) -> Any:
    return 0.0 if bias is None else bias.astype(np.float64)
