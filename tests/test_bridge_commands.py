"""inspect, spectrum and rescale as a user meets them, with a file of the user's own."""

import json
import os
import sys

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from torch_bridge import cli  # noqa: E402

torch.set_num_threads(1)

FILE = """
import torch
from torch import nn

print("a line of the user's own")


class Block(nn.Module):
    def __init__(self, width, norm):
        super().__init__()
        self.norm = norm(width)
        self.inner = nn.Linear(width, width, bias=False)
        self.outer = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.inner.weight, 0, (2 / width) ** 0.5)
        nn.init.normal_(self.outer.weight, 0, (1 / width) ** 0.5)

    def forward(self, x):
        return x + self.outer(torch.relu(self.inner(self.norm(x))))


def tower(norm, depth=6, width=64):
    blocks = [Block(width, norm) for _ in range(depth)]
    return nn.Sequential(nn.Linear(8, width), *blocks, nn.Linear(width, 3))


def build():
    return tower(lambda width: nn.Identity()), (torch.randn(16, 8),)


def deep():  # more sets of three blocks than are run one by one
    return tower(lambda width: nn.Identity(), depth=40, width=8), (torch.randn(2, 8),)


def build_bn():
    return tower(nn.BatchNorm1d), torch.randn(16, 8)


def plain():
    return nn.Linear(8, 3), (torch.randn(16, 8),)


def broken():
    raise ValueError("the data set is missing")


def with_nan():
    model, args = build()
    with torch.no_grad():
        model[3].outer.weight[0, 0] = float("nan")
    return model, args


def whole_numbers():
    class Rounded(nn.Module):
        def forward(self, x):
            return x.long()

    return Rounded(), torch.ones(2, 2)


def complex_numbers():
    class Rotated(nn.Module):
        def forward(self, x):
            return x * 1j

    return Rotated(), torch.ones(2, 2)


def empty():
    model, (x,) = build()
    return model, (x[:0],)


def unfit():
    return Block(4, nn.LayerNorm).double(), (torch.randn(2, 4),)


def asking():
    class Asks(Block):
        def forward(self, x):
            print("asked")
            return super().forward(x) if x.norm() > 0 else x

    return nn.Sequential(Asks(4, nn.LayerNorm), Asks(4, nn.LayerNorm)), (torch.randn(5, 4),)


def batches():
    for size in (16, 16, 5):
        yield torch.randn(size, 8), torch.zeros(size)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(FILE)
    yield tmp_path
    for name in [name for name in sys.modules if name.strip("_") == "mine"]:
        del sys.modules[name]


@pytest.fixture
def command(monkeypatch, capsys, folder):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["torch-bridge", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return call


@pytest.fixture
def answer(command):
    def call(*arguments):
        code, out, err = command(*arguments, "--format", "json")
        assert code == 0, err
        return json.loads(out)

    return call


def test_inspect_keeps_the_contract(answer):
    found = answer("inspect", "mine.py:build")
    # 64 is the mean over draws; a draw at this width is a quarter off (standard deviation).
    assert found["measured_growth"] == pytest.approx(2**6, rel=0.5)
    assert found["predicted_growth"] == pytest.approx(found["measured_growth"], rel=0.25)
    assert found["recommended_rule"] == "1/sqrt(n)"
    assert len(found["blocks"]) == found["depth"] == 6
    keys = {"name", "skip_energy", "branch_energy", "sum_energy", "share", "cosine"}
    for block in found["blocks"]:
        assert block.keys() >= keys
    again = answer("inspect", "mine.py:build")
    assert again == found  # --seed has a default: random weights are the same every time
    assert answer("inspect", "mine.py:build", "--seed", "1") != found


def test_inspect_prints_a_table_and_sentences(command):
    code, out, err = command("inspect", "mine:build")
    assert (code, err) == (0, "a line of the user's own\n")
    assert "Sequential: 6 blocks, 16 samples" in out
    assert "Growth over 6 blocks:" in out
    assert "Recommended: λ = 1/sqrt(n). Branches point in independent directions" in out
    assert max(map(len, out.splitlines())) <= 100


def test_inspect_measures_all_batches(answer):
    found = answer("inspect", "mine.py:build", "--batches", "mine.py:batches")
    assert (found["samples"], found["batches"]) == (37, 3)
    assert (
        answer("inspect", "mine.py:build", "--batches", "mine.py:batches", "--limit", "2")[
            "samples"
        ]
        == 32
    )


def test_inspect_shows_what_batch_norm_hides(answer, command):
    code, _, err = command("inspect", "mine.py:build_bn")
    assert code == 0
    assert "normalises nothing in evaluation mode; --batch-statistics" in " ".join(err.split())
    found = answer("inspect", "mine.py:build_bn", "--batch-statistics", "--without-normalisation")
    assert found["law"] == "additive: normalised branches"
    assert found["recommended_rule"] == "1"
    hidden = found["without_normalisation"]
    assert hidden["removed"] == 6
    assert hidden["growth_with"] == pytest.approx(found["measured_growth"])
    assert hidden["measured_growth"] > 2 * hidden["growth_with"]


def test_inspect_takes_blocks_by_name(answer):
    found = answer("inspect", "mine.py:build", "--block", "2", "3", "--dtype", "float64")
    assert [block["name"] for block in found["blocks"]] == ["2", "3"]


def test_rescaled_weights_load_back_and_have_the_growth_that_was_told(answer, command, folder):
    before = answer("inspect", "mine.py:build")
    told = answer("rescale", "mine.py:build", "--rule", "1/sqrt(n)", "--output", "r.safetensors")
    assert told["in_weights"]
    assert told["growth_before"] == pytest.approx(before["measured_growth"], rel=1e-6)
    after = answer("inspect", "mine.py:build", "--weights", "r.safetensors")
    assert after["measured_growth"] == pytest.approx(told["growth_after"], rel=1e-5)
    assert before["growth_with_rule"] == pytest.approx(told["growth_after"], rel=0.25)
    assert after["recommended_rule"] == "1"
    code, out, _ = command("rescale", "mine.py:build", "--rule", "1/n", "--output", "r.safetensors")
    assert code == 0
    assert "the scales are in the weights" in out
    assert "Growth before: " in out
    assert sorted(os.listdir(folder))[-1] == "r.safetensors"


def test_rescale_says_when_scales_lie_beside_the_weights(command, answer):
    code, out, _ = command(
        "rescale", "mine.py:build", "--rule", "half", "--output", "r.safetensors"
    )
    assert code == 0
    assert "original weights, with residual_scales beside them" in out
    assert load_file("r.safetensors")["residual_scales"].shape == (6,)
    told = answer("rescale", "mine.py:build", "--rule", "fixup", "--output", "f.safetensors")
    assert told["growth_after"] == pytest.approx(1)
    start = answer("inspect", "mine.py:build", "--weights", "f.safetensors")
    assert start["measured_growth"] == pytest.approx(1)


def test_what_cannot_be_exported_is_looked_at_by_block_names(answer, command):
    named = ("mine.py:asking", "--block", "0", "1")
    found = answer("inspect", *named)  # what its forward prints is not on stdout
    assert [block["name"] for block in found["blocks"]] == ["0", "1"]
    told = answer("rescale", *named, "--rule", "1/n", "--output", "r.safetensors")
    assert not told["in_weights"]
    assert "named by hand" in told["reason"]
    assert load_file("r.safetensors")["residual_scales"].tolist() == [0.5, 0.5]
    code, _, err = command("inspect", *named, "--weights", "r.safetensors")
    assert code == 2
    assert "its scales stand beside the weights" in err
    spectrum = answer("spectrum", *named, "--method", "subnetworks", "--pade")
    assert spectrum["partial_sum_error"][-1] < 1e-6


def test_batches_come_in_the_type_that_was_asked_for(answer):
    arguments = ("inspect", "mine.py:build", "--batches", "mine.py:batches")
    found = answer(*arguments, "--dtype", "float64")
    assert found["measured_growth"] == pytest.approx(answer(*arguments)["measured_growth"], 1e-4)


def test_few_orders_are_enough_for_a_spectrum(answer):
    found = answer("spectrum", "mine.py:build", "--order", "2", "--pade", "--method", "series")
    assert len(found["energy"]) == len(found["partial_sum_error"]) == 3
    assert found["pade"]["degrees"] == [1, 1]
    assert found["series_order"] == 10  # what the radius is estimated from
    beyond = answer("spectrum", "mine.py:build", "--order", "8")
    assert len(beyond["energy"]) == 9
    assert beyond["energy"][7:] == [0, 0]


def test_a_sampled_order_says_how_sure_it_is(command, answer):
    arguments = ("--method", "subnetworks", "--order", "3", "--samples", "9")
    exact = answer("spectrum", "mine.py:build", *arguments)
    assert exact["sampled"] == exact["sampled_half_width"] == []
    found = answer("spectrum", "mine.py:deep", *arguments)
    assert found["sampled"] == [3]
    assert found["sampled_half_width"][0] > 0
    code, out, _ = command("spectrum", "mine.py:deep", *arguments)
    assert code == 0
    assert "95 % intervals: order 3 (± " in " ".join(out.split())


@pytest.mark.parametrize("method", ["frozen", "subnetworks"])
def test_exact_spectra_add_up(answer, method):
    arguments = ("spectrum", "mine.py:build", "--order", "6", "--method", method)
    found = answer(*arguments, "--dtype", "float64")
    assert found["method"] == method
    assert len(found["energy"]) == 7
    assert found["partial_sum_error"][-1] < 1e-12
    assert found["partial_sum_error"][0] > 0.1
    if method == "frozen":
        assert set(found["frozen"].values()) == {"gate of relu"}


def test_spectrum_of_blocks_named_by_hand(answer):
    for method in ("series", "subnetworks"):
        asked = ("--block", "2", "3", "--method", method, "--order", "2", "--dtype", "float64")
        found = answer("spectrum", "mine.py:build", *asked)
        assert found["blocks"] == ["2", "3"]
        assert len(found["energy"]) == 3
        assert isinstance(found["sentence"], str)


def test_spectrum_says_where_the_series_fails(answer, command):
    found = answer("spectrum", "mine.py:build_bn", "--batch-statistics", "--dtype", "float64")
    assert found["method"] == "frozen"  # exact at λ = 1, so the default
    assert found["partial_sum_error"][-1] < 1e-10
    assert found["radius"] < 1
    assert "outside the estimated radius of convergence" in found["sentence"]
    relu = answer("spectrum", "mine.py:build", "--dtype", "float64")
    assert relu["series_error"] > 0.1
    assert "misses the output" in relu["sentence"]  # its gates change on the way from λ = 0
    code, out, _ = command("spectrum", "mine.py:build", "--method", "series", "--pade")
    assert code == 0
    assert "Padé [3/3] of the λ-series: relative error" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["inspect"], "factory"),
        (["inspect", "mine.py"], "package.module:callable"),
        (["inspect", "nowhere.py:build"], "no such file"),
        (["inspect", "mine.py:broken"], "ValueError on line"),
        (["inspect", "mine.py:plain"], "a model with residual additions"),
        (["inspect", "mine.py:with_nan"], "nan first in the branch of block 3 (3)"),
        (["inspect", "mine.py:empty"], "a batch with at least one sample"),
        (["spectrum", "mine.py:empty"], "an output with at least one number"),
        (["rescale", "mine.py:empty", "--rule", "1/n", "--output", "x"], "at least one sample"),
        (["inspect", "mine.py:unfit"], "a model that runs on its inputs; got RuntimeError"),
        (["inspect", "mine.py:asking"], "--block"),
        (["inspect", "mine.py:whole_numbers"], "torch.int64"),
        (["inspect", "mine.py:complex_numbers"], "complex"),
        (["inspect", "mine.py:build", "--device", "nowhere"], "a device that is here"),
        (["inspect", "mine.py:build", "--dtype", "int8"], "a dtype among"),
        (["inspect", "mine.py:build", "--weights", "missing"], "no such file"),
        (["inspect", "mine.py:build", "--weights", "wrong.safetensors"], "1 unexpected (a)"),
        (["inspect", "mine.py:build", "--limit", "0"], "limit must be"),
        (["inspect", "mine.py:build", "--seed", "x"], "seed must be"),
        (["inspect", "mine.py:build", "--batches", "mine.py:plain"], "batch 1 of type Linear"),
        (["inspect", "mine.py:build", "--block", "nope"], "nope"),
        (["inspect", "mine.py:build", "--without-normalisation"], "normalisation layers"),
        (["inspect", "mine.py:build", "--format", "xml"], "a format among"),
        (["spectrum", "mine.py:build", "--method", "magic"], "a method among frozen"),
        (["spectrum", "mine.py:build", "--order", "-1"], "order must be"),
        (["spectrum", "mine.py:plain"], "a model with residual additions"),
        (["spectrum", "mine.py:build", "--block", "2"], "blocks named by hand"),
        (["spectrum", "mine.py:build", "--order", "5000000"], "at most 1000"),
        (["spectrum", "mine.py:with_nan"], "in the branch of block 3 (3)"),
        (["spectrum", "mine.py:with_nan", "--method", "series"], "in the branch of block 3 (3)"),
        (["rescale", "mine.py:build", "--rule", "n!", "--output", "x"], "a scaling rule"),
        (["rescale", "mine.py:build", "--rule", "1/n", "--output", "no/x"], "a folder that exists"),
        (["rescale", "mine.py:build", "--rule", "1/n"], "--output"),
        (["rescale", "mine.py:plain", "--rule", "1/n", "--output", "x"], "residual additions"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(command, folder, arguments, message):
    save_file({"a": torch.ones(1)}, folder / "wrong.safetensors")
    code, out, err = command(*arguments)
    err = err.removeprefix("a line of the user's own\n").replace("asked\n", "")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert set(os.listdir(folder)) <= {"mine.py", "wrong.safetensors", "__pycache__"}
