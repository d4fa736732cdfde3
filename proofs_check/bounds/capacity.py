r"""Lipschitz constant and geometric complexity bounded by the weights (claim B2).

**The product.** With L_l bounding block 1 to l and C_l the complexity of d-dimensional states,

.. math:: L_l = (1 + |\lambda_l| \mathcal{L}_l) L_{l-1}, \quad L_0 = 1, \qquad
   C_l = (1 + |\lambda_l| \mathcal{L}_l)^2 C_{l-1}, \quad C_0 = d,

for a block changes a difference by at most that factor, and :math:`\|A B\|_F \le \|A\| \|B\|_F`.
The closed forms satisfy both as polynomials in the product and in the next factor: every depth.

**Attained**: branches :math:`f(x) = \mathcal{L} x` in d dimensions, in balls. The floats may be
above by 2^-36 of 1 + their logarithms, never below.

**Never crossed**: in exact towers the bounds hold for difference quotients between exact points,
one of them close to the other in the direction that the Jacobian stretches most, and for the
Jacobian's own entries; smooth towers are compared in ball arithmetic. No rounding is forgiven.

**On balls**: difference quotients between points of the ball about an input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from expansion.bounds.capacity import METHODS, capacity_bounds
from expansion.bounds.consecutive import chain_bounds
from expansion.bounds.factors import Factor, layers_of
from expansion.bounds.local_capacity import local_lipschitz
from expansion.towers.arrays import Array, as_array
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.tower import Tower
from proofs_check.balls import ball
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.sampling import sample
from proofs_check.strategies import float_towers, layered_towers, points

__all__ = ["CHECKS"]

Forms = Callable[[Any, Any], tuple[Any, Any]]
Bounds = Callable[[Tower], list[tuple[float, float]]]
Local = Callable[[Tower, Array, float], float]

# Places on a line through the centre, as shares of the radius: neighbours near the rim among them.
_RIM = Fraction(7, 8)
_UNIT = ((Fraction(1), Fraction(0)), (Fraction(0), Fraction(1)))
_PAIRS = ((0, 1), (1, -1), (1, _RIM), (-1, -_RIM))


# --- the product ------------------------------------------------------------------------------


def _closed_forms(product: Any, dimension: Any) -> tuple[Any, Any]:
    """Lipschitz constant and complexity from Π(1 + |λ|𝓛) and d."""
    return product, dimension * product**2


def _product(subject: Forms, effort: Effort) -> Evidence:
    def cases() -> Iterator[str | None]:
        product, dimension, scale, gain = sympy.symbols("P d l L", positive=True)
        factor = 1 + scale * gain
        before, after = subject(product, dimension), subject(product * factor, dimension)
        true = before[0] * factor, before[1] * factor**2
        gaps = [sympy.cancel(a - b) for a, b in zip(after, true, strict=True)]
        given = {"product": product, "factor": factor}
        yield difference(gaps, [sympy.Integer(0)] * 2, **given)
        start = subject(sympy.Integer(1), dimension)
        yield difference(list(start), [sympy.Integer(1), dimension], dimension=dimension)

    return exhaust(cases(), Verdict.PROVED, "every depth, dimension, scales and 𝓛")


# --- attained ---------------------------------------------------------------------------------


def _attained(subject: Bounds, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 2, 5, 40), deep=(*range(1, 30), 200))

    def cases() -> Iterator[str | None]:
        for depth in depths:
            for scale in (Fraction(1), Fraction(1, depth), Fraction(1, 10**6)):
                for gain, dimension in ((Fraction(3, 4), 1), (Fraction(2), 3)):
                    matrix = [[gain * (i == j) for j in range(dimension)] for i in range(dimension)]
                    tower = Tower.tied(AffineBranch(matrix), depth, [scale] * depth)
                    log = depth * (1 + ball(scale * gain)).log()
                    true = log, 2 * log + arb(dimension).log()
                    for claimed, one in zip(subject(tower)[0], true, strict=True):
                        allowance = arb(2) ** -36 * (1 + one)
                        fits = one <= arb(claimed) <= one + allowance
                        shown = None if fits else float(one)
                        given = {"depth": depth, "scale": scale, "gain": gain, "d": dimension}
                        yield difference(None if fits else claimed, shown, **given)

    reach = f"tied f(x) = 𝓛x, three scales, dimensions 1 and 3, depths ≤ {max(depths)}, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


# --- never crossed ----------------------------------------------------------------------------


def _never_crossed(subject: Bounds, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array, Array]) -> str | None:
        tower, point, other = case
        jacobian = _jacobian(tower, point)
        near = point + _stretched(jacobian) * Fraction(1, 10**6)
        slopes = [_quotient(tower, point, end) for end in (other, near)]
        energy = sum(entry**2 for entry in jacobian.ravel())
        for log_lipschitz, log_complexity in subject(tower):
            given = {"tower": tower, "point": point, "other": other}
            for true, claimed in ((max(slopes), 2 * log_lipschitz), (energy, log_complexity)):
                if true and ball(true).log() > arb(claimed):
                    return difference(math.exp(claimed), float(true), **given)
        return None

    ends = layered_towers(depths=(1, 2), ends=True)
    towers = st.one_of(_affine(), _folded(), layered_towers(), ends)
    places = st.tuples(towers, points(2), points(2))
    reach = "exact relu and linear towers, with and without ends, depths ≤ 4, any scale"
    return sample(places, counterexample, effort, name="capacity", number=45, reach=reach)


def _affine() -> SearchStrategy[Tower]:
    """Towers of two affine blocks whose products differ much from the products of their norms."""
    entries = st.sampled_from([Fraction(v) for v in (0, 1, -1, 2, -2)])
    matrices = st.lists(entries, min_size=4, max_size=4)
    scales = st.lists(st.sampled_from([Fraction(1), Fraction(-1)]), min_size=2, max_size=2)

    def tower(given: tuple[list[list[Fraction]], list[Fraction]]) -> Tower:
        blocks = [AffineBranch([row[:2], row[2:]]) for row in given[0]]
        return Tower(tuple(blocks), given[1])

    return st.tuples(st.lists(matrices, min_size=2, max_size=2), scales).map(tower)


def _jacobian(tower: Tower, point: Array) -> Array:
    """D' Π(I + λ V diag(gates) U) E', in rational numbers."""
    states = tower.states(point)
    product = as_array(np.eye(len(point), dtype=int), "I")
    if tower.encoder is not None:
        product = _slope(tower.encoder, point) @ product
    for scale, branch, state in zip(tower.scales, tower.branches, states, strict=False):
        product = product + scale * (_slope(branch, state) @ product)
    return product if tower.decoder is None else _slope(tower.decoder, states[-1]) @ product


def _slope(branch: Any, state: Array) -> Array:
    if isinstance(branch, AffineBranch):
        return branch.matrix
    before = branch.inner @ state + branch.inner_bias
    linear = branch.activation.name == "linear"
    gates = [Fraction(1) if linear or value > 0 else Fraction(0) for value in before]
    return (branch.outer * gates) @ branch.inner


def _stretched(jacobian: Array) -> Array:
    """The direction that a Jacobian stretches most, rounded to a rational one."""
    right = np.linalg.svd(jacobian.astype(float))[2]
    return as_array([Fraction(round(4096 * value), 4096) for value in right[0]], "direction")


def _quotient(tower: Tower, point: Array, other: Array) -> Fraction:
    """‖f(x) − f(y)‖²/‖x − y‖²."""
    apart = sum(entry**2 for entry in point - other)
    moved = sum(entry**2 for entry in tower(point) - tower(other))
    return Fraction(moved) / Fraction(apart) if apart else Fraction(0)


def _folded() -> SearchStrategy[Tower]:
    """One block V relu(U x) of signs: V U may vanish where V and U alone do not."""
    signs = st.lists(st.sampled_from([Fraction(v) for v in (1, -1, 0)]), min_size=4, max_size=4)

    def tower(given: tuple[list[Fraction], list[Fraction]]) -> Tower:
        outer, inner = ([entries[:2], entries[2:]] for entries in given)
        return Tower((MLPBranch(outer, inner, [0, 0], [0, 0], "relu"),))

    return st.tuples(signs, signs).map(tower)


# --- smooth towers ----------------------------------------------------------------------------


def _smooth(subject: Bounds, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, int]) -> str | None:
        tower, seed = case
        point = np.random.default_rng(seed).normal(size=int(tower.branches[0].inputs or 1))
        energy, stretch = _measured(tower, point)
        for log_lipschitz, log_complexity in subject(tower):
            for true, claimed in ((stretch, 2 * log_lipschitz), (energy, log_complexity)):
                if true.log() > arb(claimed):
                    given = {"tower": tower, "point": point}
                    return difference(math.exp(claimed), float(true), **given)
        return None

    places = st.tuples(float_towers(), st.integers(0, 2**32 - 1))
    reach = "tanh, gelu, erf and sin towers in floats, depths ≤ 4, Jacobians in balls"
    return sample(places, counterexample, effort, name="smooth", number=45, reach=reach)


def _measured(tower: Tower, point: Any) -> tuple[arb, arb]:
    """‖J‖_F² and ‖J v‖²/‖v‖² in balls, for about the most stretched direction v."""
    state = arb_mat(len(point), 1, [arb(v) for v in point.tolist()])
    product = arb_mat(len(point), len(point), 1)
    branches: tuple[Any, ...] = tower.branches
    for scale, branch in zip(tower.scales, branches, strict=True):
        outer, inner = (_ball_matrix(matrix) for matrix in (branch.outer, branch.inner))
        before = inner * state + _ball_matrix(branch.inner_bias[:, None])
        pairs = [_activated(branch.activation.name, a) for a in before.entries()]
        gates = arb_mat(len(pairs), len(pairs))
        for place, (_, slope) in enumerate(pairs):
            gates[place, place] = slope
        image = outer * arb_mat(len(pairs), 1, [value for value, _ in pairs])
        state = state + ball(scale) * (image + _ball_matrix(branch.outer_bias[:, None]))
        product = product + ball(scale) * (outer * gates * inner * product)
    middle = np.array([float(e.mid()) for e in product.entries()]).reshape(len(point), -1)
    top = _ball_matrix(np.linalg.svd(middle)[2][:1].T.copy())
    return _energy(product), _energy(product * top) / _energy(top)


def _activated(name: str, a: arb) -> tuple[arb, arb]:
    """φ(a) and φ'(a)."""
    if name == "sin":
        return a.sin(), a.cos()
    if name == "tanh":
        return a.tanh(), 1 - a.tanh() ** 2
    if name == "erf":
        return a.erf(), 2 / arb.pi().sqrt() * (-a * a).exp()
    share = (1 + (a / arb(2).sqrt()).erf()) / 2
    return a * share, share + a * (-a * a / 2).exp() / (2 * arb.pi()).sqrt()


def _ball_matrix(matrix: Any) -> arb_mat:
    return arb_mat(*matrix.shape, [arb(entry) for entry in matrix.ravel().tolist()])


def _energy(matrix: arb_mat) -> arb:
    return sum((entry * entry for entry in matrix.entries()), arb(0))


# --- on balls ---------------------------------------------------------------------------------


def _on_balls(subject: Local, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array, Array, Fraction]) -> str | None:
        tower, point, direction, radius = case
        size = sum(abs(entry) for entry in direction)
        if not size:
            return None
        bound = subject(tower, point, float(radius))
        for shares in _PAIRS:
            ends = [point + direction * (radius * share / size) for share in shares]
            slope = _quotient(tower, *ends)
            if slope > Fraction(bound) ** 2:
                given = {"tower": tower, "point": point, "direction": direction}
                return difference(bound, float(slope) ** 0.5, radius=radius, **given)
        return None

    radii = st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(2), Fraction(3)])
    towers = st.one_of(_kinks(), layered_towers())
    drawn = st.tuples(towers, points(2), points(2), radii)
    places = st.one_of(drawn, radii.map(_far_kink))
    reach = "exact relu and linear towers, depths ≤ 4, four radii"
    return sample(places, counterexample, effort, name="on balls", number=45, reach=reach)


def _kinks() -> SearchStrategy[Tower]:
    """x + relu(x − b) in two dimensions: slopes that change somewhere in the ball."""
    return points(2).map(lambda bias: Tower((MLPBranch(_UNIT, _UNIT, bias, [0, 0], "relu"),)))


def _far_kink(radius: Fraction) -> tuple[Tower, Array, Array, Fraction]:
    """A kink within the ball's reach only because a block before it, x + 2x, widens the ball."""
    wide = AffineBranch([[2 * entry for entry in row] for row in _UNIT])
    bias = [-3 * radius / 2, -9 * radius]
    kink = MLPBranch(_UNIT, _UNIT, bias, [0, 0], "relu")
    return Tower((wide, kink)), as_array([0, 0], "x"), as_array([1, 0], "direction"), radius


def _local(tower: Tower, point: Array, radius: float) -> float:
    return float(local_lipschitz(tower, point.astype(float)[None], radius)[0])


# --- mistakes ---------------------------------------------------------------------------------


def _all_bounds(tower: Tower) -> list[tuple[float, float]]:
    return [(one.log_lipschitz, one.log_complexity) for one in capacity_bounds(tower, METHODS)]


def _textbook(tower: Tower) -> list[tuple[float, float]]:
    found = capacity_bounds(tower, ["product"])[0]
    return [(found.log_lipschitz, found.log_complexity)]


def _wrong(gain: Callable[[Any], float], form: Callable[[float], float] | None = None) -> Bounds:
    """Products of a block's factor, from a gain of each branch and |λ| times it."""

    def wrong(tower: Tower) -> list[tuple[float, float]]:
        factor = form or (lambda step: 1 + step)
        ends = [gain(end) for end in (tower.encoder, tower.decoder) if end is not None]
        pairs = zip(tower.scales, tower.branches, strict=True)
        factors = [factor(abs(float(scale)) * gain(branch)) for scale, branch in pairs]
        size = math.prod([*ends, *factors])
        log = math.log(size) if size > 0 else -math.inf
        return [(log, 2 * log + math.log(2))]

    return wrong


def _parts(branch: Any) -> tuple[Array, Array, float]:
    layers = layers_of(branch)
    return layers.outer.centre, layers.inner.centre, layers.low


def _norm(matrix: Any) -> float:
    return float(np.linalg.norm(matrix, 2))


def _true_gain(branch: Any) -> float:
    outer, inner, _ = _parts(branch)
    return _norm(outer) * _norm(inner) * layers_of(branch).steepest * (1 + 1e-9)


def _radius_gain(branch: Any) -> float:
    outer, inner, _ = _parts(branch)
    return float(max(abs(np.linalg.eigvals(outer @ inner))))


def _least_slope(branch: Any) -> float:
    outer, inner, low = _parts(branch)
    return _norm(outer) * _norm(inner) * abs(low)


def _outer_only(branch: Any) -> float:
    return _norm(_parts(branch)[0])


def _signed(tower: Tower) -> list[tuple[float, float]]:
    pairs = zip(tower.scales, tower.branches, strict=True)
    steps = [1 + float(scale) * _true_gain(branch) for scale, branch in pairs]
    ends = [_true_gain(end) for end in (tower.encoder, tower.decoder) if end is not None]
    size = math.prod([*ends, *steps])
    log = math.log(size) if size > 0 else -math.inf
    return [(log, 2 * log + math.log(2))]


def _without_dimension(tower: Tower) -> list[tuple[float, float]]:
    return [(log, 2 * log) for log, _ in _textbook(tower)]


def _middle_only(tower: Tower) -> list[tuple[float, float]]:
    """Products of the middle matrices, as if no slope differed from the middle one."""
    parts: Sequence[Any] = (tower.encoder, *tower.branches, tower.decoder)
    scales = [None, *map(float, tower.scales), None]
    factors = [
        Factor(layers_of(part).factor(scale).middle, None, None)
        for part, scale in zip(parts, scales, strict=True)
        if part is not None
    ]
    log, wide = chain_bounds(factors)
    return [(log, 2 * wide)]


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "B2",
        "closed forms by their recursion",
        _product,
        _closed_forms,
        {
            "the factor once for the complexity": lambda p, d: (p, d * p),
            "d left out": lambda p, d: (p, p**2),
            "Lip² for Lip": lambda p, d: (p**2, d * p**2),
            "d² for d": lambda p, d: (p, (d * p) ** 2),
        },
    ),
    Check(
        "B2",
        "attained by tied linear towers",
        _attained,
        _textbook,
        {
            "1 + λ²𝓛² for (1 + λ𝓛)²": _wrong(_true_gain, lambda s: math.sqrt(1 + s * s)),
            "d left out": _without_dimension,
            "exponential for the product": _wrong(_true_gain, math.exp),
            "the identity left out": _wrong(_true_gain, lambda step: step),
        },
    ),
    Check(
        "B2",
        "never crossed by exact towers",
        _never_crossed,
        _all_bounds,
        {
            "spectral radius for spectral norm": _wrong(_radius_gain),
            "1 + λ²𝓛² for (1 + λ𝓛)²": _wrong(_true_gain, lambda s: math.sqrt(1 + s * s)),
            "the smallest slope for the largest": _wrong(_least_slope),
            "d left out": _without_dimension,
            "λ for |λ|": _signed,
            "middle slopes only": _middle_only,
        },
    ),
    Check(
        "B2",
        "never crossed by smooth towers",
        _smooth,
        _all_bounds,
        {
            "the outer matrix only": _wrong(_outer_only),
            "the smallest slope for the largest": _wrong(_least_slope),
            "the identity left out": _wrong(_true_gain, lambda step: step),
            "middle slopes only": _middle_only,
        },
    ),
    Check(
        "B2",
        "never crossed on balls about inputs",
        _on_balls,
        _local,
        {
            "the Jacobian at the centre": lambda tower, point, radius: _local(tower, point, 0.0),
            "half the radius": lambda tower, point, radius: _local(tower, point, radius / 2),
            "the distance for its double": lambda tower, point, radius: (
                _local(tower, point, 0.0) ** 0.5 * _local(tower, point, radius) ** 0.5
            ),
        },
    ),
)
