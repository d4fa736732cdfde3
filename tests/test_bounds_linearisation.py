"""B4: the worst linearisation error of the last layer is attained, and its law in τ."""

import math

import numpy as np
import pytest
from bounds_inputs import unit
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from expansion import (
    draw_classifier,
)
from expansion.bounds.linearisation import (
    laws_at_start,
    linearisation_errors,
    linearisation_law,
    worst_last_layer,
)

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.floats(0.01, 3))
def test_the_worst_last_layer_is_attained_and_not_exceeded(seed, tau):
    generator = np.random.default_rng(seed)
    network = draw_classifier(3, 6, 2, 0.5, seed)
    x = unit(generator, 3)
    worst, weight = worst_last_layer(network, x, tau)
    assert np.linalg.norm(weight - network.weights[-1]) <= tau * (1 + 1e-12)
    attained = linearisation_errors(network, [*network.weights[:-1], weight], x[None])[0]
    assert attained == pytest.approx(worst, rel=1e-9, abs=1e-12)
    for _ in range(20):
        step = generator.normal(size=weight.shape) * generator.integers(0, 2, size=weight.shape[1])
        step *= tau / max(np.linalg.norm(step), 1e-12)
        moved = [*network.weights[:-1], network.weights[-1] + step]
        assert linearisation_errors(network, moved, x[None])[0] <= worst * (1 + 1e-9) + 1e-12


def test_the_worst_last_layer_by_an_optimiser():
    # Nelder–Mead from many starts over the six moves δ of the pre-activations.
    network = draw_classifier(3, 6, 1, 0.0, seed=5)
    x = np.array([0.6, 0.0, 0.8])
    tau = 0.8
    worst, _ = worst_last_layer(network, x, tau)
    state = network.states(x[None])[0][0]
    values, reach = state @ network.weights[-1], tau * np.linalg.norm(state)

    def error(move):
        move = move * min(1.0, reach / max(np.linalg.norm(move), 1e-12))
        after, before = np.maximum(values + move, 0), np.maximum(values, 0)
        return -abs(network.readout @ (after - before - (values > 0) * move))

    generator = np.random.default_rng(0)
    starts = reach * unit(generator, 40, 6)
    found = [-minimize(error, start, method="Nelder-Mead").fun for start in starts]
    assert max(found) == pytest.approx(worst, rel=1e-3)
    assert max(found) <= worst * (1 + 1e-9)


def test_the_four_thirds_law_of_the_worst_change():
    # Width 2048: the fit is over τ from 0.02 to 0.2, a factor of 10. Deviations from 4/3 are of
    # the next order in τ and 1/(τ m^{3/2}); the constant is ¾ 2^(−1/3) (4π)^(−1/6).
    network = draw_classifier(8, 2048, 1, 0.0, seed=1)
    points = unit(np.random.default_rng(2), 16, 8)
    taus = np.geomspace(0.02, 0.2, 6)
    law = linearisation_law(network, points, taus, "worst")
    assert law.exponent == pytest.approx(4 / 3, abs=0.03)
    sizes = np.linalg.norm(network.states(points)[0], axis=1)
    constant = 0.75 * 2 ** (-1 / 3) * (4 * math.pi) ** (-1 / 6)
    measured = np.array(law.errors) / (taus ** (4 / 3) * math.sqrt(2048) * sizes.mean())
    assert measured == pytest.approx(np.full(6, constant), rel=0.1)
    # The same comparison notices exponents 1 and 5/3.
    for wrong in (1.0, 5 / 3):
        assert abs(law.exponent - wrong) > 0.25


def test_other_directions_err_less():
    laws = {law.direction: law for law in laws_at_start(64, 4)}
    for direction in ("gradient", "normal"):
        pairs = zip(laws[direction].errors, laws["worst"].errors, strict=True)
        assert all(0 < other < worst for other, worst in pairs)
        assert laws[direction].exponent > 1.5
    # The errors by another route: the network at the moved weights, for the gradient.
    network = draw_classifier(8, 64, 4, 0.25)
    points = np.random.default_rng([0, 6]).normal(size=(4, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    steps = [gradient.mean(axis=0) for gradient in network.gradients(points)]
    tau = laws["gradient"].taus[3]
    moved = [
        w + tau * step / np.linalg.norm(step)
        for w, step in zip(network.weights, steps, strict=True)
    ]
    error = linearisation_errors(network, moved, points).mean()
    assert laws["gradient"].errors[3] == pytest.approx(error, rel=1e-9)
