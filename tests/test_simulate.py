"""G1, G4, G5 at finite width: the kernel against drawn matrices, and both against prediction."""

import math

import numpy as np
import pytest

from expansion import InputError, ScalingRule
from expansion.growth.energy import log_coherent_amplitude, log_energy
from expansion.growth.kernels import carry, tower_gains
from expansion.growth.mean_field import mean_field
from expansion.growth.setting import BLOCKS, Setting
from expansion.growth.simulate import inputs_of, simulate, simulate_spectrum
from expansion.growth.units import CODES

CASES = [
    (rule, depth, branch, width)
    for rule in ("1", "1/sqrt(n)", "1/n", "batchnorm", "half", "0.3")
    for depth in (1, 16, 200)
    for branch, width in (("relu", 16), ("linear", 16))
]


@pytest.mark.parametrize(("rule", "depth", "branch", "width"), CASES)
def test_predictions_within_four_standard_errors(rule, depth, branch, width):
    # A seed per case: 36 cases at four standard errors fail by chance once in 400 suites.
    seed = [7, depth, len(rule), len(branch)]
    found = simulate(rule, depth, branch=branch, dimension=16, width=width, trials=400, seed=seed)
    predicted = log_energy(ScalingRule.parse(rule), depth)
    assert 0 < found.standard_error < 0.5
    assert abs(found.log_energy - predicted) < 4 * found.standard_error


def test_the_coherent_prediction_is_refuted():
    found = simulate("1/sqrt(n)", 16, trials=400)
    coherent = 2 * log_coherent_amplitude(ScalingRule.parse("1/sqrt(n)"), 16)
    assert abs(found.log_energy - coherent) > 20 * found.standard_error


def test_skipinit_leaves_the_signal_alone():
    found = simulate("skipinit", 50, trials=10)
    assert abs(found.log_energy) + found.standard_error < 1e-14


def arguments_of(setting, width, trials, dimension, inputs, seeds):
    shape = [CODES[setting.branch], setting.activations, setting.opens, setting.closes]
    shape += [setting.unit_closing, setting.normalises_input, setting.block == "post-norm", width]
    numbers = np.array([setting.weight_variance, setting.bias_variance, -0.1])
    signals = inputs_of(setting, 0.3 if inputs == 2 else None, trials, dimension, [1])
    return signals, np.array(shape, dtype=np.int64), numbers, seeds


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("inputs", [1, 2])
def test_the_kernel_and_its_python_body_give_the_same_numbers(block, inputs):
    # Numba's generator and NumPy's old one are both Mersenne twisters, seeded alike.
    setting = Setting("gelu", block, bias_variance=0.2, layers=2)
    results = []
    for kernel in (carry, carry.py_func):
        signals, shape, numbers, _ = arguments_of(setting, 4, 1, 5, inputs, None)
        gains, y = np.empty(3), signals[0].copy()
        scale = kernel(y, 0.2, np.array([1.0, 0.5, 0.1]), shape, numbers, gains, 7)
        results.append((gains, y, scale))
    for compiled, plain in zip(*results, strict=True):
        assert np.allclose(compiled, plain, rtol=1e-12)


def test_the_parallel_loop_is_the_trials_one_by_one():
    seeds = np.arange(3)
    signals, shape, numbers, _ = arguments_of(Setting("relu"), 4, 3, 5, 1, seeds)
    scales, alone = np.array([1.0, 0.5]), signals.copy()
    log_scales = np.zeros(3)
    gains = tower_gains(signals, log_scales, scales, shape, numbers, seeds)
    for trial in range(3):
        row = np.empty(2)
        after = carry(alone[trial], 0.0, scales, shape, numbers, row, trial)
        assert np.array_equal(row, gains[trial])
        assert after == log_scales[trial]
    assert np.array_equal(alone, signals)


@pytest.mark.parametrize("width", [3, 12])
def test_drawing_products_has_the_law_of_drawing_matrices(width):
    # Mean and variance of one block's gain at λ = 1, products drawn against matrices drawn.
    trials, dimension = 40_000, 6
    seeds = np.random.SeedSequence(3).generate_state(trials).astype(np.int64)
    signals, shape, numbers, _ = arguments_of(Setting("relu"), width, trials, dimension, 1, seeds)
    drawn = tower_gains(signals, np.zeros(trials), np.ones(1), shape, numbers, seeds)[:, 0]
    generator = np.random.default_rng(4)
    inner = generator.normal(scale=np.sqrt(2 / width), size=(trials, width))  # U e_1
    outer = generator.normal(scale=np.sqrt(1 / dimension), size=(trials, dimension, width))
    moved = np.einsum("tdw,tw->td", outer, np.maximum(inner, 0))
    moved[:, 0] += 1
    matrices = (moved**2).sum(axis=1)
    for statistic in (lambda g: g, lambda g: (g - 2) ** 2):
        a, b = statistic(drawn), statistic(matrices)
        error = math.hypot(a.std(), b.std()) / math.sqrt(trials)
        assert abs(a.mean() - b.mean()) < 4 * error


def test_matrices_and_products_agree_on_the_whole_energy():
    mean, error = simulate_spectrum("1/sqrt(n)", 4, dimension=8, width=4, trials=20_000, seed=1)
    found = simulate("1/sqrt(n)", 4, dimension=8, width=4, trials=20_000, seed=2)
    assert abs(mean.sum() - math.exp(found.log_energy)) < 4 * (
        error.sum() + math.exp(found.log_energy) * found.standard_error
    )


def test_the_same_seed_gives_the_same_result_and_another_does_not():
    first, again, other = (simulate("1", 30, trials=20, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_more_blocks_than_one_chunk_holds():
    found = simulate("1/sqrt(n)", 5000, dimension=8, width=8, trials=20)
    assert abs(found.log_energy - 1) < 4 * found.standard_error + 1e-3


@pytest.mark.parametrize(
    "options", [{"branch": "cubic"}, {"trials": 1}, {"width": 0}, {"dimension": 0}]
)
def test_bad_input_is_refused(options):
    with pytest.raises(InputError):
        simulate("1", 3, **options)


def test_great_energies_are_simulated_without_overflow():
    # 2^1000 at λ = 1: beyond what the signal itself could be held as.
    for setting in (Setting("relu"), Setting("leaky-relu", layers=3)):
        found = simulate("1", 1000, setting=setting, dimension=16, width=64, trials=100, seed=1)
        assert abs(found.log_energy - 1000 * math.log(2)) < 4 * found.standard_error
    deep = simulate("1", 1500, branch="gelu", dimension=16, width=16, trials=10)
    assert math.isfinite(deep.log_energy)


def test_inputs_have_exactly_the_overlap_and_correlation_asked_for():
    for overlap, correlation in ((0.0, 0.4), (0.6, 0.1), (-0.3, 1.0), (1.0, 1.0)):
        setting = Setting("relu", "post-activation", overlap=overlap)
        x = inputs_of(setting, correlation, 7, 9, [1])
        assert np.allclose((x**2).mean(axis=2), 1)
        assert np.allclose(x.mean(axis=2), overlap)
        assert np.allclose((x[:, 0] * x[:, 1]).mean(axis=1), correlation)


def test_a_finite_width_is_off_and_extrapolation_mends_it():
    setting = Setting("tanh", "pre-activation")
    predicted = mean_field(setting, "1", 12).log_energy
    sizes = {"dimension": 32, "width": 32, "trials": 8000, "seed": 5}
    narrow = simulate("1", 12, setting=setting, **sizes)
    mended = simulate("1", 12, setting=setting, **sizes, extrapolate=True)
    assert abs(narrow.log_energy - predicted) > 8 * narrow.standard_error
    assert abs(mended.log_energy - predicted) < abs(narrow.log_energy - predicted) / 2
