"""B3: no random tower crosses the constants, and the bound is as derived."""

import json
import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from expansion import InputError, MLPBranch, Tower, TowerClass, class_of_tower, class_of_weights
from expansion.bounds.covering import lipschitz_entropy, path_centre
from expansion.bounds.deviation import log_uniform_deviation
from expansion.bounds.neural_ode import (
    neural_ode_bound,
    neural_ode_curve,
    published_terms,
)
from expansion.bounds.neural_ode_trials import neural_ode_trials
from expansion.towers.files import SavedTower, save_tower

# The example of the notes: d = 2, R = 1/2, everything else 1.
EXAMPLE = TowerClass(2, 0.5, 0.5, activation=1, input_radius=1, target_radius=1)
ROUNDING = 1e-9  # relative, of towers of up to 25 blocks run in floats


# --- the ingredients, by simulation ------------------------------------------------------------


def worst(trials):
    return [
        float(ratios.max())
        for ratios in (trials.output_ratios(), trials.lipschitz_ratios(), trials.path_error)
    ]


def test_no_random_tower_crosses_the_constants_and_some_attain_them():
    trials = neural_ode_trials(600)
    assert len(trials.depth) == 600
    for ratio in worst(trials):
        assert 0.999 < ratio < 1 + ROUNDING
    # Every family and activation is about something: the ratios are not all near 0 or 1.
    assert 0.02 < np.median(trials.lipschitz_ratios()) < 0.9


@pytest.mark.slow
def test_ten_thousand_random_towers():
    trials = neural_ode_trials(20_000, seed=1)
    for ratio in worst(trials):
        assert 0.9999 < ratio < 1 + ROUNDING


def violations(trials, constant):
    """Share of towers that move further than a constant allows."""
    gain = trials.activation_slope * trials.radius
    allowed = constant(trials.activation, gain, trials.depth) * trials.apart
    return float((trials.moved > allowed * (1 + ROUNDING)).mean())


@pytest.mark.parametrize(
    ("constant", "least"),
    [
        (lambda m, g, n: 2 * m * g * np.exp(2 * g), 0.1),  # recalled: → 0 with K_σR
        (lambda m, g, n: m, 0.01),
        (lambda m, g, n: 0.5 * m * (1 + g / n) ** (n - 1), 0.1),
        (lambda m, g, n: m * (1 + g / n) ** (n - 2), 0.005),
    ],
    ids=["2MKR e^(2KR)", "M", "half", "a block too few"],
)
def test_wrong_constants_are_crossed(constant, least):
    trials = neural_ode_trials(600)
    assert violations(trials, constant) > least
    assert violations(trials, lambda m, g, n: m * (1 + g / n) ** (n - 1)) == 0
    # The looser constant that the theory first gave holds too.
    assert violations(trials, lambda m, g, n: m * (1 + g * np.exp(g)) * np.exp(g)) == 0


def test_the_recalled_constant_fails_as_the_radius_goes_to_zero():
    # From W = 0 a small W' moves the output by W'σ(x): M per unit, whatever K_σR.
    for radius in (1e-1, 1e-3, 1e-6):
        x, moved = 1.0, radius * 1.0
        sensitivity = moved / radius
        recalled = 2 * x * radius * math.exp(2 * radius)
        ours = math.exp(replace(EXAMPLE, radius=radius).log_lipschitz())
        assert recalled < sensitivity <= ours
    assert ours == pytest.approx(1, rel=1e-5)


def test_constants_grow_with_depth_towards_those_for_every_depth():
    every = EXAMPLE.log_lipschitz(), EXAMPLE.log_output(), EXAMPLE.log_loss()
    before = (-math.inf,) * 3
    for depth in (1, 2, 10, 1000, 10**6):
        at = replace(EXAMPLE, depth=depth)
        now = at.log_lipschitz(), at.log_output(), at.log_loss()
        assert all(a < b for a, b in zip(before, now, strict=True))
        assert all(a < b for a, b in zip(now, every, strict=True))
        before = now
    assert np.allclose(now, every, atol=1e-5)
    assert math.exp(every[0]) == pytest.approx(math.exp(0.5))
    assert math.exp(every[1]) == pytest.approx(1 + math.expm1(0.5))


def test_the_flow_attains_the_bound_of_the_output():
    # dh/dt = R h from h = M = R_X = 1, solved by another library.
    flow = solve_ivp(lambda t, h: 1.3 * h, (0, 1), [1.0], rtol=1e-10, atol=1e-12).y[0, -1]
    line = TowerClass(1, 1.3, 0.0, activation=1, input_radius=1, target_radius=0)
    assert math.exp(line.log_output()) == pytest.approx(flow, rel=1e-8)


# --- the bound ---------------------------------------------------------------------------------


def by_hand(towers, samples, delta, *, loose=False):
    """The bound by another route: plain formulas, minimised on another grid."""
    d, r, k, m = towers.dimension, towers.radius, towers.slope, towers.activation
    entries, best = d * d, math.inf
    for epsilon in np.exp(np.linspace(math.log(1e-7 * r), math.log(0.999 * r), 40_001)):
        lipschitz = entries * (
            math.log(math.ceil(r * entries / epsilon))
            + math.ceil(k * entries / epsilon) * math.log(2)
        )
        parametric = entries * math.log(1 + 2 * r / epsilon) if k == 0 else math.inf
        for count, radius in ((lipschitz, r + epsilon), (parametric, r)):
            if loose:  # as the theory first gave it
                count, radius = math.inf, r + epsilon
                count = entries * math.log(2 * (r * entries / epsilon + 1))
                count += k * entries**2 * math.log(4) / epsilon
                if k == 0:
                    count = min(count, entries * math.log(1 + 2 * entries * r / epsilon))
            gain = math.exp(radius)
            constant = m * gain * (1 + radius * gain if loose else 1)
            moved = m * radius * gain if loose else m * (gain - 1)
            most = towers.input_radius + moved + towers.target_radius
            share = (count + math.log(1 / delta)) / samples * (2 if loose else 0.5)
            best = min(best, 2 * constant * epsilon + most * math.sqrt(share))
    return best


def single(bound):
    """The best bound by one cover."""
    return math.exp(min(gap.log_total for gap in bound.gaps if gap.levels == 0))


def chain_by_hand(towers, samples, delta=0.05):
    """The chain, level by level, on another grid."""
    entries, best = towers.dimension**2, math.inf
    for ratio in (0.5, 0.25, 0.125):
        for first in towers.radius * np.geomspace(1e-6, 1, 241):
            radius = towers.radius + first / (1 - ratio)
            constant = towers.activation * math.exp(radius)
            most = towers.input_radius + towers.activation * math.expm1(radius)
            size, total, epsilon = most + towers.target_radius, 0.0, first
            for level in range(25):
                count = math.log(math.ceil(radius * entries / epsilon))
                count += math.ceil(towers.slope * entries / epsilon) * math.log(2)
                share = entries * count + math.log(2 ** (level + 1) / delta)
                total += size * math.sqrt(share / (2 * samples))
                if level:
                    best = min(best, total + 2 * constant * epsilon)
                size, epsilon = 2 * constant * epsilon, ratio * epsilon
    return best


@pytest.mark.parametrize("slope", [0.5, 0.0])
@pytest.mark.parametrize("samples", [10**4, 10**6, 10**8])
def test_the_bound_by_another_route(slope, samples):
    towers = replace(EXAMPLE, slope=slope)
    bound = neural_ode_bound(towers, samples)
    assert single(bound) == pytest.approx(by_hand(towers, samples, 0.05), rel=2e-3)
    chain = next(gap for gap in bound.gaps if gap.cover == "chain")
    # Both grids have about 50 starts a decade, and counts jump between them.
    assert math.exp(chain.log_total) == pytest.approx(chain_by_hand(towers, samples), rel=5e-3)


def test_the_example_of_the_notes():
    # Recalled .93 / .195 / .042 at K = .5 and .27 / .030 / .0032 at K = 0. The first leaves out
    # R + ε for R: with it, it is .98. The constants derived here are 2.3 to 2.6 times sharper,
    # and at K = .5 the chain makes it .252 / .0256 / .00256.
    first = {(0.5, 4): 0.979, (0.5, 6): 0.1974, (0.5, 8): 0.0418, (0, 4): 0.243, (0, 6): 0.0273}
    for (slope, power), loose in first.items():
        towers = replace(EXAMPLE, slope=slope, depth=None)
        assert by_hand(towers, 10**power, 0.05, loose=True) == pytest.approx(loose, rel=4e-3)
        bound = neural_ode_bound(towers, 10**power)
        assert 2.2 < loose / single(bound) < 2.7
        # The chain is sharper still, the more so the larger n.
        assert bound.gaps[0].cover == "chain" or slope == 0


def test_each_term_and_the_better_cover():
    bound = neural_ode_bound(replace(EXAMPLE, depth=3), 10**4, 0.01)
    assert {gap.cover for gap in bound.gaps} == {"parametric", "lipschitz", "chain"}
    assert bound.log_gap == min(gap.log_total for gap in bound.gaps)
    for gap in bound.gaps:
        if gap.cover == "chain":
            assert gap.levels >= 1
            continue
        excess = gap.epsilon if gap.cover == "lipschitz" else 0.0
        towers = bound.towers
        moved = 2 * gap.epsilon * math.exp(towers.log_lipschitz(excess))
        assert math.exp(gap.log_approximation) == pytest.approx(moved, rel=1e-6)
        spread = math.sqrt((gap.log_count + math.log(100)) / (2 * 10**4))
        deviation = math.exp(towers.log_loss(excess)) * spread
        assert math.exp(gap.log_deviation) == pytest.approx(deviation, rel=1e-6)
    # At large depth only the cover that knows about slow variation remains useful.
    deep = {gap.cover: gap for gap in neural_ode_bound(replace(EXAMPLE, depth=10**5), 10**6).gaps}
    assert deep["lipschitz"].log_total < deep["parametric"].log_total - 1


def test_the_deviation_is_enough_for_the_worst_of_many_means():
    # 200 coins of known mean, 50 tosses: the worst shortfall, in 2000 repetitions. The allowance
    # fails with probability at most δ = .05; 4 standard errors of a share over 2000 are .02.
    generator = np.random.default_rng(4)
    means = generator.uniform(0.2, 0.8, size=200)
    shortfalls = means - generator.binomial(50, means, size=(2000, 200)) / 50
    allowed = math.exp(log_uniform_deviation(math.log(200), math.log(20), 50))
    failures = float((shortfalls.max(axis=1) > allowed).mean())
    assert failures < 0.05 + 0.02
    without = math.exp(log_uniform_deviation(0.0, math.log(20), 50))
    assert float((shortfalls.max(axis=1) > without).mean()) > 0.5  # log N is needed


def test_no_member_of_a_class_has_a_larger_gap():
    # A finite population, so that expected losses are known; the best of many members for a sample.
    generator = np.random.default_rng(5)
    population = generator.uniform(-1, 1, size=500)
    targets = np.where(generator.random(500) < 0.5, population, -population)
    towers = TowerClass(1, 0.5, 0.0, activation=1, input_radius=1, target_radius=1)
    scales = np.exp(np.linspace(-0.5, 0.5, 41))  # tied linear flows e^w x, |w| ≤ R
    losses = np.abs(scales[:, None] * population - targets)
    bound = math.exp(neural_ode_bound(towers, 100).log_gap)
    ratios = []
    for _ in range(400):
        chosen = generator.integers(500, size=100)
        ratios.append((losses.mean(axis=1) - losses[:, chosen].mean(axis=1)).max() / bound)
    assert 0.02 < max(ratios) < 1


@pytest.mark.parametrize(
    "towers",
    [
        EXAMPLE,
        replace(EXAMPLE, depth=4),
        replace(EXAMPLE, radius=6.0, slope=10.0),
        replace(EXAMPLE, dimension=30, radius=246.4, loss_at_target=2.3),
        replace(EXAMPLE, radius=4.0, loss_bound=1.0),
    ],
)
@pytest.mark.parametrize("measured", [False, True])
def test_the_smallest_sample_is_the_smallest(towers, measured):
    least = neural_ode_bound(towers, 1, measured=measured).smallest_sample
    assert not neural_ode_bound(towers, least, measured=measured).vacuous
    assert neural_ode_bound(towers, least - 1, measured=measured).vacuous


def test_a_bounded_loss_far_from_the_origin_is_vacuous_at_every_sample():
    towers = replace(EXAMPLE, dimension=30, radius=800.0, slope=1.0, loss_bound=1.0)
    bound = neural_ode_bound(towers, 10**9)
    assert bound.vacuous
    assert bound.smallest_sample is None


def test_rates():
    # n^(-1/3) by one Lipschitz cover, n^(-1/2) by the chain (and, with a logarithm, if tied).
    sizes = [10**8, 10**10]
    varying = neural_ode_curve(EXAMPLE, 1, "samples", sizes)
    tied = neural_ode_curve(replace(EXAMPLE, slope=0.0), 1, "samples", sizes)
    logs = [{gap.cover: gap.log_total for gap in bound.gaps} for bound in varying]
    for cover, rate in (("lipschitz", 1 / 3), ("chain", 1 / 2)):
        fall = (logs[0][cover] - logs[1][cover]) / math.log(100)
        assert fall == pytest.approx(rate, abs=0.01)
    assert (tied[0].log_gap - tied[1].log_gap) / math.log(100) == pytest.approx(0.5, abs=0.03)


@given(
    st.lists(st.integers(-8, 8), min_size=1, max_size=8),
    st.sampled_from([Fraction(1, 2), Fraction(1, 4)]),
    st.integers(1, 4),
)
def test_chains_of_centres_stay_close_and_in_the_radius(steps, ratio, levels):
    path = [Fraction(1, 8)]
    for step in steps:
        path.append(path[-1] + Fraction(step, 16))
    radius, slope = max(map(abs, path)), max(abs(b - a) for a, b in pairwise(path)) * len(path)
    first = radius * Fraction(3, 4)
    larger = radius + first / (1 - ratio)
    here = path
    for level in reversed(range(levels + 1)):
        error = first * ratio**level
        centre = path_centre(here, larger, slope, error).values  # refuses what is not in the class
        assert max(abs(a - b) for a, b in zip(here, centre, strict=True)) <= error
        here = list(centre)
    assert max(map(abs, here)) <= larger


def test_curves_in_depth_slope_and_radius():
    depths = neural_ode_curve(EXAMPLE, 10**5, "depth", [1, 4, 16, 10**3, 10**6])
    gaps = [bound.log_gap for bound in depths]
    assert gaps == sorted(gaps)
    assert gaps[-1] == pytest.approx(neural_ode_bound(EXAMPLE, 10**5).log_gap, abs=1e-4)
    for along in ("slope", "radius"):
        values = [bound.log_gap for bound in neural_ode_curve(EXAMPLE, 10**5, along, [0.1, 1, 3])]
        assert values[0] < values[1] < values[2]
    with pytest.raises(InputError, match="one of samples, depth"):
        neural_ode_curve(EXAMPLE, 1, "width", [1])


def test_published_terms():
    terms = published_terms(EXAMPLE, 10**4)
    assert terms.parameters == pytest.approx(3 * math.sqrt(math.log(10**4) / 10**4))
    assert terms.variation == pytest.approx(4 * math.sqrt(0.5) / 10)
    assert terms.confidence == pytest.approx(math.sqrt(math.log(20) / 10**4))
    assert terms.applies
    assert not published_terms(EXAMPLE, 8).applies
    with pytest.raises(InputError, match="R d n above 1"):
        published_terms(replace(EXAMPLE, radius=0.0), 10)


# --- measured constants --------------------------------------------------------------------------


def test_probabilities_of_the_grid_add_up_to_at_most_one():
    number = np.arange(1, 10**6)
    radii = (1 / (number * (number + 1.0))).sum()
    powers = np.abs(np.arange(-(10**6), 10**6))
    slopes = 0.5 + (1 / (3 * (powers + 1.0) * (powers + 2.0))).sum()
    assert 0.99 < radii <= 1
    assert 0.99 < slopes <= 1 + 1e-9


@given(st.floats(1e-4, 50), st.one_of(st.just(0.0), st.floats(1e-4, 50)), st.floats(0.5, 2))
def test_measured_classes_are_rounded_up_to_the_grid(radius, slope, activation_slope):
    towers = replace(EXAMPLE, radius=radius, slope=slope, activation_slope=activation_slope)
    grid, cost = towers.rounded_up()
    assert radius <= grid.radius <= radius + 1 / (16 * activation_slope) + 1e-9
    assert slope <= grid.slope <= slope * 2**0.25 * (1 + 1e-9)
    number = round(grid.radius * 16 * activation_slope)
    weight = number * (number + 1)
    if slope:
        power = abs(round(4 * math.log2(grid.slope)))
        weight *= 3 * (power + 1) * (power + 2)
    else:
        weight *= 2
    assert cost == pytest.approx(math.log(weight))
    fixed, measured = (neural_ode_bound(towers, 10**4, measured=m) for m in (False, True))
    assert fixed.log_gap < measured.log_gap
    assert measured.selection == pytest.approx(cost)


def smooth_network(seed=0, depth=8, dimension=3):
    generator = np.random.default_rng(seed)
    times = np.arange(depth) / depth
    waves = np.cos(np.pi * np.outer(times, np.arange(3)))
    weights = np.einsum("tk,kij->tij", waves, generator.normal(size=(3, dimension, dimension)))
    return weights, generator.normal(size=(20, dimension))


def test_constants_of_a_network_by_another_route():
    weights, inputs = smooth_network()
    found = class_of_weights(weights, inputs, inputs / 2, activation="gelu", loss_slope=2.0)
    assert found.radius == pytest.approx(max(sum(map(abs, w.ravel())) for w in weights))
    rises = [abs(b - a).max() for a, b in pairwise(weights)]
    assert found.slope == pytest.approx(8 * max(rises))
    assert found.input_radius == pytest.approx(max(math.hypot(*x) for x in inputs))
    assert found.target_radius == pytest.approx(found.input_radius / 2)
    points = np.linspace(-8, 8, 400_001)
    gelu = points * 0.5 * (1 + np.vectorize(math.erf)(points / math.sqrt(2)))
    steepest = np.abs(np.diff(gelu) / np.diff(points)).max()
    assert steepest <= found.activation_slope <= steepest * (1 + 1e-6)
    assert (found.loss_slope, found.depth) == (2.0, None)
    assert class_of_weights(weights, inputs, every_depth=False).depth == 8


def test_a_tower_and_its_weights_give_the_same_class():
    weights, inputs = smooth_network(1)
    for rule in ("1/n", "0.3"):
        branches = tuple(MLPBranch(outer=w, activation="relu") for w in weights)
        tower = Tower(branches, rule)
        factor = 1.0 if rule == "1/n" else 0.3 * 8
        own, other = class_of_tower(tower, inputs), class_of_weights(factor * weights, inputs)
        assert own.radius == pytest.approx(other.radius, rel=1e-12)
        assert own.slope == pytest.approx(other.slope, rel=1e-12)
        reached = np.linalg.norm(tower(inputs), axis=1).max()
        assert reached <= math.exp(own.log_output())


@pytest.mark.parametrize(
    "branch",
    [
        MLPBranch(outer=np.eye(2), inner=np.eye(2)),
        MLPBranch(outer=np.eye(2), outer_bias=[1.0, 0.0]),
        MLPBranch(inner=np.eye(2)),
    ],
)
def test_towers_outside_the_class_are_refused(branch):
    with pytest.raises(InputError, match="V σ"):
        class_of_tower(Tower.tied(branch, 2, "1/n"), [[1.0, 0.0]])


# --- bad input and the command ----------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"radius": -1.0},
        {"slope": math.nan},
        {"input_radius": math.inf},
        {"activation_slope": 0.0},
        {"loss_bound": 0.0},
        {"dimension": 0},
        {"depth": 0},
        {"activation": 0, "input_radius": 0, "target_radius": 0},
    ],
)
def test_bad_constants_are_refused(change):
    with pytest.raises(InputError):
        replace(EXAMPLE, **change)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, 2.0, math.nan])
def test_delta_outside_the_unit_interval_is_refused(delta):
    for function in (neural_ode_bound, published_terms):
        with pytest.raises(InputError, match="delta"):
            function(EXAMPLE, 100, delta)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan, math.inf])
def test_epsilon_that_is_not_positive_is_refused(epsilon):
    with pytest.raises(InputError, match="positive ε"):
        lipschitz_entropy(2, 1.0, 1.0, epsilon)


@pytest.mark.parametrize(
    ("weights", "inputs", "more"),
    [
        (np.full((2, 2, 2), np.nan), [[1.0, 0.0]], {}),
        (np.ones((2, 2, 2)), np.ones((0, 2)), {}),
        (np.ones((2, 2, 2)), [[1.0]], {}),
        (np.ones((2, 2, 3)), [[1.0, 0.0]], {}),
        (np.ones((2, 2, 2)), [[1.0, np.inf]], {}),
        (np.ones((2, 2, 2)), [[1.0, 0.0]], {"activation": "nonsense"}),
        (np.ones((2, 2, 2)), [[1.0, 0.0]], {"targets": [[1.0]]}),
    ],
)
def test_bad_networks_are_refused(weights, inputs, more):
    with pytest.raises(InputError):
        class_of_weights(weights, inputs, **more)


def test_a_path_outside_its_class_is_refused():
    with pytest.raises(InputError, match="values ≤"):
        path_centre([0.0, 2.0], 1.0, 9.0, 0.1)


def test_the_command(answer, command):
    given = ("bound", "neural-ode", "--radius", 0.5, "--slope", 0.5, 0, "--dimension", 2)
    found = answer(*given, "--samples", 100, 10**6, "--depth", 10, "--simulate", 50)
    assert len(found["rows"]) == 4
    for row in found["rows"]:
        towers = replace(EXAMPLE, slope=row["slope"], depth=10)
        assert row["gap"] == pytest.approx(
            math.exp(neural_ode_bound(towers, row["samples"]).log_gap), rel=1e-12
        )
        assert row["gap"] == pytest.approx(
            row["covers"][0]["approximation"] + row["covers"][0]["deviation"], rel=1e-9
        )
    assert found["random"]["lipschitz"]["largest"] <= 1 + ROUNDING
    code, out, err = command(*given, "--samples", 2)
    assert (code, err) == (0, "")
    assert "vacuous in" in out
    assert "from n = 11 samples on" in out
    large = answer("bound", "neural-ode", "--radius", 900, "--dimension", 2, "--samples", 10)
    assert large["rows"][0]["gap"] is None
    assert large["rows"][0]["log10_gap"] > 300


def test_the_command_reads_a_network(answer, command, tmp_path):
    weights, inputs = smooth_network()
    branches = tuple(MLPBranch(outer=0.1 * w, activation="tanh") for w in weights)
    path = save_tower(tmp_path / "t.safetensors", SavedTower(Tower(branches, "1/n"), inputs))
    found = answer("bound", "neural-ode", "--weights", path, "--samples", 10**5)
    assert found["measured"]
    assert found["rows"][0]["selection"] > 0
    assert found["rows"][0]["radius"] >= 0.1 * np.abs(weights).sum(axis=(1, 2)).max()
    assert json.dumps(found)
    code, out, _ = command("bound", "neural-ode", "--weights", path, "--samples", 10**5)
    assert code == 0
    assert "added to log 1/δ" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--samples", 10),
        ("--samples", 0, "--radius", 1, "--dimension", 2),
        ("--samples", 10, "--radius", -1, "--dimension", 2),
        ("--samples", 10, "--radius", 1, "--dimension", 2, "--delta", 1.5),
        ("--samples", 10, "--radius", "nan", "--dimension", 2),
        ("--samples", 10, "--weights", "missing.safetensors"),
        ("--samples", 10, "--radius", 1, "--weights", "x.safetensors"),
    ],
)
def test_bad_requests_are_one_line(command, arguments):
    code, out, err = command("bound", "neural-ode", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
