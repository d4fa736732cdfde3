"""Which rule is recommended, and why."""

import math

import pytest

torch = pytest.importorskip("torch")

from bridge_relu_towers import Tower, correlated_vectors, inputs, matrix, traced  # noqa: E402
from torch import nn  # noqa: E402

from expansion import ScalingRule  # noqa: E402
from torch_bridge.measuring.measure import measure  # noqa: E402
from torch_bridge.measuring.prediction import predict  # noqa: E402
from torch_bridge.measuring.recommend import TAME, recommend  # noqa: E402
from torch_bridge.tower import trace  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("tower", "rule", "told"),
    [
        (lambda: traced(12, 128), "1/sqrt(n)", "independent directions"),
        (lambda: traced(16, 128, positive=True), "1/n", "share a direction"),
        (lambda: traced(16, 128, norm=nn.LayerNorm), "1", "normalised signal"),
        (lambda: traced(12, 128, 0.1), "1", "nothing has to be tamed"),
    ],
)
def test_recommendations(tower, rule, told):
    blocks = tower()
    found = recommend(blocks)
    assert found.rule == rule
    assert told in found.reason
    assert "\n" not in found.reason
    assert found.growth_before == measure(blocks, gradients=False).growth
    if rule != "1":
        assert found.growth_before > TAME
        assert found.growth_after <= TAME
        # The measured growth of the rescaled model confirms it, to what predictions are good for.
        after = measure(blocks, rule=found.rule, gradients=False).growth
        assert after == pytest.approx(found.growth_after, rel=0.25)


class AddedUNet(nn.Module):
    """Two skips that are computed before the first block, and a decoder that grows."""

    def __init__(self, d=32, scale=1.0):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.down, self.up = (nn.ModuleList(matrix(d, 2, g) for _ in "ab") for _ in range(2))
        self.scale = scale

    def forward(self, x):
        a = torch.relu(self.down[0](x))
        b = torch.relu(self.down[1](a))
        b = b + self.up[0](torch.relu(b))
        return 10 * a + self.scale * self.up[1](torch.relu(b))


def test_a_skip_from_before_the_first_block_tells_no_degree():
    tower = trace(AddedUNet(), inputs(8, 32))
    assert tower.depth == 2
    found = predict(tower)
    assert found.degree is None
    assert not found.normalised
    chain = predict(traced(2, 32, norm=nn.LayerNorm))
    assert chain.normalised
    assert chain.degree == pytest.approx(0, abs=1e-3)


def test_growth_that_is_not_the_branches_is_not_blamed_on_them():
    tower = trace(AddedUNet(scale=0.1), inputs(8, 32))
    assert measure(tower, rule="0", gradients=False).growth > TAME
    found = recommend(tower)
    assert found.rule == "1"
    assert "no scale of the branches tames that" in found.reason


def test_strong_branches_get_a_coefficient():
    model = Tower(8, 128)
    with torch.no_grad():
        for layer in model.outer:
            layer.weight.mul_(5)
    tower = trace(model, inputs(16, 128))
    found = recommend(tower)
    rule = ScalingRule.parse(found.rule)
    assert found.rule.endswith("/sqrt(n)")
    assert 0 < rule.coefficient < 1
    assert found.growth_after <= TAME
    assert predict(tower, rule="1/sqrt(n)").growth > TAME


class Smooth(nn.Module):
    """Linear branches whose weights are fractional Gaussian noise in depth."""

    def __init__(self, depth, d, hurst):
        super().__init__()
        weights = correlated_vectors(depth, d * d, hurst).reshape(depth, d, d) / math.sqrt(d)
        self.weights = nn.ParameterList(list(weights))

    def forward(self, x):
        for weight in self.weights:
            x = x + x @ weight
        return x


def test_in_between_the_exponent_is_fitted():
    tower = trace(Smooth(32, 48, 0.75), inputs(16, 48).double())
    found = recommend(tower)
    exponent = -float(ScalingRule.parse(found.rule).exponent)
    assert exponent == pytest.approx(0.75, abs=0.05)
    assert "m^0.7" in found.reason
    assert found.growth_after <= TAME
