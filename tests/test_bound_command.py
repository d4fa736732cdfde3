"""The bound commands of capacity and of the synthesis: answers, formats, refusals."""

import math

import numpy as np
import pytest

from expansion import MLPBranch, ScalingRule, Tower
from expansion.bounds.capacity import METHODS, capacity_bounds
from expansion.towers.files import SavedTower, embedded_tower, save_tower


@pytest.fixture
def saved(tmp_path):
    def write(inputs, rule="1/n"):
        generator = np.random.default_rng(4)
        branches = tuple(MLPBranch(generator.normal(size=(3, 3)) / 2) for _ in range(2))
        path = tmp_path / "tower.safetensors"
        return save_tower(path, SavedTower(Tower(branches, rule), np.asarray(inputs)))

    return write


def test_capacity_of_the_embedded_network(answer):
    found = answer("bound", "capacity")
    assert found["vacuous"] is False
    assert found["method"] == "consecutive"
    assert [bound["method"] for bound in found["bounds"]] == list(METHODS)
    assert {"part", "scale", "product", "balanced", "factor", "centred"} == set(found["terms"][0])
    parts = [term["part"] for term in found["terms"]]
    assert parts == ["encoder", *(f"block {n}" for n in range(1, 9)), "decoder"]
    product = next(bound for bound in found["bounds"] if bound["method"] == "product")
    assert math.prod(term["factor"] for term in found["terms"]) == pytest.approx(
        product["lipschitz"]
    )
    measured = found["measured"]
    for bound in found["bounds"]:
        assert bound["lipschitz_ratio"] == bound["lipschitz"] / measured["lipschitz"] >= 1
        assert bound["complexity_ratio"] == bound["complexity"] / measured["complexity"] >= 1
    assert measured["lipschitz"] <= found["local"]["lipschitz"] <= found["lipschitz"] * 1.001


def test_another_rule_and_another_file(answer, saved):
    under = answer("bound", "capacity", "--rule", "1/n")
    own = embedded_tower().tower
    other = Tower(own.branches, ScalingRule.parse("1/n"), own.encoder, own.decoder)
    true = {bound.method: bound.lipschitz for bound in capacity_bounds(other)}
    assert {b["method"]: b["lipschitz"] for b in under["bounds"]} == true
    path = saved([[0.0, 1.0, 2.0], [1.0, 0.0, 0.0]])
    assert answer("bound", "capacity", "--weights", path)["depth"] == 2


def test_random_towers_are_compared(answer):
    found = answer("bound", "capacity", "--random", "1")
    assert {row["method"] for row in found["random"]} == set(METHODS)
    assert all(row["largest"] >= row["median"] >= row["least"] >= 1 for row in found["random"])


def test_a_vacuous_bound_says_so(answer, saved):
    path = saved([[0.0, 0.0, 0.0], [100.0, 0.0, 0.0], [100.0, 0.001, 0.0]], rule="3")
    assert answer("bound", "capacity", "--weights", path)["vacuous"] is False
    alone = saved([[0.0, 0.0, 0.0]])
    assert answer("bound", "capacity", "--weights", alone)["vacuous"] is True


def test_the_synthesis(answer, command):
    found = answer("bound", "exponents", "--rule", "1/sqrt(n)", "1/n")
    scales = {row["quantity"]: row["largest_scale"] for row in found["quantities"]}
    assert scales["energy of independent branches"] == "1/√n"
    assert set(scales.values()) == {"1/√n", "1/n"}
    assert found["summary"].startswith("Signals ask for 1/√n, capacity for 1/n.")
    code, out, err = command("bound", "exponents", "--rule", "1/n")
    assert (code, err) == (0, "")
    assert "Signals ask for 1/√n" in out
    assert "interlayer certificate" in out


@pytest.mark.parametrize("format", ["text", "markdown", "latex"])
def test_formats_of_capacity(command, format):
    code, out, err = command("bound", "capacity", "--format", format)
    assert (code, err) == (0, "")
    assert "consecutive" in out
    assert "block 8" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("capacity", "--weights", "nowhere.safetensors"), "safetensors file"),
        (("capacity", "--rule", "nonsense"), "a scaling rule"),
        (("capacity", "--rule", "lambda"), "scales with values"),
        (("capacity", "--rule", "half"), "leaves the skip alone"),
        (("capacity", "--radius", "-1"), "radius of at least 0"),
        (("capacity", "--radius", "nan"), "finite number"),
        (("overparameterized", "--features", "3"), "--margin, for a data set"),
        (("overparameterized", "--positive", "1"), "--margin, for a data set"),
        (
            ("neural-ode", "--samples", "9", "--weights", "a", "--input-radius", "2"),
            "either --weights or",
        ),
        (("capacity", "--random", "0"), "number of towers"),
        (("capacity", "--format", "csv"), "a format among"),
        (("exponents", "--rule", "@nowhere"), "text file"),
        (("exponents", "--rule", "skipinit", "half"), "a rule such as"),
        ((), "Missing command"),
        (("nonsense",), "No such command"),
    ],
)
def test_bad_input_is_one_line(command, arguments, told):
    code, out, err = command("bound", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert told in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("remainder --order 1000000000", "order must be at most 1000"),
        ("capacity --random 1000000000", "the number of towers must be at most 1000000"),
        ("capacity --rule 1e200", "scales of at most 1e75"),
        ("neural-ode --samples 9 --radius 1e300 --dimension 2", "radius of at most 1e+100"),
        ("neural-ode --samples 9 --radius 1e12 --dimension 2", "K_σ R of at most 1e+09"),
        ("neural-ode --samples 9 --radius 1e-300 --dimension 2", "a radius of 0, or of at least"),
        ("overparameterized --depth 1000000000", "depth must be at most 4096"),
        ("overparameterized --width 8 16", "one width; got 8 16"),
        ("overparameterized --distance 1e300", "tau from 0 to 1e100"),
        ("overparameterized --rule 1e300", "scales of at most 1e75"),
    ],
)
def test_sizes_beyond_reason_are_refused_at_once(command, words, message):
    code, out, err = command("bound", *words.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"error: {message}" in err


def test_a_tiny_delta_costs_its_logarithm(answer):
    words = "neural-ode --samples 1000 --radius 1 --dimension 2 --delta 1e-320"
    (row,) = answer("bound", *words.split())["rows"]
    assert 0 < row["gap"] < math.inf


@pytest.mark.parametrize("format", ["markdown", "latex"])
def test_every_table_has_its_title_and_stands_alone(command, format):
    code, out, _ = command("bound", "capacity", "--format", format)
    assert code == 0
    assert "Terms of the bounds" in out
    assert "Capacity, n = 8" in out
    if format == "markdown":
        assert "\n\n| method |" in out  # a table that touches another would be a part of it
    else:
        assert out.count(r"\begin{tabular}") == 2
        table = "".join(line for line in out.splitlines() if not line.startswith("%"))
        assert table.isascii()
