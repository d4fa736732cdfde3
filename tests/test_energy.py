"""G1, G3, G4, G5: closed forms, three ways."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion import InputError, ScalingRule
from expansion.growth.energy import (
    energy,
    exact_energy,
    log_coherent_amplitude,
    log_energy,
    mean_order,
    residual_shares,
)
from expansion.towers.branches.layered import AffineBranch
from expansion.towers.tower import Tower
from proofs_check.strategies import scaling_rules


@given(scaling_rules(), st.integers(1, 40))
def test_floats_logarithms_and_exact_numbers_agree(rule, depth):
    exact = float(exact_energy(rule, depth))
    assert math.isclose(energy(rule, depth), exact, rel_tol=1e-12)
    assert math.isclose(log_energy(rule, depth), math.log(exact), rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 10, 100, 1000])
def test_closed_forms(depth):
    assert exact_energy(ScalingRule.parse("1"), depth) == 2**depth
    assert exact_energy(ScalingRule.parse("1/n"), depth) == (1 + Fraction(1, depth**2)) ** depth
    assert exact_energy(ScalingRule.parse("1/sqrt(n)"), depth) == (1 + Fraction(1, depth)) ** depth
    assert exact_energy(ScalingRule.parse("batchnorm"), depth) == depth + 1
    assert exact_energy(ScalingRule.parse("skipinit"), depth) == 1
    assert exact_energy(ScalingRule.parse("half"), depth) == 1


def test_limits_in_depth():
    depth = 10**6
    assert log_energy(ScalingRule.parse("1/sqrt(n)"), depth) == pytest.approx(1, abs=1e-6)
    assert log_energy(ScalingRule.parse("1/n"), depth) == pytest.approx(0, abs=2e-6)
    assert log_coherent_amplitude(ScalingRule.parse("1/n"), depth) == pytest.approx(1, abs=1e-6)
    # G3: coherent blocks need 1/n; at 1/√n the amplitude grows like e^√n.
    root = log_coherent_amplitude(ScalingRule.parse("1/sqrt(n)"), depth)
    assert root == pytest.approx(math.sqrt(depth), rel=1e-3)


def test_effective_depths_of_de_and_smith_at_a_hundred_blocks():
    harmonic = sum(Fraction(1, k) for k in range(1, 102))
    assert mean_order(ScalingRule.parse("batchnorm"), 100) == pytest.approx(float(harmonic - 1))
    assert round(mean_order(ScalingRule.parse("batchnorm"), 100), 2) == 4.20
    assert mean_order(ScalingRule.parse("1"), 100) == 50
    assert mean_order(ScalingRule.parse("half"), 100) == 50
    assert round(mean_order(ScalingRule.parse("1/sqrt(n)"), 100), 1) == 1.0


@given(scaling_rules(), st.integers(1, 30))
def test_mean_order_is_the_derivative_of_the_log_energy_in_log_lambda_squared(rule, depth):
    # d/ds ln Π(1 + s λ²) at s = 1, by central differences on the exact definition.
    squares = rule.floats(depth) ** 2
    step = 1e-5
    up, down = (np.log1p(s * squares).sum() for s in (1 + step, 1 - step))
    assert math.isclose(mean_order(rule, depth), (up - down) / (2 * step), abs_tol=1e-7)
    assert np.all((residual_shares(rule, depth) >= 0) & (residual_shares(rule, depth) < 1))


@pytest.mark.parametrize("rule", ["1", "1/n", "1/sqrt(n)", "0.3", "batchnorm"])
def test_tied_linear_branches_attain_the_coherent_amplitude(rule):
    gain = 0.7
    tower = Tower.tied(AffineBranch([[gain]]), depth=12, rule=rule)
    assert math.isclose(
        float(tower([1.0])[0]),
        math.exp(log_coherent_amplitude(ScalingRule.parse(rule), 12, gain)),
        rel_tol=1e-12,
    )


@pytest.mark.parametrize("lipschitz", [-1.0, math.nan, math.inf])
def test_a_bad_lipschitz_constant_is_refused(lipschitz):
    with pytest.raises(InputError, match="Lipschitz"):
        log_coherent_amplitude(ScalingRule.parse("1"), 3, lipschitz)
