"""E6: the flow's weights, every correction in 1/n, and the modified equation, each two ways."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from expansion import InputError, MLPBranch, SymbolicBranch, TooManyTermsError, Tower, Tree
from expansion.series.flow import (
    depth_corrections,
    euler_logarithm,
    flow_weight,
    modified_field,
    predicted_gap,
)
from expansion.trees.generate import rooted_trees
from expansion.trees.order_polynomials import labelling_count, modified_weight
from proofs_check.strategies import trees


@given(trees(max_order=8), st.integers(1, 30))
def test_corrections_add_up_to_the_labellings_of_every_depth(tree, depth):
    total = sum(c * Fraction(1, depth) ** j for j, c in enumerate(depth_corrections(tree)))
    assert total * depth**tree.order == labelling_count(tree, depth)
    assert depth_corrections(tree)[0] == flow_weight(tree)


@pytest.mark.parametrize("order", range(1, 8))
def test_omega_is_the_logarithm_of_the_euler_map(order):
    for tree in rooted_trees(order):
        assert modified_weight(tree) == euler_logarithm(tree)


@pytest.mark.slow
@pytest.mark.parametrize("order", [8, 9, 10])
def test_omega_is_the_logarithm_of_the_euler_map_to_order_ten(order):
    for tree in rooted_trees(order):
        assert modified_weight(tree) == euler_logarithm(tree)


def test_chains_and_bushes():
    for order in range(1, 11):
        assert modified_weight(Tree.chain(order)) == Fraction((-1) ** (order - 1), order)
    for leaves in range(1, 10):
        bush = Tree((Tree(),) * leaves)
        # The bush sums j^leaves: its linear coefficient is the Bernoulli number B⁻.
        bernoulli = sympy.bernoulli(leaves) if leaves != 1 else -sympy.Rational(1, 2)
        assert modified_weight(bush) == Fraction(int(bernoulli.p), int(bernoulli.q))


def test_the_printed_field():
    assert modified_field(3).text() == ("λ f - ½ λ² f′f + ⅓ λ³ f′f′f + 1/12 λ³ f″(f, f) + O(λ⁴)")
    assert r"\frac{1}{12} \lambda^{3} f''(f, f)" in modified_field(3).latex()


@pytest.fixture(scope="module")
def branch():
    generator = np.random.default_rng(0)
    return MLPBranch(generator.normal(size=(3, 4)), generator.normal(size=(4, 3)))


def halving_gain(branch, field):
    """By how much the distance between tower and flow of the field falls when λ is halved."""
    x, depth = np.array([0.3, -0.5, 0.8]), 8
    errors = []
    for scale in (0.04, 0.02):
        tower = Tower.tied(branch, depth, scale)
        flow = solve_ivp(
            lambda _, y, t=tower: field(t, y), (0, depth), x, "DOP853", rtol=1e-13, atol=1e-15
        )
        errors.append(np.abs(flow.y[:, -1] - tower(x)).max())
    return errors[0] / errors[1]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_a_tower_is_the_flow_of_its_modified_field_to_the_printed_order(branch, order):
    # The error is O(λ^(K+1)): halving λ divides it by 2^(K+1), a quarter off at these scales.
    assert halving_gain(branch, modified_field(order)) > 0.75 * 2 ** (order + 1)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_a_wrong_weight_costs_orders(branch, order):
    field = modified_field(order)
    (*right, (tree, weight)) = field.weights
    wrong = type(field)((*right, (tree, -weight)), order)
    assert halving_gain(branch, wrong) < 0.75 * 2 ** (order + 1)


def test_the_gap_to_the_flow_is_predicted_to_the_printed_order(branch):
    x, depth, order = np.array([0.3, -0.5, 0.8]), 5, 7
    errors = []
    for time in (0.2, 0.1):
        tower = Tower.tied(branch, depth, time / depth)
        flow = solve_ivp(
            lambda _, y, t=time: t * branch(y), (0, 1), x, "DOP853", rtol=1e-13, atol=1e-15
        )
        gap = tower(x) - flow.y[:, -1]
        predicted = sum(predicted_gap(tower, x, order))
        assert np.abs(gap - predicted).max() < 1e-3 * np.abs(gap).max()
        errors.append(np.abs(gap - predicted).max())
    assert errors[0] / errors[1] > 2**order  # O(t^(K+1)), and better than O(t^K)


def test_the_gap_is_exact_in_fractions_for_a_nilpotent_field():
    # f(x, y) = (y, 1): the flow is (x + ty + t²/2, y + t), Euler's sum misses t²/(2n).
    x, y = sympy.symbols("x y")
    tower = Tower.tied(SymbolicBranch([x, y], [y, 1 + 0 * x]), 10, Fraction(1, 10))
    (first, *rest) = predicted_gap(tower, [0, 0], 4)
    assert list(first) == [Fraction(-1, 20), 0]
    assert not any(np.concatenate(rest))
    assert list(tower([0, 0])) == [Fraction(1, 2) - Fraction(1, 20), 1]


def test_requests_that_make_no_sense_are_refused(branch):
    with pytest.raises(TooManyTermsError):
        modified_field(20)
    untied = Tower((branch, MLPBranch(branch.outer, branch.inner)), "1/n")
    for tower in (
        untied,
        Tower.tied(branch, 3, "batchnorm"),
        Tower.tied(branch, 3, decoder=branch),
    ):
        with pytest.raises(InputError):
            predicted_gap(tower, [0.0, 0.0, 0.0], 3)
