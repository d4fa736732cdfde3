"""G1, G4, G5 at finite width: the kernel against drawn matrices, and both against prediction."""

import math

import numpy as np
import pytest

from expansion import InputError, ScalingRule
from expansion.growth.energy import log_coherent_amplitude, log_energy
from expansion.growth.kernels import block_gains
from expansion.growth.simulate import simulate, simulate_spectrum

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
    assert (found.log_energy, found.standard_error) == (0.0, 0.0)


def test_the_kernel_and_its_python_body_give_the_same_numbers():
    def run(kernel):
        directions = np.zeros((3, 5))
        directions[:, 0] = 1
        log_norms = np.zeros(3)
        seeds = np.arange(3)
        gains = kernel(directions, log_norms, np.array([1.0, 0.5, 0.1]), 4, False, seeds)
        return gains, directions, log_norms

    for compiled, plain in zip(run(block_gains), run(block_gains.py_func), strict=True):
        assert np.allclose(compiled, plain, rtol=1e-12)


@pytest.mark.parametrize("width", [3, 12])
def test_drawing_products_has_the_law_of_drawing_matrices(width):
    # Mean and variance of one block's gain at λ = 1, products drawn against matrices drawn.
    trials, dimension = 40_000, 6
    directions = np.zeros((trials, dimension))
    directions[:, 0] = 1
    seeds = np.random.SeedSequence(3).generate_state(trials).astype(np.int64)
    scales = np.ones(1)
    drawn = block_gains(directions, np.zeros(trials), scales, width, False, seeds)[:, 0]
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
    "options", [{"branch": "tanh"}, {"trials": 1}, {"width": 0}, {"dimension": 0}]
)
def test_bad_input_is_refused(options):
    with pytest.raises(InputError):
        simulate("1", 3, **options)
