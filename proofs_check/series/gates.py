r"""Gates frozen at the forward pass, biases and smooth activations included (claim E7b).

*Exactly*: towers of relu and linear branches with biases, in rational numbers. The true orders are
sums over every set of blocks :math:`i_1 < \cdots < i_k` of :math:`\lambda_{i_k} J_{i_k} \cdots
\lambda_{i_1} (J_{i_1} x + b_{i_1})`, with J and b written out here; the decoder's offset belongs to
order 0. The rows must also add up to the tower.

*Beyond rounding*: towers of tanh, gelu, erf and sin in floats, against the same sums in ball
arithmetic. The balls are widened in every block by 2^-44 of the sizes that meet there, four
hundred times the rounding of the few operations of one block (2^-53 each, and elementary
functions good to 2^-47). So they enclose whatever floats may return for the right formula, and
are still some 10^-12 wide: a float outside its ball is wrong by more than rounding. In the same
balls the rows add up to the tower, composed directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from flint import arb, ctx
from hypothesis import strategies as st

from expansion.series.gated_paths import gated_orders
from expansion.towers.arrays import Array
from expansion.towers.branches.layered import MLPBranch
from expansion.towers.tower import Tower
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, difference
from proofs_check.mistakes import PathOrders
from proofs_check.sampling import sample
from proofs_check.strategies import float_towers, layered_towers, points

__all__ = ["CHECKS"]

Gate = Callable[[MLPBranch, Array], Array]
Affine = tuple[Array, Array]  # J and b

_WIDENING = arb(2) ** -44
_WIDEST = arb(2) ** -25


# --- in rational numbers ----------------------------------------------------------------------


def _exact(subject: PathOrders, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        claimed, given = subject(tower, point), {"tower": tower, "point": point}
        whole = difference(sum(claimed), tower(point), **given)
        return whole or difference(claimed, _over_subsets(tower, point), **given)

    towers = st.one_of(layered_towers(), layered_towers(depths=(1, 3), ends=True))
    places = st.tuples(towers, points(2))
    reach = "relu and linear towers with biases, with and without ends, depths ≤ 4, any scale"
    return sample(places, counterexample, effort, name="frozen", number=60, reach=reach)


def _over_subsets(tower: Tower, point: Array) -> Array:
    states = tower.states(point)
    maps = [_frozen(branch, state) for branch, state in zip(tower.branches, states, strict=False)]
    orders = [states[0] * 0 for _ in range(tower.depth + 1)]
    for k in range(tower.depth + 1):
        for blocks in combinations(range(tower.depth), k):
            vector = states[0]
            for place, block in enumerate(blocks):
                matrix, offset = maps[block]
                moved = matrix @ vector + (offset if place == 0 else 0)
                vector = tower.scales[block] * moved
            orders[k] = orders[k] + vector
    if tower.decoder is not None:
        matrix, offset = _frozen(tower.decoder, states[-1])
        orders = [matrix @ row for row in orders]
        orders[0] = orders[0] + offset
    return np.stack(orders)


def _frozen(branch: Any, state: Array) -> Affine:
    """J and b of V φ(U x + b) + c for φ relu or linear."""
    before = branch.inner @ state + branch.inner_bias
    is_open = [int(branch.activation.name == "linear" or a > 0) for a in before]
    gated = branch.outer * np.array(is_open, dtype=object)
    return gated @ branch.inner, gated @ branch.inner_bias + branch.outer_bias


# --- in balls ---------------------------------------------------------------------------------


@st.composite
def _float_places(draw: st.DrawFn) -> tuple[Tower, Array]:
    entries = draw(st.lists(st.integers(-8, 8), min_size=3, max_size=3))
    return draw(float_towers()), np.array(entries) / 4


def _in_balls(subject: PathOrders, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        claimed = subject(tower, point)
        balls, composed = _enclosures(tower, point)
        if any(ball.rad() > _WIDEST for row in balls for ball in row):
            raise ArithmeticError("a ball too wide to tell rounding from a mistake")
        if not all(c.overlaps(sum(column)) for c, column in zip(composed, balls.T, strict=True)):
            raise ArithmeticError("the orders in balls do not add up to the tower in balls")
        pairs = zip(balls.ravel(), np.ravel(claimed), strict=True)
        if claimed.shape == balls.shape and all(ball.contains(arb(v)) for ball, v in pairs):
            return None
        true = [[float(ball.mid()) for ball in row] for row in balls]
        return difference(claimed, np.array(true), tower=tower, point=point)

    reach = "tanh, gelu, erf and sin towers, depths ≤ 4, all orders, floats beyond rounding"
    with ctx.workprec(160):
        return sample(_float_places(), counterexample, effort, name="balls", number=45, reach=reach)


def _enclosures(tower: Tower, point: Array) -> tuple[Array, Array]:
    """The orders in balls wide enough for any rounding, and the tower composed directly."""
    scale = 1 / arb(tower.depth)
    orders = np.array([[arb(v) for v in point]] + [[arb(0)] * len(point)] * tower.depth)
    state = composed = orders[0]
    for branch in tower.branches:
        assert isinstance(branch, MLPBranch)
        outer, inner, first, second = (
            _balls(part)
            for part in (branch.outer, branch.inner, branch.inner_bias, branch.outer_bias)
        )
        before = _widened(inner @ state + first, _sizes(inner) @ _sizes(state) + _sizes(first))
        gate = np.array([_gate(branch.activation.name, a) for a in before])
        moved = (orders[:-1] @ inner.T * gate) @ outer.T
        moved[0] = moved[0] + outer @ (gate * first) + second
        # Every number that meets in this block, in absolute value.
        sizes = (_sizes(orders[:-1]) @ _sizes(inner).T + _sizes(first)) @ _sizes(outer).T
        sizes = 2 * scale * (sizes + _sizes(second)) + _sizes(orders[:-1]) + _sizes(orders[1:])
        orders[1:] = _widened(orders[1:] + scale * moved, sizes)
        # The rows hold the state as an identity; its own ball must hold its own rounding.
        step = scale * (outer @ (gate * before) + second)
        state = _widened(state + step, sizes.sum(axis=0))
        hidden = [_value(branch.activation.name, a) for a in inner @ composed + first]
        composed = composed + scale * (outer @ np.array(hidden) + second)
    return orders, composed


def _balls(values: Array) -> Array:
    return np.array([arb(v) for v in np.ravel(values)]).reshape(np.shape(values))


def _sizes(values: Array) -> Array:
    return np.array([abs(v).upper() for v in np.ravel(values)]).reshape(np.shape(values))


def _widened(values: Array, sizes: Array) -> Array:
    pairs = zip(np.ravel(values), np.ravel(sizes), strict=True)
    wide = [value + arb(0, (_WIDENING * size).upper()) for value, size in pairs]
    return np.array(wide).reshape(np.shape(values))


def _gate(name: str, a: arb) -> arb:
    """φ(a)/a in balls; a ball about 0 has no quotient, and is given up."""
    if name == "gelu":
        return (1 + (a / arb(2).sqrt()).erf()) / 2
    if a.contains(0):
        raise ArithmeticError("a gate too near 0 for a quotient of balls")
    return _value(name, a) / a


def _value(name: str, a: arb) -> arb:
    return a * _gate(name, a) if name == "gelu" else getattr(a, name)()


# --- mistakes ---------------------------------------------------------------------------------


def _rightly(branch: MLPBranch, before: Array) -> Array:
    return branch.activation.gate(before)


def _slopes(branch: MLPBranch, before: Array) -> Array:
    return branch.activation.derivative(before, 1)


def _carried(
    gate: Gate = _rightly, *, at_encoder: bool = False, offset_order: int | None = 1
) -> PathOrders:
    """The orders with other gates, other visited points, or the offset in another order."""

    def orders_of(tower: Tower, point: Array) -> Array:
        states = tower.states(point)
        visited: Sequence[Array] = [states[0]] * len(states) if at_encoder else states
        orders = np.stack([states[0]] + [states[0] * 0] * tower.depth)
        scales = tower.scales_for(states[0])
        for scale, branch, state in zip(scales, tower.branches, visited, strict=False):
            matrix, offset = _linearised(branch, state, gate)
            orders[1:] = orders[1:] + scale * (orders[:-1] @ matrix.T)
            if offset_order is not None:
                orders[offset_order] = orders[offset_order] + scale * offset
        if tower.decoder is None:
            return orders
        matrix, offset = _linearised(tower.decoder, states[-1], gate)
        orders = orders @ matrix.T
        orders[0] = orders[0] + offset
        return orders

    return orders_of


def _linearised(branch: Any, state: Array, gate: Gate) -> Affine:
    gates = gate(branch, branch.inner @ state + branch.inner_bias)
    gated = branch.outer * gates
    return gated @ branch.inner, gated @ branch.inner_bias + branch.outer_bias


def _without_bias(branch: MLPBranch, before: Array) -> Array:
    return branch.activation.gate(before - branch.inner_bias)


_MISTAKES: dict[str, PathOrders] = {
    "offset forgotten": _carried(offset_order=None),
    "offset in order 0": _carried(offset_order=0),
    "offset in the last order": _carried(offset_order=-1),
    "gates at the encoder's output": _carried(at_encoder=True),
    "gates without the inner bias": _carried(_without_bias),
}

CHECKS: tuple[Check[Any], ...] = (
    Check("E7b", "frozen gates with biases, exactly", _exact, gated_orders, _MISTAKES),
    Check(
        "E7b",
        "frozen gates of smooth activations, in balls",
        _in_balls,
        gated_orders,
        {**_MISTAKES, "gate φ′(a) for φ(a)/a": _carried(_slopes)},
    ),
)
