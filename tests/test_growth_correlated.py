"""G3 in between: covariances in depth, the exact recursion, simulation, critical exponents."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion import InputError
from expansion.growth.correlated import (
    COVARIANCES,
    correlated_energy,
    covariance,
    critical_exponents,
    first_order_energy,
    fitted_exponent,
    predicted_exponent,
    simulate_correlated,
)
from expansion.growth.correlated import _corner as corner

CASES = [(name, None) for name in COVARIANCES] + [("fractional", h) for h in (0.1, 0.3, 0.9)]


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_covariances_are_covariances(name, parameter):
    rho = covariance(name, 40, parameter)
    assert np.allclose(np.diag(rho), 1)
    assert np.array_equal(rho, rho.T)
    assert np.linalg.eigvalsh(rho).min() > -1e-12


@given(st.integers(1, 60), st.floats(0.05, 1.0))
def test_fractional_noise_adds_up_to_n_to_the_2h(depth, hurst):
    rho = covariance("fractional", depth, hurst)
    assert math.isclose(first_order_energy(rho, 0.5), 0.25 * depth ** (2 * hurst), rel_tol=1e-9)


@given(st.integers(1, 40), st.floats(0, 1.2))
def test_both_ends_have_closed_forms(depth, scale):
    independent = correlated_energy(covariance("independent", depth), scale)
    assert math.isclose(independent, (1 + scale**2) ** depth, rel_tol=1e-10)
    tied = correlated_energy(covariance("tied", depth), scale)
    wanted = sum(math.comb(depth, k) ** 2 * scale ** (2 * k) for k in range(depth + 1))
    assert math.isclose(tied, wanted, rel_tol=1e-10)


@given(st.integers(1, 5), st.floats(0, 1), st.integers(0, 10**6))
def test_the_recursion_is_the_sum_over_pairs_of_paths(depth, scale, seed):
    from itertools import combinations

    root = np.random.default_rng(seed).normal(size=(depth, depth))
    rho = root @ root.T
    total = sum(
        scale ** (2 * k) * math.prod(rho[i, j] for i, j in zip(one, other, strict=True))
        for k in range(depth + 1)
        for one in combinations(range(depth), k)
        for other in combinations(range(depth), k)
    )
    for body in (corner, corner.py_func):
        assert math.isclose(body(rho, scale), total, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("name", "parameter"), [("tied", None), ("rbf", 4.0), ("fractional", 0.3), ("fractional", 0.75)]
)
def test_simulation_of_first_order_and_of_the_whole(name, parameter):
    depth, trials = 16, 1500
    rho = covariance(name, depth, parameter)
    scale = 0.8 * depth ** -predicted_exponent(name, parameter)
    means, errors = [], []
    for dimension in (32, 16):
        first, energies = simulate_correlated(
            rho, scale, dimension=dimension, trials=trials, seed=dimension
        )
        wanted = first_order_energy(rho, scale)  # at every width
        assert abs(first.mean() - wanted) < 4 * first.std() / math.sqrt(trials)
        means.append(energies.mean())
        errors.append(energies.std() / math.sqrt(trials))
    # The whole energy is a limit: the part in 1/d is measured at two widths and cancelled.
    limit, error = 2 * means[0] - means[1], math.hypot(2 * errors[0], errors[1])
    predicted = correlated_energy(rho, scale)
    assert abs(limit - predicted) < 4 * error
    independent = correlated_energy(covariance("independent", depth), scale)
    assert abs(independent - predicted) > 4 * error  # it would notice the uncorrelated theory


@pytest.mark.slow
def test_table_of_critical_exponents():
    table = critical_exponents(hursts=(0.3, 0.5, 0.7, 0.9))
    for line in table:
        assert line.fitted == pytest.approx(line.predicted, abs=0.01), line
        assert line.first_order == pytest.approx(line.predicted, abs=0.01), line


@pytest.mark.slow
def test_rough_noise_needs_a_quarter_whatever_order_one_says():
    # H = 0.05: order 1 alone would allow n^-0.05. The slopes rise towards 1/4.
    slopes = [fitted_exponent("fractional", 0.05, depths=(n, 2 * n)) for n in (128, 512, 1024)]
    assert slopes == sorted(slopes)
    assert 0.22 < slopes[0] < slopes[-1] < 0.25
    # At the heuristic's exponent the energy grows without bound; at a quarter it does not.
    energies = {
        power: [
            correlated_energy(covariance("fractional", n, 0.05), n**-power) for n in (256, 1024)
        ]
        for power in (0.05, 0.25)
    }
    assert energies[0.05][1] > 1e6 * energies[0.05][0]
    assert energies[0.25][1] < energies[0.25][0]


def second_order(rho):
    """Σ over i<j, k<l of ρ_ik ρ_jl, by prefix sums."""
    below = np.zeros_like(rho)
    below[1:, 1:] = rho.cumsum(0).cumsum(1)[:-1, :-1]
    return float((rho * below).sum())


def test_the_second_order_of_rough_noise_grows_like_n():
    small, large = (second_order(covariance("fractional", n, 0.1)) for n in (1000, 2000))
    assert math.log2(large / small) == pytest.approx(1, abs=0.03)  # not 4H = 0.4
    small, large = (second_order(covariance("fractional", n, 0.7)) for n in (1000, 2000))
    assert math.log2(large / small) == pytest.approx(2.8, abs=0.01)
    # And it is the recursion's own λ⁴: second differences of even powers.
    rho = covariance("fractional", 30, 0.1)
    s = 1e-2
    quartic = correlated_energy(rho, s) - 1 - first_order_energy(rho, s)
    assert quartic / s**4 == pytest.approx(second_order(rho), rel=1e-2)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("white", None), ("fractional", 0.0), ("fractional", 1.5), ("rbf", -1.0), ("rbf", math.nan)],
)
def test_bad_covariances_are_refused(name, parameter):
    with pytest.raises(InputError):
        covariance(name, 5, parameter)
