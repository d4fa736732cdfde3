"""Sub-network orders of any model, exact and sampled (THEORY E8)."""

from math import comb

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bridge_orders_helpers import captured_model, distance, stacked_orders  # noqa: E402

from expansion.errors import InputError, TooManyTermsError  # noqa: E402
from expansion.series.subnetworks import subnetwork_orders as reference  # noqa: E402
from torch_bridge.orders.subnetworks import subnetwork_orders  # noqa: E402
from torch_bridge.tracing.interpreter import run  # noqa: E402
from torch_bridge.tracing.runner import float_tensors, stacked  # noqa: E402


def sweeping(name):
    captured, args, kwargs = captured_model(name)

    def sweep(rows):
        return stacked([run(captured, args, kwargs, scales=row.tolist()) for row in rows])

    return sweep, len(captured.additions), captured, args, kwargs


@pytest.mark.parametrize("name", ["relu_network", "unet", "parallel", "nested"])
def test_all_orders_add_up_and_are_those_of_the_moebius_transform(name):
    sweep, n, captured, args, kwargs = sweeping(name)
    scales = [0.5 + 0.25 * i for i in range(n)]
    found = subnetwork_orders(sweep, n, scales=scales, chunk=3)
    with torch.no_grad():
        real = float_tensors(run(captured, args, kwargs, scales=scales))

    def evaluate(kept):
        row = [scale * (i + 1 in kept) for i, scale in enumerate(scales)]
        with torch.no_grad():
            return float_tensors(run(captured, args, kwargs, scales=row))[0].numpy()

    (orders,) = stacked_orders(found.orders)
    assert found.evaluations == 2**n
    assert distance([orders.sum(0)], real) < 1e-12
    other = torch.from_numpy(np.asarray(reference(evaluate, n).orders))
    assert distance([orders], [other]) < 1e-12
    few = subnetwork_orders(sweep, n, 2, scales=scales)
    assert few.evaluations == 1 + n + comb(n, 2)
    assert distance(stacked_orders(few.orders), [orders[:3]]) < 1e-12


def product(rows):
    return (1 + rows).prod(1, keepdim=True)


def test_mean_under_stochastic_depth():
    found = subnetwork_orders(product, 6, scales=[0.1 * i for i in range(1, 7)])
    generator = torch.Generator().manual_seed(0)
    p, draws = 0.7, 20_000
    masks = (torch.rand(draws, 6, generator=generator) < p).double()
    values = product(masks * torch.arange(1, 7) / 10)
    error = float(values.std() / draws**0.5)
    assert abs(float(found.expected(p)) - float(values.mean())) < 4.5 * error
    exact = np.prod([1 + p * 0.1 * i for i in range(1, 7)])
    assert float(found.expected(p)) == pytest.approx(exact, rel=1e-13)
    assert abs(float(found.expected(p + 0.05)) - exact) > 10 * error  # so the bar means something


def test_sampled_orders_are_unbiased_and_their_intervals_cover():
    n, k = 30, 3
    row = torch.linspace(0.01, 0.1, n, dtype=torch.float64)
    exact = [float(subnetwork_orders(product, n, 2, scales=row).orders[j]) for j in range(3)]
    power = [float((row**j).sum()) for j in range(4)]
    true = (power[1] ** 3 - 3 * power[1] * power[2] + 2 * power[3]) / 6  # e_3 by Newton
    assert exact == pytest.approx([1, power[1], (power[1] ** 2 - power[2]) / 2], rel=1e-12)
    import torch_bridge.orders.subnetworks as room

    most, room._MOST = room._MOST, 1000
    try:
        with pytest.raises(TooManyTermsError, match="4,526 terms"):
            subnetwork_orders(product, n, k, scales=row)
        means, covered = [], 0
        for seed in range(60):
            found = subnetwork_orders(product, n, k, scales=row, samples=40, seed=seed)
            value, half = float(found.orders[k]), float(found.half_widths[k])
            means.append(value)
            covered += abs(value - true) <= half
    finally:
        room._MOST = most
    error = np.std(means, ddof=1) / len(means) ** 0.5
    assert abs(np.mean(means) - true) < 4 * error
    assert abs(np.mean(means) - 1.1 * true) > 4 * error  # a bias of a tenth would be seen
    assert covered >= 48  # of 60 at 95 %: fewer happens once in 10^4 (binomial)
    assert list(found.half_widths) == [3]


def test_scales_keep_their_digits():
    rows = [0.1, 0.2, 0.3]
    for scales in (rows, torch.tensor(rows, dtype=torch.float64)):
        found = subnetwork_orders(product, 3, scales=scales)
        exact = [1, 0.6, 0.1 * 0.2 + 0.1 * 0.3 + 0.2 * 0.3, 0.1 * 0.2 * 0.3]
        assert [float(order) for order in found.orders] == pytest.approx(exact, rel=1e-14)
    rounded = subnetwork_orders(product, 3, scales=torch.tensor(rows)).orders
    assert float(rounded[1]) != pytest.approx(0.6, rel=1e-9)  # in float32 it would be seen


def test_bad_input():
    with pytest.raises(TooManyTermsError, match="orders 0 to 2"):
        subnetwork_orders(product, 40)
    with pytest.raises(InputError, match="one scale for each of the 3 blocks"):
        subnetwork_orders(product, 3, scales=[1.0])
    with pytest.raises(InputError, match="a probability between 0 and 1"):
        subnetwork_orders(product, 3).expected(1.5)
    with pytest.raises(InputError, match=r"orders 0\.\.1 of 3"):
        subnetwork_orders(product, 3, 1).expected(0.5)
