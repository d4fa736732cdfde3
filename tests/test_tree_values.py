"""Values of single trees on networks: they add up to the orders, each equals its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion import (
    AffineBranch,
    InputError,
    LabelledTree,
    MLPBranch,
    TooManyTermsError,
    Tower,
    expand,
    jet_orders,
)
from expansion.series.differentials import Differentials
from expansion.series.tree_values import tree_values
from proofs_check.strategies import float_towers

X = [0.4, -0.2, 0.7]


@settings(max_examples=15)
@given(float_towers(depths=(1, 4)), st.integers(1, 5))
def test_trees_add_up_to_the_orders_of_the_jet(tower, order):
    found = tree_values(tower, X, order)
    orders = jet_orders(tower, X, order)
    for k in range(1, order + 1):
        assert np.allclose(found.order(k), orders[k], rtol=1e-11, atol=1e-13)


@settings(max_examples=10)
@given(float_towers(depths=(2, 3)))
def test_every_tree_equals_its_definition(tower):
    found = tree_values(tower, X, 4)
    differentials, expansion = Differentials(tower, X), expand(tower, 4)
    assert list(found.trees) == list(expansion)
    for tree, value in zip(found.trees, found.values, strict=True):
        wanted = float(expansion[tree]) * differentials.value(tree)
        assert np.allclose(value, wanted, rtol=1e-12, atol=1e-15)


def test_affine_and_relu_networks_have_chains_only():
    generator = np.random.default_rng(2)
    for branch in (
        AffineBranch(generator.normal(size=(3, 3))),
        MLPBranch(*generator.normal(size=(2, 3, 3)), activation="relu"),
    ):
        found = tree_values(Tower.tied(branch, 4), X, 4)
        for k in range(1, 5):
            assert found.chain_share(k) == 1
            assert np.allclose(found.chain_part(k), found.order(k))


def test_largest_are_the_largest_of_their_order():
    generator = np.random.default_rng(3)
    branches = tuple(MLPBranch(*generator.normal(size=(2, 3, 3))) for _ in range(4))
    found = tree_values(Tower(branches, "1/n"), X, 3)
    by_norm = found.largest(3, 1000)
    norms = [norm for _, norm in by_norm]
    assert norms == sorted(norms, reverse=True)
    assert {tree for tree, _ in by_norm} == {t for t in found.trees if t.order == 3}
    assert found.largest(3, 2) == by_norm[:2]
    assert 0 < found.chain_share(3) < 1


def test_the_encoder_moves_the_point_and_the_scales_weigh():
    encoder = AffineBranch([[2.0]])
    tower = Tower.tied(MLPBranch([[1.0]], activation="sin"), 2, [0.5, 0.25], encoder=encoder)
    found = tree_values(tower, [0.3], 2)
    path = found.trees.index(LabelledTree.path(2, 1))
    assert found.values[path, 0] == pytest.approx(0.125 * np.cos(0.6) * np.sin(0.6))


def test_what_is_too_large_or_wrong_is_refused():
    tower = Tower.tied(AffineBranch([[1.0]]), 30)
    with pytest.raises(TooManyTermsError):
        tree_values(tower, [1.0], 8)
    with pytest.raises(InputError):
        tree_values(tower, [[1.0], [2.0]], 2)
