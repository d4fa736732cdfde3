"""G2: elementary symmetric polynomials in floats and fractions, closed forms, simulation."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion import InputError, ScalingRule, spectrum
from expansion.growth.energy import exact_energy, log_energy
from expansion.growth.kernels import log_elementary_symmetric
from expansion.growth.simulate import simulate_spectrum
from expansion.growth.spectrum import exact_spectrum
from expansion.growth.tilted import coin_probabilities, tilted_symmetric
from proofs_check.strategies import scaling_rules


@given(scaling_rules(), st.integers(1, 12))
def test_floats_agree_with_fractions_and_add_up_to_the_energy(rule, depth):
    exact = exact_spectrum(rule, depth, depth)
    assert np.allclose(spectrum(depth, rule, depth).energy, [float(e) for e in exact], rtol=1e-11)
    difference = sum(exact) - exact_energy(rule, depth)
    assert difference == 0 or difference.equals(0)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=8), st.integers(0, 9))
def test_the_compiled_kernel_and_its_python_body_agree(log_weights, order):
    weights = np.array(log_weights)
    compiled = log_elementary_symmetric(weights, order)
    assert np.allclose(compiled, log_elementary_symmetric.py_func(weights, order), rtol=1e-12)
    # Coefficients of Π(1 + w z), built by multiplying the polynomials out.
    product = np.array([1.0])
    for weight in np.exp(weights):
        product = np.convolve(product, [1.0, weight])
    wanted = np.concatenate([product, np.zeros(order + 1)])[: order + 1]
    assert np.allclose(np.exp(compiled), wanted, rtol=1e-9, atol=0)


@pytest.mark.parametrize("depth", [1, 5, 30])
def test_closed_forms(depth):
    binomials = [math.comb(depth, k) for k in range(depth + 1)]
    assert exact_spectrum(ScalingRule.parse("1"), depth, depth) == binomials
    scaled = [Fraction(c, depth**k) for k, c in enumerate(binomials)]
    assert exact_spectrum(ScalingRule.parse("1/sqrt(n)"), depth, depth) == scaled
    assert sum(exact_spectrum(ScalingRule.parse("half"), depth, depth)) == 1


def test_normalised_branches_give_stirling_numbers():
    # c(n+1, k+1)/n! by the recursion c(m+1, k) = m c(m, k) + c(m, k−1).
    depth = 12
    stirling = [0, 1]
    for m in range(1, depth + 1):
        shifted = [0, *stirling]
        stirling = [m * a + b for a, b in zip([*stirling, 0], shifted, strict=True)]
    wanted = [Fraction(c, math.factorial(depth)) for c in stirling[1:]]
    assert exact_spectrum(ScalingRule.parse("batchnorm"), depth, depth) == wanted


def test_poisson_limit_of_the_incoherent_rule():
    energies = spectrum(10**5, "1/sqrt(n)", 6).energy
    assert np.allclose(energies, [1 / math.factorial(k) for k in range(7)], rtol=2e-4)


def test_no_overflow_and_no_underflow_at_great_depth():
    found = spectrum(5000, "1", 5000)
    assert found.log_energy[2500] == pytest.approx(math.log(math.comb(5000, 2500)), rel=1e-12)
    assert found.log_energy[5000] == pytest.approx(0, abs=1e-6)
    assert math.isinf(found.energy[2500])
    total = np.logaddexp.reduce(found.log_energy)
    assert total == pytest.approx(log_energy(found.rule, 5000), rel=1e-12)


@pytest.mark.parametrize("rule", ["1", "1/sqrt(n)", "1/n", "half", "n^-0.75"])
def test_simulation_at_small_width_is_within_four_standard_errors(rule):
    depth = 6
    mean, error = simulate_spectrum(rule, depth, dimension=8, width=4, trials=20_000, seed=5)
    predicted = spectrum(depth, rule, depth).energy
    assert abs(mean[0] - predicted[0]) < 1e-12  # order 0 is the input itself
    assert np.all(np.abs(mean - predicted)[1:] < 4 * error[1:])


def test_the_simulation_would_notice_the_coherent_spectrum():
    # C(n, k)² instead of C(n, k): what aligned branches would give.
    mean, error = simulate_spectrum("1", 6, trials=20_000, seed=5)
    coherent = spectrum(6, "1", 6).energy ** 2
    assert np.any(np.abs(mean - coherent)[1:] > 4 * error[1:])


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=40), st.integers(0, 45))
def test_tilted_coins_agree_with_the_recurrence_in_logarithms(log_weights, order):
    weights = np.array([*log_weights, -math.inf])
    tilted, plain = tilted_symmetric(weights, order), log_elementary_symmetric(weights, order)
    assert np.array_equal(np.isinf(tilted), np.isinf(plain))
    finite = np.isfinite(plain)
    assert np.allclose(tilted[finite], plain[finite], rtol=1e-13, atol=1e-11)


@pytest.mark.parametrize("rule", ["batchnorm", "1", "n^-0.3", "l^-0.2"])
def test_many_orders_of_a_deep_tower(rule):
    # Thousands of orders need several tilts; both routes, and the sum over all orders.
    logs = 2 * np.log(ScalingRule.parse(rule).floats(3000))
    tilted = tilted_symmetric(logs, 3000)
    assert np.allclose(tilted, log_elementary_symmetric(logs, 3000), rtol=1e-12, atol=1e-10)
    total = log_energy(ScalingRule.parse(rule), 3000)
    assert np.logaddexp.reduce(tilted) == pytest.approx(total, rel=1e-12)


@pytest.mark.slow
def test_a_million_blocks_and_a_thousand_orders():
    found = spectrum(10**6, "1", 1000).log_energy
    wanted = [
        math.lgamma(10**6 + 1) - math.lgamma(k + 1) - math.lgamma(10**6 - k + 1)
        for k in (1, 500, 1000)
    ]
    assert found[[1, 500, 1000]] == pytest.approx(wanted, rel=1e-10)


def test_the_compiled_coins_and_their_python_body_agree():
    heads = np.array([0.5, 1e-200, 0.999, 1e-250, 0.2])
    compiled = coin_probabilities(heads, 1 - heads, 4)
    assert np.array_equal(compiled, coin_probabilities.py_func(heads, 1 - heads, 4))
    assert compiled.sum() == pytest.approx(1)


@pytest.mark.parametrize(("depth", "order"), [(10**30, 2), (3, 10**30), (10**7, 10**5)])
def test_requests_too_large_are_refused_at_once(depth, order):
    with pytest.raises(InputError, match=r"depth and order of at most 10\^8"):
        spectrum(depth, "1", order)


def test_a_depth_written_as_text():
    assert (spectrum("3", "half", 3).log_energy == spectrum(3, "half", 3).log_energy).all()
