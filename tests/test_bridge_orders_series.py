"""The λ-series of whole models, by routes that share nothing with it."""

import functools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bridge_models import MODELS, TOWERS  # noqa: E402
from bridge_orders_helpers import (  # noqa: E402
    captured_model,
    distance,
    nested_orders,
    stacked_orders,
)
from torch import nn  # noqa: E402

from expansion.errors import InputError  # noqa: E402
from expansion.series.jets import jet_orders  # noqa: E402
from torch_bridge.networks.architecture import Architecture  # noqa: E402
from torch_bridge.networks.export import to_tower  # noqa: E402
from torch_bridge.networks.models import build  # noqa: E402
from torch_bridge.orders import plan, series  # noqa: E402
from torch_bridge.orders.frozen import frozen_orders  # noqa: E402
from torch_bridge.orders.series import series_orders  # noqa: E402
from torch_bridge.tracing.capture import capture  # noqa: E402
from torch_bridge.tracing.interpreter import run  # noqa: E402
from torch_bridge.tracing.runner import float_tensors  # noqa: E402

QUICK = ["digits", "nested", "parallel", "post_norm", "relu_network", "skipinit", "unet"]
ALL = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
# Its normalisation and rotary angles are computed in float32, whatever the weights are.
ROUNDING = {"llama": 1e-5}


@pytest.mark.parametrize("name", ALL)
def test_orders_add_up_to_the_output_at_small_scales(name):
    captured, args, kwargs = captured_model(name)
    # So small that no kink lies between 0 and there.
    scales = [1e-6] * len(captured.additions)
    orders = stacked_orders(series_orders(captured, args, kwargs, 4, scales))
    with torch.no_grad():
        real = float_tensors(run(captured, args, kwargs, scales=scales))
    assert distance([part.sum(0) for part in orders], real) < ROUNDING.get(name, 1e-13)
    if captured.additions:  # without order 2 the sum would be seen to be wrong
        assert distance([part[:1].sum(0) for part in orders], real) > 1e-8


# PyTorch's nested derivative of a fused normalisation is wrong (see the helper): these have none.
@pytest.mark.parametrize("name", ["digits", "nested", "skipinit", "unet", "relu_network"])
def test_orders_are_nested_derivatives(name):
    captured, args, kwargs = captured_model(name)
    scales = [0.3 + 0.1 * i for i in range(len(captured.additions))]
    ours = stacked_orders(series_orders(captured, args, kwargs, 3, scales))
    real = nested_orders(captured, args, kwargs, 3, scales)
    assert distance(ours, real) < 1e-12


@pytest.mark.parametrize("name", ["parallel", "post_norm"])
def test_orders_are_finite_differences(name):
    captured, args, kwargs = captured_model(name)
    n, h = len(captured.additions), 1e-2

    def at(z):
        with torch.no_grad():
            return float_tensors(run(captured, args, kwargs, scales=[z] * n))[0]

    (ours,) = stacked_orders(series_orders(captured, args, kwargs, 2))
    two = [at(k * h) for k in range(-3, 4)]
    first = sum(w * y for w, y in zip([-1, 9, -45, 0, 45, -9, 1], two, strict=True)) / (60 * h)
    second = sum(w * y for w, y in zip([2, -27, 270, -490, 270, -27, 2], two, strict=True))
    second = second / (180 * h * h) / 2
    # Differences of order h^6; rounding 1e-16/h².
    assert distance([ours[1]], [first]) < 1e-6
    assert distance([ours[2]], [second]) < 1e-5


def test_orders_are_those_of_the_tower():
    network = build(Architecture("mlp", 8, 16, 16, "tanh", inputs=64, classes=10), seed=0)
    x = torch.rand(5, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (ours,) = stacked_orders(
        series_orders(capture(network, (x,)), (x,), {}, 6, network.scales.tolist())
    )
    captured = capture(network, (x,))
    # The network multiplies its branches by its own scales, which the capture keeps.
    (kept,) = stacked_orders(series_orders(captured, (x,), {}, 6))
    real = torch.from_numpy(np.asarray(jet_orders(to_tower(network).tower, x.numpy(), 6)))
    assert all(distance([a], [b]) < 1e-12 for a, b in zip(kept, real, strict=True))
    power = torch.tensor([float(network.scales[0]) ** k for k in range(7)], dtype=torch.float64)
    assert distance([ours], [kept * power[:, None, None]]) < 1e-12


class Doubling(nn.Module):
    def __init__(self, depth, slope=1.0):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2, bias=False) for _ in range(depth)])
        with torch.no_grad():
            for layer in self.layers:
                layer.weight.copy_(slope * torch.eye(2))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return {"state": x, "positions": torch.arange(3), "nothing": None}


def test_closed_form_and_structure():
    x = torch.tensor([[1.0, 3.0]])
    captured = capture(Doubling(3), (x,))
    orders = series_orders(captured, (x,), None, 5)
    assert [float(order["state"][0, 0]) for order in orders] == [1, 3, 3, 1, 0, 0]
    assert orders[0]["positions"].tolist() == [0, 1, 2]
    assert orders[1]["positions"].tolist() == [0, 0, 0]
    assert orders[2]["nothing"] is None
    assert orders[0]["state"].dtype == torch.float32
    weighted = series_orders(captured, (x,), {}, 2, [1.0, 2.0, 3.0])
    assert [float(order["state"][0, 0]) for order in weighted] == [1, 6, 11]  # e_k(1, 2, 3)
    assert len(series_orders(captured, (x,), {}, 0)) == 1


def test_gradients_flow_when_asked_for():
    x = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    captured = capture(Doubling(3).double(), (x,))
    scales = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    orders = series_orders(captured, (x,), {}, 2, scales, differentiable=True)
    orders[2]["state"][0, 0].backward()
    assert scales.grad.tolist() == [5, 4, 3]  # of λ1λ2 + λ1λ3 + λ2λ3
    plain = series_orders(captured, (x,), {}, 2, scales)
    assert not plain[2]["state"].requires_grad
    network, args, kwargs = captured_model("digits")
    factor = torch.full((4,), 0.5, dtype=torch.float64, requires_grad=True)
    found = series_orders(network, args, kwargs, 4, factor, differentiable=True)
    detached = [order.detach() for order in found]
    assert distance(detached, series_orders(network, args, kwargs, 4, factor)) < 1e-14


def test_bad_input():
    x = torch.ones(1, 2)
    captured = capture(Doubling(2), (x,))
    with pytest.raises(InputError, match="one scale for each of the 2 blocks"):
        series_orders(captured, (x,), {}, 2, [1.0])
    with pytest.raises(InputError, match="order must be a whole number"):
        series_orders(captured, (x,), {}, -1)
    with pytest.raises(InputError, match=r"order 50, which needs about 1.24 kB"):
        series_orders(captured, (x,), {}, 50, memory=100)
    with pytest.raises(InputError, match="lower order"):
        frozen_orders(captured, (x,), {}, 2, memory=10)
    with pytest.raises(InputError, match="one row of scales"):
        series_orders(captured, (x,), {}, 2, torch.ones(3, 2))


class Keeping(nn.Module):
    """Layers in the kernels that add a product in place, and views of the states between them."""

    def __init__(self, view):
        super().__init__()
        self.inner = nn.ParameterList([torch.randn(4, 4) for _ in range(5)])
        self.outer = nn.ParameterList([torch.randn(4, 4) for _ in range(5)])
        self.view = view

    def forward(self, x):
        kept = []
        for inner, outer in zip(self.inner, self.outer, strict=True):
            kept += [] if self.view is None else [self.view(x)]
            x = x + torch.tanh(x @ inner) @ outer
        return (kept[1], torch.cat([*kept[2:], x])) if kept else x


def linear_in_itself(x):
    return x.detach()[:, ::2].repeat(1, 2).clone()


VIEWS = {
    "nothing": None,
    "itself": lambda x: x,
    "slice": lambda x: x[:3],
    "transposed": lambda x: x.mT.mT,
    "clone": lambda x: x.clone(),
    "many": lambda x: x.detach()[:, ::2].repeat(1, 2).clone(),
}


@functools.cache
def keeping(view):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = Keeping(VIEWS[view]).double().requires_grad_(False)
        x = torch.randn(3, 4, dtype=torch.float64)
    return capture(model, (x,)), x


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("K", [1, 3])
def test_memory_is_taken_from_nobody_who_needs_it(view, K):
    captured, x = keeping(view)
    before = x.clone()
    assert len(captured.additions) == 5
    ours = stacked_orders(series_orders(captured, (x,), {}, K, [0.3] * 5))
    assert distance(ours, nested_orders(captured, (x,), {}, K, [0.3] * 5)) < 1e-12
    assert torch.equal(x, before)


def test_memory_taken_from_a_view_is_noticed(monkeypatch):
    captured, x = keeping("slice")
    real = nested_orders(captured, (x,), {}, 2, [0.3] * 5)
    monkeypatch.setattr(plan, "_only_copied", lambda *_: True)
    assert distance(stacked_orders(series_orders(captured, (x,), {}, 2, [0.3] * 5)), real) > 1e-3


def test_memory_is_used_again_where_nobody_needs_it():
    for view in VIEWS:
        steps = plan.kept_plan(keeping(view)[0], 4).steps
        sums = [step for step in steps if step.number is not None]
        assert all(step.product is not None for step in sums)
        # The first skip is the user's.
        assert [step.reuses for step in sums] == [False, *[view == "nothing"] * 4]


class Spectral(Doubling):
    """The real part of a Fourier transform after the blocks, by complex numbers."""

    def forward(self, x):
        return torch.fft.fft2(super().forward(x)["state"]).real


def test_complex_numbers_in_between():
    x = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    captured = capture(Spectral(3).double(), (x,))
    (ours,) = stacked_orders(series_orders(captured, (x,), {}, 3))
    assert torch.allclose(ours[:, 0, 0], torch.tensor([4.0, 12, 12, 4], dtype=torch.float64))
    assert torch.allclose(ours[:, 0, 1], torch.tensor([-2.0, -6, -6, -2], dtype=torch.float64))
    (frozen,) = stacked_orders(frozen_orders(captured, (x,)).orders)
    assert torch.allclose(frozen, ours)


class Overwriting(nn.Module):
    """Columns overwritten in place, to the last one, by themselves and by another type."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, x):
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
            x[:, 0] *= 2
            x[:, 1:].mul_(0.5)
            x[:, 2:] = x[:, :1].float()
            x[:, 3].copy_(x[0, 1])
        return x


def test_parts_overwritten_in_place():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model, x = Overwriting().double(), torch.randn(3, 4, dtype=torch.float64)
    captured = capture(model, (x,))
    assert len(captured.additions) == 2
    frozen = frozen_orders(captured, (x,))
    # One column is rounded to float32, order by order.
    assert torch.allclose(sum(frozen.orders), model(x), rtol=1e-6)
    ours = stacked_orders(series_orders(captured, (x,), {}, 3))
    assert distance(ours, nested_orders(captured, (x,), {}, 3, [1.0] * 2)) < 1e-6
    (slope,) = torch.autograd.grad(run(captured, (x,)).sum(), model.layers[0].weight)
    (real,) = torch.autograd.grad(model(x).sum(), model.layers[0].weight)
    assert torch.allclose(slope, real, rtol=1e-6)


class Untreatable(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        x = x + self.layer(x)
        return x + self.layer(torch.special.airy_ai(x))


def test_an_operation_that_cannot_be_expanded_is_named():
    x = torch.ones(1, 2)
    captured = capture(Untreatable(), (x,))
    with pytest.raises(InputError, match=r"airy_ai.* in block"):
        series_orders(captured, (x,), {}, 2)
    found = frozen_orders(captured, (x,))  # nothing stops the frozen gates
    assert "special_airy_ai as a whole" in found.frozen.values()
    assert torch.allclose(sum(found.orders), found.output)


def test_a_wrong_series_is_noticed(monkeypatch):
    captured, args, kwargs = captured_model("digits")
    real = nested_orders(captured, args, kwargs, 3, [1.0] * 4)

    def without_scale(skip, moved, scale, terms):
        return right(skip, moved * 0.5, scale, terms)

    right = series.added
    monkeypatch.setattr(series, "added", without_scale)
    ours = stacked_orders(series_orders(captured, args, kwargs, 3))
    assert distance(ours, real) > 1e-3


def test_the_quick_models_are_towers():
    assert set(QUICK) <= set(TOWERS)
