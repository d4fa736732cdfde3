"""The experiment on Frei, Cao & Gu's network: network, measurements, laws of depth, the grid."""

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
from expansion.bounds.linearisation import linearisation_errors  # noqa: E402
from expansion.bounds.overparameterized import (  # noqa: E402
    distance_from_start,
    draw_classifier,
    interlayer_certificate,
    worst_pattern,
)
from torch_bridge import cli  # noqa: E402
from torch_bridge.experiments.frei.cell import (  # noqa: E402
    Frei,
    checkpoints,
    gradient_descent,
    measure,
    predicted_log_growth,
)
from torch_bridge.experiments.frei.cell import answer as frei_answer  # noqa: E402
from torch_bridge.experiments.frei.network import (  # noqa: E402
    FreiNetwork,
    linearisation_error,
    log_growth,
    log_interlayer_norm,
)
from torch_bridge.experiments.frei.presets import PRESETS, preset_cells  # noqa: E402
from torch_bridge.experiments.frei.results import (  # noqa: E402
    end_grid,
    epoch_rows,
    law_grid,
    run_rows,
)
from torch_bridge.experiments.frei.statistics import (  # noqa: E402
    QUANTITIES,
    broken,
    depth_laws,
)
from torch_bridge.experiments.frei.task import signed_data  # noqa: E402
from torch_bridge.experiments.grids.datasets import load_data  # noqa: E402
from torch_bridge.experiments.grids.grid import run_grid  # noqa: E402
from torch_bridge.experiments.grids.presets import combinations  # noqa: E402
from torch_bridge.networks.data import Dataset  # noqa: E402

torch.set_num_threads(1)
ROOT = Path(__file__).parent.parent
QUICK = Frei(4, 8, epochs=4, samples=64)


def digits(samples=64, task="parity"):
    return signed_data(load_data("digits", samples).data, task)


def pair(depth=5, width=8, theta=0.3, dimension=64, seed=0, moved=0.0):
    """A network, and one whose weights are a normal step away."""
    start = FreiNetwork(draw_classifier(dimension, width, depth, theta, seed))
    other = FreiNetwork(start.classifier())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in other.parameters():
            part += moved * torch.randn(part.shape, dtype=part.dtype, generator=generator)
    return start, other


# ---- The network --------------------------------------------------------------------------------


def test_the_network_is_the_classifier_that_expansion_computes_with():
    network, _ = pair()
    x = digits().train_inputs
    classifier = network.classifier()
    np.testing.assert_allclose(
        network(x).detach().numpy(), classifier.outputs(x.numpy()), rtol=1e-12, atol=1e-14
    )
    for state, expected in zip(network.states(x), classifier.states(x.numpy())[:-1], strict=True):
        np.testing.assert_allclose(state.detach().numpy(), expected, rtol=1e-12, atol=1e-14)
    assert network.readout.sum() == 0
    assert "readout" not in dict(network.named_parameters())


def test_its_gradients_are_those_of_expansion():
    network, _ = pair(depth=3)
    x = digits().train_inputs[:1]
    network(x).sum().backward()
    found = [network.first.grad, *network.residual.grad.unbind(), network.last.grad]
    expected = network.classifier().gradients(x.numpy())
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs[0], rtol=1e-10, atol=1e-13)


def test_a_network_without_residual_layers_is_refused():
    with pytest.raises(InputError, match="depth of at least 2"):
        FreiNetwork(draw_classifier(3, 4, 1, 0.5))


def test_signed_data_are_two_classes_of_norm_one():
    whole = digits(None)
    labels = load_data("digits").data.train_labels
    assert torch.equal(whole.train_signs > 0, labels % 2 == 0)
    assert torch.allclose(whole.train_inputs.norm(dim=1), torch.ones(1347, dtype=torch.float64))
    two = digits(None, "3/8")
    assert len(two.train_signs) == int(((labels == 3) | (labels == 8)).sum())
    assert int((two.train_signs > 0).sum()) == int((labels == 3).sum())
    for task in ("3", "3/3", "a/b", "3/8/9", "", "3/77"):
        with pytest.raises(InputError):
            digits(None, task)
    zero = torch.zeros(2, 3)
    with pytest.raises(InputError, match="not zero"):
        signed_data(Dataset(zero, torch.tensor([0, 1]), zero, torch.tensor([0, 1])))


# ---- What is measured ---------------------------------------------------------------------------


def test_the_linearisation_error_is_that_of_expansion():
    start, other = pair(moved=0.05)
    x = digits().train_inputs[:7]
    weights = other.classifier().weights
    expected = linearisation_errors(start.classifier(), weights, x.numpy()).mean()
    found = linearisation_error(start, other, x)
    assert found == pytest.approx(expected, rel=1e-9)
    assert found > 1e-3
    assert linearisation_error(start, start, x) == 0.0
    # The saboteur: linearised about the end, not the start.
    assert linearisation_error(other, start, x) != pytest.approx(expected, rel=1e-3)


def dense_interlayer_norm(network, x):
    """The product, multiplied out for each input."""
    norms = []
    before = network.classifier().states(x.numpy())
    for sample in range(len(x)):
        jacobian = np.eye(network.last.shape[0])
        for layer, matrix in enumerate(network.classifier().residual_weights):
            pattern = before[layer][sample] @ matrix > 0
            step = np.eye(len(matrix)) + network.theta * np.diag(pattern.astype(float)) @ matrix.T
            jacobian = step @ jacobian
        norms.append(np.linalg.norm(jacobian, 2))
    return math.log(max(norms))


def test_the_interlayer_norm_is_that_of_the_product_and_below_the_worst_pattern():
    network, _ = pair(depth=4, width=4, theta=0.7)
    x = digits().test_inputs[:4]
    found = log_interlayer_norm(network, x)
    assert found == pytest.approx(dense_interlayer_norm(network, x), rel=1e-10)
    weights = network.classifier().residual_weights
    worst = math.log(worst_pattern(weights, 0.7)[0])
    certificate = interlayer_certificate(weights, 0.7)
    assert found <= worst + 1e-12
    assert worst <= certificate.log_product <= certificate.log_exponential


def test_the_interlayer_norm_does_not_overflow():
    network, _ = pair(depth=700, width=8, theta=5.0)
    x = digits().test_inputs[:2]
    assert log_interlayer_norm(network, x) > 710  # e^710 overflows


@pytest.mark.parametrize("rule", ["1/n", "1/sqrt(n)"])
def test_growth_at_the_start_is_what_g6_predicts(rule):
    """Over 12 draws at width 128, within 4 standard errors and 1/width."""
    cell = Frei(16, 128, rule)
    x = digits().train_inputs[:16]
    grown = [
        log_growth(FreiNetwork(draw_classifier(64, 128, 16, cell.theta, seed)), x)
        for seed in range(12)
    ]
    error = np.std(grown, ddof=1) / math.sqrt(12)
    assert abs(np.mean(grown) - predicted_log_growth(cell)) < 4 * error + 2 / 128
    # The saboteur: growth of branches without a mean, Π(1 + θ²)^{1/2}.
    incoherent = 7.5 * math.log1p(cell.theta**2)
    assert abs(np.mean(grown) - incoherent) > 6 * (4 * error + 2 / 128)


def run_along(rule, depth=6, width=16, epochs=12, step=2.0 / 16):
    """Every quantity in every epoch."""
    cell = Frei(depth, width, rule)
    start, network = pair(depth, width, cell.theta)
    data, found = digits(), []
    gradient_descent(
        network,
        data,
        step=step,
        epochs=epochs,
        on_epoch=lambda _: found.append(
            measure(network, start, data) | {"moved": network.classifier()}
        ),
    )
    return start, data, found


@pytest.mark.parametrize("rule", ["1/n", "1/sqrt(n)", "1"])
def test_the_sandwich_and_the_certificates_hold_in_every_epoch(rule):
    start, data, found = run_along(rule)
    assert len(found) > 2
    first = start.classifier()
    for one in found:
        for part in ("train", "test"):
            assert one[f"{part}_error"] <= 2 * one[f"{part}_surrogate"]
            assert one[f"{part}_surrogate"] <= one[f"{part}_loss"] * (1 + 1e-12)
        moved = one["moved"]
        x = data.test_inputs[:4]
        assert one["log_interlayer"] == pytest.approx(
            dense_interlayer_norm(FreiNetwork(moved), x), rel=1e-8
        )
        assert one["log_interlayer"] <= one["log_certificate"]
        assert one["log_interlayer"] <= one["log_ball_certificate"]
        assert one["log_certificate"] <= one["log_ball_certificate"] * (1 + 1e-9)
        norms = [np.linalg.norm(weight, 2) for weight in moved.residual_weights]
        assert one["log_certificate"] == pytest.approx(moved.theta * sum(norms), rel=1e-9)
        tau = distance_from_start(moved.weights, first.weights)
        assert one["tau"] == tau
        assert one["complexity_term"] == pytest.approx(tau * math.sqrt(16 / 64))
        assert one["linearisation_term"] == pytest.approx(
            tau ** (4 / 3) * math.sqrt(16 * math.log(16))
        )
        signs = data.train_signs.numpy()
        margins = signs * moved.outputs(data.train_inputs.numpy())
        assert one["train_error"] == (margins <= 0).mean()
    assert found[0]["tau"] == found[0]["linearisation_error"] == 0.0
    assert found[-1]["tau"] > 0


def test_the_counts_of_broken_bounds_would_notice():
    answer = frei_answer(QUICK)
    assert broken([answer]) == (len(answer["epoch"]), 0, 0)
    wrong = dict(answer, train_error=[1.0] * len(answer["epoch"]), train_surrogate=[0.4] * 5)
    assert broken([wrong])[1] == 4
    above = dict(answer, log_interlayer=[value + 9 for value in answer["log_certificate"]])
    assert broken([above])[2] == 4


def test_one_step_of_descent_is_minus_the_gradient():
    start, network = pair(depth=3)
    data = digits()
    gradient_descent(network, data, step=0.01, epochs=1, on_epoch=lambda epoch: None)
    classifier = start.classifier()
    signs, x = data.train_signs.numpy(), data.train_inputs.numpy()
    slope = -signs / (1 + np.exp(signs * classifier.outputs(x))) / len(signs)
    moved = network.classifier()
    pairs = zip(classifier.gradients(x), classifier.weights, moved.weights, strict=True)
    for gradient, before, after in pairs:
        expected = before - 0.01 * np.einsum("s,sij->ij", slope, gradient)
        np.testing.assert_allclose(after, expected, rtol=1e-10, atol=1e-13)


# ---- Runs ---------------------------------------------------------------------------------------


def test_a_run_is_told_and_repeats():
    found = frei_answer(QUICK)
    assert found["epoch"] == [0, 1, 2, 4]
    assert (found["outcome"], found["samples_used"]) == ("finished", 64)
    assert found["train_loss"][-1] < found["train_loss"][0]
    assert frei_answer(QUICK) == found
    assert frei_answer(replace(QUICK, seed=1)) != found


def test_an_explosion_is_an_answer():
    found = frei_answer(Frei(64, 8, "1", epochs=8, samples=64))
    assert found["outcome"] == "diverged"
    assert found["epochs_finite"] < 8
    assert found["log_growth"][0] > 10
    assert all(math.isfinite(value) for value in found["train_loss"])


def test_what_overflows_at_once_is_an_answer_too(tmp_path):
    cells = [Frei(depth, 8, "9", epochs=2, samples=64) for depth in (4, 900)]
    answers = run_grid(cells, frei_answer, folder=tmp_path)
    assert (answers[1]["outcome"], answers[1]["epochs_finite"]) == ("diverged", -1)
    assert answers[1]["epoch"] == []
    laws = {(law.quantity.name, law.quantity.place): law.verdict
            for law in depth_laws(cells, answers)}  # fmt: skip
    assert laws["tau", -1] == "diverged"
    assert laws["log_growth", 0] == "–"
    assert len(run_rows(cells, answers)) == len(end_grid(cells, answers).rows) == 2


def test_a_dead_network_of_huge_weights_has_diverged():
    start, network = pair(depth=2)
    with torch.no_grad():
        network.last[:] = -1e120  # every unit off: outputs of 0, a loss of ln 2
    called = []
    assert gradient_descent(network, digits(), step=0.1, epochs=3, on_epoch=called.append) == -1
    assert called == []
    assert gradient_descent(start, digits(), step=0.1, epochs=3, on_epoch=called.append) == 3


def test_bad_cells_are_refused():
    for wrong in ({"depth": 1}, {"width": 7}, {"rate": 0.0}, {"rule": "batchnorm"},
                  {"rule": "-1/n"}, {"rule": "half"}, {"epochs": 0}):  # fmt: skip
        with pytest.raises(InputError):
            replace(QUICK, **wrong)
    with pytest.raises(InputError, match="the grid was made for"):
        frei_answer(replace(QUICK, fingerprint="others"))
    assert checkpoints(1) == (0, 1)
    assert Frei(4, 8, "0.5/n").theta == 0.125


# ---- Laws of depth ------------------------------------------------------------------------------


def made_up(depth, seed, value, outcome="finished"):
    answer = {one.name: [1.0, 1.0] for one in QUANTITIES} | {"outcome": outcome}
    return Frei(depth, 8, seed=seed), answer | {"tau": [0.0, value]}


def law_of_tau(runs):
    laws = depth_laws(*zip(*runs, strict=True))
    return next(law for law in laws if law.quantity.name == "tau")


@pytest.mark.parametrize(
    ("power", "verdict"), [(0.0, "depth-free"), (-1.0, "depth-free"), (0.5, "grows"), (1, "grows")]
)
def test_a_power_of_the_depth_is_told(power, verdict):
    runs = [made_up(depth, seed, 0.3 * depth**power * (1 + 0.01 * seed))
            for depth in (4, 16, 64) for seed in range(3)]  # fmt: skip
    law = law_of_tau(runs)
    assert law.depths == (4, 64)
    assert law.exponent == pytest.approx(power, abs=1e-9)
    assert law.log_ratio == pytest.approx(power * math.log(16))
    assert 0 < law.error < 0.01
    assert law.verdict == verdict


def test_noise_divergence_and_zeros_are_told():
    noisy = [made_up(depth, seed, math.exp(2 * seed)) for depth in (4, 16) for seed in range(2)]
    assert law_of_tau(noisy).verdict == "undecided"
    burst = [made_up(4, 0, 1.0), made_up(16, 0, 1.0, "diverged")]
    assert law_of_tau(burst).verdict == "diverged"
    assert law_of_tau([made_up(4, 0, 1.0), made_up(16, 0, 0.0)]).verdict == "–"
    assert math.isnan(law_of_tau([made_up(4, 0, 1.0), made_up(16, 0, 1.0)]).error)
    assert depth_laws(*zip(made_up(4, 0, 1.0), strict=True)) == []


@pytest.mark.slow
def test_freis_terms_are_depth_free_at_one_over_depth_alone():
    """The table that the experiment must show, small: 16 times as deep."""
    cells = combinations(
        Frei(2, 2, epochs=64, samples=128),
        width=[32],
        rule=["1/n", "1/sqrt(n)", "1"],
        depth=[8, 128],
        seed=range(3),
    )
    answers = [frei_answer(cell) for cell in cells]
    laws = depth_laws(cells, answers)
    verdicts = {rule: {law.quantity: law.verdict for law in laws if law.rule == rule}
                for rule in ("1/n", "1/sqrt(n)", "1")}  # fmt: skip
    assert "grows" not in verdicts["1/n"].values()
    assert "diverged" not in verdicts["1/n"].values()
    growing = [one for one, verdict in verdicts["1/sqrt(n)"].items() if verdict == "grows"]
    assert {one.name for one in growing} >= {"log_growth", "log_certificate", "linearisation_error"}
    assert "diverged" in verdicts["1"].values()
    assert broken(answers)[1:] == (0, 0)


# ---- The grid and the command -------------------------------------------------------------------


def test_presets_vary_width_depth_and_scale():
    assert set(PRESETS) == {"tiny", "small", "gpu"}
    for name in PRESETS:
        cells = preset_cells(name)
        assert {cell.rule for cell in cells} == {"1/n", "1/sqrt(n)", "1"}
        assert len({cell.depth for cell in cells}) > 1
    with pytest.raises(InputError, match="a preset among"):
        preset_cells("huge")
    for nothing in ({"seeds": 0}, {"epochs": 0}):
        with pytest.raises(InputError, match="at least 1"):
            preset_cells("tiny", **nothing)


def test_tables_come_from_the_answers(tmp_path):
    cells = combinations(QUICK, width=[8], rule=["1/n", "1"], depth=[2, 64])
    answers = run_grid(cells, frei_answer, folder=tmp_path)
    assert len(epoch_rows(cells, answers)) == sum(len(one["epoch"]) for one in answers)
    assert run_rows(cells, answers)[0]["last_tau"] == answers[0]["tau"][-1]
    laws = law_grid(depth_laws(cells, answers))
    assert len(laws.rows) == len(QUANTITIES)
    assert laws.headings[2:] == ("θ = 1/L", "θ = 1")
    assert any("diverged" in row[3] for row in laws.rows)
    assert len(end_grid(cells, answers).rows) == 4


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["torch-bridge", "frei", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return call


ASKED = "--preset tiny --depth 2 20 --seeds 3 --epochs 4 --device cpu --output"
GRID = ASKED.split()
CELLS = 2 * 3 * 3


def started(folder):
    """The command in a process group of its own, so that workers are killed with it."""
    words = [sys.executable, "-m", "torch_bridge", "frei", *GRID, str(folder)]
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
    assert 2 <= len(kept) < CELLS
    for folder, more in ((killed, ["--resume"]), (whole, [])):
        code, _, err = command(*GRID, folder, *more)
        assert (code, err) == (0, "")
    assert all(path.read_bytes() == content for path, content in kept.items())
    names = {path.name for path in whole.iterdir() if path.is_file()} - {"seconds.csv"}
    assert names >= {"README.md", "epochs.csv", "runs.parquet", "depth_laws.csv",
                     "terms_against_depth.svg", "along_training.svg"}  # fmt: skip
    for name in names:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert len((whole / "runs.csv").read_text().splitlines()) == CELLS + 1


def test_the_command_answers_json(command, tmp_path):
    asked = "--preset tiny --depth 3 --width 4 --rule 1/n 2/n --seeds 1 --epochs 1 --task 3/8"
    code, out, err = command(*asked.split(), "--output", tmp_path / "out", "--format", "json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert [run["rule"] for run in report["runs"]] == ["1/n", "2/n"]
    assert any("fails 0 times" in sentence for sentence in report["found"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--preset", "huge"), "a preset among"),
        (("--depth", "1"), "depth"),
        (("--width", "5"), "an even width"),
        (("--rule", "batchnorm"), "one scale"),
        (("--rule", "2/3/4"), "a scaling rule"),
        (("--rate", "0"), "a rate above 0"),
        (("--rate", "inf"), "a rate above 0, below 1e6"),
        (("--task", "cats"), "the task parity"),
        (("--task", "3/12"), "two classes that both parts have"),
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
