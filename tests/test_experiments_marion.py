"""Marion's experiment: the tower, its start, sizes and penalty, the gap, the bound, the grid."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from expansion import InputError  # noqa: E402
from expansion.bounds.neural_ode import neural_ode_bound  # noqa: E402
from expansion.bounds.neural_ode_class import class_of_tower  # noqa: E402
from expansion.parallel import joined_cluster  # noqa: E402
from torch_bridge import cli  # noqa: E402
from torch_bridge.experiments.frei.cell import Frei  # noqa: E402
from torch_bridge.experiments.frei.cell import answer as frei_answer  # noqa: E402
from torch_bridge.experiments.grids.grid import run_grid  # noqa: E402
from torch_bridge.experiments.grids.presets import combinations  # noqa: E402
from torch_bridge.experiments.grids.rows import read_parquet  # noqa: E402
from torch_bridge.experiments.marion.bound import bound_of  # noqa: E402
from torch_bridge.experiments.marion.cell import (  # noqa: E402
    Marion,
    evaluate_in_batches,
)
from torch_bridge.experiments.marion.cell import answer as marion_answer  # noqa: E402
from torch_bridge.experiments.marion.presets import PRESETS, preset_cells  # noqa: E402
from torch_bridge.experiments.marion.results import (  # noqa: E402
    bound_grid,
    epoch_rows,
    gap_grid,
    run_rows,
    sentences,
)
from torch_bridge.experiments.marion.smooth_tower import (  # noqa: E402
    build_smooth_tower,
    depth_kernel,
    largest_step,
    largest_sum,
    smooth_weights,
    tower_of,
    variation,
)
from torch_bridge.experiments.marion.statistics import (  # noqa: E402
    association,
    groups_of,
    ordering,
)
from torch_bridge.networks.data import Dataset  # noqa: E402

torch.set_num_threads(1)
ROOT = Path(__file__).parent.parent
SIZES = {"inputs": 5, "width": 4, "classes": 3}
QUICK = Marion(12, 5, epochs=2, samples=128, batch=50)


def some_tower(depth=7, tied=False, seed=0):
    return build_smooth_tower(**SIZES, depth=depth, tied=tied, seed=seed, dtype=torch.float64)


def some_data(samples=20, tests=9):
    generator = torch.Generator().manual_seed(1)
    parts = []
    for number in (samples, tests):
        parts.append(torch.randn(number, 5, dtype=torch.float64, generator=generator))
        parts.append(torch.arange(number) % 3)
    return Dataset(*parts)


# ---- The tower ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
def test_the_network_is_the_tower_that_expansion_computes_with(tied):
    network, x = some_tower(tied=tied), some_data().train_inputs
    outputs = network(x).detach().numpy()
    expected = np.stack([tower_of(network)(row) for row in x.numpy()])
    np.testing.assert_allclose(outputs, expected, rtol=1e-12, atol=1e-13)
    # and by hand, with the scale 1/L in front of W σ(H)
    state = network.encoder.weight.detach().numpy() @ x.numpy().T
    for block in range(7):
        matrix = network.weights.detach().numpy()[0 if tied else block]
        state = state + matrix @ np.maximum(state, 0) / 7
    by_hand = (network.decoder.weight.detach().numpy() @ state).T
    np.testing.assert_allclose(outputs, by_hand, rtol=1e-12, atol=1e-13)


def test_a_tied_tower_is_the_untied_one_with_equal_layers():
    tied = some_tower(tied=True)
    untied = some_tower()
    assert torch.equal(tied.weights[0], untied.weights[0])  # the start of the same draw
    with torch.no_grad():
        untied.weights[:] = tied.weights
    x = some_data().train_inputs
    assert torch.allclose(tied(x), untied(x), rtol=1e-12)
    # and the gradient of the shared matrix is the sum over layers
    for network in (tied, untied):
        network(x).square().sum().backward()
    assert torch.allclose(tied.weights.grad[0], untied.weights.grad.sum(dim=0), rtol=1e-10)
    assert largest_step(tied.weights) == largest_step(untied.weights) == 0.0


def test_shapes_that_do_not_fit_are_refused():
    network = some_tower()
    with pytest.raises(InputError, match="make the shapes fit"):
        type(network)(torch.zeros(3, 4, 4), 7, network.encoder, network.decoder)


# ---- Its start ---------------------------------------------------------------------------------


def test_the_start_has_the_covariance_of_the_kernel():
    """Over entries and draws, within 4 standard errors at every pair of layers looked at."""
    depth, width, draws = 40, 5, 400
    generator = torch.Generator().manual_seed(3)
    stack = [smooth_weights(depth, width, 0.1, generator) for _ in range(draws)]
    entries = torch.stack(stack).movedim(1, 0).reshape(depth, -1) * math.sqrt(width)
    number = entries.shape[1]
    kernel = depth_kernel(depth, 0.1)
    found = entries @ entries.T / number
    # Var of a mean of products of two normals: (K_ss K_tt + K_st²)/number.
    error = ((1 + kernel**2) / number).sqrt()
    worst = ((found - kernel).abs() / error).max().item()
    # 40·41/2 dependent pairs: a maximum of 4.5 has probability below 820·7e-6 = 0.006.
    assert worst < 4.5
    independent = torch.randn(depth, number, dtype=torch.float64, generator=generator)
    wrong = ((independent @ independent.T / number - kernel).abs() / error).max().item()
    assert wrong > 20  # the saboteur: layers drawn on their own
    assert np.isclose(kernel[0, 4].item(), math.exp(-0.5))  # 4/40 apart: one bandwidth


def test_the_start_is_smooth_whatever_the_depth():
    steps = [
        depth * largest_step(smooth_weights(depth, 6, 0.1, torch.Generator().manual_seed(0)))
        for depth in (50, 200, 800)
    ]
    assert max(steps) / min(steps) < 1.6  # L·sup‖ΔW‖ tends to the largest slope of the process


def test_bad_kernels_are_refused():
    with pytest.raises(InputError, match="bandwidth above 0"):
        depth_kernel(5, 0.0)
    with pytest.raises(InputError, match="depth"):
        depth_kernel(0, 0.1)


# ---- Sizes and penalty --------------------------------------------------------------------------


def signed_maximum(weights):
    """The saboteur: the published code's maximum, without the absolute value."""
    return weights.diff(dim=0).max().item()


def test_the_supremum_is_of_absolute_values():
    falling = torch.tensor([[[3.0]], [[1.0]], [[1.5]]])
    assert largest_step(falling) == 2.0
    assert signed_maximum(falling) == 0.5
    drawn = some_tower(seed=2).weights.detach()
    by_hand = np.abs(np.diff(drawn.numpy(), axis=0)).max()
    assert largest_step(drawn) == by_hand
    assert largest_step(drawn) == largest_step(-drawn)
    assert signed_maximum(drawn) != signed_maximum(-drawn)
    assert largest_sum(drawn) == pytest.approx(np.abs(drawn.numpy()).sum(axis=(1, 2)).max())


def test_the_penalty_is_a_norm_with_a_finite_gradient_where_layers_are_equal():
    weights = torch.ones(4, 2, 2, dtype=torch.float64, requires_grad=True)
    variation(weights).backward()
    assert variation(weights).item() == 0.0
    assert torch.equal(weights.grad, torch.zeros_like(weights))
    wrong = torch.ones(4, 2, 2, dtype=torch.float64, requires_grad=True)
    wrong.diff(dim=0).square().sum().sqrt().backward()  # the saboteur: 0/0
    assert wrong.grad.isnan().any()
    moved = torch.arange(8.0, dtype=torch.float64).reshape(2, 2, 2).requires_grad_()
    variation(moved).backward()
    assert variation(moved).item() == pytest.approx(8.0)  # four entries that differ by 4
    assert torch.autograd.gradcheck(variation, moved.detach().requires_grad_())


# ---- The gap ------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 4, 7, 20, 100])
def test_losses_are_averaged_over_samples_whatever_the_batches(batch):
    network, data = some_tower(), some_data()
    with torch.no_grad():
        outputs = network(data.train_inputs)
        losses = torch.nn.functional.cross_entropy(outputs, data.train_labels, reduction="none")
    right = (outputs.argmax(dim=1) == data.train_labels).double().mean().item()
    found = evaluate_in_batches(network, data.train_inputs, data.train_labels, batch)
    assert found.loss == pytest.approx(losses.mean().item(), rel=1e-12)
    assert found.accuracy == pytest.approx(right)


def test_other_averages_over_uneven_batches_are_wrong():
    network, data = some_tower(), some_data()
    with torch.no_grad():
        losses = torch.nn.functional.cross_entropy(
            network(data.train_inputs), data.train_labels, reduction="none"
        )
    means = [part.mean().item() for part in losses.split(19)]
    found = evaluate_in_batches(network, data.train_inputs, data.train_labels, 19)
    assert abs(sum(means) / 2 - found.loss) > 0.01  # one sample would weigh as much as nineteen
    means = [part.mean().item() for part in losses.split(5)]
    assert sum(means) / 4 == pytest.approx(found.loss)
    assert sum(means) / 3 > 1.3 * found.loss  # the published code's: over (batches − 1)


@pytest.mark.parametrize("penalty", [0.0, 0.1, None])
def test_a_run_tells_every_epoch_and_repeats(penalty):
    cell = replace(QUICK, penalty=penalty)
    found = marion_answer(cell)
    assert found["outcome"] == "finished"
    assert len(found["gap"]) == 3
    gaps = [test - train for test, train in zip(found["test_loss"], found["train_loss"],
                                                strict=True)]  # fmt: skip
    assert found["gap"] == gaps
    assert (max(found["sup_step"]) == 0.0) == (penalty is None)
    assert found["train_loss"][2] < found["train_loss"][0]
    assert marion_answer(cell) == found


def test_a_large_penalty_approaches_the_tied_tower():
    free, heavy = (marion_answer(replace(QUICK, penalty=mu, epochs=6)) for mu in (0.0, 10.0))
    assert heavy["sup_step"][-1] < free["sup_step"][-1] / 2


def test_trained_ends_move_and_have_no_bound():
    random, trained = (marion_answer(replace(QUICK, trained_ends=ends)) for ends in (False, True))
    assert random["train_loss"][0] == trained["train_loss"][0]
    assert random["train_loss"][-1] != trained["train_loss"][-1]
    assert random["bound_log10_gap"] is not None
    assert trained["bound_log10_gap"] is None


def test_a_divergence_is_an_answer():
    found = marion_answer(replace(QUICK, rate=1e30))
    assert found["outcome"] == "diverged"
    assert len(found["gap"]) == found["epochs"] + 1 < 4
    assert found["bound_log10_gap"] is None


def test_bad_cells_are_refused():
    for wrong in ({"penalty": -1.0}, {"rate": 0.0}, {"bandwidth": -0.1}, {"depth": 0},
                  {"depth": 5000}):  # fmt: skip
        with pytest.raises(InputError):
            replace(QUICK, **wrong)
    with pytest.raises(InputError, match="the grid was made for"):
        marion_answer(replace(QUICK, fingerprint="others"))


# ---- The bound ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
def test_the_bound_is_of_the_networks_own_constants(tied):
    """Two routes: the stack of weights, and the tower with its scales 1/L."""
    network, data = some_tower(tied=tied), some_data()
    found = bound_of(network, data)
    points = torch.cat([data.train_inputs, data.test_inputs]).numpy()
    readout = np.linalg.norm(network.decoder.weight.detach().numpy(), 2)
    towers = class_of_tower(
        tower_of(network), points, loss_slope=math.sqrt(2) * readout, loss_at_target=math.log(3)
    )
    bound = neural_ode_bound(towers, 20, measured=True)
    assert found["radius"] == pytest.approx(largest_sum(network.weights), rel=1e-9)
    assert found["slope"] == pytest.approx(7 * largest_step(network.weights), rel=1e-9)
    for name in ("radius", "slope", "activation", "input_radius", "loss_slope"):
        assert found[name] == pytest.approx(getattr(towers, name), rel=1e-9), name
    assert found["log10_gap"] == pytest.approx(bound.log_gap / math.log(10), rel=1e-9)
    assert found["vacuous"] == bound.vacuous
    assert found["log10_smallest_sample"] == pytest.approx(math.log10(bound.smallest_sample))
    assert found["log10_gap"] >= max(found["log10_approximation"], found["log10_deviation"])
    with torch.no_grad():
        network.weights *= 2
    assert bound_of(network, data)["radius"] == pytest.approx(2 * found["radius"])


def test_the_loss_is_as_steep_and_as_large_as_the_bound_takes_it_to_be():
    network, data = some_tower(seed=5), some_data(samples=200)
    found = bound_of(network, data)
    generator = torch.Generator().manual_seed(7)
    state = torch.randn(200, 4, dtype=torch.float64, generator=generator) * 5
    state.requires_grad_()
    outputs = network.decoder(state)
    loss = torch.nn.functional.cross_entropy(outputs, data.train_labels, reduction="sum")
    (slope,) = torch.autograd.grad(loss, state)
    steepest = slope.norm(dim=1).max().item()
    assert 0.3 * found["loss_slope"] < steepest <= found["loss_slope"]
    zero = torch.nn.functional.cross_entropy(torch.zeros(1, 3), torch.tensor([0])).item()
    assert found["loss_at_target"] == pytest.approx(zero)


# ---- Statistics ---------------------------------------------------------------------------------


def made_up(gaps, steps, penalty=0.0, seed=0):
    cell = replace(QUICK, penalty=penalty, seed=seed)
    answer = {"outcome": "finished", "gap": [0.0, *gaps], "sup_step": [9.0, *steps]}
    return cell, answer


def test_associations_are_ranks_without_the_start():
    up = association([made_up([1, 2, 3], [1, 4, 9], seed=s) for s in range(5)])
    assert (up.pooled, up.within) == pytest.approx((1.0, 1.0))
    assert (up.points, up.runs) == (15, 5)
    assert up.ends is None  # all seeds end alike: no correlation between them
    assert up.within_p == pytest.approx(2 / 2**5)  # signed ranks of five equal signs
    ends = association([made_up([s], [s], seed=s) for s in range(4)])
    assert ends.ends == pytest.approx(1.0)
    assert ends.within is None
    assert ends.ends_p == pytest.approx(2 / 24)  # two of 4! orders are as extreme
    down = association([made_up([3, 2, 1], [1, 2, 3], seed=s) for s in range(5)])
    assert down.pooled == pytest.approx(-1.0)


def test_the_ordering_is_taken_in_pairs():
    runs = [made_up([base + g], [1.0], mu, seed)
            for seed, base in enumerate((0.0, 5.0, 1.0))
            for mu, g in ((0.0, 3.0), (0.1, 2.0), (None, 0.5))]  # fmt: skip
    found = ordering(runs)
    assert [one.penalty for one in found.penalties] == [0.0, 0.1, None]
    assert found.descending
    assert found.falling
    assert [(step.fall, step.word) for step in found.steps] == [(1.0, "falls"), (1.5, "falls")]
    assert [one.lower_by for one in found.penalties] == [0.0, 1.0, 2.5]
    assert found.penalties[2].lower_error == pytest.approx(0.0)  # the seeds' own level cancels
    assert found.penalties[2].error > 1
    assert [one.lower_in for one in found.penalties] == [0, 3, 3]
    assert found.page_p == pytest.approx(1 / 6**3)  # one of 3!^3 rankings is as extreme
    reversed_runs = [(replace(cell, penalty={0.0: None, 0.1: 0.1, None: 0.0}[cell.penalty]), a)
                     for cell, a in runs]  # fmt: skip
    wrong = ordering(reversed_runs)
    assert not wrong.descending
    assert not wrong.falling
    assert wrong.page_p == 1.0
    assert ordering(runs[:1]) is None


@pytest.mark.parametrize(
    ("falls", "word"),
    [((1.0, 1.1, 0.9), "falls"), ((-1.0, -1.1, -0.9), "rises"), ((1.0, -1.2, 0.4), "level"),
     ((0.0, 0.0), "level"), ((1.0,), "level")],
)  # fmt: skip
def test_a_step_is_judged_by_its_noise(falls, word):
    runs = [
        made_up([gap], [1.0], mu, seed)
        for seed, fall in enumerate(falls)
        for mu, gap in ((0.0, 3.0), (0.1, 3.0 - fall))
    ]
    found = ordering(runs)
    assert [step.word for step in found.steps] == [word]
    assert found.falling == (word == "falls")


# ---- The grid and the command -------------------------------------------------------------------


def test_presets_are_of_the_papers_penalties():
    assert set(PRESETS) == {"tiny", "small", "gpu"}
    for preset in ("small", "gpu"):
        cells = preset_cells(preset)
        assert {cell.penalty for cell in cells} == {0.0, 0.01, 0.1, None}
        assert {cell.trained_ends for cell in cells} == {False, True}
    assert {cell.data for cell in preset_cells("small")} == {"digits", "clusters"}
    assert {cell.data for cell in preset_cells("small", data="digits")} == {"digits"}
    with pytest.raises(InputError, match="a preset among"):
        preset_cells("huge")
    for nothing in ({"seeds": 0}, {"epochs": 0}):
        with pytest.raises(InputError, match="at least 1"):
            preset_cells("tiny", **nothing)


def test_tables_and_words_come_from_the_answers(tmp_path):
    cells = combinations(replace(QUICK, epochs=3), penalty=[0.0, 0.1, None], seed=range(2))
    answers = run_grid(cells, marion_answer, folder=tmp_path)
    groups = groups_of(cells, answers)
    epochs, runs = epoch_rows(cells, answers), run_rows(cells, answers)
    assert len(epochs) == 6 * 4
    assert runs[-1]["penalty"] == math.inf
    assert runs[0]["gap"] == answers[0]["gap"][-1]
    assert len(gap_grid(groups).rows) == len(bound_grid(groups).rows) == 3
    told = " ".join(sentences(groups))
    assert "mean gap by μ over 2 seeds" in told
    assert "not independent" in told
    vacuous = sum(answer["bound_vacuous"] for answer in answers)
    assert f"claim B3's bound is vacuous in {vacuous} of 6 runs" in told


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # distributed's own, on interpreters newer than it
def test_workers_and_a_dask_cluster_train_the_same_networks(tmp_path, dask_cluster):
    frei_like = Frei(4, 8, epochs=2, samples=64)
    networks = combinations(frei_like, width=[8], rule=["1/n", "1"], depth=[2, 40])
    towers = combinations(QUICK, penalty=[0.0, 0.1, None])
    both = ((networks, frei_answer, "frei"), (towers, marion_answer, "marion"))
    with joined_cluster(dask_cluster.scheduler_address):
        spread = [run_grid(cells, ask, folder=tmp_path / name) for cells, ask, name in both]
    for found, (cells, ask, name) in zip(spread, both, strict=True):
        assert found == run_grid(cells, ask, folder=tmp_path / f"{name}-here")
        assert found == run_grid(cells, ask, folder=tmp_path / f"{name}-jobs", jobs=2)


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["torch-bridge", "marion", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return call


ASKED = "--preset tiny --epochs 2 --penalty 0 inf --seeds 4 --device cpu --output"
GRID = ASKED.split()


def started(folder):
    """The command in a process group of its own, so that workers are killed with it."""
    words = [sys.executable, "-m", "torch_bridge", "marion", *GRID, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, env=environment, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, cwd=folder.parent,
    )  # fmt: skip


def test_a_killed_grid_resumes_to_the_files_of_an_uninterrupted_one(command, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = started(killed)
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        if len(list(killed.glob("cells/*.json"))) >= 2:
            break
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.read_bytes() for path in killed.glob("cells/*.json")}
    assert 2 <= len(kept) < 16
    for folder, more in ((killed, ["--resume"]), (whole, [])):
        code, _, err = command(*GRID, folder, *more)
        assert (code, err) == (0, "")
    assert all(path.read_bytes() == content for path, content in kept.items())
    names = {path.name for path in whole.iterdir() if path.is_file()} - {"seconds.csv"}
    assert names >= {"README.md", "epochs.csv", "epochs.parquet", "runs.csv", "runs.parquet",
                     "gap_against_step.svg", "gap_by_penalty.svg", "bound.svg"}  # fmt: skip
    for name in names:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert len(read_parquet((whole / "runs.parquet").read_bytes())) == 16


def test_the_command_prints_and_writes(command, tmp_path):
    asked = "--preset tiny --depth 5 --epochs 1 --seeds 1 --device cpu --output"
    words = asked.split()
    code, out, err = command(*words, tmp_path / "out", "--format", "json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert len(report["runs"]) == 4
    code, out, err = command(*words, tmp_path / "out", "--resume")
    assert (code, err) == (0, "")
    assert "The bound beside the gap" in out
    code, out, err = command(*words, tmp_path / "out")
    assert (code, out) == (2, "")
    assert "add --resume" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--preset", "huge"), "a preset among"),
        (("--penalty", "much"), "a penalty"),
        (("--penalty", "-1"), "a penalty of at least 0"),
        (("--penalty", "nan"), "a penalty of at least 0"),
        (("--depth", "0"), "depth"),
        (("--width", "x"), "width"),
        (("--data", "nowhere"), "digits, clusters"),
        (("--jobs", "0"), "jobs"),
        (("--device", "tpu"), "a device among"),
        (("--format", "xml"), "a format among"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_trained(command, tmp_path, arguments, told):
    code, out, err = command("--output", tmp_path / "out", *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
