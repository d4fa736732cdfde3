"""Frozen gates: every model's orders add up to its output, at any scales (THEORY E7b)."""

import functools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bridge_models import MODELS  # noqa: E402
from bridge_orders_helpers import captured_model, distance, stacked_orders  # noqa: E402
from torch import nn  # noqa: E402

from expansion.series.gated_paths import gated_orders  # noqa: E402
from torch_bridge.networks.architecture import Architecture  # noqa: E402
from torch_bridge.networks.export import to_tower  # noqa: E402
from torch_bridge.networks.models import build  # noqa: E402
from torch_bridge.orders import frozen_rules  # noqa: E402
from torch_bridge.orders.frozen import frozen_orders  # noqa: E402
from torch_bridge.orders.polynomial import Polynomial  # noqa: E402
from torch_bridge.tracing.capture import capture  # noqa: E402
from torch_bridge.tracing.interpreter import run  # noqa: E402
from torch_bridge.tracing.runner import float_tensors  # noqa: E402

QUICK = ["digits", "nested", "parallel", "relu_network", "unet"]
ALL = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
# Its normalisation and rotary angles are computed in float32, whatever the weights are.
ROUNDING = {"llama": 1e-5}


@pytest.mark.parametrize("scale", [None, 0.3, 2.0])
@pytest.mark.parametrize("name", ALL)
def test_orders_add_up_to_the_output(name, scale):
    captured, args, kwargs = captured_model(name)
    scales = None if scale is None else [scale] * len(captured.additions)
    found = frozen_orders(captured, args, kwargs, None, scales)
    with torch.no_grad():
        real = float_tensors(run(captured, args, kwargs, scales=scales))
    sums = [part.sum(0) for part in stacked_orders(found.orders)]
    assert len(found.orders) == len(captured.additions) + 1
    assert distance(sums, real) < ROUNDING.get(name, 1e-10)
    assert distance(float_tensors(found.output), real) < 1e-12
    assert bool(found.frozen) == bool(captured.additions)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sin", "erf"])
def test_orders_are_those_of_the_tower(activation):
    network = build(Architecture("mlp", 4, 6, 6, activation, inputs=5, classes=3, rule=0.7), seed=2)
    x = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    (ours,) = stacked_orders(frozen_orders(capture(network, (x,)), (x,)).orders)
    real = torch.from_numpy(np.asarray(gated_orders(to_tower(network).tower, x.numpy())))
    assert all(distance([a], [b]) < 1e-12 for a, b in zip(ours, real, strict=True))


def test_lower_orders_do_not_depend_on_the_largest():
    captured, args, kwargs = captured_model("parallel")
    (whole,) = stacked_orders(frozen_orders(captured, args, kwargs).orders)
    (part,) = stacked_orders(frozen_orders(captured, args, kwargs, 1).orders)
    (more,) = stacked_orders(frozen_orders(captured, args, kwargs, 5).orders)
    # Kernels differ with the number of orders that they take at once, and so does their rounding.
    assert distance(part, whole[:2]) < 1e-14
    assert distance(more[:3], whole) < 1e-14
    assert not more[3:].any()


def test_what_is_frozen_is_told():
    captured, args, kwargs = captured_model("parallel")
    told = set(frozen_orders(captured, args, kwargs).frozen.values())
    assert any(text.startswith("factor _softmax") for text in told)
    assert {"denominator of native_layer_norm", "gate of gelu"} <= told


class Gated(nn.Module):
    """Two additions, then functions of the state, many of them products of two."""

    def __init__(self, finishes):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.finishes = finishes

    def forward(self, x):
        x = x + self.first(x)
        x = x + self.second(torch.tanh(x))
        return {name: finish(x) for name, finish in self.finishes.items()}


FINISHES = {
    "swiglu": lambda x: nn.functional.silu(x) * (2 * x + 1),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "rms": lambda x: x / x.square().mean(-1, keepdim=True).sqrt(),
    "norm": lambda x: torch.linalg.vector_norm(x, dim=-1),
    "norm of all": lambda x: x / torch.linalg.vector_norm(x),
    "largest": lambda x: x.amax(-1),
    "largest and where": lambda x: x.max(-1).values,
    "sorted": lambda x: x.sort(-1).values,
    "larger": lambda x: torch.maximum(x, 1 - x),
    "absolute": torch.abs,
    "clamped": lambda x: x.clamp(0.2, 0.7),
    "logarithm": lambda x: torch.log(x.square() + 1),
    "reciprocal": lambda x: 1 / (x + 5),
    "root": lambda x: torch.sqrt(x.relu()),
    "cube": lambda x: x**3,
    "prelu": lambda x: nn.functional.prelu(x, torch.tensor([0.2], dtype=torch.float64)),
    "where": lambda x: torch.where(x > 0, x, -2 * x),
    "variance": lambda x: x.var(-1),
    "pool": lambda x: nn.functional.max_pool2d(x[None], (2, 1)),
    "group norm": lambda x: nn.functional.group_norm(x[..., None], 1),
    "circular": lambda x: nn.functional.pad(x[None], (1, 1), mode="circular"),
    "pool of volumes": lambda x: nn.functional.max_pool3d(x[None, None, None], (1, 2, 1)),
    "adaptive pool": lambda x: nn.functional.adaptive_max_pool2d(x[None], 2),
    "dropout": lambda x: nn.functional.dropout(x, 0.0, training=True) * 2,
    "in place": lambda x: torch.zeros_like(x).copy_(x).mul_(x).index_fill_(1, torch.tensor([0]), 3),
    "scattered": lambda x: x.scatter(1, torch.tensor([[0], [1]]), x[:, 1:], reduce="multiply"),
    "largest kept": lambda x: torch.where(x >= x.topk(2).values[:, 1:], x, -1),
    "batch norm": lambda x: nn.functional.batch_norm(x, None, None, training=True),
}


@functools.cache
def finished():
    """All of them in one graph: their orders, and the model's output."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = Gated(FINISHES).double().eval()
        x = torch.randn(4, 3, dtype=torch.float64)
    x[0] = 0
    with torch.no_grad():
        return frozen_orders(capture(model, (x,)), (x,)).orders, model(x)


@pytest.mark.parametrize("name", FINISHES)
def test_any_operation_keeps_the_sum(name):
    found, output = finished()
    orders = torch.stack([order[name] for order in found])
    assert distance([orders.sum(0)], [output[name]]) < 1e-12
    if name not in ("logarithm", "reciprocal", "scattered", "variance"):  # frozen as a whole
        assert orders[1:].any()


def test_the_gate_of_a_product_is_the_factor_with_more_nonlinear_operations():
    assert frozen_rules.freezing("mul", {"self": 2, "other": 1}).live == ("other",)
    assert frozen_rules.freezing("mul", {"self": 1, "other": 2}).live == ("self",)
    assert frozen_rules.freezing("mul", {"self": 1, "other": 1}).live == ("self",)
    assert frozen_rules.freezing("bmm", {"self": 5, "mat2": 1}).live == ("mat2",)
    assert frozen_rules.freezing("div", {"self": 5, "other": 1}).live == ("self",)
    assert frozen_rules.freezing("div", {"other": 1}).live == ()


def test_a_wrong_gate_is_noticed(monkeypatch):
    captured, args, kwargs = captured_model("digits")
    real = float_tensors(run(captured, args, kwargs))

    def derivative(call, value, visited):
        """φ'(a) instead of φ(a)/a."""
        return Polynomial(call["self"].stack * (1 - value * value))

    wrong = frozen_rules.Freezing(("self",), derivative, "gate of tanh")
    monkeypatch.setattr(frozen_rules, "_BY_NAME", {**frozen_rules._BY_NAME, "tanh": wrong})
    (orders,) = stacked_orders(frozen_orders(captured, args, kwargs).orders)
    assert distance([orders.sum(0)], [v.detach() for v in real]) > 1e-3
