"""Block orders against the formulas of the papers, written out by hand."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from expansion import InputError, ScalingRule  # noqa: E402
from expansion.towers.activations import ACTIVATIONS as EXPANDED  # noqa: E402
from torch_bridge.networks.architecture import ORDERS, Architecture  # noqa: E402
from torch_bridge.networks.models import ACTIVATIONS, ResidualBranch, ResidualNetwork, build  # noqa: E402

torch.set_num_threads(1)


def values(layer):
    return (
        layer.weight.detach().numpy(),
        None if layer.bias is None else layer.bias.detach().numpy(),
    )


def randomise_biases(network, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator))


def relu(a):
    return np.maximum(a, 0)


def by_hand(order, branch, x):
    if order == "mlp":
        (U, b), (V, c) = values(branch.inner), values(branch.outer)
        return V @ relu(U @ x + b) + c
    if order == "frei":
        assert branch.outer is None
        W, none = values(branch.inner)
        assert none is None
        return relu(W @ x)
    assert branch.inner is None
    W, none = values(branch.outer)
    assert none is None
    return W @ relu(x)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rule", ["1", "1/n", "batchnorm", "half"])
def test_a_forward_pass_is_the_paper_s_formula(order, rule):
    width = 7 if order == "mlp" else None
    architecture = Architecture(order, 3, 5, width, "relu", rule, inputs=4, classes=2)
    network = build(architecture, seed=11)
    randomise_biases(network, 1)
    x = np.random.default_rng(0).normal(size=4)
    (A, a), (B, b) = values(network.encoder), values(network.decoder)
    state = A @ x + a
    scales = {"1": [1, 1, 1], "1/n": [1 / 3] * 3, "half": [1, 1, 1]}.get(
        rule, [1, 2**-0.5, 3**-0.5]
    )
    for scale, branch in zip(scales, network.branches, strict=True):
        state = state + scale * by_hand(order, branch, state)
        if rule == "half":
            state = state / math.sqrt(2)
    real = network(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(real, B @ state + b, rtol=1e-12)


def test_the_default_rules_are_the_papers():
    chosen = {name: Architecture(name, 2, 2).rule.text for name in ORDERS}
    assert chosen == {"mlp": "1/sqrt(n)", "de-smith": "1", "marion": "1/n", "frei": "1/n"}


@pytest.mark.parametrize(
    ("order", "inner", "outer"),
    [
        ("mlp", 2 / 300, 1 / 200),
        ("de-smith", None, 2 / 200),
        ("marion", None, 1 / 200),
        ("frei", 2 / 200, None),
    ],
)
def test_weights_have_the_papers_variances(order, inner, outer):
    network = build(Architecture(order, 1, 200, 300 if order == "mlp" else None), seed=5)
    for name, variance in (("inner", inner), ("outer", outer)):
        layer = getattr(network.branches[0], name)
        if variance is None:
            assert layer is None
            continue
        weights = layer.weight.detach().numpy()
        # A variance estimated from N normals has relative standard error √(2/N).
        assert abs(weights.var() / variance - 1) < 4 * math.sqrt(2 / weights.size)
        assert abs(weights.mean()) < 4 * math.sqrt(variance / weights.size)
        assert layer.bias is None or not layer.bias.any()


def test_activations_are_those_of_the_towers():
    assert set(ACTIVATIONS) == set(EXPANDED)
    a = np.linspace(-3, 3, 13)
    for name, function in ACTIVATIONS.items():
        real = function(torch.from_numpy(a)).numpy()
        np.testing.assert_allclose(real, EXPANDED[name].value(a), rtol=1e-13, atol=1e-15)


def test_batch_normalisation_precedes_the_activation():
    network = build(Architecture("de-smith", 1, 4, normalised=True), seed=2)
    x = np.random.default_rng(3).normal(2.0, 3.0, size=(50, 4))
    normal = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    W, _ = values(network.branches[0].outer)
    real = network(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(real, x + relu(normal) @ W.T, rtol=1e-12)


def test_the_same_seed_gives_the_same_network_and_leaves_torch_s_generator_alone():
    architecture = Architecture(depth=2, dimension=3, inputs=2, classes=2)
    before = torch.get_rng_state()
    first, again, other = (build(architecture, seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["encoder.weight"], other["encoder.weight"])


def test_other_scales_and_types():
    network = build(Architecture("marion", 3, 2), dtype=torch.float32)
    x = torch.ones(2)
    assert network.dtype == network(x).dtype == torch.float32
    assert torch.equal(network(x, scales=torch.zeros(3)), x)
    assert network.scales.tolist() == pytest.approx([1 / 3] * 3)
    doubled = network.double()
    assert doubled.scales.dtype == torch.float64
    with pytest.raises(InputError, match="one scale for each of 3 blocks"):
        network(x.double(), scales=torch.ones(2))


def test_scales_are_differentiable():
    network = build(Architecture("frei", 2, 1, activation="linear"))
    scales = torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
    network(torch.ones(1, dtype=torch.float64), scales=scales).sum().backward()
    w = [branch.inner.weight.item() for branch in network.branches]
    assert scales.grad.tolist() == pytest.approx([w[0] * (1 + 0.7 * w[1]), w[1] * (1 + 0.3 * w[0])])


def test_a_network_can_be_put_together_from_parts():
    branches = [ResidualBranch("sin"), ResidualBranch("sin")]
    network = ResidualNetwork(branches, ScalingRule.of([1, "1/2"]))
    x = torch.tensor([1.0])
    first = 1 + math.sin(1)
    assert network(x).item() == pytest.approx(first + math.sin(first) / 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"order": "resnet"}, "block order among mlp"),
        ({"activation": "swish"}, "activation among"),
        ({"depth": 0}, "depth must be"),
        ({"dimension": -1}, "dimension must be"),
        ({"inputs": 0}, "inputs must be"),
        ({"rule": "2/m"}, "scaling rule"),
        ({"rule": [1, 1]}, "one listed scale per block"),
        ({"order": "frei", "width": 3}, "square"),
        ({"rule": "batchnorm", "normalised": True}, "normalisation once"),
    ],
)
def test_bad_architectures_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Architecture(**fields)
