"""Growth of fresh networks within four standard errors, and that wrong laws are refuted."""

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from expansion import InputError, ScalingRule  # noqa: E402
from torch_bridge.checks import growth  # noqa: E402
from torch_bridge.checks.check import GROUPS, check_all, check_growth, load_saved  # noqa: E402
from torch_bridge.checks.comparison import compare_mean  # noqa: E402
from torch_bridge.networks.architecture import Architecture  # noqa: E402
from torch_bridge.networks.models import build  # noqa: E402

torch.set_num_threads(1)

WRONG = {
    "coherent": lambda rule, depth: float(np.prod(1 + rule.floats(depth)) ** 2),
    "halved": lambda rule, depth: float(np.prod(1 + rule.floats(depth) ** 2 / 2)),
    "constant": lambda rule, depth: 1.0,
}


@pytest.mark.parametrize("rule", ["1", "1/sqrt(n)", "1/n", "n^-0.75", "half"])
def test_incoherent_growth(rule):
    result = growth.incoherent_growth(rule, depth=8, dimension=32, width=24, draws=200, seed=3)
    scales = ScalingRule.parse(rule).floats(8)
    factor = 0.5**8 if rule == "half" else 1.0
    assert result.prediction == pytest.approx(factor * math.prod(1 + s**2 for s in scales))
    assert result.within
    assert 0 < result.standard_error < 0.1 * result.prediction


@pytest.mark.parametrize("rule", ["1", "1/sqrt(n)", "1/n"])
def test_wrong_laws_of_growth_are_refuted(rule):
    result, parsed = growth.incoherent_growth(rule, draws=200), ScalingRule.parse(rule)
    assert result.within
    for name, law in WRONG.items():
        assert not replace(result, prediction=law(parsed, 16)).within, name


def test_incoherent_growth_holds_for_each_input_and_at_width_one():
    """No average over inputs and no wide limit is needed: gains of one input, one hidden unit."""
    architecture = Architecture("mlp", 1, 4, 1, "relu", "1")
    x = torch.tensor([[3.0, 0.0, -1.0, 0.5], [1.0, 1.0, 1.0, 1.0]])
    energies = growth.measured_energies(architecture, 4_000, 0, lambda _: x)
    assert energies.shape == (4_000, 2, 2)
    gains = energies[:, 1] / energies[:, 0]
    errors = gains.std(axis=0, ddof=1) / math.sqrt(len(gains))
    for sample in range(2):
        mean = float(gains[:, sample].mean())
        assert compare_mean("G1", "gain", 2.0, mean, float(errors[sample])).within


def test_the_paired_estimate_is_the_plain_mean_at_depth_one():
    paired = growth.incoherent_growth("1", depth=1, dimension=8, width=8, draws=100, seed=5)
    x = torch.randn(8, 8, generator=torch.Generator().manual_seed(5))
    energies = growth.measured_energies(
        Architecture("mlp", 1, 8, 8, "relu", "1"), 100, 5, lambda _: x
    )
    ratios = (energies[:, 1] / energies[:, 0]).mean(axis=1)
    assert paired.measurement == pytest.approx(ratios.mean())
    assert paired.standard_error == pytest.approx(ratios.std(ddof=1) / 10)


@pytest.mark.slow
def test_every_check_passes_with_another_seed():
    steps = []
    everything = check_all(load_saved(), draws=100, seed=7, on_group=steps.append)
    assert steps == ["E1", "E7b", "E5", "G1", "G1", "G1", "G4", "G6"]
    assert len(steps) == GROUPS
    results = everything[3:]
    assert [result.claim for result in results] == ["G1"] * 3 + ["G4"] * 3 + ["G6"] * 3
    assert [result.prediction for result in results[3:6]] == pytest.approx([2, 5, 17])
    assert all(result.within for result in results)


def test_normalised_growth_is_linear_and_not_the_unnormalised_law():
    results = growth.normalised_growth((1, 8), dimension=128, draws=100, seed=1)
    assert [result.prediction for result in results] == pytest.approx([2, 9])
    assert all(result.within for result in results)
    # Without normalisation the same blocks double the energy.
    last = results[-1]
    assert abs(last.measurement - 2**8) > 4 * last.standard_error
    assert last.standard_error < 0.1


def test_positive_branches_add_coherently():
    results = growth.positive_growth((1, 8), dimension=128, draws=100, seed=1)
    assert all(result.within for result in results)
    incoherent = (1 + 1 / 8) ** 8
    assert results[-1].measurement - incoherent > 4 * results[-1].standard_error


def test_the_recursion_of_positive_branches():
    """By hand for two blocks, and the published limits: e^{2√(n/π)} at 1/√n, bounded at 1/n."""
    theta, pi = 0.5, math.pi
    first = 1 + theta**2
    second = first + 2 * theta * (theta / math.sqrt(pi)) * math.sqrt(first / pi) + theta**2 * first
    assert growth.positive_branch_energies([theta, theta]) == pytest.approx([1, first, second])
    at = {
        n: growth.positive_branch_energies(ScalingRule.parse("1/sqrt(n)").floats(n))[-1]
        for n in (400, 1600)
    }
    doubling = math.log(at[1600] / at[400])
    assert doubling == pytest.approx(2 * (40 - 20) / math.sqrt(pi), rel=0.01)
    deep = growth.positive_branch_energies(ScalingRule.parse("1/n").floats(10_000))[-1]
    # q' = 2 s √(q/π), s' = √(q/π): s = sinh(t/√π), √q = cosh(t/√π) at t = 1.
    assert deep == pytest.approx(math.cosh(1 / math.sqrt(pi)) ** 2, rel=1e-3)


def test_the_seed_decides():
    def measured(seed):
        return growth.incoherent_growth("1", depth=2, dimension=4, width=4, draws=10, seed=seed)

    assert measured(1) == measured(1)
    assert measured(1).measurement != measured(2).measurement


def test_draws_are_independent_networks():
    architecture = Architecture("mlp", 1, 4, 4, "relu", "1")
    energies = growth.measured_energies(architecture, 5, 0, lambda _: torch.ones(1, 4))
    assert len(set(energies[:, 1, 0].tolist())) == 5
    assert set(energies[:, 0, 0].tolist()) == {4.0}
    states = build(architecture, seed=3, dtype=torch.float32).states(torch.ones(1, 4))
    assert float(states[0].square().sum()) == 4.0


def test_too_few_draws_are_refused():
    with pytest.raises(InputError, match="at least 2"):
        growth.incoherent_growth("1", draws=1)
    with pytest.raises(InputError, match="at least 100"):
        list(check_growth(draws=99))
    with pytest.raises(InputError, match="batch"):
        growth.normalised_growth(batch=1)
