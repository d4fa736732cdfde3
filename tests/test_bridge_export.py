"""Export and the way back, for every block order and activation."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from expansion import (  # noqa: E402
    AffineBranch,
    InputError,
    MLPBranch,
    ScalingRule,
    SymbolicBranch,
    Tower,
    load_tower,
    save_tower,
)
from expansion.towers.activations import ACTIVATIONS  # noqa: E402
from torch_bridge.networks.architecture import ORDERS, Architecture  # noqa: E402
from torch_bridge.networks.export import from_tower, to_tower  # noqa: E402
from torch_bridge.networks.models import ResidualNetwork, build  # noqa: E402

torch.set_num_threads(1)


def network_with_biases(order, activation="tanh", seed=0, **changed):
    fields = {"depth": 4, "dimension": 5, "inputs": 3, "classes": 2, **changed}
    network = build(Architecture(order, activation=activation, **fields), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network


def inputs(samples=6, dimension=3, seed=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((samples, dimension), generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("order", ORDERS)
def test_a_network_survives_the_way_through_a_file(order, activation, tmp_path):
    network, x = network_with_biases(order, activation), inputs()
    labels = torch.arange(6) % 2
    path = save_tower(tmp_path / "t.safetensors", to_tower(network, x, labels, "a test"))
    saved = load_tower(path)
    real = network(x).detach()
    np.testing.assert_allclose(saved.tower(saved.inputs), real.numpy(), rtol=1e-12, atol=1e-14)
    assert saved.tower.rule == network.rule
    assert saved.description == "a test"
    assert (saved.labels.tolist(), saved.inputs.tolist()) == (labels.tolist(), x.tolist())
    again = from_tower(saved)
    assert torch.equal(again(x), network(x))
    assert {n: p.tolist() for n, p in again.named_parameters()} == {
        n: p.tolist() for n, p in network.named_parameters()
    }


def test_every_state_agrees_not_only_the_output():
    network, x = network_with_biases("mlp", width=9), inputs()
    ours, real = to_tower(network).tower.states(x.numpy()), network.states(x)
    for mine, theirs in zip(ours, real, strict=True):
        np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-12, atol=1e-14)


def test_single_precision_weights_are_exported_without_rounding():
    network = build(Architecture("frei", 2, 3), dtype=torch.float32)
    saved = to_tower(network)
    assert saved.tower.rule.text == "1/n"
    for branch, module in zip(saved.tower.branches, network.branches, strict=True):
        assert branch.inner.dtype == np.float64
        assert (branch.inner.astype(np.float32) == module.inner.weight.detach().numpy()).all()


@pytest.mark.parametrize("order", ORDERS)
def test_batch_normalisation_folds_in_evaluation_mode_only(order):
    network = network_with_biases(order, normalised=True, inputs=None, classes=None)
    x = inputs(50, 5) * 3 + 1
    network(x)  # moves the running statistics
    with torch.no_grad():
        for branch in network.branches:
            branch.normalisation.weight.uniform_(0.5, 2, generator=torch.Generator().manual_seed(1))
    with pytest.raises(InputError, match="eval"):
        to_tower(network)
    tower = to_tower(network.eval()).tower
    np.testing.assert_allclose(tower(x.numpy()), network(x).detach().numpy(), rtol=1e-12)


def test_changed_scales_are_listed_and_untouched_ones_keep_their_rule():
    network = build(Architecture("marion", 3, 2))
    assert to_tower(network).tower.rule == ScalingRule.parse("1/n")
    network.scales[1] = 0.25
    tower = to_tower(network).tower
    assert tower.rule.listed is not None
    x = inputs(2, 2)
    np.testing.assert_allclose(tower(x.numpy()), network(x).detach().numpy(), rtol=1e-13)


def test_training_a_rebuilt_network_leaves_the_tower_alone():
    tower = to_tower(build(Architecture(depth=2, dimension=3))).tower
    before = tower.branches[0].outer.copy()
    network = from_tower(tower)
    with torch.no_grad():
        network.branches[0].outer.weight.zero_()
    assert (tower.branches[0].outer == before).all()


def test_exact_weights_become_floats():
    branch = MLPBranch(outer=[[1, 2], [1, 0]], inner=[[1, 0], [0, 1]])
    network = from_tower(Tower.tied(branch, depth=2, rule="1/2", decoder=AffineBranch([[1, 1]])))
    assert network.dtype == torch.float64
    x = torch.tensor([0.5, -1.0], dtype=torch.float64)
    state = x.numpy()
    for _ in range(2):
        hidden = np.tanh(state)
        state = state + 0.5 * np.array([hidden[0] + 2 * hidden[1], hidden[0]])
    assert network(x).item() == pytest.approx(state.sum())


def test_what_a_tower_cannot_hold_is_refused():
    with pytest.raises(InputError, match="one hidden layer"):
        to_tower(ResidualNetwork([torch.nn.Tanh()]))
    with pytest.raises(InputError, match="leaves the skip alone"):
        to_tower(build(Architecture(depth=2, dimension=2, rule="half")))
    broken = build(Architecture(depth=2, dimension=2))
    with torch.no_grad():
        broken.branches[1].inner.weight[0, 0] = torch.nan
    with pytest.raises(InputError, match="finite"):
        to_tower(broken)
    halved = build(Architecture(depth=2, dimension=2, rule="half"))
    halved.scales[0] = 3
    with pytest.raises(InputError, match="scales of rule half"):
        to_tower(halved)


def test_towers_of_other_branches_are_refused():
    with pytest.raises(InputError, match="one hidden layer"):
        from_tower(Tower.tied(AffineBranch([[1.0]]), depth=2))
    import sympy

    x = sympy.Symbol("x")
    end = SymbolicBranch([x], [x**2])
    with pytest.raises(InputError, match="affine"):
        from_tower(Tower.tied(MLPBranch([[1.0]]), depth=2, decoder=end))
