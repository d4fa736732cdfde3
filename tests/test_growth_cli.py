"""``expansion growth`` with blocks, variances, sweeps and advice."""

import math
from functools import partial

import pytest

from expansion.growth.mean_field import mean_field
from expansion.growth.setting import Setting


@pytest.fixture
def command(command):
    return partial(command, "growth")


def test_several_branches_and_widths(answer):
    found = answer("--depth", 5, "--rule", "1", "--branch", "relu,tanh", "--width", 8, 16)
    assert found["branch"] == "relu,tanh"
    assert [(row["branch"], row["width"]) for row in found["rows"]] == [
        ("relu", 8),
        ("relu", 16),
        ("tanh", 8),
        ("tanh", 16),
    ]
    assert [row["energy"] for row in found["rows"][:2]] == [32, 32]


def test_a_block_with_everything_given(answer):
    (row,) = answer(
        *("--depth", 6, "--rule", "0.5", "--branch", "gelu", "--block", "pre-norm"),
        *("--weight-variance", 1.5, "--bias-variance", 0.2, "--layers", 3, "--correlation", 0.4),
    )["rows"]
    setting = Setting("gelu", "pre-norm", 1.5, 0.2, 3)
    found = mean_field(setting, "0.5", 6, correlation=0.4)
    assert row["energy"] == math.exp(found.log_energy)
    assert row["correlation"] == found.correlation
    assert row["gradient_log10"] == found.log_gradient / math.log(10)
    assert row["energy_is"] == "the limit of infinite width"


def test_predictions_stand_beside_their_twins(answer, command):
    arguments = ("--depth", 6, "--rule", "1/n", "--block", "post-activation", "--simulate", 200)
    (row,) = answer(*arguments)["rows"]
    for name, error in (
        ("mean_order", "simulated_mean_order_standard_error"),
        ("gradient_log10", "simulated_gradient_log10_standard_error"),
        ("log10_energy", "simulated_log10_standard_error"),
    ):
        # Limits of infinite width beside 64 units: within some standard errors of 200 draws.
        assert abs(row[f"simulated_{name}"] - row[name]) < 6 * row[error]
    code, out, _ = command(*arguments)
    assert code == 0
    for words in ("simulated order", "simulated gradient"):
        assert words in out
    # Too deep for whole matrices: said by a dash, and the rest is there.
    code, out, _ = command("--depth", 20_000, "--rule", "1/n", "--simulate", 2)
    assert code == 0
    assert "simulated order" not in out


def test_advice_in_json_and_in_text(answer, command):
    arguments = ("--depth", 100, "--rule", "1", "1/n", "--advise")
    (advice,) = answer(*arguments)["advice"]
    assert advice["rule"] == "1.000/sqrt(n)"
    assert advice["exponent"] == "1/2"
    assert "incoherent" in advice["why"]
    (coherent,) = answer(*arguments, "--coherent", "--factor", 4)["advice"]
    assert coherent["coefficient"] == pytest.approx(math.log(4) / 2)
    assert coherent["exponent"] == "1"
    for format in ("text", "markdown", "latex"):
        code, out, _ = command(*arguments, "--format", format)
        assert code == 0
        assert "256" in out
    assert "λ = 1.000/sqrt(n)" in command(*arguments)[1]


def test_cells_are_kept_and_used(answer, tmp_path):
    folder = tmp_path / "cells"
    arguments = ("--depth", 3, "--rule", "1", "--simulate", 5, "--cells", folder)
    first = answer(*arguments)
    (kept,) = folder.iterdir()
    moment = kept.stat().st_mtime_ns
    assert answer(*arguments) == first
    assert kept.stat().st_mtime_ns == moment


def test_text_shows_simulated_correlations(command):
    code, out, _ = command(
        *("--depth", 3, "--rule", "1", "--branch", "tanh", "--simulate", 5, "--correlation", 0.5)
    )
    assert code == 0
    for words in ("correlation", "simulated energy", "gradient", "infinite width", "±"):
        assert words in out


BAD = [
    ("--branch", "cubic"),
    ("--block", "sideways"),
    ("--weight-variance", "-1"),
    ("--weight-variance", "many"),
    ("--bias-variance", "nan"),
    ("--layers", "0"),
    ("--width", "3"),
    ("--correlation", "2"),
    ("--overlap", "-3"),
    ("--jobs", "0"),
    ("--advise", "--factor", "1"),
    ("--factor", "2"),
    ("--coherent",),
    ("--cells", "missing/\0"),
]


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_bad_input_is_one_line_and_exit_code_two(command, arguments):
    code, out, err = command("--depth", 3, "--rule", "1", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
