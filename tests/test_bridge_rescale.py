"""Rescaled models: what they compute, what their files hold, and that the original is untouched."""

import copy
import json

import pytest

torch = pytest.importorskip("torch")

from bridge_models import MODELS, TOWERS  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

from expansion import InputError  # noqa: E402
from torch_bridge.loading.weights import load_weights  # noqa: E402
from torch_bridge.measuring.checkpoint import (  # noqa: E402
    fixup_weights,
    rescaled_weights,
    save_rescaled,
)
from torch_bridge.measuring.fixup import fixup  # noqa: E402
from torch_bridge.measuring.measure import measure  # noqa: E402
from torch_bridge.measuring.normalisation import BareBlocks  # noqa: E402
from torch_bridge.measuring.rescale import rescaled  # noqa: E402
from torch_bridge.tower import trace  # noqa: E402
from torch_bridge.tracing.runner import float_tensors  # noqa: E402

torch.set_num_threads(1)


def close(ours, theirs, tolerance=1e-10):
    pairs = list(zip(float_tensors(ours), float_tensors(theirs), strict=True))
    assert pairs
    return all(torch.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in pairs)


QUICK = {"vit", "resnet", "resnet_in_place", "layer_scale", "parallel", "nested"}
REAL = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TOWERS]


@pytest.mark.parametrize("name", REAL)
def test_every_real_model_is_rescaled_and_its_weights_load(name, tmp_path):
    model, args, kwargs = MODELS[name].build()
    before = copy.deepcopy(model.state_dict())
    tower = trace(model, args, kwargs)
    scales = [0.3 + 0.1 * number for number in range(tower.depth)]
    expected = tower(*args, scales=scales, **kwargs)
    plain = model(*args, **kwargs)

    new = rescaled(tower, scales)
    assert close(new(*args, **kwargs), expected)
    assert not close(plain, expected, 1e-3)  # the saboteur: scales that do nothing
    assert set(new.state_dict()) == {*model.state_dict(), "residual_scales"}
    new.residual_scales.fill_(1.0)
    assert close(new(*args, **kwargs), plain)

    found = rescaled_weights(tower, "0.4")
    assert found.folded, found.reason
    path = save_rescaled(found, tmp_path / "rescaled.safetensors")
    other = MODELS[name].build()[0]
    load_weights(other, path)
    assert close(other(*args, **kwargs), tower(*args, scales="0.4", **kwargs))

    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)


def small(depth=3, d=4):
    layers = [Block(d) for _ in range(depth)]
    model = nn.Sequential(nn.Linear(2, d), *layers, nn.Linear(d, 2)).double()
    return trace(model, torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).double())


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.inner, self.outer = nn.Linear(d, d), nn.Linear(d, d)

    def forward(self, x):
        return x + self.outer(torch.tanh(self.inner(x)))


def test_constants_and_parameters():
    tower = small()
    fixed, learned = rescaled(tower, "1/n"), rescaled(tower, "1/n", learnable=True)
    start = rescaled(tower, "skipinit")
    assert "residual_scales" not in dict(fixed.named_parameters())
    assert fixed.residual_scales.tolist() == learned.residual_scales.tolist()
    assert start.residual_scales.tolist() == [0, 0, 0]
    assert not isinstance(
        rescaled(tower, "skipinit", learnable=False).residual_scales, nn.Parameter
    )
    x = tower.example[0][0]
    # SkipInit: no branch is seen at first, but its scale is pushed.
    model = tower.model
    assert close(start(x), model[-1](model[0](x)))
    loss = start(x).square().sum()
    (slope,) = torch.autograd.grad(loss, start.residual_scales)
    scales = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(tower(x, scales=scales).square().sum(), scales)
    assert torch.allclose(slope, expected)
    assert slope.abs().min() > 0
    step = torch.optim.SGD(start.parameters(), lr=1e-2)
    start(x).square().sum().backward()
    step.step()
    assert start(x).square().sum() < loss
    assert all(p.grad is None for p in model.parameters())


def test_copies_share_nothing_with_the_original():
    tower = small()
    new = rescaled(tower, "1")
    own = {tensor.data_ptr() for tensor in tower.model.state_dict().values()}
    assert own.isdisjoint({tensor.data_ptr() for tensor in new.state_dict().values()})
    fresh = rescaled(small(), "0.7")
    fresh.load_state_dict(new.state_dict())
    assert close(fresh(*tower.example[0]), new(*tower.example[0]))


def test_tied_weights_stay_tied_and_are_not_folded_twice():
    shared = Block(4)
    model = nn.Sequential(shared, shared, Block(4)).double()
    x = torch.ones(2, 4).double()
    tower = trace(model, x)
    new = rescaled(tower, "0.5")
    assert new.get_submodule("0").inner.weight is new.get_submodule("1").inner.weight
    assert close(new(x), tower(x, scales="0.5"))
    found = rescaled_weights(tower, "0.5")
    assert not found.folded
    assert "does not end in a linear layer of its own" in found.reason
    assert found.tensors["residual_scales"].tolist() == [0.5, 0.5, 0.5]
    assert torch.equal(found.tensors["2.outer.weight"], model[2].outer.weight)


class Squashed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.last = nn.Linear(4, 4)

    def forward(self, x):
        return self.last(x + torch.tanh(self.inner(x)))


@pytest.mark.parametrize(
    ("model", "rule", "told"),
    [
        (lambda: Squashed(), "0.5", "does not end in a linear layer"),
        (lambda: nn.Sequential(Block(4)), "half", "scales whole blocks"),
        (lambda: nn.Sequential(Block(4)), "skipinit", "would erase them"),
    ],
)
def test_where_scales_cannot_be_in_the_weights_they_lie_beside_them(model, rule, told, tmp_path):
    tower = trace(model().double(), torch.ones(2, 4).double())
    found = rescaled_weights(tower, rule)
    assert told in found.reason
    path = save_rescaled(found, tmp_path / "w.safetensors")
    stored = load_file(path)
    assert {*tower.model.state_dict(), "residual_scales"} == stored.keys()
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["rule"] == rule
    assert json.loads(metadata["blocks"]) == list(tower.names)
    assert metadata["residual_scales"] == "beside the weights"


def test_a_relu_at_the_end_passes_positive_scales_only():
    class Positive(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x):
            return x + torch.relu(self.inner(x))

    tower = trace(Positive().double(), torch.ones(2, 4).double())
    assert rescaled_weights(tower, "0.5").folded
    assert not rescaled_weights(tower, "-0.5").folded


def test_a_branch_that_is_rolled_back_ends_in_its_layer():
    """As Swin's attention over shifted windows does."""

    class Shifted(nn.Linear):
        def forward(self, x):
            y = super().forward(x.roll(-1, 1).flip(1))
            return x + y.flip(1).roll(1, 1)[:, torch.tensor([2, 0, 1])]

    model = Shifted(4, 4).double()
    x = torch.randn(2, 3, 4).double()
    tower = trace(model, x)
    found = rescaled_weights(tower, "0.5")
    assert found.folded
    expected = tower(x, scales="0.5")
    model.load_state_dict(found.tensors)
    assert close(model(x), expected)


def test_a_compiled_model_is_not_compiled_for_the_check():
    calls = []

    def backend(graph, inputs):
        calls.append(graph)
        return graph

    model = torch.compile(nn.Sequential(Block(4), Block(4)), backend=backend)
    x = torch.ones(2, 4)
    assert rescaled_weights(trace(model, x), "0.5").folded
    assert calls == []
    model(x)
    assert calls  # a pass of its own would have been seen


def test_a_wrong_fold_is_not_written(monkeypatch):
    """If the weights gave another output, the scales would be written beside them."""
    from torch_bridge.measuring import checkpoint

    tower = small()
    found = checkpoint.final_parameters
    monkeypatch.setattr(
        checkpoint, "final_parameters", lambda *a, **k: frozenset(sorted(found(*a, **k))[:1])
    )
    weights = rescaled_weights(tower, "0.5")
    assert not weights.folded
    assert "another output" in weights.reason
    assert torch.equal(weights.tensors["1.outer.bias"], tower.model[1].outer.bias)


def test_half_divides_every_block():
    tower = small()
    x = tower.example[0][0]
    state = tower.model[0](x)
    for block in tower.model[1:-1]:
        state = block(state) / 2**0.5
    assert close(rescaled(tower, "half")(x), tower.model[-1](state))


def test_fixup():
    tower = small(depth=4)
    start = fixup(tower)
    x = tower.example[0][0]
    for ours, theirs in zip(start[1:-1], tower.model[1:-1], strict=True):
        assert not ours.outer.weight.any()
        assert not ours.outer.bias.any()
        assert torch.allclose(ours.inner.weight, theirs.inner.weight * 4**-0.5)  # m = 2
        assert torch.equal(ours.inner.bias, theirs.inner.bias)
    assert close(start(x), tower(x, scales="0"))
    weights = fixup_weights(tower)
    assert weights.folded
    other = copy.deepcopy(tower.model)
    other.load_state_dict(weights.tensors)
    assert close(other(x), start(x))
    with pytest.raises(InputError, match="branches that end in a linear layer"):
        fixup(trace(Squashed(), torch.ones(2, 4)))


def test_fixup_counts_layers_along_a_path():
    """Query, key and value are one layer: attention has two, as an MLP with one hidden layer."""
    model, args, kwargs = MODELS["torch_encoder"].build()
    tower = trace(model, args, kwargs)
    ours, theirs = fixup(tower)[1].layers[0], model[1].layers[0]
    factor = tower.depth**-0.5
    assert torch.allclose(ours.self_attn.in_proj_weight, theirs.self_attn.in_proj_weight * factor)
    assert torch.allclose(ours.linear1.weight, theirs.linear1.weight * factor)
    assert not ours.self_attn.out_proj.weight.any()
    assert not ours.linear2.weight.any()


class Normed(nn.Module):
    def __init__(self, norm, d=64, depth=6):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.norms = nn.ModuleList(norm(d) for _ in range(depth))
        self.weights = nn.ParameterList(
            torch.randn(d, d, generator=g) * (2 / d) ** 0.5 for _ in range(depth)
        )

    def forward(self, x, bare=False):
        for norm, weight in zip(self.norms, self.weights, strict=True):
            y = x
            if not bare:
                y = norm(x)
            elif norm.weight is not None:
                y = x * norm.weight + norm.bias
            x = x + torch.relu(y) @ weight
        return x


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm, lambda d: nn.GroupNorm(4, d)])
def test_normalisation_taken_out_is_the_network_without_it(norm, train):
    model = Normed(norm)
    x = torch.randn(32, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for layer in model.norms:
            layer.weight.uniform_(0.5, 1.5)
            layer.bias.normal_(0, 0.1)
    model.train(train)
    blocks = BareBlocks(trace(model, x))
    assert blocks.removed == 6
    output = blocks.run((x,), {})
    assert close(output, model(x, bare=True), 1e-4)
    bare = model(x, bare=True).square().sum() / x.square().sum()
    assert measure(blocks, gradients=False).growth == pytest.approx(bare.item(), rel=1e-4)


def test_batch_norm_hides_the_doubling():
    model = Normed(nn.BatchNorm1d, d=256)
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(1))
    tower = trace(model.train(), x)
    assert measure(tower, gradients=False).growth == pytest.approx(7, rel=0.1)  # G4: n + 1
    bare = (model(x, bare=True).square().sum() / x.square().sum()).item()
    assert bare > 4 * 7
    assert measure(BareBlocks(tower), gradients=False).growth == pytest.approx(bare, rel=1e-4)
    with pytest.raises(InputError, match="normalisation layers inside the branches"):
        BareBlocks(small())


def test_models_that_cannot_be_rescaled():
    tower = small()
    with pytest.raises(InputError, match="one listed scale per block"):
        rescaled(tower, [1.0, 2.0])
    with pytest.raises(InputError, match="a model with residual additions"):
        rescaled(trace(nn.Linear(2, 2), torch.ones(1, 2)), "1")
    new = rescaled(tower, "0.5")
    with pytest.raises(InputError, match="a model without residual_scales"):
        rescaled(trace(new, *tower.example), "0.5")


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    found = rescaled_weights(small(), "0.5")
    with pytest.raises(InputError, match="a file that can be written"):
        save_rescaled(found, tmp_path / "missing" / "w.safetensors")
    assert list(tmp_path.iterdir()) == []
