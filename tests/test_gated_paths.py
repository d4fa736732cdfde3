"""Gated paths (E7, E7b): exact at any scale, by three routes."""

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.series.expansion import expand
from expansion.series.gated_paths import enumerated_paths, gated_orders
from expansion.series.jets import jet_orders
from expansion.towers.branches.layered import AffineBranch, MLPBranch, relu_branch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower
from proofs_check.strategies import float_towers, points, rationals, relu_towers

SMOOTH = ["tanh", "gelu", "erf", "sin", "relu", "linear"]


def jacobians(tower, x):
    """V diag(gate) U of every block at the actual forward pass, walked here by hand."""
    found, state = [], np.array(x)
    for branch, scale in zip(tower.branches, tower.scales, strict=True):
        gate = branch.inner @ state > 0
        found.append(
            branch.outer[:, gate] @ branch.inner[gate]
            if gate.any()
            else branch.outer @ branch.inner * 0
        )
        state = state + scale * (found[-1] @ state)
    return found, state


@given(relu_towers(), points(2))
def test_relu_towers_are_their_paths(tower, x):
    orders = gated_orders(tower, x)
    matrices, output = jacobians(tower, x)
    assert sum(orders).tolist() == tower(x).tolist() == output.tolist()
    # Products of matrices over all subsets: nothing but the definition.
    for k in range(tower.depth + 1):
        expected = np.array([Fraction(0)] * 2, dtype=object)
        for blocks in combinations(range(tower.depth), k):
            vector = x
            for block in blocks:
                vector = tower.scales[block] * (matrices[block] @ vector)
            expected = expected + vector
        assert orders[k].tolist() == expected.tolist()


@given(relu_towers(), points(2))
def test_enumerated_paths_add_up_to_the_orders(tower, x):
    paths = dict(enumerated_paths(tower, x))
    assert len(paths) == 2**tower.depth
    orders = gated_orders(tower, x)
    for k in range(tower.depth + 1):
        of_order = [vector for blocks, vector in paths.items() if len(blocks) == k]
        assert len(of_order) == comb(tower.depth, k)
        assert sum(of_order).tolist() == orders[k].tolist()
    assert sorted(paths) == sorted(
        tuple(blocks)
        for k in range(tower.depth + 1)
        for blocks in combinations(range(1, tower.depth + 1), k)
    )


@given(relu_towers(), points(2), st.sampled_from([Fraction(1, 100), Fraction(10), Fraction(-7)]))
def test_relu_towers_at_any_scale(tower, x, factor):
    scaled = Tower(tower.branches, [factor * scale for scale in tower.scales])
    assert sum(gated_orders(scaled, x)).tolist() == scaled(x).tolist()


def test_gates_of_the_forward_pass_not_of_the_input():
    # Block 1 moves x = 1 to −2, where the gate of block 2 is closed. About x it is open:
    # the λ-series at λ = 1 misses the output, the gated paths do not.
    tower = Tower([relu_branch([[-3]]), relu_branch([[1]])])
    assert tower([1]).tolist() == [-2]
    assert gated_orders(tower, [1]).tolist() == [[1], [-3], [0]]
    assert jet_orders(tower, [1], 2).tolist() == [[1], [-2], [-3]]


@given(
    st.lists(st.lists(rationals(), min_size=4, max_size=4), min_size=1, max_size=4),
    points(2),
    points(2),
)
def test_affine_towers_by_four_routes(entries, bias, x):
    branches = [AffineBranch(np.array(m, dtype=object).reshape(2, 2), bias) for m in entries]
    tower = Tower(branches, "1/n", decoder=AffineBranch([[1, 2]], [3]))
    gated = gated_orders(tower, x)
    assert gated.tolist() == jet_orders(tower, x, tower.depth).tolist()
    assert gated.tolist() == expand(tower, tower.depth).orders(x).tolist()
    assert sum(gated).tolist() == tower(x).tolist()


@given(st.lists(st.lists(rationals(), min_size=4, max_size=4), min_size=1, max_size=4), points(2))
def test_affine_terms_are_the_enumerated_paths(entries, x):
    tower = Tower([AffineBranch(np.array(m, dtype=object).reshape(2, 2)) for m in entries], "1/n")
    paths = dict(enumerated_paths(tower, x))
    expansion = expand(tower, tower.depth)
    from expansion.series.differentials import Differentials

    differentials = Differentials(tower, x)
    for term, coefficient in expansion.items():
        value = coefficient * differentials.value(term)
        if term.is_path:
            assert value.tolist() == paths[tuple(reversed(term.labels))].tolist()
        else:
            assert not value.any()


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=20)
@given(data=st.data(), seed=st.integers(0, 2**16))
def test_frozen_gates_of_any_activation_reach_the_output(name, data, seed):
    # E7b with biases: offsets are paths that start at their block.
    tower = data.draw(float_towers(activations=(name,)))
    x = np.random.default_rng(seed).normal(size=3)
    orders = gated_orders(tower, x)
    assert len(orders) == tower.depth + 1
    size = np.abs(orders).sum(axis=0).max()
    assert np.abs(orders.sum(axis=0) - tower(x)).max() <= 1e-14 * size * 8


@pytest.mark.parametrize("name", SMOOTH)
def test_encoder_and_decoder_with_gates_of_their_own(name):
    generator = np.random.default_rng(7)

    def branch(outputs=3, inputs=3):
        shapes = (outputs, 4), (4, inputs), 4, outputs
        return MLPBranch(*(generator.normal(size=shape) for shape in shapes), name)

    tower = Tower([branch() for _ in range(5)], "1/n", branch(3, 2), branch(1, 3))
    batch = generator.normal(size=(6, 2))
    orders = gated_orders(tower, batch)
    assert orders.shape == (6, 6, 1)
    size = np.abs(orders).sum(axis=0).max()
    assert np.abs(orders.sum(axis=0) - tower(batch)).max() <= 1e-13 * size
    for row in range(6):
        assert orders[:, row] == pytest.approx(
            gated_orders(tower, batch[row]), rel=1e-12, abs=1e-13
        )


@given(relu_towers(), points(2), st.integers(0, 6))
def test_fewer_or_more_orders(tower, x, order):
    all_orders = gated_orders(tower, x)
    some = gated_orders(tower, x, order)
    assert len(some) == order + 1
    shared = min(order, tower.depth) + 1
    assert some[:shared].tolist() == all_orders[:shared].tolist()
    assert not some[shared:].any()


def test_binomials():
    tower = Tower.tied(relu_branch([[1]]), 40)
    assert [row[0] for row in gated_orders(tower, [1])] == [comb(40, k) for k in range(41)]


def test_bad_orders_are_refused():
    for order in (-1, "x", 0.5):
        with pytest.raises(InputError, match=r"order must be a whole number of at least 0"):
            gated_orders(Tower.tied(relu_branch([[1]]), 2), [1], order)


def test_branches_without_gates_are_refused():
    import sympy

    x = sympy.Symbol("x")
    with pytest.raises(InputError, match=r"gates can be frozen; got SymbolicBranch; use jets"):
        gated_orders(Tower.tied(SymbolicBranch([x], [x**2]), 2), [1])
    with pytest.raises(InputError, match=r"a branch with values"):
        gated_orders(Tower.abstract(2), [1])
