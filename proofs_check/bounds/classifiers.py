r"""Residual classifiers: gradients, patterns and distances, one by one (claim B4).

**Gradients.** In one matrix, all others fixed, the output is linear as long as no unit switches.
So a small change of one matrix moves it by the gradient times the change, to rounding: changes of
2^-24 in float networks whose pre-activations are all above 2^-10 in size.

**Patterns.** The largest Jacobian of a small network, against all patterns in exact matrices of two
by two. **Distances** against sums of squares.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from flint import arb
from hypothesis import strategies as st

from expansion.bounds.linearisation import linearisation_errors
from expansion.bounds.overparameterized import (
    ResidualClassifier,
    distance_from_start,
    worst_pattern,
)
from expansion.towers.arrays import Array
from proofs_check.balls import ball, near
from proofs_check.bounds.generalization import EIGHTHS, SIZES, squared_norm
from proofs_check.bounds.near_start import norm_of_two
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, difference
from proofs_check.sampling import sample

__all__ = ["CHECKS"]

Linear = Callable[[ResidualClassifier, list[Array], Array], float]
Worst = Callable[[list[Array], float], float]
Distance = Callable[[list[Array], list[Array]], float]

_STEP = 2.0**-24
_CLEAR = 2.0**-10


# --- gradients --------------------------------------------------------------------------------


@st.composite
def _networks(draw: st.DrawFn) -> tuple[ResidualClassifier, Array, int, Array]:
    """A network of up to three residual layers, an input, and one matrix with its change."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = draw(st.integers(0, 3))
    sizes = [(2, 3), *[(3, 3)] * layers, (3, 4)]
    weights = [generator.normal(size=size) for size in sizes]
    network = ResidualClassifier(weights, draw(st.sampled_from([0.25, 0.5, 2.0])), [1, 1, -1, -1])
    x = np.abs(generator.normal(size=2)) + 0.1
    number = draw(st.integers(0, layers + 1))
    return network, x, number, generator.normal(size=sizes[number])


def _gradients(subject: Linear, effort: Effort) -> Evidence:
    def counterexample(case: tuple[ResidualClassifier, Array, int, Array]) -> str | None:
        network, x, number, change = case
        if _smallest(network, x) < _CLEAR:
            return None
        moved = list(network.weights)
        moved[number] = moved[number] + _STEP * change
        error = subject(network, moved, x) / _STEP
        size = max(1.0, *(float(np.abs(s).max()) for s in network.states(x[None])))
        given = {"weights": list(network.weights), "theta": network.theta, "x": x}
        small = bool(error <= 1e-6 * size * network.depth**2)
        return None if small else difference(error, 0.0, **given, number=number, change=change)

    reach = "float networks of width 3, up to three residual layers, one matrix at a time"
    return sample(_networks(), counterexample, effort, name="B4 slopes", number=80, reach=reach)


def _smallest(network: ResidualClassifier, x: Array) -> float:
    """The pre-activation nearest to its kink."""
    before = [x[None], *network.states(x[None])[:-1]]
    pairs = zip(before, network.weights, strict=True)
    return min(float(np.abs(state @ weight).min()) for state, weight in pairs)


def _error(network: ResidualClassifier, moved: list[Array], x: Array) -> float:
    return float(linearisation_errors(network, moved, x[None])[0])


def _of_another(change: Callable[[ResidualClassifier], ResidualClassifier]) -> Linear:
    """The change of the output against the gradient of a changed network."""

    def wrong(network: ResidualClassifier, moved: list[Array], x: Array) -> float:
        other = ResidualClassifier(moved, network.theta, network.readout)
        rise = float((other.outputs(x[None]) - network.outputs(x[None]))[0])
        pairs = zip(change(network).gradients(x[None]), moved, network.weights, strict=True)
        return abs(rise - sum(float((g[0] * (b - a)).sum()) for g, b, a in pairs))

    return wrong


# --- patterns and distances -------------------------------------------------------------------

_MATRICES = st.lists(EIGHTHS, min_size=4, max_size=4).map(
    lambda entries: np.array(entries, dtype=object).reshape(2, 2)
)


def _patterns(subject: Worst, effort: Effort) -> Evidence:
    def counterexample(case: tuple[list[Array], Fraction]) -> str | None:
        weights, theta = case
        gates = list(product([Fraction(0), Fraction(1)], repeat=2))
        largest = arb(0)
        for chosen in product(gates, repeat=len(weights)):
            jacobian = np.array([[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]])
            for matrix, pattern in zip(weights, chosen, strict=True):
                moved = matrix.T @ jacobian
                jacobian = jacobian + theta * np.array(pattern, dtype=object)[:, None] * moved
            largest = largest.max(norm_of_two(jacobian))
        floats = [np.array(matrix, dtype=np.float64) for matrix in weights]
        allowance = arb("1e-11") * (1 + largest)
        return near(subject(floats, float(theta)), largest, allowance, weights=weights, theta=theta)

    places = st.tuples(st.lists(_MATRICES, min_size=1, max_size=3), SIZES)
    reach = "exact matrices of width 2, up to three layers, every pattern"
    return sample(places, counterexample, effort, name="B4 patterns", number=60, reach=reach)


def _worst(weights: list[Array], theta: float) -> float:
    return worst_pattern(weights, theta)[0]


def _distances(subject: Distance, effort: Effort) -> Evidence:
    def counterexample(case: list[tuple[Array, Array]]) -> str | None:
        weights, start = ([pair[i] for pair in case] for i in (0, 1))
        true = ball(max(squared_norm(a - b) for a, b in case)).sqrt()
        floats = [[np.array(m, dtype=np.float64) for m in some] for some in (weights, start)]
        allowance = arb("1e-12") * (1 + true)
        return near(subject(*floats), true, allowance, weights=weights, start=start)

    places = st.lists(st.tuples(_MATRICES, _MATRICES), min_size=1, max_size=3)
    reach = "up to three exact matrices"
    return sample(places, counterexample, effort, name="B4 distances", number=60, reach=reach)


def _distance(measure: Callable[[list[float]], float], order: Any = None) -> Distance:
    return lambda weights, start: measure(
        [float(np.linalg.norm(a - b, order)) for a, b in zip(weights, start, strict=True)]
    )


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "B4",
        "gradients of every matrix",
        _gradients,
        _error,
        {
            "θ left out": _of_another(lambda n: ResidualClassifier(n.weights, 1.0, n.readout)),
            "layers left out": _of_another(
                lambda n: ResidualClassifier(
                    [n.weights[0], *(w * 0 for w in n.residual_weights), n.weights[-1]],
                    n.theta,
                    n.readout,
                )
            ),
            "the readout's sign forgotten": _of_another(
                lambda n: ResidualClassifier(n.weights, n.theta, np.abs(n.readout))
            ),
        },
    ),
    Check(
        "B4",
        "the worst pattern by going through all",
        _patterns,
        _worst,
        {
            "W for its transpose": lambda weights, theta: _worst([w.T for w in weights], theta),
            "every unit on": lambda weights, theta: float(
                np.linalg.norm(
                    np.linalg.multi_dot([np.eye(2), *(np.eye(2) + theta * w.T for w in weights)]), 2
                )
            ),
            "the last layer left out": lambda weights, theta: (
                _worst(weights[:-1], theta) if len(weights) > 1 else 1.0
            ),
        },
    ),
    Check(
        "B4",
        "distances from the start",
        _distances,
        distance_from_start,
        {
            "the spectral norm": _distance(max, 2),
            "the sum over layers": _distance(sum),
            "the last layer alone": _distance(lambda norms: norms[-1]),
        },
    ),
)
