"""Covers of B3's classes: centres follow paths, are few, and are enough."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion.bounds.covering import lipschitz_entropy, parametric_entropy, path_centre


@given(
    st.lists(st.integers(-8, 8), min_size=1, max_size=10),
    st.integers(-8, 8),
    st.integers(1, 12),
)
def test_path_centres_follow_paths_and_are_few(steps, start, parts):
    path = [Fraction(start, 8)]
    for step in steps:
        path.append(path[-1] + Fraction(step, 16))
    radius = max(map(abs, path)) or Fraction(1, 8)
    slope = max(abs(b - a) for a, b in pairwise(path)) * len(path)
    error = radius / parts
    centre = path_centre(path, radius, slope, error)
    assert max(abs(a - b) for a, b in zip(path, centre.values, strict=True)) <= error
    assert centre.starts <= math.ceil(radius / error)
    assert len(centre.signs) <= math.ceil(slope * Fraction(len(path) - 1, len(path)) / error)
    assert max(map(abs, centre.values)) <= radius + error


def test_a_whole_tower_is_covered_within_epsilon():
    generator = np.random.default_rng(2)
    times = np.arange(12) / 12
    waves = np.cos(np.pi * np.outer(times, np.arange(4)))
    weights = np.einsum("tk,kij->tij", waves, generator.normal(size=(4, 2, 2)))
    radius = np.abs(weights).sum(axis=(1, 2)).max() * 1.000001
    slope = 12 * np.abs(np.diff(weights, axis=0)).max() * 1.000001
    epsilon = 0.3 * radius
    centres = np.empty_like(weights)
    for i, j in np.ndindex(2, 2):
        found = path_centre(list(weights[:, i, j]), radius, slope, epsilon / 4)
        centres[:, i, j] = found.values
    norms = np.abs(weights - centres).sum(axis=(1, 2))
    assert 0.2 * epsilon < norms.max() <= epsilon
    assert np.abs(centres).sum(axis=(1, 2)).max() <= radius + epsilon


@pytest.mark.parametrize("error", [0.07, 0.13, 0.31, 0.77])
def test_path_centres_are_as_few_as_they_can_be_up_to_rounding(error):
    # Paths that are zigzags of slope ±K on steps of 2η/K, from one start, are pairwise more than
    # 2η apart somewhere: no ball of radius η holds two. So N ≥ 2^⌊K/2η⌋, the entropy's order.
    log_count = float(lipschitz_entropy(1, 1.0, 3.0, error)) / math.log(2)
    assert math.floor(3 / (2 * error)) <= log_count <= 3 / error + 1 + math.log2(1 / error + 1) + 1


def test_entropies():
    # Against the formulas written out, away from whole quotients.
    assert float(lipschitz_entropy(2, 0.5, 0.3, 0.07)) == pytest.approx(
        4 * (math.log(29) + math.ceil(0.3 * 4 / 0.07) * math.log(2))
    )
    assert float(parametric_entropy(2, 0.5, 0.3, 0.07, 9)) == pytest.approx(
        36 * math.log(1 + 1 / 0.07)
    )
    assert float(parametric_entropy(2, 0.5, 0.0, 0.07, 9)) == pytest.approx(
        4 * math.log(1 + 1 / 0.07)
    )
    # Shorter towers turn less often; the centre 0 covers everything at ε = R.
    assert lipschitz_entropy(2, 0.5, 3, 0.1, 2) < lipschitz_entropy(2, 0.5, 3, 0.1, 50)
    assert lipschitz_entropy(2, 0.5, 3, 0.1, 50) < lipschitz_entropy(2, 0.5, 3, 0.1)
    assert lipschitz_entropy(2, 0.5, 3, 0.5) == parametric_entropy(2, 0.5, 3, 0.5, 7) == 0


def test_the_volumetric_cover_is_enough_for_a_greedy_net():
    # A maximal set of points more than ε apart is a cover; count one in the ℓ1 ball of R^4.
    generator = np.random.default_rng(3)
    drawn = generator.exponential(size=(20_000, 5))
    ball = drawn[:, :4] / drawn.sum(axis=1, keepdims=True) * generator.choice([-1, 1], (20_000, 4))
    net = []
    for point in ball:
        if all(np.abs(point - other).sum() > 0.8 for other in net):
            net.append(point)
    assert len(net) > 20
    assert math.log(len(net)) <= float(parametric_entropy(2, 1.0, 0.0, 0.8, 1))
