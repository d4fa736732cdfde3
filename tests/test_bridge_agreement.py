"""Predictions against forward passes to rounding, and that a wrong one is noticed."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from expansion import InputError, Tower, gated_orders, jet_orders, load_tower  # noqa: E402
from expansion.towers.activations import ACTIVATIONS  # noqa: E402
from torch_bridge.checks import agreement  # noqa: E402
from torch_bridge.checks.check import check_tower, load_saved  # noqa: E402
from torch_bridge.checks.comparison import Comparison, compare_arrays, compare_mean  # noqa: E402
from torch_bridge.networks.architecture import ORDERS, Architecture  # noqa: E402
from torch_bridge.networks.digits import train_digits  # noqa: E402
from torch_bridge.networks.export import from_tower, to_tower  # noqa: E402
from torch_bridge.networks.models import build  # noqa: E402
from torch_bridge.networks.training import TrainingPlan  # noqa: E402

torch.set_num_threads(1)

COMPARISONS = (agreement.output, agreement.frozen_gates, agreement.series)


def inputs(dimension, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((5, dimension), generator=generator, dtype=torch.float64)


def test_the_trained_network_s_spectrum_sums_to_its_real_output():
    saved = load_saved()
    network = from_tower(saved)
    with torch.no_grad():
        real = network(torch.from_numpy(saved.inputs)).numpy()
    orders = gated_orders(saved.tower, saved.inputs)
    assert orders.shape == (9, 64, 10)
    assert np.abs(orders.sum(axis=0) - real).max() < 1e-10
    assert np.abs(orders[:-1].sum(axis=0) - real).max() > 1e-10  # and needs its last order
    assert [(c.claim, c.within) for c in check_tower(saved)] == [
        ("E1", True),
        ("E7b", True),
        ("E5", True),
    ]


def test_the_trained_network_s_series_converges_at_its_own_scales():
    saved = load_saved()
    real = saved.tower(saved.inputs)
    partial = np.cumsum(jet_orders(saved.tower, saved.inputs, 10), axis=0)
    errors = [np.linalg.norm(sums - real) / np.linalg.norm(real) for sums in partial]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.1  # the branches matter
    assert errors[10] < 1e-4


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_and_activation_agrees(order, activation):
    network = build(Architecture(order, 4, 3, activation=activation, inputs=2, classes=2), seed=8)
    tower, x = to_tower(network).tower, inputs(2)
    for compare in COMPARISONS:
        assert compare(tower, network, x).within, compare.__name__


def test_frozen_gates_are_exact_where_the_series_diverges():
    network = build(Architecture("mlp", 12, 6, rule=3.0, activation="tanh"), seed=1)
    tower, x = to_tower(network).tower, inputs(6)
    assert agreement.frozen_gates(tower, network, x).within
    partial = jet_orders(tower, x.numpy(), 12).sum(axis=0)
    assert np.abs(partial - network(x).detach().numpy()).max() > 1e3


@pytest.mark.parametrize("block", [0, 3])
def test_a_wrong_weight_is_noticed_by_every_comparison(block):
    network = build(Architecture("mlp", 4, 3, activation="tanh"), seed=8)
    tower, x = to_tower(network).tower, inputs(3)
    with torch.no_grad():
        network.branches[block].inner.weight[0, 0] += 1e-6
    for compare in COMPARISONS:
        assert not compare(tower, network, x).within, compare.__name__


def test_a_wrong_scale_is_noticed_by_every_comparison():
    network = build(Architecture("mlp", 4, 3, rule="1/sqrt(n)"), seed=8)
    exported = to_tower(network).tower
    wrong = Tower(exported.branches, "1/n")
    for compare in COMPARISONS:
        assert not compare(wrong, network, inputs(3)).within, compare.__name__


def test_nested_derivatives_are_the_taylor_coefficients_of_a_polynomial():
    """Of linear branches the whole output is a polynomial in z, fitted here from its values."""
    network = build(Architecture("marion", 3, 4, activation="linear", rule="1"), seed=2)
    x = inputs(4)
    with torch.no_grad():
        samples = torch.stack([network(x, scales=z * network.scales) for z in range(4)])
    powers = np.vander(range(4), increasing=True).astype(float)
    fitted = np.tensordot(np.linalg.inv(powers), samples.numpy(), axes=1)
    nested = agreement.nested_orders(network, x, 3).numpy()
    np.testing.assert_allclose(nested, fitted, atol=1e-12)


def test_single_precision_is_refused():
    network = build(Architecture(depth=2, dimension=3), dtype=torch.float32)
    tower = to_tower(network).tower
    for compare in COMPARISONS:
        with pytest.raises(InputError, match="double precision"):
            compare(tower, network, inputs(3))


def test_comparisons_cannot_pass_by_accident():
    assert not Comparison("E1", "nothing", 0.0, math.nan, 1.0).within
    assert Comparison("E1", "nothing", 0.0, math.nan, 1.0).to_dict()["measurement"] is None
    for bad in (math.nan, math.inf, -1.0):
        with pytest.raises(InputError, match="finite"):
            Comparison("E1", "nothing", 0.0, 0.0, bad)
    with pytest.raises(InputError, match="not empty"):
        compare_arrays("E1", "nothing", [], [])
    with pytest.raises(InputError, match="one shape"):
        compare_arrays("E1", "broadcast", [1.0], [1.0, 1.0])
    assert not compare_arrays("E1", "nan", [math.nan], [1.0]).within
    assert compare_mean("G1", "mean", 1.0, 1.39, 0.1).within
    assert not compare_mean("G1", "mean", 1.0, 1.41, 0.1).within


def test_the_shipped_file_is_the_script_s():
    """One epoch instead of forty: same architecture, inputs and labels, other weights."""
    shipped = load_saved()
    made, result = train_digits(TrainingPlan(epochs=1))
    assert not result.diverged
    assert (made.inputs == shipped.inputs).all()
    assert (made.labels == shipped.labels).all()
    assert made.tower.rule == shipped.tower.rule
    for mine, theirs in zip(made.tower.branches, shipped.tower.branches, strict=True):
        assert mine.activation == theirs.activation
        assert mine.inner.shape == theirs.inner.shape
    head = "Residual network x + λ(V tanh(Ux + b) + c) of depth 8, dimension 16 and width 16"
    assert shipped.description.startswith(head)
    assert made.description.startswith(head)


def test_the_shipped_network_reaches_the_accuracy_it_claims():
    from torch_bridge.networks.data import load_digits
    from torch_bridge.networks.training import evaluate

    shipped, data = load_saved(), load_digits()
    found = evaluate(from_tower(shipped), data.test_inputs, data.test_labels)
    assert found.accuracy >= 0.95
    assert shipped.description.endswith(f"test accuracy {found.accuracy:.1%}.")
    assert (data.test_inputs[:64].numpy() == shipped.inputs).all()


@pytest.mark.slow
def test_the_script_writes_the_same_bytes_twice(tmp_path):
    from torch_bridge.networks.digits import write_digits

    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    result = write_digits(first)
    assert write_digits(second) == result
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_bytes()) < 200_000
    saved = load_tower(first)
    assert saved.description.endswith(f"test accuracy {result.test.accuracy:.1%}.")
    assert result.test.accuracy >= 0.95
