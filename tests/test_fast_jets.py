"""The compiled route of jets beside the plain one, and every compiled body beside its source."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.series import fast_jets, jet_kernels
from expansion.series.fast_jets import compiled_series, load_kernels
from expansion.series.jet_kernels import CODES, activate, multiply
from expansion.series.jets import jet_orders, plain_series
from expansion.towers.activations import ACTIVATIONS, Activation
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.power_series import Series
from expansion.towers.tower import Tower


@pytest.fixture(autouse=True)
def _kernels():
    load_kernels()


def tower_of(name, depth=4, dimension=7, width=9, biases=True, seed=0):
    rng = np.random.default_rng(seed)
    return Tower(
        [
            MLPBranch(
                rng.normal(size=(dimension, width)) / width**0.5,
                rng.normal(size=(width, dimension)) / dimension**0.5,
                rng.normal(size=width) if biases else None,
                rng.normal(size=dimension) if biases else None,
                name,
            )
            for _ in range(depth)
        ],
        "1/sqrt(l)",
    )


def assert_same_series(ours, theirs):
    """Equal to rounding, order by order; what is compared is not zero."""
    assert ours.shape == theirs.shape
    assert np.abs(theirs).max() > 0
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a - b).max() <= 1e-12 * np.abs(b).max()


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("batch", [(), (2,), (3, 5), (40,)], ids=str)
def test_both_routes_give_the_same_numbers(name, batch):
    tower = tower_of(name)
    x = np.random.default_rng(1).normal(size=(*batch, 7))
    ours = compiled_series(tower, x, 6)
    assert ours is not None
    assert_same_series(ours, plain_series(tower, x, 6))
    np.testing.assert_array_equal(jet_orders(tower, x, 6), ours)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(ACTIVATIONS)),
    *(st.integers(1, 12) for _ in range(3)),
    st.integers(1, 8),
    st.booleans(),
)
def test_shapes_of_all_kinds(name, depth, dimension, width, order, biases):
    tower = tower_of(name, depth, dimension, width, biases)
    x = np.random.default_rng(2).normal(size=(2, dimension))
    ours, theirs = compiled_series(tower, x, order), plain_series(tower, x, order)
    assert ours.shape == theirs.shape
    scale = np.abs(theirs).max()
    # Orders may cancel in tiny towers, so that errors are relative to the largest.
    assert np.abs(ours - theirs).max() <= 1e-12 * scale


def test_mixed_branches_encoder_and_decoder():
    rng = np.random.default_rng(3)
    tower = Tower(
        [
            AffineBranch(rng.normal(size=(4, 4)), rng.normal(size=4)),
            MLPBranch(outer=rng.normal(size=(4, 4)), activation="sin"),
            MLPBranch(inner=rng.normal(size=(4, 4)), activation="relu"),
            MLPBranch(rng.normal(size=(4, 30)), rng.normal(size=(30, 4)), activation="gelu"),
            # A transposed matrix, and exact weights, which are rounded once.
            MLPBranch(rng.normal(size=(3, 4)).T, np.asfortranarray(rng.normal(size=(3, 4)))),
            AffineBranch([[1, 2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 3], [1, 0, 0, 1]]),
        ],
        0.3,
        encoder=AffineBranch(rng.normal(size=(4, 2))),
        decoder=MLPBranch(rng.normal(size=(1, 4)), activation="tanh"),
    )
    for shape in ((2,), (60, 2)):
        x = rng.normal(size=shape)
        state = tower.encode(x)
        assert compiled_series(tower, state, 4) is not None
        expected = tower.decoder.jet(plain_series(tower, state, 4))
        assert_same_series(jet_orders(tower, x, 4), expected)


def test_relu_on_its_kink():
    # A row of zero weights: what moves first decides, as in the plain route.
    branch = MLPBranch(np.eye(2), np.array([[1.0, -1.0], [0.0, 0.0]]), activation="relu")
    tower = Tower([AffineBranch(np.array([[0.0, 1.0], [0.0, 0.0]])), branch])
    x = np.array([1.0, 1.0])
    assert compiled_series(tower, x, 3).tolist() == plain_series(tower, x, 3).tolist()


@pytest.mark.parametrize("name", sorted(CODES))
def test_compiled_activations_are_their_source_and_the_reference(name, monkeypatch):
    rng = np.random.default_rng(4)
    u = rng.normal(size=(6, 600))  # more lanes than one block
    u[0, :5] = 0
    compiled, work = np.empty_like(u), np.empty((3, *u.shape))
    activate(CODES[name], u, compiled, work)
    reference = np.stack(ACTIVATIONS[name].series(Series(list(u))).coefficients)
    scale = np.abs(reference).max(axis=1, keepdims=True)
    assert (np.abs(compiled - reference) <= 1e-13 * scale).all()
    for helper in ("_accumulate", "_next", "_convolve", "_copy", "_relu", "_tanh", "_sin"):
        monkeypatch.setattr(jet_kernels, helper, getattr(jet_kernels, helper).py_func)
    for helper in ("_erf", "_gelu"):
        monkeypatch.setattr(jet_kernels, helper, getattr(jet_kernels, helper).py_func)
    plain, few = np.empty((6, 20)), np.ascontiguousarray(u[:, :20])
    activate.py_func(CODES[name], few, plain, np.empty((3, 6, 20)))
    assert (np.abs(plain - compiled[:, :20]) <= 1e-13 * scale).all()


@pytest.mark.parametrize("body", [multiply, multiply.py_func], ids=["compiled", "plain"])
@pytest.mark.parametrize("rows", [1, 3, 4, 11])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_products(body, rows, count):
    rng = np.random.default_rng(5)
    matrix, vectors = rng.normal(size=(rows, 13)), rng.normal(size=(count + 1, 13))
    out = np.full((count, rows), np.nan)
    body(matrix, vectors, out)
    np.testing.assert_allclose(out, vectors[:count] @ matrix.T, rtol=1e-13, atol=1e-13)


def test_what_the_compiled_route_leaves_alone():
    tower = tower_of("tanh")
    x = np.zeros(7)
    assert compiled_series(tower, x, 0) is None
    assert compiled_series(tower, x.astype(complex), 3) is None
    assert compiled_series(tower, np.array([0] * 7, dtype=object), 3) is None
    own = Activation("tanh", np.tanh, lambda a, m: a, lambda series: series)
    assert compiled_series(Tower([MLPBranch(np.eye(2), activation=own)]), np.ones(2), 2) is None


def test_numpy_until_the_kernels_are_worth_loading(monkeypatch):
    kernels = type("Fresh", (), {"module": None, "work_without": 0.0})
    monkeypatch.setattr(fast_jets, "_Kernels", kernels)
    tower, x = tower_of("tanh"), np.ones(7)
    first = jet_orders(tower, x, 3)
    assert kernels.module is None
    assert 0 < kernels.work_without < fast_jets._WORTH_LOADING
    assert first.tolist() == plain_series(tower, x, 3).tolist()
    kernels.work_without = fast_jets._WORTH_LOADING
    second = jet_orders(tower, x, 3)
    assert kernels.module is jet_kernels
    assert_same_series(second, first)


def test_a_plan_does_not_outlive_what_it_was_made_from():
    # The same weights under other scales, and other weights under the same scales.
    branches = tower_of("tanh").branches
    x = np.ones(7)
    for tower in (Tower(branches, 1.0), Tower(branches, 0.5), Tower(branches[::-1], 0.5)):
        assert_same_series(jet_orders(tower, x, 3), plain_series(tower, x, 3))
