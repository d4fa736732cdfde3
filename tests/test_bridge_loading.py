"""The user's factory, batches and weights: what is accepted, and one line for what is not."""

import sys

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from expansion import InputError  # noqa: E402
from torch_bridge.loading.factory import load_batches, load_callable, load_factory  # noqa: E402
from torch_bridge.loading.loaded import Loaded  # noqa: E402
from torch_bridge.loading.weights import load_weights  # noqa: E402

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])

FILE = """
import torch
from torch import nn
import {neighbour}

print("noise on stdout")

def build():
    return nn.Linear(2, 3), (torch.ones(4, 2),)

def named():
    return nn.Linear(2, 3), (), {{"input": torch.ones(4, 2)}}

def lone_tensor():
    return nn.Linear(2, 3), torch.ones(4, 2)

def model_alone():
    return nn.Linear(2, 3)

def nothing():
    pass

def four():
    return 1, 2, 3, 4

def no_module():
    return "model", (torch.ones(1),)

def list_of_args():
    return nn.Linear(2, 3), [torch.ones(4, 2)]

def bad_kwargs():
    return nn.Linear(2, 3), (), {{1: 2}}

def raises():
    x = 1
    raise KeyError("weights")

def stops():
    raise SystemExit(3)

def wants(size):
    return size

def loader():
    return [torch.ones(4, 2)]

def one_tensor():
    return torch.ones(4, 2)

number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder like a user's, with a file and a module beside it; imports are undone."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "neighbour_of_mine.py").write_text("value = 1\n")
    (tmp_path / "my_model.py").write_text(FILE.format(neighbour="neighbour_of_mine"))
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("my_model", "neighbour_of_mine", "broken")):
            del sys.modules[name]


@pytest.mark.parametrize("place", ["my_model.py", "my_model", "./my_model.py"])
@pytest.mark.parametrize("name", ["build", "named", "lone_tensor"])
def test_a_factory_gives_a_model_and_a_call(folder, capsys, place, name):
    loaded = load_factory(f"{place}:{name}")
    assert loaded().shape == (4, 3)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "noise on stdout\n")  # stdout stays clean for results


def test_a_file_elsewhere_imports_its_neighbours(folder, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert load_factory(f"{folder}/my_model.py:build")().shape == (4, 3)


def test_two_files_of_one_name_do_not_disturb_each_other(folder):
    other = folder / "other"
    other.mkdir()
    (other / "my_model.py").write_text("def build():\n    return 5\n")
    assert load_callable("my_model.py:build").__module__ == "my_model"
    assert load_callable("other/my_model.py:build")() == 5
    assert load_callable("my_model.py:build") is not load_callable("other/my_model.py:build")


def test_a_seed_makes_random_weights_the_same(folder):
    first, again, other = (load_factory("my_model.py:build", seed=s).model for s in (1, 1, 2))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("my_model.py", ["package.module:callable", "name both"]),
        (":build", ["package.module:callable"]),
        ("my_model.py:", ["package.module:callable"]),
        ("", ["package.module:callable", "got nothing"]),
        ("missing.py:build", ["missing.py (no such file)"]),
        ("./:build", ["a folder"]),
        ("missing_module:build", ["ModuleNotFoundError", "missing_module"]),
        ("my_model.py:missing", ["'missing'", "it has build, named"]),
        ("my_model.py:number", ["callable", "int"]),
        ("my_model.py:wants", ["without arguments", "wants(size)", "'size'"]),
        ("my_model.py:raises", ["KeyError on line {raise KeyError} of my_model.py", "weights"]),
        ("my_model.py:stops", ["SystemExit on line {raise SystemExit} of my_model.py"]),
        ("my_model.py:model_alone", ["the model alone"]),
        ("my_model.py:nothing", ["got None"]),
        ("my_model.py:four", ["a tuple of 4"]),
        ("my_model.py:no_module", ["torch.nn.Module", "str"]),
        ("my_model.py:list_of_args", ["args as a tuple", "list"]),
        ("my_model.py:bad_kwargs", ["kwargs as a dictionary with names"]),
    ],
)
def test_every_failure_is_one_line(folder, spec, parts):
    with pytest.raises(InputError) as caught:
        load_factory(spec)
    message = str(caught.value)
    assert "\n" not in message
    lines = (folder / "my_model.py").read_text().splitlines()
    for part in parts:
        if "{" in part:  # stands for the number of the line with this text
            text = part.partition("{")[2].partition("}")[0]
            number = next(i for i, line in enumerate(lines, 1) if text in line)
            part = part.replace(f"{{{text}}}", str(number))
        assert part in message


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import torch\nimport no_such_module\n", "ModuleNotFoundError on line 2 of broken.py"),
        ("x = 1\ny = = 2\n", "SyntaxError on line 2 of broken.py"),
        ("raise ValueError('a\\nb')\n", "ValueError on line 1 of broken.py: a;"),
        ("import sys\nsys.exit(1)\n", "SystemExit on line 2 of broken.py"),
        ("from pathlib import Path\nPath('/no/such/file').read_text()\n", "on line 2 of broken.py"),
    ],
)
@pytest.mark.parametrize("place", ["broken.py", "broken"])
def test_an_import_that_fails_names_the_exception_and_its_line(folder, source, told, place):
    (folder / "broken.py").write_text(source)
    with pytest.raises(InputError) as caught:
        load_callable(f"{place}:build")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "broken" not in sys.modules


def test_an_interruption_is_not_a_failure_of_the_file(folder):
    (folder / "broken.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_callable("broken.py:build")


def test_batches(folder):
    assert len(load_batches("my_model.py:loader")) == 1
    for name in ("one_tensor", "nothing"):
        with pytest.raises(InputError, match="an iterable of batches"):
            load_batches(f"my_model.py:{name}")


@pytest.mark.parametrize("device", DEVICES)
def test_moving_keeps_integers(device):
    model = nn.BatchNorm1d(2)
    ids = torch.ones(3, 2, dtype=torch.long)
    moved = Loaded(model, (torch.ones(3, 2),), {"ids": [ids, None]}).to(device, "float64")
    assert moved.model.weight.dtype == torch.float64
    assert moved.model.num_batches_tracked.dtype == torch.long
    assert moved.args[0].dtype == torch.float64
    assert moved.kwargs["ids"][0].dtype == torch.long
    assert moved.kwargs["ids"][1] is None
    assert {t.device.type for t in (moved.args[0], moved.model.weight)} == {device}
    moved.check_devices()


def test_bad_devices_and_dtypes():
    loaded = Loaded(nn.Linear(1, 1), (torch.ones(1, 1),))
    assert loaded.to() is loaded
    with pytest.raises(InputError, match="a device that is here; got nowhere"):
        loaded.to("nowhere")
    with pytest.raises(InputError, match="a dtype among"):
        loaded.to(dtype="int8")
    apart = Loaded(nn.Linear(1, 1, device="meta"), (torch.ones(1, 1),))
    with pytest.raises(InputError, match="the model on meta, inputs on cpu"):
        apart.check_devices()


# ---- Weights ---------------------------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.second = nn.Linear(2, 2)
        self.second.weight = self.first.weight


def target(model=None):
    model = nn.Linear(2, 2) if model is None else model
    return model, {name: torch.randn(t.shape) for name, t in model.state_dict().items()}


@pytest.mark.parametrize("kind", ["safetensors", "pt", "state_dict", "model"])
def test_weights_are_loaded(tmp_path, kind):
    model, state = target()
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state if kind == "pt" else {kind: state, "epoch": 3}, path)
    load_weights(model, path)
    assert all(torch.equal(model.state_dict()[name], state[name]) for name in state)


def test_a_tied_weight_may_be_written_once(tmp_path):
    model, state = target(Tied())
    del state["second.weight"]
    save_file(state, tmp_path / "w.safetensors")
    load_weights(model, tmp_path / "w.safetensors")
    assert torch.equal(model.second.weight, state["first.weight"])
    del state["second.bias"]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"1 missing \(second.bias\)"):
        load_weights(model, tmp_path / "w.safetensors")


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    model, _ = target()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wrong = {
        "weight": torch.zeros(3, 2),
        "a": torch.ones(1),
        "b": torch.ones(1),
        "c": torch.ones(1),
    }
    save_file(wrong, tmp_path / "w.safetensors")
    with pytest.raises(InputError) as caught:
        load_weights(model, tmp_path / "w.safetensors")
    message = str(caught.value)
    assert "1 missing (bias) and 3 unexpected (a, b, …)" in message
    assert "weight of shape (3, 2) for (2, 2)" in message
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)


class Runs:
    """What a hostile checkpoint would do when it is loaded."""

    def __reduce__(self):
        return print, ("this code ran",)


def test_nothing_in_a_checkpoint_is_run(tmp_path, capsys):
    torch.save({"weight": Runs()}, tmp_path / "w.pt")
    with pytest.raises(InputError, match="would run code when loaded"):
        load_weights(nn.Linear(1, 1), tmp_path / "w.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no checkpoint at all, only text", None])
def test_bad_files_are_one_line(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_weights(nn.Linear(1, 1), tmp_path / name)
    assert "a checkpoint" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [[1, 2], {}, {"weight": 3}, {"state_dict": {"weight": "x"}}])
def test_a_file_without_a_state_dict_is_refused(tmp_path, value):
    torch.save(value, tmp_path / "w.pt")
    with pytest.raises(InputError, match="a checkpoint"):
        load_weights(nn.Linear(1, 1), tmp_path / "w.pt")
