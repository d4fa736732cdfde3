"""G6 and G7: mean field against exact products, closed recursions, drawn matrices, simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from expansion import InputError, ScalingRule
from expansion.growth.drawn import drawn_towers
from expansion.growth.energy import log_energy, mean_order
from expansion.growth.mean_field import mean_field
from expansion.growth.mean_field_kernel import propagate
from expansion.growth.moments import moment
from expansion.growth.pairs import pair_moments
from expansion.growth.setting import BLOCKS, Setting
from expansion.growth.simulate import simulate
from expansion.growth.units import CODES
from proofs_check.strategies import scaling_rules

RULES = ("1", "1/sqrt(n)", "1/n", "half", "batchnorm", "0.3")
branches = st.sampled_from(sorted(CODES))


@given(scaling_rules(), st.integers(1, 40), st.sampled_from(["relu", "linear", "leaky-relu"]))
def test_energy_preserving_towers_are_the_exact_products(rule, depth, branch):
    found = mean_field(Setting(branch), rule, depth)
    assert math.isclose(found.log_energy, log_energy(rule, depth), rel_tol=1e-11, abs_tol=1e-11)
    assert math.isclose(found.mean_order, mean_order(rule, depth), rel_tol=1e-11, abs_tol=1e-11)


@given(st.sampled_from(["relu", "linear", "leaky-relu"]), st.integers(1, 5), st.floats(0.1, 4))
def test_homogeneous_gains_multiply_over_layers(branch, layers, variance):
    one = Setting(branch, weight_variance=variance, layers=layers)
    found = mean_field(one, "0.7", 6)
    assert math.isclose(found.log_energy, 6 * math.log1p(0.49 * one.gain), rel_tol=1e-9)
    assert math.isclose(found.log_gradient, found.log_energy, rel_tol=1e-9)


def by_definition(setting, rule, depth, correlation):
    """The recursion in plain numbers, for ReLU with two matrices, from its arc-cosine kernel."""
    q, c, back = 1.0, correlation, 1.0
    for scale in ScalingRule.parse(rule).floats(depth):
        h = setting.weight_variance * q + setting.bias_variance
        angle = math.acos((setting.weight_variance * q * c + setting.bias_variance) / h)
        cross = h * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
        p = q * c + scale**2 * cross
        q += scale**2 * h / 2
        c = p / q
        back *= 1 + scale**2 * setting.weight_variance / 2
    return q, c, back


@given(st.floats(0.2, 3), st.floats(0, 2), st.floats(-0.9, 0.99), st.sampled_from(["1", "1/n"]))
def test_relu_blocks_with_biases_follow_the_arc_cosine_recursion(weight, bias, correlation, rule):
    setting = Setting("relu", weight_variance=weight, bias_variance=bias)
    q, c, back = by_definition(setting, rule, 12, correlation)
    found = mean_field(setting, rule, 12, correlation=correlation)
    assert math.isclose(found.log_energy, math.log(q), rel_tol=1e-10)
    assert math.isclose(found.correlation, c, rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose(found.log_gradient, math.log(back), rel_tol=1e-10)


def positive_branches(scale, depth, overlap):
    """G6 as it stands: s ← s + θ√(q/π), q ← q + 2θ s√(q/π) + θ² q."""
    s, q = overlap, 1.0
    for _ in range(depth):
        mean = math.sqrt(q / math.pi)
        s, q = s + scale * mean, q + 2 * scale * s * mean + scale**2 * q
    return q


@given(st.integers(1, 200), st.floats(-1, 1), st.sampled_from([1.0, 0.5]))
def test_positive_branches_follow_claim_g6(depth, overlap, power):
    setting = Setting("relu", "post-activation", overlap=overlap)
    wanted = positive_branches(depth**-power, depth, overlap)
    found = mean_field(setting, f"n^-{power}", depth)
    assert math.isclose(found.log_energy, math.log(wanted), rel_tol=1e-9, abs_tol=1e-10)


def test_positive_branches_explode_at_one_over_root_n_and_not_at_one_over_n():
    # θ = 1/√L: e^{2√(L/π)} in energy; θ = c/L: cosh² of the rapidity, free of the depth.
    for overlap in (0.0, math.sqrt(2 / math.pi)):
        setting = Setting("relu", "post-activation", overlap=overlap)
        slow = mean_field(setting, "1/n", 10**5).log_energy
        rapidity = math.atanh(overlap)
        wanted = 2 * math.log(math.cosh(rapidity + 1 / math.sqrt(math.pi)) / math.cosh(rapidity))
        assert slow == pytest.approx(wanted, abs=1e-4)
        fast = [mean_field(setting, "1/sqrt(n)", n).log_energy for n in (10**4, 4 * 10**4)]
        assert (fast[1] - fast[0]) / 2 == pytest.approx(100 / math.sqrt(math.pi), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [25, 100, 400])
@pytest.mark.parametrize(
    ("rule", "figures"), [("1/sqrt(n)", (15.6, 261, 7.0e4)), ("1/n", (1.65,) * 3)]
)
def test_positive_branches_at_width_512(rule, figures, depth):
    # The figures are of an input of folded normals, whose overlap is √(2/π).
    setting = Setting("relu", "post-activation", overlap=math.sqrt(2 / math.pi))
    found = mean_field(setting, rule, depth)
    drawn = simulate(
        rule, depth, setting=setting, dimension=512, width=512, trials=40, seed=9, extrapolate=True
    )
    assert abs(drawn.log_energy - found.log_energy) < 4 * drawn.standard_error
    figure = dict(zip((25, 100, 400), figures, strict=True))[depth]
    assert math.exp(found.log_energy / 2) == pytest.approx(figure, rel=0.05)


@settings(max_examples=40)
@given(
    branches,
    st.sampled_from(BLOCKS),
    st.sampled_from(RULES),
    st.sampled_from([0.0, 0.3]),
    st.floats(-0.5, 0.9),
    st.integers(1, 3),
    st.integers(1, 10),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_predictions_within_four_standard_errors_of_their_twins(
    branch, block, rule, bias, correlation, layers, depth, weight
):
    # Limits of infinite width are compared after extrapolation in 1/width; what is exact is not.
    setting = Setting(branch, block, weight, bias, layers)
    exact = setting.exact_at_every_width
    found = mean_field(setting, rule, depth, correlation=correlation)
    twin = simulate(
        rule,
        depth,
        setting=setting,
        correlation=correlation,
        dimension=96,
        width=96,
        trials=150,
        seed=[depth, layers, len(branch), len(block), len(rule)],
        extrapolate=not exact,
    )
    # Forty settings, two numbers each: at 4 standard errors one would fail in 200 suites.
    assert abs(twin.log_energy - found.log_energy) <= 4 * twin.standard_error + 1e-9
    cosine = simulate(
        rule,
        depth,
        setting=setting,
        correlation=correlation,
        dimension=96,
        width=96,
        trials=150,
        seed=[depth, layers, len(branch), len(block), len(rule), 1],
        extrapolate=True,
    )
    assert abs(cosine.correlation - found.correlation) <= 4 * cosine.correlation_error + 1e-6


def test_the_comparison_would_notice_a_wrong_recursion():
    # Saboteurs: tanh for erf, a forgotten bias, a branch taken to have mean zero.
    right = {"dimension": 96, "width": 96, "trials": 800, "seed": 3, "extrapolate": True}
    pairs = [
        (Setting("tanh"), Setting("erf")),
        (Setting("tanh", bias_variance=0.3), Setting("tanh")),
        (Setting("gelu", "post-activation"), Setting("gelu", "activation-first")),
    ]
    for setting, wrong in pairs:
        twin = simulate("1", 8, setting=setting, **right)
        assert (
            abs(twin.log_energy - mean_field(setting, "1", 8).log_energy) < 4 * twin.standard_error
        )
        assert abs(twin.log_energy - mean_field(wrong, "1", 8).log_energy) > 4 * twin.standard_error


@pytest.mark.slow
@pytest.mark.parametrize("branch", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("block", ["pre-activation", "activation-first", "pre-norm", "post-norm"])
def test_gradients_of_drawn_matrices(branch, block):
    # ln E‖g_0‖²: extrapolated over widths 24 and 48.
    setting = Setting(branch, block, bias_variance=0.1)
    found = mean_field(setting, "1/sqrt(n)", 6).log_gradient
    means, errors = [], []
    for width in (48, 24):
        drawn = drawn_towers(
            setting, "1/sqrt(n)", 6, dimension=width, width=width, trials=700, seed=8
        )
        means.append(math.log(drawn.gradients.mean()))
        errors.append(drawn.gradients.std() / drawn.gradients.mean() / math.sqrt(700))
    limit, error = 2 * means[0] - means[1], math.hypot(2 * errors[0], errors[1])
    assert abs(limit - found) < 4 * error
    assert abs(limit - found - 0.3) > 4 * error  # the comparison is sharp enough to notice


def test_relu_gradients_are_exact_at_width_four():
    drawn = drawn_towers(
        Setting("relu"), "1/sqrt(n)", 5, dimension=4, width=4, trials=40_000, seed=1
    )
    error = drawn.gradients.std() / 200
    assert abs(drawn.gradients.mean() - 1.2**5) < 4 * error


@pytest.mark.parametrize("block", ["pre-activation", "pre-norm"])
def test_drawn_matrices_agree_with_drawn_products(block):
    setting = Setting("gelu", block, bias_variance=0.2, layers=3)
    sizes = {"dimension": 12, "width": 20, "trials": 4000}
    drawn = drawn_towers(setting, "1", 4, correlation=0.3, seed=1, **sizes)
    products = simulate("1", 4, setting=setting, correlation=0.3, seed=2, **sizes)
    logs = np.log(drawn.energies)
    error = math.hypot(logs.std() / math.sqrt(4000), products.standard_error)
    assert abs(logs.mean() - products.log_energy) < 4 * error
    error = math.hypot(drawn.correlations.std() / math.sqrt(4000), products.correlation_error)
    assert abs(drawn.correlations.mean() - products.correlation) < 4 * error
    ratio = logs.std() / products.log_deviation
    assert abs(ratio - 1) < 4 * 2 * products.log_deviation_error / products.log_deviation


@pytest.mark.parametrize(
    ("setting", "width"),
    [
        (Setting("relu"), 256),
        (Setting("linear"), 256),
        (Setting("relu", layers=4), 256),
        (Setting("tanh"), 128),
        (Setting("gelu", bias_variance=0.2), 256),
        (Setting("relu", "pre-norm"), 128),
        (Setting("relu", "activation-first"), 256),
        (Setting("tanh", "activation-first"), 256),
        (Setting("sin", "activation-first", weight_variance=3.0), 256),
        (Setting("gelu", "activation-first", bias_variance=0.1, layers=2), 256),
        (Setting("relu", "post-activation"), 256),
        (Setting("silu", "post-activation", bias_variance=0.2, overlap=-0.3), 256),
        (Setting("gelu", "post-activation", layers=2, overlap=0.5), 256),
    ],
)
@pytest.mark.parametrize("rule", ["1", "1/sqrt(n)"])
def test_fluctuation_of_the_log_energy(setting, width, rule):
    # First order in 1/width: the next one is about n/width smaller, within the standard error.
    found = mean_field(setting, rule, 8, width=width)
    twin = simulate(
        rule, 8, setting=setting, dimension=width, width=width, trials=800, seed=[6, len(rule)]
    )
    assert abs(twin.log_deviation - found.log_deviation) < 4 * twin.log_deviation_error
    assert abs(1.3 * found.log_deviation - twin.log_deviation) > 4 * twin.log_deviation_error


def test_one_blocks_fluctuation_is_exact_at_small_width():
    # Var of the gain of a ReLU block: 4λ²/d + λ⁴[(1 + 5/w)(1 + 2/d) − 1], relative to (1 + λ²)².
    width, dimension, trials = 5, 4, 200_000
    found = mean_field(Setting("relu"), "1", 1, width=width, dimension=dimension)
    gain = 4 / dimension + (1 + 5 / width) * (1 + 2 / dimension) - 1
    assert found.variances[1] == pytest.approx(gain / 4)
    drawn = drawn_towers(Setting("relu"), "1", 1, dimension=dimension, width=width, trials=trials)
    squares = (drawn.energies - 2) ** 2
    assert abs(squares.mean() - gain) < 4 * squares.std() / math.sqrt(trials)


def test_fluctuation_needs_its_modes_and_its_mean():
    # Saboteurs: coordinates whose φ² deviates independently in every block; a mean forgotten.
    from expansion.growth import fluctuation

    assert fluctuation.mode_coefficient("relu", 0, 1.0) == pytest.approx(0.5)
    for branch in ("relu", "tanh", "gelu", "silu", "sin", "linear", "leaky-relu"):
        h = 0.7
        squares = [fluctuation.mode_coefficient(branch, k, h) ** 2 for k in range(13)]
        # Parseval: all coefficients of φ²/h together are E φ⁴/h².
        whole = moment(branch, "fourth", h).value * moment(branch, "energy", h).value ** 2
        assert sum(squares) <= whole * (1 + 1e-9)
        assert sum(squares) == pytest.approx(whole, rel=5e-3)
    size = {"dimension": 256, "width": 256, "trials": 2000, "seed": 5}
    first = simulate("1", 8, setting=Setting("relu", "activation-first"), **size)
    closed = mean_field(Setting("relu", layers=2), "1", 8, width=256).log_deviation
    assert abs(first.log_deviation - closed) > 4 * first.log_deviation_error
    positive = simulate("1", 8, setting=Setting("relu", "post-activation"), **size)
    centred = mean_field(Setting("relu", "activation-first"), "1", 8, width=256).log_deviation
    assert abs(positive.log_deviation - centred) > 4 * positive.log_deviation_error


UNITS = {
    "linear": lambda u: u,
    "relu": lambda u: max(u, 0.0),
    "leaky-relu": lambda u: u if u > 0 else u / 100,
    "tanh": math.tanh,
    "erf": math.erf,
    "gelu": lambda u: u * (1 + math.erf(u / math.sqrt(2))) / 2,
    "silu": lambda u: u / (1 + math.exp(-u)),
    "sin": math.sin,
}


@pytest.mark.parametrize("branch", UNITS)
@pytest.mark.parametrize("variance", [0.1, 1.0, 6.0])
def test_modes_of_squares_by_direct_integration(branch, variance):
    from expansion.growth.fluctuation import mode_coefficient

    for k in range(6):

        def integrand(z, k=k):
            density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi * math.factorial(k))
            hermite = np.polynomial.hermite_e.hermeval(z, [0] * k + [1])
            return UNITS[branch](math.sqrt(variance) * z) ** 2 / variance * hermite * density

        sides = [quad(integrand, *ends, epsabs=1e-13)[0] for ends in ((-20, 0), (0, 20))]
        assert mode_coefficient(branch, k, variance) == pytest.approx(sum(sides), abs=1e-11)


def test_a_million_blocks_without_overflow():
    for branch, rule in (("relu", "half"), ("tanh", "1/sqrt(n)"), ("gelu", "1")):
        found = mean_field(Setting(branch), rule, 10**6)
        assert math.isfinite(found.log_energy)
        assert math.isfinite(found.log_gradient)
    assert mean_field(Setting("relu"), "1", 10**6).log_energy == pytest.approx(1e6 * math.log(2))
    # Saturated branches add a bounded energy per block: q_n → n.
    assert math.exp(mean_field(Setting("tanh"), "1", 10**6).log_energy) == pytest.approx(
        1e6, rel=2e-3
    )
    paired = mean_field(Setting("gelu"), "1", 10**4, correlation=0.1)
    assert 0.99 < paired.correlation <= 1  # far out gelu is ReLU, whose correlations tend to 1


def test_the_kernel_and_its_python_body_agree():
    shape = np.array([6, 1, 1, 1, 1, 0, 0, 1])
    numbers = np.array([0.1, -1.0, 0.0, 0.3, 0.0, 0.0, 0.01, 0.01])
    from expansion.growth.mean_field import log_moments
    from expansion.growth.pairs import mixture

    arguments = (
        np.array([1.0, 0.0, 0.5, 1e200]),
        shape,
        numbers,
        log_moments("gelu"),
        *mixture("gelu"),
    )
    assert np.allclose(propagate(*arguments), propagate.py_func(*arguments), rtol=1e-10)


@pytest.mark.parametrize(
    "fields",
    [
        {"branch": "cubic"},
        {"block": "sideways"},
        {"weight_variance": -1.0},
        {"weight_variance": math.nan},
        {"bias_variance": math.inf},
        {"layers": 0},
        {"input_energy": 0.0},
        {"overlap": 1.5},
    ],
)
def test_bad_settings_are_refused(fields):
    with pytest.raises(InputError):
        Setting(**fields)


@pytest.mark.parametrize("correlation", [1.5, -2.0, math.nan])
def test_bad_correlations_are_refused(correlation):
    with pytest.raises(InputError, match="correlation"):
        mean_field(Setting(), "1", 3, correlation=correlation)
    with pytest.raises(InputError, match="correlation"):
        mean_field(Setting("relu", "post-activation", overlap=1.0), "1", 3, correlation=0.5)


def test_zero_weights_leave_the_signal_alone():
    for block in BLOCKS:
        found = mean_field(Setting("tanh", block, weight_variance=0.0), "1", 5, correlation=0.3)
        assert found.log_energy == 0
        assert found.correlation == pytest.approx(0.3)
        assert found.log_gradient == 0
    assert pair_moments("relu", 1.0, 0.0)[1] == 0.25
