"""B4: the margin by random features is bracketed, and is what its linear program says."""

import math

import numpy as np
import pytest
from bounds_inputs import unit

from expansion import (
    margin_estimate,
)
from expansion.bounds.margin import one_against_rest


def halfspace(generator, number):
    points = unit(generator, 4 * number, 3)
    points = points[np.abs(points[:, 0]) > 0.3][:number]
    return points, np.sign(points[:, 0])


def test_two_opposite_points_have_the_margin_of_one_half_normal_mean():
    # γ* = E max(u, 0) = 1/√(2π): the constant function c = ±1 by the sign of u_1 attains it.
    found = margin_estimate([[1.0, 0.0], [-1.0, 0.0]], [1, -1], features=300)
    truth = 1 / math.sqrt(2 * math.pi)
    assert abs(found.lower - truth) < 4 * found.lower_error
    assert abs(found.upper - truth) < 4 * found.upper_error
    # E γ̂_N ≤ γ*; its standard error over 300 features is about .6/√300
    assert found.fitted < truth + 4 * 0.6 / math.sqrt(300)


def test_the_margin_is_bracketed_and_converges():
    points, labels = halfspace(np.random.default_rng(0), 60)
    others = halfspace(np.random.default_rng(1), 60)
    found = [
        margin_estimate(points, labels, features=number, held_out=others)
        for number in (30, 300, 3000)
    ]
    for one in found:
        assert one.lower - 4 * one.lower_error < one.upper + 4 * one.upper_error
    widths = [one.upper - one.lower for one in found]
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] < widths[0] / 2
    assert found[2].lower < found[2].fitted < found[0].upper
    assert found[2].separated
    assert found[2].held_out_errors == 0
    assert found[2].held_out > 0
    # Labels at random are not separated with any comparable margin.
    mixed = np.random.default_rng(2).choice([-1, 1], size=60)
    assert margin_estimate(points, mixed, features=1000).upper < found[2].lower / 2


def test_what_was_fitted_is_told_from_what_was_held_out():
    # Few points in many dimensions are separated whatever their labels; others are not.
    generator = np.random.default_rng(6)
    points, labels = unit(generator, 10, 20), generator.choice([-1, 1], size=10)
    others = unit(generator, 400, 20), generator.choice([-1, 1], size=400)
    found = margin_estimate(points, labels, features=1000, held_out=others)
    assert found.separated
    assert found.held_out < 0
    assert abs(found.held_out_errors - 0.5) < 4 * 0.5 / math.sqrt(400)


def test_fitted_margins_are_low_on_average_and_rise_with_features():
    points, labels = halfspace(np.random.default_rng(0), 20)
    means = [
        np.mean(
            [margin_estimate(points, labels, features=n, fresh=2, seed=s).fitted for s in seeds]
        )
        for n, seeds in ((20, range(60)), (80, range(60)))
    ]
    upper = margin_estimate(points, labels, features=3000)
    assert means[0] < means[1] < upper.upper + 4 * upper.upper_error


def test_the_linear_program_against_its_own_constraints():
    # With one feature c = ±1 and the margin is by hand.
    points = np.array([[1.0], [2.0]])
    one = margin_estimate(points, [1, 1], features=1, fresh=2, seed=4)
    drawn = np.random.default_rng(4).normal(size=(1, 1))[0, 0]
    assert one.fitted == pytest.approx(max(drawn, 0.0), abs=1e-9)
    assert margin_estimate(points, [1, -1], features=1, fresh=2, seed=4).fitted <= 1e-9


def test_one_against_rest_splits_and_normalises():
    points = np.arange(1, 13).reshape(6, 2)
    sample, held_out = one_against_rest(points, [3, 1, 3, 2, 1, 1], 3)
    assert np.linalg.norm(np.concatenate([sample[0], held_out[0]]), axis=1) == pytest.approx(1)
    assert sample[1].tolist() == [1, 1, -1]
    assert held_out[1].tolist() == [-1, -1, -1]
