"""Measured energies and gradients against passes written by hand, streamed and in one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from bridge_models import MODELS, TOWERS  # noqa: E402
from bridge_relu_towers import Tower, inputs, matrix, traced  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from expansion import InputError, ScalingRule  # noqa: E402
from torch_bridge.measuring.measure import measure  # noqa: E402
from torch_bridge.measuring.moments import Moments  # noqa: E402
from torch_bridge.measuring.prediction import predict  # noqa: E402
from torch_bridge.measuring.recommend import recommend  # noqa: E402
from torch_bridge.tower import trace  # noqa: E402

torch.set_num_threads(1)
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


# ---- Streaming means -------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
    st.floats(-1e6, 1e6),
    st.integers(0, 2**32 - 1),
)
def test_moments_of_a_stream_are_those_of_the_whole(batches, offset, seed):
    values = np.random.default_rng(seed).normal(size=(sum(batches), 2)) + offset
    moments = Moments(2)
    for part in np.split(values, np.cumsum(batches)[:-1]):
        moments.add(part)
    assert moments.count == len(values)
    assert np.allclose(moments.mean, values.mean(axis=0), rtol=1e-12, atol=1e-9)
    error = moments.error_of([1.0, -2.0])
    if len(values) < 2:
        assert math.isnan(error)
    else:
        whole = (values @ [1.0, -2.0]).std(ddof=1) / math.sqrt(len(values))
        assert error == pytest.approx(whole, rel=1e-6, abs=1e-7)


# ---- Measuring -------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_energies_and_gradients_against_a_pass_written_by_hand(device):
    model = Tower(3, 8, 0.7).double().to(device)
    x = inputs(5, 8).double().to(device)
    tower = trace(model, x)
    found = measure(tower, loss=lambda y: y.square().sum(dim=1))
    states, expected = [x], []
    for u, v in zip(model.inner, model.outer, strict=True):
        branch = 0.7 * v(torch.relu(u(states[-1])))
        skip, states = states[-1], [*states, (states[-1] + branch).detach().requires_grad_()]
        expected.append([(t.square().sum(1)).mean().item() for t in (skip, branch, states[-1])])
        cross = (skip * branch).sum(1).mean().item()
        expected[-1].append(cross / math.sqrt(expected[-1][0] * expected[-1][1]))
    for block, (skip, branch, total, cosine) in zip(found.blocks, expected, strict=True):
        assert block.skip_energy == pytest.approx(skip, rel=1e-12)
        assert block.branch_energy == pytest.approx(branch, rel=1e-12)
        assert block.sum_energy == pytest.approx(total, rel=1e-12)
        assert block.cosine == pytest.approx(cosine, rel=1e-10)
        assert block.share == pytest.approx(branch / (skip + branch), rel=1e-12)
    # Backwards by hand: d‖y‖²/dy = 2y, then through each block.
    slopes = [2 * states[-1]]
    for u, v, state in reversed(list(zip(model.inner, model.outer, states[:-1], strict=True))):
        gate = (u(state) > 0).double()
        slopes.append(slopes[-1] + 0.7 * ((slopes[-1] @ v.weight) * gate) @ u.weight)
    energies = [s.square().sum(1).mean().item() for s in reversed(slopes)]
    assert [b.gradient_energy for b in found.blocks] == pytest.approx(energies[1:], rel=1e-10)
    assert found.growth == pytest.approx(expected[-1][2] / expected[0][0], rel=1e-12)
    assert (found.samples, found.batches, found.probe) == (5, 1, "the given loss")


def test_the_random_probe_measures_the_jacobian():
    """Mean over signs of ‖J^T r‖² is ‖J‖_F²; 400 draws, four standard errors."""
    model = Tower(2, 6).double()
    x = inputs(3, 6).double()
    tower = trace(model, x)
    draws = [measure(tower, seed=s).blocks[0].gradient_energy for s in range(400)]

    def rest(state):
        return state + model.outer[1](torch.relu(model.inner[1](state)))

    states = x + model.outer[0](torch.relu(model.inner[0](x)))
    exact = np.mean(
        [torch.autograd.functional.jacobian(rest, s).square().sum().item() for s in states]
    )
    error = np.std(draws, ddof=1) / math.sqrt(len(draws))
    assert abs(np.mean(draws) - exact) < 4 * error
    assert error < 0.05 * exact


QUICK = {"vit", "resnet", "resnet_in_place", "layer_scale", "parallel", "nested"}
REAL = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TOWERS]


@pytest.mark.parametrize("name", REAL)
def test_energies_add_up_in_every_real_model(name):
    model, args, kwargs = MODELS[name].build()
    tower = trace(model, args, kwargs)
    found = measure(tower)
    assert found.depth == MODELS[name].blocks
    for block in found.blocks:
        crossed = 2 * block.cosine * math.sqrt(block.skip_energy * block.branch_energy)
        whole = block.skip_energy + block.branch_energy + crossed
        assert whole == pytest.approx(block.sum_energy, rel=1e-9)
        assert -1 <= block.cosine <= 1
        assert 0 <= block.share <= 1
        assert block.gradient_energy >= 0
    assert found.blocks[-1].gradient_energy > 0
    assert model.training is False
    assert all(parameter.grad is None for parameter in model.parameters())
    predicted = predict(tower)
    assert [block.name for block in predicted.blocks] == list(tower.names)
    # The first block sees the input itself: its prediction is the measurement.
    assert predicted.blocks[0].sum_energy == pytest.approx(found.blocks[0].sum_energy, rel=1e-9)


def test_batches_stream_to_what_one_batch_gives():
    model = Tower(3, 8, norm=nn.LayerNorm).double()
    x = inputs(7, 8).double()
    tower = trace(model, x[:2])
    whole = measure(tower, [x], loss=lambda y: y[:, 0])
    loader = DataLoader(TensorDataset(x, torch.arange(7)), batch_size=3)  # 3 + 3 + 1, with labels
    streamed = measure(tower, loader, loss=lambda y: y[:, 0])
    assert (streamed.samples, streamed.batches, whole.batches) == (7, 3, 1)
    assert streamed.growth == pytest.approx(whole.growth, rel=1e-12)
    assert streamed.growth_error == pytest.approx(whole.growth_error, rel=1e-9)
    for ours, theirs in zip(streamed.blocks, whole.blocks, strict=True):
        for field in ("skip_energy", "branch_energy", "sum_energy", "cosine", "gradient_energy"):
            assert getattr(ours, field) == pytest.approx(getattr(theirs, field), rel=1e-10)
            error = getattr(ours, f"{field}_error")
            assert error == pytest.approx(getattr(theirs, f"{field}_error"), rel=1e-9)


def test_standard_errors_are_those_of_the_samples():
    """The cosine's error, to first order, against resampling."""
    model = Tower(1, 6).double()
    x = inputs(400, 6).double()
    found = measure(trace(model, x), gradients=False).blocks[0]
    branch = model.outer[0](torch.relu(model.inner[0](x))).detach()
    rng = np.random.default_rng(0)
    cosines = []
    for _ in range(500):
        chosen = rng.integers(0, 400, 400)
        s, b = x[chosen], branch[chosen]
        cosines.append(
            float(
                (s * b).sum(1).mean() / (s.square().sum(1).mean() * b.square().sum(1).mean()) ** 0.5
            )
        )
    assert found.cosine_error == pytest.approx(np.std(cosines), rel=0.2)
    energies = x.square().sum(1)
    assert found.skip_energy_error == pytest.approx(float(energies.std()) / 20, rel=1e-9)


def test_forms_of_batches():
    model = Tower(1, 4)
    x = inputs(2, 4)
    tower = trace(model, (), {"x": x})
    reference = measure(trace(model, x)).growth
    assert measure(tower, [{"x": x}]).growth == pytest.approx(reference)
    positional = trace(model, x)
    for batch in (x, (x, "label"), [x]):
        assert measure(positional, [batch]).growth == pytest.approx(reference)
    assert (whole := measure(positional, x)).growth == pytest.approx(reference)
    assert (whole.samples, whole.batches) == (2, 1)
    double = trace(model.double(), x.double())
    for blocks, batch in ((double, x), (trace(model, (), {"x": x.double()}), {"x": x})):
        assert measure(blocks, [batch]).growth == pytest.approx(reference)  # a loader of float32
    model.float()
    for wrong, told in (([3], "of type int"), ([()], "with 0 items"), (["x"], "of type str")):
        with pytest.raises(InputError, match=told):
            measure(positional, wrong)
    with pytest.raises(InputError, match="at least one batch"):
        measure(positional, [])


def test_frozen_weights_and_single_samples():
    model = Tower(2, 4)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    found = measure(trace(model, inputs(1, 4)))
    assert found.blocks[0].gradient_energy > 0
    assert math.isnan(found.growth_error)
    assert math.isnan(found.blocks[0].cosine_error)


@pytest.mark.parametrize("rule", ["0.5", "1/n", "half", "skipinit", "batchnorm"])
def test_measuring_at_other_scales(rule):
    d, x = 6, inputs(4, 6).double()
    model = Tower(3, d).double()
    found = measure(trace(model, x), rule=rule, gradients=False)
    chosen = ScalingRule.parse(rule)
    state, factor = x, math.exp(chosen.log_block_factor)
    for block, scale in zip(found.blocks, chosen.floats(3), strict=True):
        branch = model.outer[found.blocks.index(block)](
            torch.relu(model.inner[found.blocks.index(block)](state))
        )
        state = factor * (state + scale * branch)
        assert block.branch_energy == pytest.approx(
            (scale * branch).square().sum(1).mean().item(), rel=1e-10, abs=1e-30
        )
        assert block.sum_energy == pytest.approx(state.square().sum(1).mean().item(), rel=1e-10)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_first_block_with_a_number_that_is_none_is_named(value):
    model = Tower(4, 4)
    with torch.no_grad():
        model.inner[2].weight[1, 1] = value
    tower = trace(model, inputs(3, 4).abs() + 1)
    for ask in (measure, predict, recommend):
        with pytest.raises(InputError, match=rf"in the branch of block 3 \({tower.names[2]}\)"):
            ask(tower)


class Tokens(nn.Module):
    """Blocks on tokens, of which some see them all in one dimension, as OPT's do."""

    def __init__(self, flat, depth=8, d=6):
        super().__init__()
        g = torch.Generator().manual_seed(5)
        self.layers = nn.ModuleList(matrix(d, 2, g) for _ in range(depth))
        self.flat = flat

    def forward(self, x):
        whole = x.shape
        for number, layer in enumerate(self.layers):
            x = x.reshape(-1, whole[-1]) if number in self.flat else x.reshape(whole)
            x = x + torch.relu(layer(x))
        return x.reshape(whole)


@pytest.mark.parametrize("flat", [{1, 2, 7}, {0, 3}])
def test_tokens_in_one_dimension_are_the_same_samples(flat):
    x = inputs(4, 30).reshape(4, 5, 6).double()
    plain, tower = (trace(Tokens(some).double(), x) for some in ((), flat))
    ours, theirs = measure(tower), measure(plain)
    assert ours.samples == theirs.samples == 4
    assert (ours.growth, ours.growth_error) == pytest.approx((theirs.growth, theirs.growth_error))
    for one, other in zip(ours.blocks, theirs.blocks, strict=True):
        numbers = [name for name in one.__slots__ if name != "name"]
        assert [getattr(one, name) for name in numbers] == pytest.approx(
            [getattr(other, name) for name in numbers]
        )
    assert ours.coherence.windows == pytest.approx(theirs.coherence.windows)
    assert theirs.coherence.kind == "coherent"  # which streams that begin anew would hide
    assert recommend(tower).rule == recommend(plain).rule
    predicted = predict(tower)
    assert predicted.blocks[0].sum_energy == pytest.approx(ours.blocks[0].sum_energy)
    assert predicted.coherence.kind == "coherent"


def test_a_batch_without_samples():
    tower = traced(2, 4, samples=0)
    for ask in (measure, predict, recommend):
        with pytest.raises(InputError, match="at least one sample; got an empty skip in block 1"):
            ask(tower)


def test_models_without_blocks_and_losses_of_another_kind():
    plain = trace(nn.Linear(2, 2), torch.ones(1, 2))
    for ask in (measure, predict, recommend):
        with pytest.raises(InputError, match="a model with residual additions"):
            ask(plain)
    tower = traced(2, 4)
    for loss in (lambda y: y, lambda y: 3.0, lambda y: y.sum().long()):
        with pytest.raises(InputError, match="a loss that is a scalar"):
            measure(tower, loss=loss)
    with pytest.raises(InputError, match="a loss that depends on the output"):
        measure(tower, loss=lambda y: torch.ones(()))
    with pytest.raises(InputError, match="one listed scale per block"):
        measure(tower, rule=ScalingRule.of([1, 2, 3]))
