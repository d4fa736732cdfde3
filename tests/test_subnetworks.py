"""E8: exact at any scale and for any callable, against the definition and stochastic depth."""

from fractions import Fraction
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion import InputError, MLPBranch, TooManyTermsError, Tower, gated_orders
from expansion.series.subnetworks import subnetwork_orders, tower_subnetworks
from expansion.series.transforms import moebius_transform
from expansion.towers.branches.layered import AffineBranch
from proofs_check.strategies import points, polynomial_towers


def subsets(items):
    items = sorted(items)
    return map(
        frozenset, chain.from_iterable(combinations(items, k) for k in range(len(items) + 1))
    )


def run_kept(tower, x):
    """The tower with only some branches, by its definition."""

    def evaluate(kept):
        state = tower.encode(x)
        scales = tower.scales_for(state)
        for number, (scale, branch) in enumerate(zip(scales, tower.branches, strict=True), 1):
            if number in kept:
                state = state + scale * branch(state)
        return state if tower.decoder is None else tower.decoder(state)

    return evaluate


def orders_by_definition(evaluate, depth):
    outputs = {s: evaluate(s) for s in subsets(range(1, depth + 1))}
    orders = [0] * (depth + 1)
    for kept in outputs:
        for smaller in subsets(kept):
            sign = (-1) ** (len(kept) - len(smaller))
            orders[len(kept)] = orders[len(kept)] + sign * outputs[smaller]
    return np.stack(orders)


@settings(max_examples=20)
@given(polynomial_towers(depths=(1, 4), ends=True), points(2))
def test_three_routes_in_fractions(tower, x):
    wanted = orders_by_definition(run_kept(tower, x), tower.depth)
    assert np.all(tower_subnetworks(tower, x).orders == wanted)
    assert np.all(subnetwork_orders(run_kept(tower, x), tower.depth).orders == wanted)
    assert np.all(wanted.sum(axis=0) == tower(x))


def hard_threshold(x):
    return np.where(x > 0, 1.0, -1.0)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("scale", ["0.1", "1", "5"])
def test_all_orders_reproduce_the_output_at_any_scale(activation, scale):
    generator = np.random.default_rng(3)
    branches = tuple(
        MLPBranch(*generator.normal(size=(2, 4, 4)), activation=activation) for _ in range(8)
    )
    tower, x = Tower(branches, scale), generator.normal(size=4)
    total = tower_subnetworks(tower, x).orders.sum(axis=0)
    assert np.allclose(total, tower(x), rtol=1e-9, atol=1e-9 * np.abs(tower(x)).max())


def test_a_hard_threshold_network_that_no_series_can_reach():
    generator = np.random.default_rng(4)
    weights = generator.normal(size=(6, 3, 3))

    def evaluate(kept):
        state = np.array([0.2, -0.4, 0.6])
        for number, weight in enumerate(weights, 1):
            if number in kept:
                state = state + hard_threshold(weight @ state)
        return state

    ensemble = subnetwork_orders(evaluate, 6)
    assert np.allclose(ensemble.orders.sum(axis=0), evaluate(frozenset(range(1, 7))), atol=1e-12)
    assert ensemble.evaluations == 64


@settings(max_examples=15)
@given(polynomial_towers(depths=(1, 4)), points(2), st.fractions(0, 1, max_denominator=4))
def test_the_stochastic_depth_polynomial_is_the_mean_over_all_survivors(tower, x, survival):
    evaluate, depth = run_kept(tower, x), tower.depth
    mean = sum(
        survival ** len(kept) * (1 - survival) ** (depth - len(kept)) * evaluate(kept)
        for kept in subsets(range(1, depth + 1))
    )
    assert np.all(tower_subnetworks(tower, x).expected(survival) == mean)


def test_affine_towers_have_the_orders_of_their_paths():
    generator = np.random.default_rng(5)
    maps = (AffineBranch(generator.normal(size=(3, 3)), generator.normal(size=3)) for _ in range(6))
    tower, x = Tower(tuple(maps), "0.5"), generator.normal(size=3)
    assert np.allclose(tower_subnetworks(tower, x).orders, gated_orders(tower, x), atol=1e-12)


def test_low_orders_at_great_depth_need_few_evaluations():
    calls = []

    def evaluate(kept):
        calls.append(kept)
        return [Fraction(1, 2) ** len(kept) * 3]

    ensemble = subnetwork_orders(evaluate, 60, 2)
    assert len(calls) == ensemble.evaluations == 1 + 60 + 60 * 59 // 2
    # Each Δ_S is 3 (1/2 − 1)^|S| by the binomial theorem.
    assert [a[0] for a in ensemble.orders] == [3, -90, 3 * 60 * 59 // 2 * Fraction(1, 4)]
    with pytest.raises(InputError, match="all orders"):
        ensemble.expected(0.5)


def test_compiled_and_plain_transforms_agree():
    values = np.random.default_rng(6).normal(size=(32, 3))
    assert np.array_equal(
        moebius_transform(values.copy()), moebius_transform.py_func(values.copy())
    )


def test_what_is_too_large_or_wrong_is_refused():
    with pytest.raises(TooManyTermsError):
        subnetwork_orders(lambda kept: [0], 21)
    with pytest.raises(TooManyTermsError):
        tower_subnetworks(Tower.tied(AffineBranch([[1]]), 21), [1])
    with pytest.raises(InputError):
        tower_subnetworks(Tower.tied(AffineBranch([[1]]), 2), [1]).expected(1.5)
