"""Direct composition itself: against polynomials multiplied out by hand, and what it refuses."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from flint import fmpq, fmpq_poly
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.series.composition import cauchy_orders, composed_orders
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower
from proofs_check.strategies import points, polynomial_towers, rationals

X, Y = sympy.symbols("x y")


@settings(max_examples=40)
@given(st.lists(st.lists(rationals(), min_size=3, max_size=3), min_size=1, max_size=3), rationals())
def test_one_dimension_against_flints_polynomials(coefficients, x):
    def flint(value):
        return fmpq(value.numerator, value.denominator)

    branches = [
        SymbolicBranch([X], [sum(sympy.Rational(str(c)) * X**k for k, c in enumerate(row))])
        for row in coefficients
    ]
    tower = Tower(branches, [Fraction(1, k + 2) for k in range(len(branches))])
    state = fmpq_poly([flint(x)])
    for number, row in enumerate(coefficients):
        moved = sum((flint(c) * state**k for k, c in enumerate(row)), fmpq_poly([0]))
        state = state + fmpq_poly([0, fmpq(1, number + 2)]) * moved
    found = composed_orders(tower, [x], 9)
    assert [row[0] for row in found] == [
        Fraction(int(state[k].p), int(state[k].q)) for k in range(10)
    ]


@given(polynomial_towers(ends=True, depths=(1, 3)), points(2))
def test_all_orders_add_up_to_the_output(tower, x):
    # Degree at most 2^(n + 1): every block and the decoder at most double it.
    assert sum(composed_orders(tower, x, 2 ** (tower.depth + 1))).tolist() == tower(x).tolist()


def test_by_hand():
    # u + z u², then v + z v²: u + 2u² z + 2u³ z² + u⁴ z³ at u = 3.
    tower = Tower.tied(SymbolicBranch([X], [X**2]), 2)
    assert [row[0] for row in composed_orders(tower, [3], 4)] == [3, 18, 54, 81, 0]


def test_symbolic_points():
    tower = Tower.tied(SymbolicBranch([X, Y], [X * Y, Y]), 1)
    a, b = sympy.symbols("a b")
    assert composed_orders(tower, [a, b], 1).tolist() == [[a, b], [a * b, b]]


@pytest.mark.parametrize(
    ("tower", "x", "message"),
    [
        (Tower.tied(AffineBranch([[1]]), 2), [1], "a tower of formulas; got AffineBranch; use"),
        (Tower.abstract(2), [1], "a tower of formulas; got AbstractBranch"),
        (
            Tower.tied(SymbolicBranch([X], [sympy.sin(X)]), 2),
            [1],
            "polynomial formulas; got .*; use",
        ),
        (
            Tower.tied(SymbolicBranch([X], [1 / (1 + X)]), 2),
            [1],
            "polynomial formulas; got .*; use",
        ),
        (Tower.tied(SymbolicBranch([X], [X]), 2), [0.5], "exact numbers for direct composition"),
        (Tower.tied(SymbolicBranch([X], [X]), 2), [[1]], "the input must be a vector"),
        (Tower.tied(SymbolicBranch([X], [X]), 2), ["a"], "the input must hold numbers"),
    ],
)
def test_refused(tower, x, message):
    with pytest.raises(InputError, match=message) as caught:
        composed_orders(tower, x, 2)
    assert "\n" not in str(caught.value)


def test_inputs_of_another_dimension_are_refused():
    with pytest.raises(InputError, match=r"an input of dimension 2"):
        composed_orders(Tower.tied(SymbolicBranch([X, Y], [X, Y]), 2), [1, 2, 3], 1)


@pytest.mark.parametrize("order", [-1, 1.5, "x"])
def test_bad_orders_are_refused(order):
    tower = Tower.tied(SymbolicBranch([X], [X]), 2)
    for route in (composed_orders, cauchy_orders):
        with pytest.raises(InputError, match=r"order must be a whole number of at least 0"):
            route(tower, [1], order)


class TestCauchy:
    @settings(max_examples=30)
    @given(polynomial_towers(ends=True, depths=(1, 2)), points(2))
    def test_polynomials(self, tower, x):
        exact = composed_orders(tower, x, 4).astype(float)
        floats = x.astype(float)
        found = cauchy_orders(tower, floats, 4, radius=1.0, samples=32)
        # The degree in z is below 32, so that the trapezoidal rule is exact but for rounding,
        # relative to the largest value on the circle.
        largest = sum(np.abs(row).max() for row in composed_orders(tower, x, 8).astype(float)) + 1
        assert np.abs(found - exact).max() <= 1e-14 * largest * 32

    def test_too_few_samples_alias(self):
        # The negative control: with 3 samples order 3 is counted as order 0.
        tower = Tower.tied(SymbolicBranch([X], [X**2]), 2)
        assert cauchy_orders(tower, [1.0], 0, radius=1.0, samples=3)[0, 0] == pytest.approx(2.0)
        assert cauchy_orders(tower, [1.0], 0, radius=1.0, samples=4)[0, 0] == pytest.approx(1.0)

    def test_the_radius_does_not_matter(self):
        generator = np.random.default_rng(0)
        branch = MLPBranch(generator.normal(size=(2, 2)), generator.normal(size=(2, 2)))
        tower = Tower.tied(branch, 3, "1/n")
        small = cauchy_orders(tower, [0.2, 0.1], 3, radius=0.25)
        large = cauchy_orders(tower, [0.2, 0.1], 3, radius=0.5)
        # Rounding in order 3 is amplified by 4³.
        assert np.abs(small - large).max() < 64 * 1e-15

    def test_batches(self):
        tower = Tower.tied(MLPBranch([[0.5]], activation="sin"), 2)
        batch = np.array([[[0.1], [0.2]], [[0.3], [0.4]]])
        together = cauchy_orders(tower, batch, 2)
        assert together.shape == (3, 2, 2, 1)
        alone = cauchy_orders(tower, batch[1, 0], 2)
        assert together[:, 1, 0] == pytest.approx(alone, rel=1e-12, abs=1e-15)

    @pytest.mark.parametrize("samples", [0, 3, -1, 2.5])
    def test_more_samples_than_orders(self, samples):
        tower = Tower.tied(SymbolicBranch([X], [X]), 1)
        with pytest.raises(InputError, match=r"samples must be a whole number of at least 4"):
            cauchy_orders(tower, [1.0], 3, samples=samples)

    @pytest.mark.parametrize("radius", [0, float("nan"), float("inf")])
    def test_a_radius_without_a_circle_is_refused(self, radius):
        tower = Tower.tied(SymbolicBranch([X], [X]), 1)
        with pytest.raises(InputError, match=r"radius"):
            cauchy_orders(tower, [1.0], 2, radius=radius)
