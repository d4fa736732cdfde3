"""The radius of convergence on functions whose singularity is known, and resummation beyond it."""

import functools
import math

import numpy as np
import pytest
from scipy.interpolate import pade

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from expansion.errors import InputError  # noqa: E402
from torch_bridge.orders.pade import relative_error, resummed  # noqa: E402
from torch_bridge.orders.radius import Radius, estimate_radius, order_sizes  # noqa: E402
from torch_bridge.tower import trace  # noqa: E402


class TanhTower(nn.Module):
    """x + z c, then + z tanh of it: singular where x + z c = ±iπ/2."""

    def __init__(self, step):
        super().__init__()
        self.inner, self.outer = nn.Linear(1, 1), nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.inner.weight.zero_()
            self.inner.bias.fill_(step)
            self.outer.weight.fill_(1)

    def forward(self, x):
        x = x + self.inner(x)
        return x + self.outer(torch.tanh(x))


@functools.cache
def tower_of_tanh():
    """One capture for all: a tower sees what becomes of its model."""
    return trace(TanhTower(1.0).double(), torch.tensor([[1.0]], dtype=torch.float64))


def tower_and_input(start, step):
    tower = tower_of_tanh()
    with torch.no_grad():
        tower.model.inner.bias.fill_(step)
    assert tower.depth == 2
    return tower, torch.tensor([[start]], dtype=torch.float64)


def orders_of(start, step, K):
    tower, x = tower_and_input(start, step)
    return tower.orders(K, "series", args=(x,)), tower.model(x).detach()


@pytest.mark.parametrize(("start", "step"), [(1.5, -1.2), (2.0, 3.0), (0.7, 0.9)])
def test_radius_of_a_tanh_tower(start, step):
    orders, _ = orders_of(start, step, 40)
    true = math.hypot(start, math.pi / 2) / abs(step)
    found = estimate_radius(order_sizes(orders))
    # One dimension is the hardest case: its orders oscillate, as the singularities are a pair.
    assert found.low <= true <= found.high
    assert found.estimate == pytest.approx(true, rel=0.15)
    outside = found.sentence().startswith("λ = 1 lies outside")
    assert outside == (found.high < 1)
    assert abs(found.estimate - 2 * true) > 0.5 * true  # twice the radius would be refused


@pytest.mark.parametrize("power", [-0.5, 0.0, 1.0])
def test_radius_of_a_real_singularity(power):
    sizes = [1.0] + [3.0**-k * k**power for k in range(1, 16)]
    found = estimate_radius(sizes)
    # The line of the ratios leaves out 1/k², here up to 1/5².
    assert found.estimate == pytest.approx(3, rel=0.01)
    assert found.low <= 3.0000001
    assert found.high >= 2.9999999


def test_series_that_stop_and_bad_input():
    stops = estimate_radius([1.0, 2.0, 1.0, 0.0, 0.0, 0.0])
    assert stops.stops
    assert "converges at every scale" in stops.sentence()
    with pytest.raises(InputError, match=r"orders 0\.\.4 or more"):
        estimate_radius([1.0, 0.5, 0.2])
    with pytest.raises(InputError, match="finite orders"):
        estimate_radius([1.0, math.inf, 1.0, 1.0, 1.0])
    assert "lies inside" in Radius(3.0, 2.0, 4.0).sentence()
    assert "lies near" in Radius(1.0, 0.9, 1.1).sentence()
    assert Radius(0.5, 0.4, 0.6).sentence(0.1).startswith("0.1 λ lies inside")


@pytest.mark.parametrize("K", [4, 5, 8, 9])
def test_entries_are_the_pade_approximants_of_scipy(K):
    generator = torch.Generator().manual_seed(K)
    rows = torch.randn(K + 1, 3, 2, generator=generator, dtype=torch.float64)
    found = resummed(list(rows), rows.sum(0))
    numerator, denominator = found.degrees
    for i in range(3):
        for j in range(2):
            p, q = pade(rows[:, i, j].numpy(), denominator, numerator)
            assert float(found.output[i, j]) == pytest.approx(p(1) / q(1), rel=1e-7)


def test_resummation_beyond_the_radius():
    orders, output = orders_of(0.7, 4.0, 20)
    assert estimate_radius(order_sizes(orders)).sentence().startswith("λ = 1 lies outside")
    for method in ("entries", "vector"):
        found = resummed(orders, output, method)
        assert found.series_error > 1
        assert found.error < 1e-3
        assert found.error == pytest.approx(relative_error(found.output, output))


def test_resummation_of_a_tower():
    orders, output = orders_of(0.7, 4.0, 16)
    tower, x = tower_and_input(0.7, 4.0)
    found, by_hand = tower.resummed(16, args=(x,)), resummed(orders, output)
    assert torch.equal(found.output, by_hand.output)
    assert found.error == by_hand.error < 1e-2 < 1 < found.series_error
    half = tower.resummed(16, "vector", args=(x,), scales=[0.05, 0.05])
    assert half.error < 1e-12
    assert half.series_error < 1e-9


def test_vectors_with_common_poles():
    # Two poles need [2/2] and no more; each entry alone needs only one of them.
    weights = torch.tensor([[1.0, 2.0, -1.0], [0.5, 1.0, 3.0]], dtype=torch.float64)
    poles = torch.tensor([-2.0, -3.0], dtype=torch.float64)
    orders = [(weights * poles[:, None] ** k).sum(0) for k in range(9)]
    output = (weights / (1 - poles[:, None])).sum(0)
    assert resummed(orders, output, "vector").error < 1e-8
    assert resummed(orders[:2], output, "vector").error > 0.1
    converged = [torch.ones(2), *[torch.zeros(2)] * 4]
    assert np.isfinite(resummed(converged, torch.ones(2)).error)
    with pytest.raises(InputError, match="a method among"):
        resummed(orders, output, "other")
