"""``expansion spectrum`` of other block kinds, and ``expansion critical``."""

import math

import numpy as np
import pytest

from expansion.growth.mean_field import mean_field
from expansion.growth.setting import Setting


def test_spectra_of_other_blocks_have_shares_that_add_up(command, answer):
    arguments = ("--depth", 5, "--rule", "1", "--order", 5, "--block", "post-activation")
    found = answer("spectrum", *arguments)
    assert sum(found["share"]) == pytest.approx(1)
    # Orders with a mean add coherently: their energies are not C(n, k), and do not add up.
    predicted = mean_field(Setting("relu", "post-activation"), "1", 5)
    assert np.arange(6) @ np.array(found["share"]) == pytest.approx(predicted.mean_order)
    assert sum(found["energy"]) < math.exp(predicted.log_energy)
    plain = answer("spectrum", *arguments[:-2], "--branch", "leaky-relu")
    assert plain["energy"] == pytest.approx([1, 5, 10, 10, 5, 1])
    assert "share" in command("spectrum", *arguments)[1]
    assert command("spectrum", *arguments[:-1], "sideways")[0] == 2


def test_critical_exponents_have_a_command(command, answer):
    found = answer("critical", "--depth", 256, "--hurst", 0.8, "0.1")
    rows = {(row["covariance"], row["parameter"]): row for row in found["rows"]}
    assert found["depths"] == [128, 256]
    assert rows["tied", 0.0]["fitted"] == pytest.approx(1, abs=0.02)
    assert rows["fractional", 0.8]["fitted"] == pytest.approx(0.8, abs=0.02)
    assert rows["fractional", 0.1]["predicted"] == 0.25
    assert rows["fractional", 0.1]["fitted"] > 0.2  # order 1 alone would say 0.1
    assert "fractional" in command("critical", "--depth", 64, "--hurst", 0.5)[1]
    assert command("critical", "--hurst", 2)[0] == 2
