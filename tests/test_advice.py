"""Advice: closed forms of the largest scale, the promise kept, and where rules break."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion import InputError, ScalingRule
from expansion.growth.advice import SEARCHED, advise, first_break
from expansion.growth.mean_field import mean_field
from expansion.growth.setting import Setting
from expansion.growth.units import CODES

HALF, ONE = Fraction(1, 2), Fraction(1)


@given(st.floats(1.1, 50), st.sampled_from(["relu", "linear", "leaky-relu"]), st.floats(0.2, 3))
def test_closed_forms(factor, branch, variance):
    setting = Setting(branch, weight_variance=variance)
    incoherent = advise(setting, [1000], factor=factor)
    assert incoherent.exponent == HALF
    assert math.isclose(
        incoherent.coefficient, math.sqrt(math.log(factor) / setting.gain), rel_tol=1e-8
    )
    coherent = advise(setting, [1000], factor=factor, coherent=True)
    assert coherent.exponent == ONE
    wanted = math.log(factor) / (2 * math.sqrt(setting.gain))
    assert math.isclose(coherent.coefficient, wanted, rel_tol=1e-9)


def test_closed_forms_of_positive_and_of_normalised_branches():
    positive = advise(Setting("relu", "post-activation"), [10**5])
    assert positive.exponent == ONE
    assert positive.limit == pytest.approx(math.sqrt(math.pi) * math.acosh(math.sqrt(math.e)))
    assert "mean" in positive.reason
    aligned = advise(Setting("relu", "post-activation", overlap=1.0), [10**5])
    assert aligned.limit == pytest.approx(math.sqrt(math.pi) / 2)  # q = e^{2c/√π}
    normalised = advise(Setting("relu", "pre-norm"), [100], factor=5.0)
    assert normalised.coefficient == pytest.approx(2)  # 1 + c² = 5
    assert math.isinf(advise(Setting("relu", "post-norm"), [100]).coefficient)
    assert advise(Setting("relu", "post-norm"), [100]).rule == "any"


@settings(max_examples=25)
@given(
    st.sampled_from(sorted(CODES)),
    st.sampled_from(["pre-activation", "activation-first", "post-activation", "pre-norm"]),
    st.sampled_from([0.0, 0.4]),
    st.floats(1.2, 20),
    st.lists(st.integers(1, 400), min_size=1, max_size=3),
)
def test_the_promise_is_kept_and_is_tight(branch, block, bias, factor, depths):
    setting = Setting(branch, block, bias_variance=bias)
    advice = advise(setting, depths, factor=factor)

    def largest(c, at):
        rule = ScalingRule("", Fraction(c), -advice.exponent)
        return max(mean_field(setting, rule, n).log_energy for n in at)

    assert largest(advice.coefficient, depths) <= math.log(factor) * (1 + 1e-9) + 1e-9
    # Two per cent more is too much: at these depths, or in the limit.
    beyond = 1.02 * advice.coefficient
    assert max(largest(beyond, depths), largest(beyond, [30_000])) > math.log(factor)
    # The named rule is this scale rounded down.
    named = ScalingRule.parse(advice.rule)
    assert float(named.coefficient) <= advice.coefficient * (1 + 1e-11)
    assert float(named.coefficient) > 0.998 * advice.coefficient
    assert named.exponent == -advice.exponent


def test_the_other_exponent_would_not_do():
    # Saboteur: c/√n where c/n is advised, at growing depth.
    setting = Setting("relu", "post-activation")
    c = advise(setting, [1000]).coefficient
    wrong = ScalingRule("", Fraction(c), -HALF)
    assert mean_field(setting, wrong, 1000).log_energy > 10


def test_where_rules_break():
    def depths(rule, **options):
        return [
            depth for *_, depth in first_break(Setting(), ScalingRule.parse(rule), **options).depths
        ]

    # ‖x‖² = 64·2^n and √(2^n) against 65504 and 2^128.
    assert depths("1") == [10, 32, 122, 256]
    assert depths("1", width=1) == [16, 32, 128, 256]
    assert depths("1", coherent=True) == [5, 16, 61, 128] or depths("1", coherent=True)[1] == 16
    assert depths("1/sqrt(n)") == [None] * 4
    assert depths("half") == [None] * 4
    assert depths("batchnorm") == [1023, None, None, None]  # 64(n + 1) > 65504
    listed = first_break(Setting(), ScalingRule.of([1] * 12))
    assert [depth for *_, depth in listed.depths] == [10, None, None, None]


@pytest.mark.parametrize("rule", ["1", "0.3", "n^-0.4", "n^-0.3", "l^-0.4", "2/sqrt(n)"])
def test_the_first_depth_out_of_range_is_the_first(rule):
    chosen = ScalingRule.parse(rule)
    for name, quantity, depth in first_break(Setting(), chosen, width=64).depths:
        if depth is None:
            continue
        most = {"float16": math.log(65504), "float32": 128 * math.log(2)}[name]
        for n, out in ((depth, True), (depth - 1, False)):
            log_energy = float(np.log1p(chosen.floats(n) ** 2).sum()) if n else 0.0
            value = log_energy + math.log(64) if quantity == "energy" else log_energy / 2
            assert (value >= most - 1e-9) is out


def test_energies_too_small_break_as_well():
    shrinking = first_break(Setting("gelu"), ScalingRule.parse("half"), width=1)
    found = {(name, quantity): depth for name, quantity, depth in shrinking.depths}
    depth = found["float16", "energy"]
    logs = mean_field(Setting("gelu"), "half", depth).log_energies
    assert logs[-1] < -14 * math.log(2) <= logs[-2]
    assert SEARCHED >= 10**6


@pytest.mark.parametrize("factor", [1.0, 0.5, math.nan, math.inf])
def test_a_bad_factor_is_refused(factor):
    with pytest.raises(InputError, match="factor"):
        advise(Setting(), [10], factor=factor)


def test_answers_are_json_ready():
    import json

    answer = advise(Setting(), [10], [ScalingRule.parse("1")]).to_dict()
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert answer["rule"] == "1.000/sqrt(n)"
    assert answer["breaks"][1] == {
        "rule": "1",
        "float": "float16",
        "quantity": "amplitude",
        "depth": 32,
    }
    endless = advise(Setting("relu", "post-norm"), [10]).to_dict()
    assert endless["coefficient"] is None
