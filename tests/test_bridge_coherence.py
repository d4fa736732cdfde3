"""Coherence over windows of blocks: direct sums, correlated draws, a common part."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bridge_relu_towers import correlated_vectors  # noqa: E402

from torch_bridge.measuring.coherence import Coherence, CoherenceMeter  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_windows_against_direct_sums(count):
    g = torch.Generator().manual_seed(count)
    branches = [torch.randn(6, 3, 2, generator=g).double() * (i + 1) for i in range(count)]
    meter = CoherenceMeter()
    for branch in branches:
        meter.add(branch)
    meter.end()
    found = meter.result()
    units = [b / b.flatten(1).square().sum(1).mean().sqrt() for b in branches]

    def energy(parts):
        return sum(parts).flatten(1).square().sum(1).mean().item()

    for size in (2**j for j in range(count.bit_length())):
        starts = range(0, count - size + 1, size)
        expected = np.mean([energy(units[i : i + size]) for i in starts])
        assert found.windows[size] == pytest.approx(expected)
    pairs = [
        (units[i] * units[j]).flatten(1).sum(1).mean().item()
        for i in range(count)
        for j in range(count)
        if i != j
    ]
    assert found.cosine == pytest.approx(np.mean(pairs) if pairs else 0.0)
    assert found.pile_up == pytest.approx(energy(units) / count)


def test_a_stream_that_changes_its_shape_begins_anew():
    meter = CoherenceMeter()
    for size in (3, 3, 5, 5, 5):
        meter.add(torch.ones(2, size))
    meter.add(torch.zeros(2, 5))  # says nothing
    meter.end()
    found = meter.result()
    assert found.cosine == pytest.approx(1)
    assert found.pile_up == pytest.approx((4 + 9) / 5)


@pytest.mark.parametrize(("hurst", "kind"), [(0.5, "incoherent"), (0.75, "intermediate")])
def test_the_exponent_is_that_of_the_correlation(hurst, kind):
    meter = CoherenceMeter()
    for row in correlated_vectors(64, 20_000, hurst):
        meter.add(row[None])
    meter.end()
    # Cosines of 20,000 coordinates err by 0.007; over 64 windows of each size the slope by less.
    assert meter.result().exponent == pytest.approx(hurst, abs=0.02)
    assert meter.result().kind == kind


def test_a_common_part_is_coherent_however_small_the_power_law_looks():
    sizes = [1, 2, 4, 8, 16]
    windows = {m: m + m * (m - 1) / math.pi for m in sizes}
    found = Coherence(windows, 1 / math.pi, windows[16] / 16)
    assert found.exponent < 0.95
    assert found.kind == "coherent"
    assert Coherence().kind == "incoherent"
