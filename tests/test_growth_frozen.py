"""G2 for every activation: the orders' Gram matrix against e_k and against drawn matrices."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion import InputError, spectrum
from expansion.growth.drawn import drawn_towers
from expansion.growth.frozen import frozen_spectrum
from expansion.growth.mean_field import mean_field
from expansion.growth.setting import BLOCKS, Setting
from proofs_check.strategies import scaling_rules


@given(scaling_rules(), st.integers(1, 10), st.sampled_from(["relu", "linear", "leaky-relu"]))
def test_homogeneous_branches_give_elementary_symmetric_polynomials(rule, depth, branch):
    found = frozen_spectrum(Setting(branch), rule, depth, depth)
    energies = np.diag(found.grams) * math.exp(found.log_energy)
    wanted = spectrum(depth, rule, depth).energy
    assert np.allclose(energies, wanted, rtol=1e-9, atol=1e-13 * wanted.max())
    assert np.allclose(found.grams, np.diag(np.diag(found.grams)), atol=1e-13)


@pytest.mark.parametrize("branch", ["tanh", "erf", "sin", "gelu", "silu", "relu"])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("layers", "bias", "overlap"), [(None, 0.0, 0.0), (3, 0.4, -0.6)])
def test_orders_add_up_to_the_mean_field_energy(branch, block, layers, bias, overlap):
    setting = Setting(branch, block, 1.3, bias, layers, overlap=overlap)
    found = frozen_spectrum(setting, "0.8", 7, 7)
    predicted = mean_field(setting, "0.8", 7)
    assert math.isclose(found.log_energy, predicted.log_energy, rel_tol=1e-9, abs_tol=1e-9)
    assert found.grams.sum() == pytest.approx(1)
    assert found.grams.sum(axis=1) == pytest.approx(found.along, abs=1e-12)
    # A shorter list of orders is a part of the longer one.
    short = frozen_spectrum(setting, "0.8", 7, 3)
    assert np.allclose(short.grams, found.grams[:4, :4], rtol=1e-12)
    # Σ k·(energy along order k) is the mean order.
    assert np.arange(8) @ found.along == pytest.approx(predicted.mean_order, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("branch", "block", "layers", "bias"),
    [
        ("tanh", "pre-activation", None, 0.0),
        ("tanh", "pre-activation", None, 0.3),
        ("gelu", "pre-norm", None, 0.0),
        ("silu", "activation-first", None, 0.2),
        ("erf", "post-norm", 3, 0.1),
        ("relu", "pre-activation", 3, 0.0),
        ("relu", "post-activation", None, 0.0),
        ("gelu", "post-activation", 2, 0.3),
    ],
)
def test_drawn_matrices_have_these_grams(branch, block, layers, bias):
    trials = 600
    overlap = 0.3 if block == "post-activation" else 0.0
    setting = Setting(branch, block, bias_variance=bias, layers=layers, overlap=overlap)
    found = frozen_spectrum(setting, "1", 4, 4)
    predicted = found.grams * math.exp(found.log_energy)
    means, errors = [], []
    for width in (64, 32):
        grams = drawn_towers(
            setting, "1", 4, dimension=width, width=width, trials=trials, seed=2, orders=True
        ).grams
        means.append(grams.mean(axis=0))
        errors.append(grams.std(axis=0) / math.sqrt(trials))
    limit, error = 2 * means[0] - means[1], np.hypot(2 * errors[0], errors[1]) + 1e-9
    assert np.all(np.abs(limit - predicted) < 4 * error)
    if setting == Setting(
        "tanh", overlap=0.3
    ):  # orders of a smooth branch are correlated: e_k alone would be refuted
        assert np.abs(limit[1, 2] / error[1, 2]) > 8


@pytest.mark.parametrize("block", BLOCKS)
def test_orders_of_drawn_matrices_add_up_to_the_signal(block):
    setting = Setting("gelu", block, bias_variance=0.5, overlap=0.2)
    drawn = drawn_towers(setting, "half", 3, dimension=5, width=6, trials=4, orders=True)
    assert np.allclose(drawn.grams.sum(axis=(1, 2)), drawn.energies)
    # The mean order is carried as one vector; here it is summed over the orders.
    along = drawn.grams.sum(axis=2) @ np.arange(4)
    assert np.allclose(drawn.mean_orders, along / drawn.energies)


@pytest.mark.parametrize(
    "setting",
    [
        Setting("relu", bias_variance=0.3),
        Setting("tanh", "pre-norm"),
        Setting("gelu", "activation-first", bias_variance=0.1),
        Setting("relu", "post-activation"),
        Setting("silu", "post-norm", 3.0, layers=3),
    ],
)
def test_mean_orders_of_drawn_matrices(setting):
    predicted = mean_field(setting, "1/sqrt(n)", 6).mean_order
    means, errors = [], []
    for width in (48, 24):
        found = drawn_towers(setting, "1/sqrt(n)", 6, dimension=width, width=width, trials=400)
        means.append(found.mean_orders.mean())
        errors.append(found.mean_orders.std() / 20)
    limit, error = 2 * means[0] - means[1], math.hypot(2 * errors[0], errors[1])
    assert abs(limit - predicted) < 4 * error
    assert abs(limit - 1.25 * predicted) > 4 * error


@pytest.mark.parametrize("branch", ["gelu", "tanh"])
@pytest.mark.parametrize("block", ["pre-activation", "post-activation"])
def test_orders_far_below_the_signal_keep_their_energies(branch, block):
    # Order 0 is the input itself, though the signal is beyond the floats' reach of it.
    depth = 3000
    found = frozen_spectrum(Setting(branch, block), "8", depth, 3)
    assert found.log_energies[0] == pytest.approx(0, abs=1e-9)
    # Order 1 adds what each block makes of the input alone: a single block's, n times in energy
    # and, with a mean, n² times in amplitude.
    least = frozen_spectrum(Setting(branch, block), "8", 1, 1).log_energies[1]
    if branch == "gelu":
        assert np.diff(found.log_energies).min() > 0
        assert found.log_energies[1] < least + 2 * math.log(depth) + 5


def test_orders_that_no_float_holds_side_by_side_are_refused():
    with pytest.raises(InputError, match="beside order 0; got orders up to 200; lower --order"):
        frozen_spectrum(Setting("gelu"), "8", 400, 200)


def test_order_zero_far_below_the_signal_is_never_shown_as_nothing():
    with pytest.raises(InputError, match="beside order 0"):
        frozen_spectrum(Setting("tanh"), "1e74", 10, 4)
