"""Networks that train or do not: predicted beside found, spectra that sum, the first step."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from expansion import InputError, ScalingRule  # noqa: E402
from expansion.growth.energy import energy  # noqa: E402
from torch_bridge.experiments.grids.datasets import load_data  # noqa: E402
from torch_bridge.experiments.grids.grid import run_grid  # noqa: E402
from torch_bridge.experiments.grids.presets import combinations  # noqa: E402
from torch_bridge.experiments.grids.rows import parquet_bytes, read_parquet, table_csv  # noqa: E402
from torch_bridge.experiments.training import measured  # noqa: E402
from torch_bridge.experiments.training.descent import descend, outcome, settle, steps_of  # noqa: E402
from torch_bridge.experiments.training.measured import (  # noqa: E402
    Stream,
    geometric_complexity,
    growth,
    order_parts,
    orders_of,
    probe_of,
)
from torch_bridge.experiments.training.predicted import predict  # noqa: E402
from torch_bridge.experiments.training.resnets import build_resnet, inverse_variances  # noqa: E402
from torch_bridge.experiments.training.results import write_results  # noqa: E402
from torch_bridge.experiments.training.schemes import DE_SMITH, Scheme  # noqa: E402
from torch_bridge.experiments.training.table import lines_of, rows_of  # noqa: E402
from torch_bridge.experiments.training.transformer import build_transformer  # noqa: E402
from torch_bridge.experiments.training.trial import Trial, answer, build_network  # noqa: E402

torch.set_num_threads(1)
SIZES = {"shape": (1, 8, 8), "classes": 10, "patch": 2}


@pytest.fixture(scope="module")
def digits():
    return load_data("digits").data


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A small grid of De & Smith's networks, run once: trials, rows, folder of cells."""
    cells = tmp_path_factory.mktemp("grid") / "cells"
    like = Trial("dense", "1", 1, width=16, epochs=4)
    asked = combinations(
        like,
        scheme=["batchnorm", "1", "1/sqrt(n)", "half"],
        depth=[10, 60],
        rate=[0.1, 0.02, 0.0008],  # of the small preset
    )
    answers = run_grid(asked, answer, folder=cells)
    return asked, rows_of(asked, answers), cells


# ---- Networks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["dense", "conv", "mlp"])
def test_the_energy_grows_as_g1_says(network):
    """Mean gain of a block over draws, within four standard errors; λ too large is caught."""
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(5))
    scheme, gains = Scheme.parse("0.7"), []
    for seed in range(100):
        built = build_resnet(network, scheme, depth=1, width=8, seed=seed, **SIZES)
        with torch.no_grad():
            before, after = (state.square().sum().item() for state in built.states(x))
        gains.append(after / before)
    error = np.std(gains, ddof=1) / math.sqrt(len(gains))
    expected = energy(ScalingRule.of(0.7), 1)
    assert abs(np.mean(gains) - expected) < 4 * error
    assert abs(np.mean(gains) - (1 + 0.7)) > 4 * error  # amplitude instead of energy


@pytest.mark.parametrize("text", ["skipinit", "fixup"])
def test_skipinit_and_fixup_start_as_the_identity_and_learn(text, digits):
    built = build_resnet("conv", Scheme.parse(text), depth=3, width=4, **SIZES)
    states = built.states(digits.test_inputs[:5])
    assert all(torch.equal(states[0], state) for state in states)
    before = built.scales.detach().clone()
    descend(built, digits, rate=0.02, epochs=1, batch=256, seed=0)
    assert any(parameter is built.scales for parameter in built.parameters())
    assert not torch.equal(before, built.scales)


def test_fixed_scales_are_not_trained(digits):
    built = build_resnet("mlp", Scheme.parse("1/n"), depth=4, width=4, **SIZES)
    descend(built, digits, rate=0.02, epochs=1, batch=256, seed=0)
    assert torch.equal(built.scales, torch.full((4,), 0.25))


def test_schemes_say_what_they_do():
    assert [Scheme.parse(text).text for text in DE_SMITH] == list(DE_SMITH)
    assert Scheme.parse("half").rule.block_factor_squared == 0.5
    for bad in ("", "skip", "skipinit:half", "skipinit:batchnorm", "lambda", "skipinitt"):
        with pytest.raises(InputError):
            Scheme.parse(bad)
    with pytest.raises(InputError, match="normalisation of its own"):
        build_transformer(Scheme.parse("batchnorm"), depth=2, width=4, **SIZES)


def test_what_the_trial_is_built_from_is_checked():
    for bad in ({"network": "vgg"}, {"depth": 0}, {"rate": -1.0}, {"scheme": "x"}):
        with pytest.raises(InputError):
            replace(Trial("dense", "1", 2), **bad)
    with pytest.raises(InputError, match="patches"):
        build_network(Trial("conv", "1", 1, patch=3), (1, 8, 8), 10)


# ---- Predictions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "text"), [("mlp", "1/sqrt(n)"), ("mlp", "1"), ("mlp", "half")])
def test_growth_and_mean_order_give_the_first_step(network, text):
    """Θ = q_n (1/v_E + 1/v_D + k̄ Σ 1/v_j), against the gradients of real networks.

    The logit's squared gradient, divided by q_n of the same draw: its mean over draws is the
    bracket, within four standard errors; counting orders as depth is caught.
    """
    depth, width, scheme = 6, 16, Scheme.parse(text)
    x = torch.randn(1, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = x * math.sqrt(64) / x.norm()
    found = []
    for seed in range(200):
        built = build_resnet(network, scheme, depth=depth, width=width, seed=seed, **SIZES).double()
        matrices = [p for name, p in built.named_parameters() if name.endswith("weight")]
        gradients = torch.autograd.grad(built(x)[0, 0], matrices)
        found.append(sum(g.square().sum().item() for g in gradients))
    mean, error = np.mean(found), np.std(found, ddof=1) / math.sqrt(len(found))
    shares = {"1/sqrt(n)": depth / (depth + 1), "1": depth / 2, "half": depth / 2}[text]
    q = {"1/sqrt(n)": (1 + 1 / depth) ** depth, "1": 2.0**depth, "half": 1.0}[text]
    encoder, branch, readout = inverse_variances(network, width, (1, 8, 8), 2)
    assert abs(mean - q * (encoder + readout + shares * branch)) < 4 * error
    wrong = q * (encoder + readout + 3 * depth * branch)
    assert abs(mean - wrong) > 4 * error
    foretold = predict(
        network, scheme, depth=depth, width=10**9, shape=(1, 8, 8), classes=10, steps=1, rates=[1.0]
    )
    assert foretold.mean_order == pytest.approx(shares)
    assert 10**foretold.log10_growth == pytest.approx(q)


def test_predicted_and_found_agree_on_a_small_map(grid):
    _, rows, _ = grid
    lines = lines_of(rows)
    assert {(line.scheme, line.depth): line.outcome for line in lines} == {
        ("batchnorm", 10): "trained",
        ("batchnorm", 60): "trained",
        ("1", 10): "trained",
        ("1", 60): "diverged",
        ("1/sqrt(n)", 10): "trained",
        ("1/sqrt(n)", 60): "trained",
        ("half", 10): "trained",
        ("half", 60): "stuck",
    }
    assert [line.predicted for line in lines] == [line.outcome for line in lines]


def test_a_diverged_run_is_a_row(grid):
    _, rows, _ = grid
    lost = [row for row in rows if row["outcome"] == "diverged"]
    assert lost
    for row in lost:
        assert row["train_loss"] is None
        assert row["final_mean_order"] is None
        assert row["initial_mean_order"] > 0  # what was before is still known
    assert len(rows) == 4 * 2 * 3


def test_outcomes_by_their_rule():
    chance = math.log(10)
    assert outcome((1.0,), 0.49 * chance, 10) == "trained"
    assert outcome((1.0,), 0.51 * chance, 10) == "stuck"
    assert outcome((1.0,), math.nan, 10) == outcome((math.nan,), 0.1, 10) == "diverged"
    assert steps_of(100, 32, 2) == 6


# ---- Measurements ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "text", "depth"),
    [
        ("dense", "batchnorm", 12),
        ("dense", "half", 12),
        ("dense", "skipinit:1/sqrt(n)", 300),
        ("mlp", "half", 4),
        ("conv", "batchnorm", 4),
        ("transformer", "1", 4),
    ],
)
def test_orders_of_trained_networks_sum_to_the_signal(network, text, depth, digits):
    trial = Trial(network, text, depth, width=8)
    built = build_network(trial, (1, 8, 8), 10)
    descend(built, digits, rate=0.02, epochs=1, batch=256, seed=1)
    probe = probe_of(built, digits.train_inputs)
    x = digits.test_inputs[:3].double()
    parts = order_parts(probe, x)
    whole = Stream(probe)(x).detach().flatten(1).numpy()
    largest = max(np.abs(parts).max(), np.abs(whole).max())
    assert len(parts) == depth + 1
    assert np.abs(parts.sum(axis=0) - whole).max() < 1e-12 * largest
    assert np.abs(parts[:-2].sum(axis=0) - whole).max() > 1e-12 * largest or depth > 100
    found = orders_of(probe, x)
    assert found.sum_error < 1e-12
    assert found.sizes[1] == pytest.approx(np.square(parts[1]).sum() / np.square(whole).sum())


def test_the_two_routes_to_the_orders_agree(digits, monkeypatch):
    """The tower of ``expansion`` and the traced graph give the same parts."""
    built = build_resnet("dense", Scheme.parse("half"), depth=5, width=6, **SIZES)
    probe, x = probe_of(built, digits.train_inputs), digits.test_inputs[:3].double()
    by_tower = order_parts(probe, x)
    monkeypatch.setattr(measured, "_plain", lambda probe: None)
    by_graph = order_parts(probe, x)
    assert np.allclose(by_tower, by_graph, rtol=0, atol=1e-13 * np.abs(by_tower).max())
    monkeypatch.setattr(measured, "TRACED", 4)
    assert order_parts(probe, x) is None  # too deep to trace, and it says so


def test_complexity_is_the_jacobian_s_norm(digits):
    built = build_resnet("conv", Scheme.parse("batchnorm"), depth=2, width=4, **SIZES)
    probe, x = probe_of(built, digits.train_inputs), digits.test_inputs[:4].double()
    rows = [torch.autograd.functional.jacobian(lambda one: probe(one[None])[0], one) for one in x]
    directly = np.mean([row.square().sum().item() for row in rows])
    assert geometric_complexity(probe, x, 10) == pytest.approx(directly, rel=1e-10)


def test_settling_puts_the_statistics_of_the_whole_part(digits):
    built = build_resnet("dense", Scheme.parse("batchnorm"), depth=2, width=4, **SIZES)
    x = digits.train_inputs
    settle(built, x)
    built.train()
    with torch.no_grad():
        training = built(x)
        evaluated = built.eval()(x)
    # Running variances divide by N − 1, the batch's own by N.
    assert torch.allclose(training, evaluated, rtol=1e-2, atol=1e-2)
    assert built.branches[0].normalisation.momentum == 0.1
    assert growth(probe_of(built, x), x[:8].double()) != 0


def test_a_trial_repeats_bit_for_bit_and_rates_share_weights():
    trial = Trial("mlp", "1/n", 3, width=4, epochs=1, samples=128, rate=0.02)
    assert answer(trial) == answer(trial)
    other = answer(replace(trial, rate=0.01))
    first = answer(trial)
    assert other["initial_orders"] == first["initial_orders"]
    assert other["train_loss"] != first["train_loss"]
    with pytest.raises(InputError, match="the data that the grid was made for"):
        answer(replace(trial, fingerprint="another"))


# ---- Files -----------------------------------------------------------------------------------


def test_csv_and_parquet_hold_the_same_table(grid, tmp_path):
    import csv

    asked, rows, cells = grid
    write_results(tmp_path, asked, rows, cells)
    with (tmp_path / "table.csv").open(newline="") as file:
        by_csv = list(csv.DictReader(file))
    by_parquet = read_parquet((tmp_path / "table.parquet").read_bytes())
    assert len(by_csv) == len(by_parquet) == len(rows) == 24
    assert list(by_csv[0]) == list(by_parquet[0])
    for text, value, row in zip(by_csv, by_parquet, rows, strict=True):
        for name in row:
            assert value[name] == row[name]
            if value[name] is None:
                assert text[name] == ""
            elif isinstance(value[name], str):
                assert text[name] == value[name]
            else:
                assert float(text[name]) == value[name]
    assert table_csv(rows) == (tmp_path / "table.csv").read_bytes()
    assert parquet_bytes(rows) == (tmp_path / "table.parquet").read_bytes()


def test_the_page_says_what_was_run_and_what_came(grid, tmp_path):
    asked, rows, cells = grid
    page = write_results(tmp_path, asked, rows, cells)
    assert "24 runs on digits" in page
    assert "agree on whether a network trains for 8 of 8 networks (and on how" in page
    for name in ("map", "growth", "spectrum", "complexity", "gap"):
        assert f"({name}.svg)" in page
        assert (tmp_path / f"{name}.svg").stat().st_size > 2000
    # An exception is named.
    wrong = [row | {"predicted_outcome": "trained"} for row in rows]
    told = write_results(tmp_path, asked, wrong, cells)
    assert "for 6 of 8 networks (and on how it fails, for 6); the exceptions are" in told
    assert "dense, half, depth 60: predicted trained" in told


def test_every_row_has_prediction_and_finding(grid):
    _, rows, _ = grid
    for row in rows:
        assert row["predicted_outcome"] in ("trained", "stuck", "diverged")
        assert len(json.loads(row["initial_orders"])) > 1
        if row["outcome"] != "diverged":
            assert len(json.loads(row["complexity"])) == 4
            assert row["final_order_sum_error"] < 1e-12
