"""A network's own spectrum: exact ensembles close, the series converges where it should."""

import math

import numpy as np
import pytest

from expansion import AffineBranch, MLPBranch, Tower
from expansion.series.ensembles import frozen_gate_ensemble, lambda_series


def random_tower(rule, activation="tanh", depth=4):
    generator = np.random.default_rng(11)
    branches = tuple(
        MLPBranch(
            generator.normal(size=(5, 6)) / 3,
            generator.normal(size=(6, 5)) / 2,
            generator.normal(size=6),
            generator.normal(size=5),
            activation,
        )
        for _ in range(depth)
    )
    encoder = AffineBranch(generator.normal(size=(5, 7)), generator.normal(size=5))
    decoder = AffineBranch(generator.normal(size=(3, 5)), generator.normal(size=3))
    return Tower(branches, rule, encoder, decoder), generator.normal(size=(20, 7))


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "erf", "sin", "linear"])
def test_frozen_gates_close_at_any_scale(activation):
    tower, inputs = random_tower("2", activation)
    found = frozen_gate_ensemble(tower, inputs)
    assert len(found.sizes) == tower.depth + 1
    assert found.errors[-1] < 1e-13
    assert found.agreement[-1] == 1
    assert found.reaches_output


def test_sizes_and_errors_are_root_mean_squares_relative_to_the_output():
    tower = Tower.tied(AffineBranch([[1.0]]), depth=2)  # orders 1, 2, 1 of output 4, times x
    found = frozen_gate_ensemble(tower, [[1.0], [-3.0]])
    assert np.allclose(found.sizes, [0.25, 0.5, 0.25])
    assert np.allclose(found.errors, [0.75, 0.25, 0])


def test_the_series_reaches_the_output_inside_its_radius_and_says_so_outside():
    inside, inputs = random_tower("0.05")
    series = lambda_series(inside, inputs, 14)
    assert series.reaches_output
    assert series.errors[-1] < 1e-10
    outside, inputs = random_tower("3")
    series = lambda_series(outside, inputs, 14)
    assert not series.reaches_output
    assert series.errors[-1] > 1


def test_the_estimated_radius_of_a_geometric_series_is_its_radius():
    # One block per order of 1/(1 − z/r) has no closed tower; a long tied linear tower comes near:
    # orders C(n, k) λ^k grow by (n − k)/(k + 1) λ, which is 1/radius at the later half.
    tower = Tower.tied(AffineBranch([[1.0]]), depth=1000, rule="0.004")
    series = lambda_series(tower, [[1.0]], 6)
    ratio = series.sizes[5] / series.sizes[4]
    assert math.isclose(1 / series.radius, ratio, rel_tol=0.2)
