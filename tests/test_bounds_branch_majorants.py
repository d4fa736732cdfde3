"""Majorants of branches: above every Taylor term, above the branch on complex balls, and sharp."""

import numpy as np
import pytest
import sympy
from bounds_towers import random_tower
from flint import arb, arb_mat, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.bounds.ball_series import branch_series
from expansion.bounds.balls import PRECISION, ball, norm, upwards
from expansion.bounds.branch_majorants import branch_majorant, direct_bound
from expansion.towers.branches.layered import MLPBranch
from expansion.towers.branches.symbolic import SymbolicBranch

BRANCHES = st.integers(0, 400).map(lambda seed: random_tower(seed)[0].branches[0])
X, Y, Z = sympy.symbols("x y z")


def taylor_sizes(branch, x, direction, order):
    """‖f^(m)(x)[h, ..., h]/m!‖ for m = 0..order, from a power series in balls."""
    rows = [[a, h, *[arb(0)] * (order - 1)] for a, h in zip(x, direction, strict=True)]
    image = branch_series(branch, arb_mat(rows), "f").tolist()
    return [norm(row[m] for row in image) for m in range(order + 1)]


def term(found, m):
    """b_m of a majorant, computed or from its geometric rest."""
    listed = found.coefficients
    return listed[m] if m < len(listed) else found.size * found.rate**m


@settings(max_examples=60)
@given(BRANCHES, st.integers(0, 1000), st.sampled_from([2, 3, 8]))
def test_no_taylor_term_is_above_its_coefficient(branch, seed, order):
    g = np.random.default_rng(seed)
    x, h = g.normal(size=(2, branch.inputs))
    h /= np.linalg.norm(h) * (1 + 1e-12)
    with ctx.workprec(PRECISION):
        x, h = ([ball(v) for v in vector.tolist()] for vector in (x, h))
        found = branch_majorant(branch, x, order)
        for m, true in enumerate(taylor_sizes(branch, x, h, 12)):
            assert not term(found, m) < true


ONE = {  # one direction takes all of it: hardly anything can be left out unnoticed
    "inner of 50": (MLPBranch([[1.0]], [[50.0]]), 0.01, 100),
    "outer of 50": (MLPBranch([[50.0]], [[1.0]], activation="sin"), 0.5, 3),
    "tanh written out": (SymbolicBranch([X], [sympy.tanh(X)]), 0.1, 60),
    "a product": (SymbolicBranch([X], [sympy.tanh(X) * (X + 5) * (X + 7)]), 0.4, 110),
}


@pytest.mark.parametrize("name", ONE)
def test_how_sharp_coefficients_are_in_one_dimension(name):
    branch, x, beyond = ONE[name]
    with ctx.workprec(PRECISION):
        found = branch_majorant(branch, [ball(x)], 2)
        true = taylor_sizes(branch, [ball(x)], [arb(1)], 10)
        ratios = np.array([float(term(found, m) / t) for m, t in enumerate(true)])
    assert ratios[:2] == pytest.approx(1, rel=1e-12)
    assert ratios.min() >= 1 - 1e-12
    assert ratios[3] < beyond  # the first that is bounded by the geometric rest


def test_what_is_beyond_a_formula_is_sharp_for_a_power():
    found = branch_majorant(SymbolicBranch([X], [X**9]), [arb(0)], 2)
    assert float(term(found, 9)) == pytest.approx(1, rel=1e-12)


def test_products_keep_what_each_factor_has():
    # Second derivatives of xyz are x, y and z: each factor's value counts.
    branch = SymbolicBranch([X, Y, Z], [X * Y * Z])
    for x in ([3, 5, 7], [7, 3, 5], [5, 7, 3]):
        found = branch_majorant(branch, [arb(v) for v in x], 3)
        assert [float(c) for c in found.coefficients[2:]] == [15, 1]
        assert found.degree == 3


@settings(max_examples=60)
@given(BRANCHES, st.integers(0, 1000), st.floats(0.01, 2))
def test_branches_stay_below_their_bounds_on_complex_balls(branch, seed, radius):
    g = np.random.default_rng(seed)
    x = [ball(v) for v in g.normal(size=branch.inputs).tolist()]
    h = g.normal(size=branch.inputs) + 1j * g.normal(size=branch.inputs)
    h = h / np.linalg.norm(h) * radius * 0.999
    point = np.array([complex(float(a)) for a in x]) + h
    value = complex_value(branch, point)
    true = float(np.linalg.norm(value)) * (1 - 1e-12)
    assert true <= upwards(branch_majorant(branch, x, 20)(ball(radius)))
    own = direct_bound(branch, x)
    assert own is None or true <= upwards(own(ball(radius)))


def complex_value(branch, point):
    if isinstance(branch, SymbolicBranch):
        functions = sympy.lambdify(branch.variables, branch.formulas, "numpy")
        return np.array([complex(v) for v in functions(*point)])
    return branch(point)


def test_the_third_form_of_a_layer_is_sharper_and_holds():
    g = np.random.default_rng(3)
    branch = MLPBranch(g.normal(size=(6, 6)), g.normal(size=(6, 6)))
    x = [arb(0.25)] * 6
    second = branch_majorant(branch, x, 4).coefficients[2]
    widths = np.linalg.norm(branch.inner, axis=1)
    slopes = np.tanh(branch.inner @ np.full(6, 0.25))
    curved = abs(slopes * (1 - slopes**2)) * widths
    crude = np.linalg.norm(branch.outer, 2) * np.linalg.norm(branch.inner, 2) * curved.max()
    assert float(second) < crude
    a, b = g.normal(size=(2, 2000, 6))
    moved = branch.derivative(np.full(6, 0.25), [a, b]) / 2
    sizes = np.linalg.norm(moved, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert sizes.max() <= float(second)
