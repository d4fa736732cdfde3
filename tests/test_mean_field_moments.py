"""G7: moments of activations by quadrature, by closed forms, by mpmath, by Gauss–Hermite."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special

from expansion import InputError
from expansion.growth.gaussian import normal_expectation
from expansion.growth.mean_field import log_moments
from expansion.growth.mean_field_kernel import log_moment, log_moment_slope
from expansion.growth.moments import MOMENTS, closed_energy, moment
from expansion.growth.pairs import MIXTURE_ERROR, mixture, pair_moments, relative_pair
from expansion.growth.units import CODES, LEAKY_SLOPE, relative_slope, relative_value
from expansion.towers.activations import ACTIVATIONS

VALUES = {
    "linear": lambda u: u,
    "relu": lambda u: np.maximum(u, 0),
    "leaky-relu": lambda u: np.where(u > 0, u, LEAKY_SLOPE * u),
    "tanh": np.tanh,
    "erf": special.erf,
    "sin": np.sin,
    "gelu": lambda u: u * special.ndtr(u),
    "silu": lambda u: u * special.expit(u),
}
SMOOTH = ("tanh", "erf", "sin", "gelu", "silu")
MPMATH = {
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "sin": mpmath.sin,
    "gelu": lambda u: u * mpmath.ncdf(u),
    "silu": lambda u: u / (1 + mpmath.exp(-u)),
}


def by_mpmath(branch, name, h):
    """The moment at 20 digits, from its definition and the derivative by differences."""
    phi = MPMATH[branch]
    inside = {
        "energy": lambda u: phi(u) ** 2,
        "mean": phi,
        "slope": lambda u: mpmath.diff(phi, u) ** 2,
        "gate": lambda u: (phi(u) / u) ** 2,
        "third": lambda u: phi(u) ** 3,
        "fourth": lambda u: phi(u) ** 4,
    }[name]
    with mpmath.workdps(20):
        end = 10 * mpmath.sqrt(h)
        sides = ([-end, -end / 4, -1e-9], [1e-9, end / 4, end])  # φ(u)/u has a hole at zero
        parts = [
            mpmath.quad(lambda u: inside(u) * mpmath.npdf(u, 0, mpmath.sqrt(h)), s) for s in sides
        ]
    return float(sum(parts))


@pytest.mark.parametrize("branch", SMOOTH)
@pytest.mark.parametrize("name", MOMENTS)
def test_moments_agree_with_mpmath_within_their_own_error(branch, name):
    for h in (0.3, 2.0):
        exact = by_mpmath(branch, name, h)
        found = moment(branch, name, h)
        if name in ("third", "fourth"):
            exact /= by_mpmath(branch, "energy", h) ** (1.5 if name == "third" else 2)
        exact /= {"energy": h, "mean": math.sqrt(h)}.get(name, 1.0)
        assert found.error < 1e-12
        # The second term is mpmath's own: numerical derivatives, and the hole around zero.
        assert abs(found.value - exact) <= found.error + 3e-9 * (name in ("slope", "gate")) + 1e-14


@pytest.mark.parametrize("branch", ["erf", "gelu", "sin"])
def test_quadrature_agrees_with_closed_forms_at_every_variance(branch):
    for h in (1e-8, 1e-3, 0.5, 3.0, 100.0, 1e4):
        if branch == "sin" and h > 100:
            continue  # √h oscillations: there the closed form is what is used
        direct = normal_expectation(lambda u: VALUES[branch](u) ** 2, h)
        assert math.isclose(direct.value / h, closed_energy(branch, h), rel_tol=1e-12)


def test_gauss_hermite_agrees_where_it_converges_and_does_not_where_it_does_not():
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights /= weights.sum()
    for h in (0.1, 1.0):
        classical = (weights * np.tanh(math.sqrt(h) * nodes) ** 2).sum()
        assert math.isclose(classical, moment("tanh", "energy", h).value * h, rel_tol=1e-9)
    wide = (weights * np.tanh(100 * nodes) ** 2).sum()
    assert abs(wide - moment("tanh", "energy", 1e4).value * 1e4) > 1e-3


def test_the_error_is_told_when_a_function_is_not_smooth():
    found = normal_expectation(lambda u: (np.abs(u) > 0.7321) * 1.0, 1.0)
    exact = math.erfc(0.7321 / math.sqrt(2))
    assert abs(found.value - exact) > 1e-9
    assert abs(found.value - exact) < 20 * found.error


@pytest.mark.parametrize("variance", [0.0, -1.0, math.nan, math.inf])
def test_a_bad_variance_is_refused(variance):
    with pytest.raises(InputError, match="variance"):
        normal_expectation(np.square, variance)


@pytest.mark.parametrize("branch", SMOOTH)
def test_the_table_of_the_compiled_loop_agrees_with_the_moments(branch):
    table = log_moments(branch)
    generator = np.random.default_rng(1)
    for log_h in generator.uniform(-29, 20, size=30):
        for row, name in enumerate(MOMENTS):
            value = moment(branch, name, math.exp(log_h)).value
            if value == 0:
                assert log_moment(table, row, log_h) < -9000
            else:
                assert math.isclose(math.exp(log_moment(table, row, log_h)), value, rel_tol=1e-10)
    for log_h in (-200.0, -3.1, 0.3, 4.7, 300.0):
        near, far = (log_moment(table, 0, log_h + step) for step in (-1e-4, 1e-4))
        assert log_moment_slope(table, 0, log_h) == pytest.approx((far - near) / 2e-4, abs=1e-7)
    # Beyond the table a moment is a power: φ'(0) at zero, saturation or half the line far out.
    start = {"gelu": 0.25, "silu": 0.25, "erf": 4 / math.pi}.get(branch, 1.0)
    assert math.isclose(math.exp(log_moment(table, 0, -200.0)), start, rel_tol=1e-9)
    far = {"gelu": math.log(0.5), "silu": math.log(0.5), "sin": math.log(0.5) - 500.0}
    assert math.isclose(log_moment(table, 0, 500.0), far.get(branch, -500.0), rel_tol=1e-9)


@pytest.mark.parametrize("branch", ["tanh", "silu"])
def test_the_scale_mixtures_are_within_their_stated_error_everywhere(branch):
    u = np.sinh(np.linspace(-14, 14, 40_001))
    weights, slopes = mixture(branch)
    parts = {
        "tanh": special.erf(slopes[:, None] * u / math.sqrt(2)),
        "silu": u * special.ndtr(slopes[:, None] * u),
    }[branch]
    assert np.abs(weights @ parts - VALUES[branch](u)).max() < MIXTURE_ERROR
    assert np.all(weights > 0)


@pytest.mark.parametrize("branch", [b for b in CODES if b not in ("relu", "leaky-relu")])
def test_pairs_agree_with_double_quadrature(branch):
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    both = np.outer(weights, weights) / weights.sum() ** 2
    slope_of = np.vectorize(lambda x: relative_slope(CODES[branch], x, 1.0))
    for h, c in ((0.4, 0.5), (1.0, -0.7), (1.3, 0.95), (1.0, 0.0)):
        u = math.sqrt(h) * nodes[:, None]
        v = math.sqrt(h) * (c * nodes[:, None] + math.sqrt(1 - c * c) * nodes)
        value, slope = pair_moments(branch, h, c)
        assert abs((both * VALUES[branch](u) * VALUES[branch](v)).sum() / h - value) < 2e-9
        assert abs((both * slope_of(u) * slope_of(v)).sum() - slope) < 3e-9


@pytest.mark.parametrize("branch", ["relu", "leaky-relu"])
def test_pairs_with_a_kink_agree_with_conditional_means(branch):
    # Given u, v is normal: E φ(v) and E φ'(v) are known, and one integral with a cut at 0 is left.
    leak = LEAKY_SLOPE if branch == "leaky-relu" else 0.0
    h = 1.7
    for c in (0.5, -0.7, 0.95, 0.0):
        spread = math.sqrt(h * (1 - c * c))

        def inner(u, c=c, spread=spread):
            z = c * u / spread
            relu = c * u * special.ndtr(z) + spread * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
            return leak * c * u + (1 - leak) * relu, leak + (1 - leak) * special.ndtr(z)

        def density(u):
            return math.exp(-u * u / (2 * h)) / math.sqrt(2 * math.pi * h)

        def integrand(u, which, inner=inner):
            outer = (max(u, leak * u), 1.0 if u > 0 else leak)
            return outer[which] * inner(u)[which] * density(u)

        sides = ((-20, 0), (0, 20))
        found = [
            sum(integrate.quad(integrand, *side, args=(which,))[0] for side in sides)
            for which in (0, 1)
        ]
        value, slope = pair_moments(branch, h, c)
        assert found == pytest.approx([value * h, slope], abs=1e-10)


@given(st.sampled_from(sorted(CODES)), st.floats(-12, 12), st.floats(-0.999, 0.999))
def test_a_pair_is_what_prices_theorem_says(branch, log_h, c):
    # d/dc E φ(u)φ(v) = h E φ'(u)φ'(v): value and slope are two formulas, here one checks the other.
    h, step = math.exp(log_h), 1e-6
    up, down = (pair_moments(branch, h, c + s)[0] for s in (step, -step))
    slope = pair_moments(branch, h, c)[1]
    sharp = h / (1 - abs(c)) ** 1.5  # how fast the slope itself changes
    assert abs((up - down) / (2 * step) - slope) < 1e-7 + 1e-9 * sharp


@given(st.sampled_from(sorted(CODES)), st.floats(-20, 20))
def test_a_pair_of_equal_inputs_is_one_input(branch, log_h):
    h = math.exp(log_h)
    value, slope = pair_moments(branch, h, 1.0)
    assert math.isclose(value, moment(branch, "energy", h).value, rel_tol=1e-8)
    assert math.isclose(slope, moment(branch, "slope", h).value, rel_tol=1e-7)


@pytest.mark.parametrize("branch", CODES)
def test_compiled_activations_are_those_of_the_towers(branch):
    u = np.linspace(-3, 3, 61)
    for scale in (1.0, 0.25):
        for body in (relative_value, relative_value.py_func):
            ours = [body(CODES[branch], z, scale) * scale for z in u]
            assert np.allclose(ours, VALUES[branch](scale * u), rtol=1e-12, atol=1e-15)
        slopes = [relative_slope.py_func(CODES[branch], z, scale) for z in u]
        if branch in ACTIVATIONS:
            wanted = ACTIVATIONS[branch].derivative(scale * u, 1) * 1.0
            assert np.allclose(ours, ACTIVATIONS[branch].value(scale * u), rtol=1e-12, atol=1e-15)
        else:
            phi = VALUES[branch]
            wanted = (phi(scale * u + 1e-6) - phi(scale * u - 1e-6)) / 2e-6
            wanted[30] = slopes[30]  # the kink
        assert np.allclose(slopes, wanted, rtol=1e-8, atol=1e-9)


def test_the_compiled_pair_and_its_python_body_agree():
    for branch in CODES:
        arguments = (CODES[branch], *mixture(branch), 1.3, 0.4)
        assert np.allclose(relative_pair(*arguments), relative_pair.py_func(*arguments), rtol=1e-13)


def test_no_overflow_at_any_variance():
    for branch in CODES:
        value, slope = pair_moments(branch, 1e250, 0.5)
        assert math.isfinite(value)
        assert math.isfinite(slope)
    # Far out gelu and silu are ReLU.
    relu = pair_moments("relu", 1.0, 0.3)
    for branch in ("gelu", "silu"):
        assert np.allclose(pair_moments(branch, 1e250, 0.3), relu, rtol=1e-9)
