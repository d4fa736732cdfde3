"""Predicted growth against fresh networks, and wrong laws that would be caught."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bridge_relu_towers import Tower, inputs, traced  # noqa: E402
from torch import nn  # noqa: E402

from torch_bridge.checks.growth import positive_branch_energies  # noqa: E402
from torch_bridge.measuring.measure import measure  # noqa: E402
from torch_bridge.measuring.prediction import parting, predict  # noqa: E402
from torch_bridge.tower import trace  # noqa: E402

torch.set_num_threads(1)


class Orthogonal(nn.Module):
    def __init__(self, depth, d):
        super().__init__()
        g = torch.Generator().manual_seed(1)
        self.turns = nn.ParameterList(
            torch.linalg.qr(torch.randn(d, d, generator=g).double())[0] for _ in range(depth)
        )

    def forward(self, x):
        for turn in self.turns:
            x = x + x @ turn
        return x


def test_branches_that_keep_energy_are_predicted_to_double_it_exactly():
    tower = trace(Orthogonal(5, 7), inputs(4, 7).double())
    predicted = predict(tower)
    assert predicted.incoherent_growth == pytest.approx(2**5, rel=1e-12)
    assert predicted.degree == pytest.approx(1, abs=1e-9)
    halved = predict(tower, rule="half")
    assert halved.incoherent_growth == pytest.approx(1, rel=1e-12)
    small = predict(tower, rule="1/sqrt(n)")
    assert small.incoherent_growth == pytest.approx((1 + 1 / 5) ** 5, rel=1e-12)


class Shifts(nn.Module):
    """(u, v) → (u, v + u), then (u, v) → (u, v + 10 v): the second branch is blind to the input."""

    def __init__(self):
        super().__init__()
        d = 3
        self.first, self.second = nn.Linear(2 * d, 2 * d, False), nn.Linear(2 * d, 2 * d, False)
        eye = torch.eye(d)
        with torch.no_grad():
            self.first.weight.zero_()[d:, :d] = eye
            self.second.weight.zero_()[d:, d:] = 10 * eye

    def forward(self, x):
        x = x + self.first(x)
        return x + self.second(x)


def test_a_prediction_never_sees_a_branch_through_a_branch():
    """The network's second order is 100 times its input; no first-order term shows it."""
    x = torch.cat([inputs(4, 3), torch.zeros(4, 3)], dim=1)
    tower = trace(Shifts(), x)
    predicted, measured = predict(tower), measure(tower)
    assert predicted.growth == pytest.approx(2)
    assert measured.growth == pytest.approx(1 + 11**2)
    assert parting(measured, predicted) == "second"
    assert parting(measured, predicted, tolerance=1e3) is None


def ratios(depth, d, scale, seeds):
    """Measured over predicted growth of fresh networks; the graph is captured once."""
    tower = traced(depth, d, scale)
    found, incoherent = [], []
    for seed in seeds:
        tower.model.load_state_dict(Tower(depth, d, seed=seed).state_dict())
        x = [inputs(32, d, seed)]
        predicted = predict(tower, x)
        found.append(measure(tower, x, gradients=False).growth / predicted.growth)
        incoherent.append(predicted.incoherent_growth)
    return np.array(found), np.array(incoherent)


def test_growth_of_skipinit_networks_is_predicted():
    """α = 1/√n: each of eight fresh networks within 10 %."""
    found, incoherent = ratios(16, 256, 0.25, range(8))
    assert abs(found - 1).max() < 0.1
    assert incoherent.mean() == pytest.approx((1 + 1 / 16) ** 16, rel=0.03)  # G1


def test_growth_of_unnormalised_relu_networks_is_predicted():
    """Energies double: the mean of sixteen fresh networks within 10 %.

    Single networks of this size vary by about 10 % (see the standard deviation below), as G7's
    fluctuation says: that is no error of the prediction.
    """
    found, incoherent = ratios(8, 256, 1.0, range(16))
    logs = np.log(found)
    assert abs(math.exp(logs.mean()) - 1) < 0.1
    assert logs.std(ddof=1) / 4 < 0.05  # the mean is known well enough to tell 10 %
    assert incoherent.mean() == pytest.approx(2**8, rel=0.1)  # G1


def prenorm(layers, d):
    """PyTorch's own pre-norm encoder as it initialises it, every layer drawn anew."""
    layer = nn.TransformerEncoderLayer(d, 4, 4 * d, norm_first=True, batch_first=True)
    model = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).eval()

    def draw(seed):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            for block in model.layers:
                fresh = nn.TransformerEncoderLayer(d, 4, 4 * d, norm_first=True, batch_first=True)
                block.load_state_dict(fresh.state_dict())

    return model, draw


def test_growth_of_pre_norm_transformers_is_predicted():
    """Additive growth: each of four fresh transformers of 12 blocks within 10 %."""
    model, draw = prenorm(6, 128)
    x = torch.randn(8, 12, 128, generator=torch.Generator().manual_seed(0))
    tower = trace(model, x)
    for seed in range(4):
        draw(seed)
        measured, predicted = measure(tower, gradients=False), predict(tower)
        assert measured.depth == 12
        assert predicted.law == "additive: normalised branches"
        assert measured.growth == pytest.approx(predicted.growth, rel=0.1)


def test_growth_of_a_fresh_gpt2_is_predicted():
    t = pytest.importorskip("transformers")
    config = t.GPT2Config(
        vocab_size=64, n_positions=16, n_embd=64, n_layer=4, n_head=4, use_cache=False
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = t.GPT2Model(config).eval()
    ids = torch.randint(0, 64, (8, 12), generator=torch.Generator().manual_seed(0))
    tower = trace(model, ids)
    measured, predicted = measure(tower, gradients=False), predict(tower)
    assert measured.depth == 8
    assert measured.growth == pytest.approx(predicted.growth, rel=0.1)


def test_branches_with_a_mean_follow_their_own_law_and_not_the_incoherent_one():
    """relu(W x): G6's recursion at infinite width, 5 % at 512; energies without products fail."""
    tower = traced(8, 512, 8**-0.5, positive=True, samples=64)
    predicted = predict(tower)
    law = positive_branch_energies([8**-0.5] * 8)[-1]
    assert predicted.growth == pytest.approx(law, rel=0.05)
    assert measure(tower, gradients=False).growth == pytest.approx(law, rel=0.1)
    assert predicted.incoherent_growth < 0.3 * law  # the saboteur
    assert predicted.coherence.cosine == pytest.approx(1 / math.pi, abs=0.02)


def test_wrong_laws_would_be_caught():
    """Additive growth for a network that doubles, and doubling for one that is normalised."""
    doubling, added = traced(8, 256), traced(8, 256, norm=nn.LayerNorm)
    for tower, right, wrong in ((doubling, 2**8, 9), (added, 9, 2**8)):
        growth = measure(tower, gradients=False).growth
        assert growth == pytest.approx(right, rel=0.35)
        assert growth != pytest.approx(wrong, rel=0.35)
