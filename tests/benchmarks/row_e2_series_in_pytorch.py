"""Row E2: the λ-series of a PyTorch model, in units of its own forward pass (claim E5)."""

from _towers import gate, start_plain, summary, weights
from harness import Row, Side, untimed


def _model(size):
    import torch
    from torch import nn

    torch.set_num_threads(1)

    class Block(nn.Module):
        def __init__(self, inner, outer):
            super().__init__()
            self.inner = nn.Parameter(torch.from_numpy(inner), requires_grad=False)
            self.outer = nn.Parameter(torch.from_numpy(outer), requires_grad=False)

        def forward(self, x):
            linear = nn.functional.linear
            return x + linear(torch.tanh(linear(x, self.inner)), self.outer)

    inner, outer, x = weights(size)
    return nn.Sequential(*map(Block, inner, outer)), torch.from_numpy(x)


def start_ours(size):
    """Captured beforehand, as a user who asks for several orders has it."""
    from torch_bridge.orders.series import series_orders
    from torch_bridge.tracing.capture import capture

    model, x = _model(size)
    with untimed():
        captured = capture(model, (x,))
    scales = [1 / size["depth"]] * size["depth"]
    return lambda: series_orders(captured, (x,), {}, size["order"], scales)


def start_forward(size):
    """K plain forward passes of the same model."""
    import torch

    model, x = _model(size)

    def job():
        with torch.no_grad():
            for _ in range(size["order"]):
                model(x)

    return job


def torch_summary(orders):
    """The orders' coordinates as numbers."""
    return [order.flatten().tolist() for order in orders]


SIZE = {"depth": 64, "width": 256, "batch": 64}
ROW = Row(
    id="E2",
    title="lambda-series of a tanh MLP in PyTorch",
    sizes={"K=6": SIZE | {"order": 6}, "K=8": SIZE | {"order": 8}},
    quick={"n=3 d=8 K=3": {"depth": 3, "width": 8, "order": 3, "batch": 2}},
    sides=(
        Side("ours, any model", start_ours, torch_summary, needs=("torch",)),
        Side("K forward passes", start_forward, lambda _: None, needs=("torch",), bar=1),
        Side("plain NumPy, this tower only", start_plain, summary),
    ),
    gate=gate,
    notes="at most K forward passes; capturing the model is left out of the first answer",
)
