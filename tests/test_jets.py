"""Jets against the sum of terms, direct composition, Cauchy's integrals and sympy's derivatives."""

import json
from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.series.composition import cauchy_orders, composed_orders
from expansion.series.differentials import Differentials
from expansion.series.expansion import expand
from expansion.series.jets import jet_orders
from expansion.towers.branches.layered import AffineBranch, MLPBranch, relu_branch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower
from proofs_check.strategies import float_towers, points, polynomial_towers, relu_towers

ORACLE = json.loads(Path(__file__).with_name("oracles").joinpath("composed_tower.json").read_text())


@settings(max_examples=60)
@given(polynomial_towers(ends=True, depths=(1, 3)), points(2), st.integers(0, 6))
def test_jets_are_direct_composition(tower, x, order):
    assert jet_orders(tower, x, order).tolist() == composed_orders(tower, x, order).tolist()


@settings(max_examples=60)
@given(polynomial_towers(), points(2), st.integers(0, 5))
def test_jets_are_the_sum_of_terms(tower, x, order):
    assert jet_orders(tower, x, order).tolist() == expand(tower, order).orders(x).tolist()


def size_of_terms(tower, x, order):
    """Per order, the sum of the sizes of what is added up: what rounding is relative to."""
    expansion, differentials = expand(tower, order), Differentials(tower, x)
    return [
        max(
            1.0,
            sum(
                float(c) * np.abs(differentials.value(t)).max()
                for t, c in expansion.order(k).items()
            ),
        )
        for k in range(order + 1)
    ]


@pytest.mark.parametrize("name", ["tanh", "gelu", "erf", "sin"])
@settings(max_examples=15)
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_jets_are_the_sum_of_terms_in_floats(name, data, seed):
    tower = data.draw(float_towers(activations=(name,)))
    x = np.random.default_rng(seed).normal(size=3)
    jets, terms = jet_orders(tower, x, 5), expand(tower, 5).orders(x)
    for ours, theirs, size in zip(jets, terms, size_of_terms(tower, x, 5), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-12 * size


@pytest.mark.slow
@settings(max_examples=100)
@given(float_towers(dimension=4, depths=(3, 5)), st.integers(0, 2**16))
def test_jets_are_the_sum_of_terms_in_floats_more_often(tower, seed):
    x = np.random.default_rng(seed).normal(size=4)
    jets, terms = jet_orders(tower, x, 5), expand(tower, 5).orders(x)
    for ours, theirs, size in zip(jets, terms, size_of_terms(tower, x, 5), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-12 * size


def small_tower(name, depth, seed=0):
    """Weights small enough for the circle of Cauchy's formula to stay far from singularities."""
    generator = np.random.default_rng(seed)
    branches = [
        MLPBranch(
            generator.normal(size=(2, 3)) * 0.4,
            generator.normal(size=(3, 2)) * 0.4,
            generator.normal(size=3) * 0.3,
            None,
            name,
        )
        for _ in range(depth)
    ]
    ends = AffineBranch(generator.normal(size=(2, 4))), AffineBranch(generator.normal(size=(1, 2)))
    return Tower(branches, "1/n", *ends)


@pytest.mark.parametrize("name", ["tanh", "gelu", "erf", "sin", "linear"])
@pytest.mark.parametrize("depth", [1, 4, 12])
def test_jets_are_cauchys_integrals(name, depth):
    tower, x = small_tower(name, depth), np.array([0.3, -0.6, 0.2, 0.1])
    order = 8
    jets = jet_orders(tower, x, order)
    cauchy = cauchy_orders(tower, x, order, radius=1.0, samples=64)
    # Rounding of values of size ~1 on a circle of radius 1, averaged over 64 samples.
    assert np.abs(jets - cauchy).max() <= 1e-14 * max(1.0, np.abs(jets[0]).max())
    assert np.abs(jets[1]).max() > 1e-3  # not a comparison of zeros


def test_jets_of_formulas_against_sympys_own_derivatives():
    x, y = sympy.symbols("x y")
    # Locals win over sympy's names, and the oracle file is part of the tests.
    branches = [
        SymbolicBranch([x, y], [sympy.sympify(text, {"x": x, "y": y}) for text in formulas])
        for formulas in ORACLE["branches"]
    ]
    tower = Tower(branches, ORACLE["scales"])
    expected = [[float(value) for value in row] for row in ORACLE["orders"]]
    point = [Fraction(value) for value in ORACLE["point"]]
    order = len(expected) - 1
    floats = np.array([float(value) for value in point])
    # Sums of fewer than a hundred products of numbers of size ~1.
    assert np.abs(jet_orders(tower, floats, order) - expected).max() < 1e-14
    assert np.abs(expand(tower, order).orders(floats) - expected).max() < 1e-14
    exact = jet_orders(tower, point, 3)
    digits = [[sympy.N(value, 30) for value in row] for row in exact]
    for row, texts in zip(digits, ORACLE["orders"], strict=False):
        for value, text in zip(row, texts, strict=True):
            assert abs(value - sympy.Float(text, 30)) < sympy.Float("1e-23")


@given(polynomial_towers(), points(2), st.integers(0, 4))
def test_lower_orders_do_not_depend_on_the_largest(tower, x, order):
    # E4: orders never mix.
    more = jet_orders(tower, x, order + 2)
    assert more[: order + 1].tolist() == jet_orders(tower, x, order).tolist()


@settings(max_examples=30)
@given(polynomial_towers(depths=(1, 3)), points(2), st.sampled_from([-2, 3, 7]))
def test_order_k_is_homogeneous_in_the_scales(tower, x, factor):
    scaled = Tower(tower.branches, [factor * scale for scale in tower.scales])
    orders, larger = jet_orders(tower, x, 5), jet_orders(scaled, x, 5)
    for k in range(6):
        assert larger[k].tolist() == (factor**k * orders[k]).tolist()


@given(polynomial_towers(degree=1), points(2))
def test_affine_towers_stop_at_their_depth(tower, x):
    orders = jet_orders(tower, x, tower.depth + 2)
    assert not orders[tower.depth + 1 :].any()
    assert sum(orders).tolist() == tower(x).tolist()


@given(relu_towers(), st.integers(0, 3))
def test_relu_towers_start_along_their_gates_at_the_input(tower, order):
    # Off its kinks relu is linear: at z → 0 the jets are those of V diag(gate at x) U. No row of
    # these small fractions but zero, which stays zero, has its kink at this x.
    x = np.array([Fraction(7, 11), Fraction(-5, 13)], dtype=object)
    gated = [
        AffineBranch(branch.outer @ np.diag((branch.inner @ x > 0).astype(int)) @ branch.inner)
        for branch in tower.branches
    ]
    linear = Tower(gated, tower.scales)
    assert jet_orders(tower, x, order).tolist() == jet_orders(linear, x, order).tolist()


def test_binomials():
    orders = jet_orders(Tower.tied(AffineBranch([[1]]), 30), [1], 30)
    assert [row[0] for row in orders] == [comb(30, k) for k in range(31)]


def test_partial_sums_converge_to_the_output():
    tower, x = small_tower("tanh", 6), np.array([0.3, -0.6, 0.2, 0.1])
    output = tower(x)
    errors = [np.abs(jet_orders(tower, x, k).sum(axis=0) - output).max() for k in (2, 6, 12)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-9


def test_batches():
    tower = small_tower("gelu", 3)
    batch = np.random.default_rng(4).normal(size=(2, 3, 4))
    together = jet_orders(tower, batch, 4)
    assert together.shape == (5, 2, 3, 1)
    for index in np.ndindex(2, 3):
        alone = jet_orders(tower, batch[index], 4)
        assert together[(slice(None), *index)] == pytest.approx(alone, rel=1e-13, abs=1e-15)


def test_order_zero_is_the_input():
    tower = Tower.tied(relu_branch([[1]]), 3)
    assert jet_orders(tower, [2], 0).tolist() == [[2]]
    with_decoder = Tower.tied(AffineBranch([[1]]), 3, decoder=AffineBranch([[5]]))
    assert jet_orders(with_decoder, [2], 0).tolist() == [[10]]


@pytest.mark.parametrize("order", [-1, 2.0, "x", None])
def test_bad_orders_are_refused(order):
    with pytest.raises(InputError, match=r"order must be a whole number of at least 0"):
        jet_orders(Tower.tied(AffineBranch([[1]]), 2), [1], order)


def test_abstract_branches_have_no_jets():
    with pytest.raises(InputError, match=r"a branch with values"):
        jet_orders(Tower.abstract(2), [1], 2)
