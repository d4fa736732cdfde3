"""G8: no admissible tower crosses the bounds, and tied linear towers attain them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion import InputError, MLPBranch, ScalingRule, Tower
from expansion.growth.worst_case import worst_case
from expansion.towers.branches.layered import AffineBranch

RULES = ("1", "1/n", "1/sqrt(n)", "0.05", "-0.3", "batchnorm")


def displacement_and_remainder(tower, x):
    start, scales = tower.encode(x), tower.rule.floats(tower.depth)
    first = sum(s * f(start) for s, f in zip(scales, tower.branches, strict=True))
    moved = tower(x) - start
    return np.linalg.norm(moved), np.linalg.norm(moved - first)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from(RULES))
def test_random_relu_and_tanh_towers_stay_below(seed, depth, rule):
    generator = np.random.default_rng(seed)
    branches = []
    for _ in range(depth):
        inner, outer = generator.normal(size=(2, 3, 3))
        name = generator.choice(["relu", "tanh"])
        branches.append(MLPBranch(outer, inner, generator.normal(size=3), None, str(name)))
    tower = Tower(tuple(branches), rule)
    x = generator.normal(size=3)
    # relu and tanh have slope at most 1.
    lipschitz = max(np.linalg.norm(b.outer, 2) * np.linalg.norm(b.inner, 2) for b in branches)
    bound = max(np.linalg.norm(b(x)) for b in branches)
    limits = worst_case(tower.rule, depth, bound=bound, lipschitz=lipschitz)
    moved, remainder = displacement_and_remainder(tower, x)
    slack = 1 + 1e-10  # rounding of the tower itself
    assert moved <= math.exp(limits.log_displacement) * slack
    assert remainder <= math.exp(limits.log_remainder) * slack + 1e-12


@pytest.mark.parametrize("rule", [r for r in RULES if r != "-0.3"])
@pytest.mark.parametrize("depth", [1, 2, 7, 40])
def test_tied_linear_towers_attain_both_bounds(rule, depth):
    tower = Tower.tied(AffineBranch([[0.8]]), depth, rule)
    limits = worst_case(tower.rule, depth, bound=0.8, lipschitz=0.8)
    moved, remainder = displacement_and_remainder(tower, [1.0])
    assert moved == pytest.approx(math.exp(limits.log_displacement), rel=1e-9)
    assert remainder == pytest.approx(math.exp(limits.log_remainder), rel=1e-9, abs=1e-12)


def test_a_bound_with_a_smaller_lipschitz_constant_is_crossed():
    # The control: the same comparison notices a wrong constant.
    tower = Tower.tied(AffineBranch([[0.8]]), 7, "1")
    limits = worst_case(tower.rule, 7, bound=0.8, lipschitz=0.7)
    assert displacement_and_remainder(tower, [1.0])[0] > math.exp(limits.log_displacement)


def test_small_scales_keep_their_digits_and_large_depths_do_not_overflow():
    tiny = worst_case(ScalingRule.parse("1e-12"), 2)
    assert math.exp(tiny.log_remainder) == pytest.approx(1e-24, rel=1e-9)
    deep = worst_case(ScalingRule.parse("1"), 10**6)
    assert deep.log_displacement == pytest.approx(10**6 * math.log(2))
    assert worst_case(ScalingRule.parse("skipinit"), 5).log_displacement == -math.inf
    assert worst_case(ScalingRule.parse("1"), 5, bound=0).log_remainder == -math.inf


@pytest.mark.parametrize(
    ("rule", "options"),
    [("1", {"bound": -1}), ("1", {"lipschitz": 0}), ("1", {"bound": math.nan}), ("half", {})],
)
def test_bad_input_is_refused(rule, options):
    with pytest.raises(InputError):
        worst_case(ScalingRule.parse(rule), 3, **options)
