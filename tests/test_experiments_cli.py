"""torch-bridge train: what it prints and writes, and its one-line errors."""

import json
import sys

import pytest

torch = pytest.importorskip("torch")

from torch_bridge import cli  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["torch-bridge", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return call


def quick(folder, *more):
    words = "--preset tiny --network mlp --depth 2 3 --rule 1/n 1 --rate 0.05 --seeds 1 --epochs 1"
    return (*words.split(), "--output", folder, *more)


def test_a_grid_is_printed_and_written(command, tmp_path):
    code, out, err = command(*quick(tmp_path / "out"))
    assert (code, err) == (0, "")
    assert "of 4 networks." in out
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written >= {"README.md", "table.csv", "table.parquet", "seconds.csv", "map.svg", "cells"}
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 4
    code, out, err = command(*quick(tmp_path / "out"))
    assert (code, out) == (2, "")
    assert err.startswith("error: a folder for a new run; got ")
    assert err.count("\n") == 1
    code, out, err = command(*quick(tmp_path / "out", "--resume", "--format", "json"))
    report = json.loads(out)
    assert (code, len(report["runs"]), report["networks"]) == (0, 4, 4)
    assert {run["scheme"] for run in report["runs"]} == {"1", "1/n"}


@pytest.mark.parametrize("more", [(), ("--resume",)])
def test_a_page_of_somebody_else_is_not_replaced(command, tmp_path, more):
    (tmp_path / "README.md").write_text("mine")
    code, out, err = command(*quick(tmp_path, *more))
    assert (code, out) == (2, "")
    assert "which would be replaced" in err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--preset", "huge"), "a preset among tiny, small, gpu"),
        (("--depth", "0"), "depth must be a whole number"),
        (("--rule", "2/3/4"), "a scaling rule"),
        (("--rule", "@scales.txt"), "scale"),
        (("--rate", "fast"), "a learning rate"),
        (("--rate", "-1"), "a learning rate above 0"),
        (("--network", "vgg"), "a network of this preset"),
        (("--network", "transformer", "--rule", "batchnorm"), "normalisation of its own"),
        (("--data", "nowhere"), "digits, clusters"),
        (("--data", ""), "digits, clusters"),
        (("--seeds", "100000000"), "a grid of at most 100,000 runs"),
        (("--depth", "1000000"), "a depth of at most 20,000"),
        (("--jobs", "0"), "jobs"),
        (("--device", "tpu"), "a device among"),
        (("--seeds", "0"), "seeds"),
        (("--format", "xml"), "a format among"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_trained(command, tmp_path, arguments, told):
    code, out, err = command("--output", tmp_path / "out", *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
