"""The torch-bridge command: exit codes, formats and one-line errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch_bridge  # noqa: E402
from expansion import SavedTower, Tower, load_tower, relu_branch, save_tower  # noqa: E402
from torch_bridge import cli  # noqa: E402
from torch_bridge.checks import check, growth  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["torch-bridge", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return call


@pytest.fixture
def quick_growth(monkeypatch):
    """The growth checks at sizes that take no time."""

    def small(draws, seed):
        yield (growth.incoherent_growth("1", depth=2, dimension=4, draws=draws, seed=seed),)

    monkeypatch.setattr(check, "check_growth", small)


@pytest.fixture
def quick_digits(monkeypatch):
    from torch_bridge.networks import digits
    from torch_bridge.networks.training import TrainingPlan

    real, plan = digits.train_digits, TrainingPlan(epochs=2)
    monkeypatch.setattr(digits, "PLAN", plan)
    monkeypatch.setattr(digits, "train_digits", lambda progress: real(plan, progress))


@pytest.fixture
def small_file(tmp_path):
    tower = Tower.tied(relu_branch([[0.5, 1.0], [-1.0, 0.2]]), depth=3, rule="1/n")
    saved = SavedTower(tower, np.array([[1.0, 2.0], [0.5, -1.0]]))
    return save_tower(tmp_path / "tower.safetensors", saved)


@pytest.mark.usefixtures("quick_growth")
def test_check_holds_on_the_shipped_network_and_on_a_user_s_file(command, small_file):
    code, out, err = command("check")
    assert (code, err) == (0, "")
    assert "All predictions hold." in out
    assert all(claim in out for claim in ("E1", "E7b", "E5", "G1"))
    code, out, err = command("check", small_file, "--format", "json", "--seed", "3")
    report = json.loads(out)
    assert (code, err, report["passed"]) == (0, "", True)
    assert [result["claim"] for result in report["results"]] == ["E1", "E7b", "E5", "G1"]
    assert "frozen-gate orders 0..3" in report["results"][1]["subject"]


@pytest.mark.usefixtures("quick_growth")
@pytest.mark.parametrize("format", ["text", "json"])
def test_a_failing_prediction_exits_with_one(command, monkeypatch, small_file, format):
    monkeypatch.setattr(growth, "energy", lambda rule, depth: 2.0)  # 4 is right at depth 2
    code, out, _ = command("check", small_file, "--format", format)
    assert code == 1
    if format == "json":
        report = json.loads(out)
        assert not report["passed"]
        assert [result["within"] for result in report["results"]] == [True, True, True, False]
    else:
        assert "FAILED" in out
        assert "NO" in out


@pytest.mark.usefixtures("quick_digits")
def test_digits_writes_a_tower(command, tmp_path):
    path = tmp_path / "digits.safetensors"
    code, out, err = command("digits", "--output", path)
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}: 2 epochs")
    saved = load_tower(path)
    assert (saved.tower.depth, saved.inputs.shape) == (8, (64, 64))
    first = path.read_bytes()
    code, out, _ = command("digits", "--output", path, "--format", "json")
    report = json.loads(out)
    assert (code, report["epochs"], len(report["losses"])) == (0, 2, 2)
    assert f"test accuracy {report['test_accuracy']:.1%}" in saved.description
    assert path.read_bytes() == first
    assert os.listdir(tmp_path) == ["digits.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "missing.safetensors"], "no such file"),
        (["check", __file__], "check that the file is whole"),
        (["check", "--draws", "99"], "draws must be a whole number of at least 100"),
        (["check", "--draws", "many"], "draws must be"),
        (["check", "--seed", "-1"], "seed must be"),
        (["check", "--format", "xml"], "a format among text, json"),
        (["digits"], "--output"),
        (["digits", "--output", "missing/folder/file"], "a folder that exists"),
        (["digits", "--output", "f", "--format", "csv"], "a format among"),
        (["fly"], "fly"),
        (["check", "--speed"], "--speed"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    command, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("quick_digits")
def test_a_folder_as_the_output_is_one_line(command, tmp_path):
    code, out, err = command("digits", "--output", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert os.listdir(tmp_path) == []


def test_a_tower_without_inputs_is_refused(command, tmp_path):
    tower = Tower.tied(relu_branch([[1.0]]), depth=2)
    path = save_tower(tmp_path / "t.safetensors", SavedTower(tower))
    code, _, err = command("check", path)
    assert code == 2
    assert "a tower with inputs" in err


@pytest.mark.parametrize("arguments", [[], ["check"], ["digits", "--output", "f"], ["--help"]])
def test_without_torch_one_line_says_how_to_install_it(command, monkeypatch, arguments):
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "pip install 'residual-expansion[torch]'" in err


def test_the_command_and_the_package_load_without_torch():
    """The lazy imports, in an interpreter that has not loaded torch."""
    code = (
        "import sys, torch_bridge, torch_bridge.cli, torch_bridge.checks.comparison;"
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(torch_bridge.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_public_names_are_what_they_say():
    for name in torch_bridge.__all__:
        assert getattr(torch_bridge, name).__name__ == name
    assert dir(torch_bridge) == torch_bridge.__all__
    with pytest.raises(AttributeError, match="trees"):
        torch_bridge.trees  # noqa: B018
