"""B2: no tower crosses the bounds, they are as sharp as claimed, and wrong ones are caught."""

import math

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from expansion import AffineBranch, InputError, MLPBranch, SymbolicBranch, Tower, relu_branch
from expansion.bounds.capacity import (
    METHODS,
    CapacityBound,
    capacity_bounds,
    capacity_terms,
    log_product_bound,
)
from expansion.bounds.geometric_complexity import jacobians
from expansion.bounds.local_capacity import local_lipschitz
from expansion.bounds.sharpness import capacity, random_families, random_tower, sharpness_ratios
from expansion.towers.files import embedded_tower

RULES = ("1", "1/n", "1/sqrt(n)", "-0.4", "batchnorm", "n^-0.75", "3")
ACTIVATIONS = ("linear", "relu", "tanh", "erf", "gelu", "sin")
SLACK = 1 + 1e-9  # rounding of the tower's own outputs and Jacobians, some 1e-13


def drawn_tower(generator):
    """Towers of all kinds: with and without biases, ends, inner or outer matrices."""
    depth, dimension, width = (int(v) for v in generator.integers(1, [5, 4, 5]))

    def branch():
        if generator.random() < 0.15:
            return AffineBranch(generator.normal(size=(dimension, dimension)))
        kind, size = generator.integers(4), generator.choice([0.2, 1.0, 3.0])
        name = str(generator.choice(ACTIVATIONS))
        if kind == 0:
            matrix = generator.normal(size=(dimension, dimension))
            return MLPBranch(matrix * size, activation=name)
        if kind == 1:
            return MLPBranch(inner=generator.normal(size=(dimension, dimension)), activation=name)
        outer = generator.normal(size=(dimension, width)) * size
        inner = generator.normal(size=(width, dimension))
        biases = (generator.normal(size=width), generator.normal(size=dimension))
        return MLPBranch(outer, inner, *(biases if kind == 2 else (None, None)), name)

    ends = {}
    if generator.random() < 0.3:
        ends["encoder"] = AffineBranch(generator.normal(size=(dimension, dimension + 1)))
    if generator.random() < 0.3:
        ends["decoder"] = MLPBranch(generator.normal(size=(2, dimension)), activation="tanh")
    tower = Tower(tuple(branch() for _ in range(depth)), str(generator.choice(RULES)), **ends)
    start = dimension + ("encoder" in ends)
    return tower, generator.normal(size=(4, start)) * generator.choice([0.1, 1.0, 10.0])


def crossings(tower, inputs, bounds):
    """Which methods' bounds are crossed by Jacobians or by difference quotients at inputs."""
    found = jacobians(tower, inputs)
    steepest = np.linalg.norm(found, 2, axis=(1, 2)).max()
    outputs = tower(inputs)
    moved = np.linalg.norm(outputs[1:] - outputs[:-1], axis=1)
    apart = np.linalg.norm(inputs[1:] - inputs[:-1], axis=1)
    lipschitz = math.log(max(steepest, (moved / apart).max(), 1e-300))
    energy = math.log(max((found**2).sum() / len(inputs), 1e-300))
    return [
        bound.method
        for bound in bounds
        if lipschitz > bound.log_lipschitz + 1e-9 or energy > bound.log_complexity + 1e-9
    ]


@given(st.integers(0, 2**32 - 1))
def test_no_tower_crosses_any_bound(seed):
    tower, inputs = drawn_tower(np.random.default_rng(seed))
    assert crossings(tower, inputs, capacity_bounds(tower)) == []


@pytest.mark.slow
def test_none_of_ten_thousand_towers_crosses_any_bound():
    generator = np.random.default_rng(20)
    for _ in range(10_000):
        tower, inputs = drawn_tower(generator)
        assert crossings(tower, inputs, capacity_bounds(tower)) == []


def wrong_constants(tower):
    """By mistake, ln of a wrong bound of Lip and of the complexity."""
    bounds = []
    for branch in tower.branches:
        outer = np.eye(branch.outputs) if branch.outer is None else branch.outer
        inner = np.eye(branch.inputs) if branch.inner is None else branch.inner
        product = outer @ inner
        bounds.append(
            (
                float(max(abs(np.linalg.eigvals(product)))),
                float(np.linalg.norm(outer, 2)),
                float(np.linalg.norm(outer, 2) * np.linalg.norm(inner, 2)),
            )
        )
    scales = abs(tower.rule.floats(tower.depth))
    radius, outer, true = (np.array(column) for column in zip(*bounds, strict=True))
    sums = {
        "spectral radius": np.log1p(scales * radius).sum(),
        "outer norm only": np.log1p(scales * outer).sum(),
        "1 + λ²𝓛²": np.log1p((scales * true) ** 2).sum() / 2,
        "first order": math.log1p((scales * true).sum()) - 1e-6,
        "last block left out": np.log1p((scales * true)[:-1]).sum(),
    }
    dimension = tower.branches[0].inputs
    wrong = {name: (log, 2 * log + math.log(dimension)) for name, log in sums.items()}
    whole = np.log1p(scales * true).sum()
    return {**wrong, "d left out": (whole, 2 * whole)}


def test_wrong_constants_are_crossed():
    # The control: the same comparison catches each mistake on some of a few hundred towers.
    generator, caught = np.random.default_rng(3), set()
    for _ in range(300):
        name = str(generator.choice(["relu", "linear"]))
        depth, small = int(generator.integers(1, 4)), generator.choice([0.01, 1.0])
        tower = random_tower(generator, name, depth=depth, dimension=2, width=2, rule=str(small))
        inputs = generator.normal(size=(4, 2))
        for mistake, (lipschitz, complexity) in wrong_constants(tower).items():
            wrong = CapacityBound(mistake, lipschitz, complexity)
            caught |= set(crossings(tower, inputs, [wrong]))
    assert caught == set(wrong_constants(tower))


@given(st.integers(0, 2**32 - 1))
def test_sharper_methods_are_not_above_the_ones_they_refine(seed):
    tower, _ = drawn_tower(np.random.default_rng(seed))
    logs = {bound.method: bound.log_lipschitz for bound in capacity_bounds(tower)}
    tiny = 1e-9 * (1 + abs(logs["product"]))
    assert logs["consecutive"] <= logs["exponential"] + tiny
    assert logs["centred"] <= logs["balanced"] + tiny
    assert logs["balanced"] <= logs["product"] + tiny
    assert logs["product"] <= logs["exponential"] + tiny
    assert logs["product"] <= logs["Frobenius"] + tiny
    assert logs["absolute"] <= logs["sums"] + tiny


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_affine_towers_are_measured_exactly(seed, depth):
    generator = np.random.default_rng(seed)
    branches = tuple(AffineBranch(generator.normal(size=(3, 3))) for _ in range(depth))
    tower = Tower(branches, "1/n")
    product = np.eye(3)
    for branch in branches:
        product = product + branch.matrix @ product / depth
    bound = capacity_bounds(tower, ["consecutive"])[0]
    # Chains are cut at 32 factors, where exactness ends.
    if depth <= 32:
        assert bound.lipschitz == pytest.approx(np.linalg.norm(product, 2), rel=1e-9)
        assert bound.complexity == pytest.approx((product**2).sum(), rel=1e-9)
    assert bound.lipschitz >= np.linalg.norm(product, 2) * (1 - 1e-12)


def test_textbook_bound_against_its_formula():
    tower = random_tower(np.random.default_rng(5), "tanh", depth=6, dimension=4, width=3)
    gains = [np.linalg.norm(b.outer, 2) * np.linalg.norm(b.inner, 2) for b in tower.branches]
    scales = tower.rule.floats(6)
    logs = {bound.method: bound for bound in capacity_bounds(tower)}
    assert logs["product"].lipschitz == pytest.approx(np.prod(1 + scales * gains), rel=1e-9)
    assert logs["product"].complexity == pytest.approx(4 * np.prod(1 + scales * gains) ** 2)
    assert logs["exponential"].log_lipschitz == pytest.approx((scales * gains).sum(), rel=1e-9)
    terms = capacity_terms(tower)
    assert [term.part for term in terms] == [f"block {number}" for number in range(1, 7)]
    assert math.prod(term.factor for term in terms) == pytest.approx(logs["product"].lipschitz)
    assert math.prod(term.centred for term in terms) == pytest.approx(logs["centred"].lipschitz)


def test_gaps_between_methods_on_random_towers():
    # What the table of ratios says, in kind: products of neighbours win, absolute values lose.
    ratios = {
        (one.family, one.method): one
        for one in sharpness_ratios(random_families(["linear", "relu"]), trials=5)
    }
    for rule in ("1/sqrt(n)", "1/n"):
        assert ratios[f"linear, {rule}", "consecutive"].largest == pytest.approx(1, rel=1e-6)
        relu = {m: ratios[f"relu, {rule}", m].median for m in METHODS}
        order = ["consecutive", "centred", "balanced", "product", "absolute", "sums"]
        assert [relu[m] for m in order] == sorted(relu[m] for m in order)
        assert relu["consecutive"] < relu["product"] / 4
    assert all(one.least >= 1 - 1e-9 for one in ratios.values())


def test_the_embedded_network_is_bounded_sharply():
    saved = embedded_tower()
    found = capacity(saved.tower, saved.inputs)
    assert found.sharpest.method == "consecutive"
    assert 1 <= found.sharpest.lipschitz / found.lipschitz < 1.15
    assert 1 <= min(b.complexity for b in found.bounds) / found.complexity < 2
    assert not found.vacuous(found.sharpest)
    assert found.vacuous(next(b for b in found.bounds if b.method == "Frobenius"))
    assert found.lipschitz <= found.local <= found.sharpest.lipschitz * SLACK


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.01, 0.3, 2.0]))
def test_points_of_a_ball_keep_to_its_bound(seed, radius):
    check_a_ball(np.random.default_rng(seed), radius)


@pytest.mark.slow
def test_points_of_ten_thousand_balls_keep_to_their_bounds():
    generator = np.random.default_rng(21)
    for _ in range(2500):  # four inputs each
        check_a_ball(generator, 10 ** generator.uniform(-2, 0.5))


def check_a_ball(generator, radius):
    tower, inputs = drawn_tower(generator)
    bounds = local_lipschitz(tower, inputs, radius)
    whole = min(bound.lipschitz for bound in capacity_bounds(tower, ["consecutive"]))
    assert (bounds <= whole * SLACK + 1e-9).all()
    directions = generator.normal(size=(2, *inputs.shape))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    sizes = radius * generator.choice([0.05, 0.5, 1.0], size=(2, len(inputs), 1))
    one, two = (inputs + size * way for size, way in zip(sizes, directions, strict=True))
    moved = np.linalg.norm(tower(one) - tower(two), axis=-1)
    apart = np.linalg.norm(one - two, axis=-1)
    # Rounding of outputs of size s is some 1e-14 s.
    noise = 1e-12 * (1 + abs(tower(one)).max())
    assert (moved <= bounds * apart * SLACK + noise).all()
    steepest = np.linalg.norm(jacobians(tower, one), 2, axis=(1, 2))
    assert (steepest <= bounds * SLACK + 1e-12).all()


def test_a_ball_without_room_is_the_jacobian():
    tower = random_tower(np.random.default_rng(8), "gelu", depth=5)
    inputs = np.random.default_rng(9).normal(size=(6, 8))
    found = np.linalg.norm(jacobians(tower, inputs), 2, axis=(1, 2))
    assert local_lipschitz(tower, inputs, 0.0) == pytest.approx(found, rel=1e-9)
    wide = local_lipschitz(tower, inputs, 1e6)
    assert wide == pytest.approx(capacity_bounds(tower, ["consecutive"])[0].lipschitz, rel=1e-6)
    # Control: the bound at a point is crossed inside the ball.
    kink = Tower((relu_branch([[1.0]]),))
    assert local_lipschitz(kink, [[-0.5]], 0.0)[0] < 1.5 < local_lipschitz(kink, [[-0.5]], 1.0)[0]


def test_deep_towers_do_not_overflow_and_stay_linear_in_time():
    branch = relu_branch(np.full((2, 2), 5.0), np.full((2, 2), 5.0))
    bounds = {b.method: b for b in capacity_bounds(Tower.tied(branch, 400, "1"))}
    assert bounds["product"].log_lipschitz == pytest.approx(400 * math.log(101), rel=1e-9)
    assert bounds["product"].lipschitz == math.inf
    assert all(math.isfinite(b.log_lipschitz) for b in bounds.values())


def test_scales_of_zero_are_the_identity():
    tower = random_tower(np.random.default_rng(1), "relu", rule="skipinit", depth=3)
    for bound in capacity_bounds(tower):
        assert bound.lipschitz == pytest.approx(1, rel=1e-9)
        assert bound.complexity == pytest.approx(8, rel=1e-9)


def test_one_input_tells_nothing():
    tower = random_tower(np.random.default_rng(1), "relu", depth=2)
    found = capacity(tower, np.ones((1, 8)))
    assert all(found.vacuous(bound) for bound in found.bounds)
    assert found.to_dict()["measured"]["nearest_inputs"] is None


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda t: capacity_bounds(t, ["nonsense"]), "methods among"),
        (lambda t: local_lipschitz(t, np.ones((1, 8)), -1.0), "radius of at least 0"),
        (lambda t: local_lipschitz(t, np.ones((1, 8)), math.nan), "finite number"),
        (lambda t: local_lipschitz(t, np.ones((1, 3)), 1.0), "dimension 8"),
        (lambda t: capacity(t, np.ones(8)), "inputs must be a matrix"),
        (lambda t: capacity(t, np.full((2, 8), np.nan)), "finite numbers"),
        (lambda t: log_product_bound(-1.0, [1.0]), "at least 0"),
        (lambda t: log_product_bound(1.0, [math.inf]), "finite scales"),
        (lambda t: capacity_bounds(Tower(t.branches, "lambda")), "scales with values"),
    ],
)
def test_bad_input_is_refused(ask, told):
    tower = random_tower(np.random.default_rng(0), "relu", depth=2)
    with pytest.raises(InputError, match=told):
        ask(tower)


def test_branches_without_a_lipschitz_constant_are_refused_by_name():
    x = sympy.Symbol("x")
    tower = Tower((SymbolicBranch([x], [x**2]),))
    with pytest.raises(InputError, match=r"Lipschitz constant.*got SymbolicBranch.*polynomials"):
        capacity_bounds(tower)


def test_weights_spoilt_after_construction_are_refused():
    tower = random_tower(np.random.default_rng(0), "relu", depth=2)
    tower.branches[0].outer[0, 0] = np.nan
    with pytest.raises(InputError, match="outer weights must hold finite numbers"):
        capacity_bounds(tower)
