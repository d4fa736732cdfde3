"""Branches by formulas: values, derivatives and jets against sympy's own calculus."""

from fractions import Fraction
from math import factorial

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion import Tower, expand
from expansion.errors import InputError
from expansion.towers.arrays import as_array, is_exact
from expansion.towers.branches.symbolic import SymbolicBranch, evaluate
from expansion.towers.power_series import Series
from proofs_check.strategies import points, polynomial_branches, rationals

x, y, t = sympy.symbols("x y t")
MIXED = SymbolicBranch([x, y], [sympy.sin(x * y) + sympy.exp(-x), sympy.tanh(y) / (2 + x**2)])


def rational(value):
    return sympy.Rational(value.numerator, value.denominator)


def exact_at(formula, branch, point):
    at = dict(zip(branch.variables, map(rational, point), strict=True))
    return formula.subs(at, simultaneous=True)


@given(polynomial_branches(3, degree=3), points(3))
def test_values_by_substitution(branch, point):
    found = branch(point)
    assert is_exact(found)
    assert found.tolist() == [exact_at(g, branch, point) for g in branch.formulas]


@settings(max_examples=40)
@given(polynomial_branches(2, degree=4), points(2), st.lists(points(2), min_size=1, max_size=4))
def test_derivatives_along_directions(branch, point, directions):
    # ∂^m/∂t_1…∂t_m of f(x + Σ t_i v_i) at t = 0: no partial derivatives needed.
    times = sympy.symbols(f"t1:{len(directions) + 1}")
    moved = [
        rational(p) + sum(s * rational(v[a]) for s, v in zip(times, directions, strict=True))
        for a, p in enumerate(point)
    ]
    at = dict(zip(branch.variables, moved, strict=True))
    expected = []
    for formula in branch.formulas:
        value = formula.subs(at, simultaneous=True)
        for time in times:
            value = sympy.diff(value, time)
        expected.append(value.subs(dict.fromkeys(times, 0)))
    assert branch.derivative(point, directions).tolist() == expected


@settings(max_examples=30)
@given(polynomial_branches(2, degree=3), points(2), points(2), points(2), points(2), rationals())
def test_derivatives_are_symmetric_and_multilinear(branch, at, u, v, w, number):
    def second(a, b):
        return branch.derivative(at, [a, b])

    assert second(u, v).tolist() == second(v, u).tolist()
    assert second(u + number * w, v).tolist() == (second(u, v) + number * second(w, v)).tolist()


@settings(max_examples=40)
@given(polynomial_branches(2, degree=3), st.lists(points(2), min_size=1, max_size=5))
def test_jets_are_the_composed_polynomial(branch, coefficients):
    series = np.stack(coefficients)
    curve = [sum(rational(c) * t**k for k, c in enumerate(column)) for column in series.T]
    at = dict(zip(branch.variables, curve, strict=True))
    for row, formula in enumerate(branch.formulas):
        whole = sympy.Poly(formula.subs(at, simultaneous=True), t)
        expected = [whole.coeff_monomial(t**k) for k in range(len(series))]
        assert branch.jet(series)[:, row].tolist() == expected


def test_jets_of_functions_are_taylor_coefficients():
    curve = np.array([[0.3, -0.4], [1.0, 0.5], [-0.25, 2.0], [0.0, 1.0]])
    at = {
        x: sum(c * t**k for k, c in enumerate(curve[:, 0])),
        y: sum(c * t**k for k, c in enumerate(curve[:, 1])),
    }
    found = MIXED.jet(curve)
    for row, formula in enumerate(MIXED.formulas):
        composed = formula.subs(at, simultaneous=True)
        expected = [
            float(sympy.diff(composed, t, k).subs(t, 0)) / factorial(k) for k in range(len(curve))
        ]
        assert found[:, row] == pytest.approx(expected, rel=1e-13)


def test_derivatives_of_functions():
    point, u, v = np.array([0.3, -0.4]), np.array([1.0, 2.0]), np.array([-0.5, 0.25])
    found = MIXED.derivative(point, [u, v])
    for row, formula in enumerate(MIXED.formulas):
        hessian = sympy.hessian(formula, (x, y)).subs({x: 0.3, y: -0.4})
        expected = float((sympy.Matrix([u.tolist()]) * hessian * sympy.Matrix(v.tolist()))[0])
        assert found[row] == pytest.approx(expected, rel=1e-13)


def test_a_batch_is_every_row_by_itself():
    batch = np.random.default_rng(1).normal(size=(2, 3, 2))
    direction = batch[::-1]
    for index in np.ndindex(2, 3):
        assert MIXED(batch)[index] == pytest.approx(MIXED(batch[index]), rel=1e-15)
        alone = MIXED.derivative(batch[index], [direction[index]] * 2)
        together = MIXED.derivative(batch, [direction] * 2)[index]
        assert together == pytest.approx(alone, rel=1e-15)
    series = np.stack([batch, direction, batch * 0.5])
    for index in np.ndindex(2, 3):
        alone = MIXED.jet(series[(slice(None), *index)])
        assert MIXED.jet(series)[(slice(None), *index)] == pytest.approx(
            alone, rel=1e-14, abs=1e-16
        )


def test_constant_formulas():
    branch = SymbolicBranch([x, y], [sympy.Integer(3), sympy.Integer(0)])
    point = as_array([1, 2], "x")
    assert branch(point).tolist() == [3, 0]
    assert branch.derivative(point, [point]).tolist() == [0, 0]
    assert branch.jet(np.stack([point, point])).tolist() == [[3, 0], [0, 0]]
    assert branch(np.ones((4, 2))).tolist() == [[3.0, 0.0]] * 4


def test_irrational_numbers_in_formulas():
    branch = SymbolicBranch([x], [sympy.sqrt(2) * x + sympy.pi])
    assert branch(as_array([1], "x")).tolist() == [sympy.sqrt(2) + sympy.pi]
    assert branch(np.array([1.0])) == pytest.approx([2**0.5 + np.pi], rel=1e-15)
    jet = branch.jet(np.array([[1.0], [2.0]]))
    assert jet.dtype == np.float64
    assert jet[:, 0] == pytest.approx([2**0.5 + np.pi, 2 * 2**0.5], rel=1e-15)


def test_numbers_of_inputs_and_outputs_may_differ():
    branch = SymbolicBranch([x, y], [x * y])
    assert (branch.inputs, branch.outputs) == (2, 1)
    assert branch(as_array([2, 3], "x")).tolist() == [6]


def test_floating_formulas_at_exact_input_say_that_they_are_floating():
    assert SymbolicBranch([x], [0.5 * x])(as_array([1], "x")).dtype == np.float64


class TestEvaluate:
    @pytest.mark.parametrize(
        ("formula", "expected"),
        [
            (x**2 / 3 + 1, Fraction(13, 12)),
            (x**-2, 4),
            (x - x, 0),
            (sympy.exp(x), sympy.exp(sympy.Rational(1, 2))),
            (sympy.sqrt(3) * x, sympy.sqrt(3) / 2),
            (sympy.Float(0.25), 0.25),
        ],
    )
    def test_values(self, formula, expected):
        assert evaluate(formula, {x: Fraction(1, 2)}) == expected

    def test_truncated_series(self):
        z = Series([Fraction(0), Fraction(1), Fraction(0)])
        assert evaluate((x + 1) ** 2, {x: z}).coefficients == [1, 2, 1]

    @pytest.mark.parametrize(
        "formula",
        [
            sympy.sqrt(x),
            x**t,
            x**2.5,
            sympy.gamma(x),
            sympy.Abs(x),
            sympy.Piecewise((x, x > 0), (0, True)),
            sympy.Derivative(sympy.sin(x), x),
        ],
    )
    def test_formulas_without_a_rule_are_refused(self, formula):
        with pytest.raises(InputError, match=r"a formula with known values and power series; got"):
            evaluate(formula, {x: Fraction(1, 2), t: Fraction(1)})
        if formula.free_symbols == {x}:
            with pytest.raises(InputError, match=r"use sums, products, whole powers and exp, sin"):
                SymbolicBranch([x], [formula])


def test_unknown_functions_of_one_variable_expand_with_their_derivatives():
    f, g = sympy.Function("f"), sympy.Function("g")
    tower = Tower([SymbolicBranch([x], [f(x)]), SymbolicBranch([x], [g(x)])])
    (found,) = expand(tower, 3).to_sympy()
    scale = sympy.Symbol("lambda")
    # The composition itself, by sympy's own Taylor series in λ.
    composed = x + scale * f(x) + scale * g(x + scale * f(x))
    for k in range(4):
        wanted = sympy.diff(composed, scale, k).subs(scale, 0).doit() / sympy.factorial(k)
        assert sympy.simplify(sympy.expand(found).coeff(scale, k) - wanted) == 0


def test_unknown_functions_have_no_values():
    branch = SymbolicBranch([x], [sympy.Function("f")(x)])
    with pytest.raises(InputError, match=r"known values"):
        branch(as_array([1], "x"))


@pytest.mark.parametrize(
    ("variables", "formulas", "message"),
    [
        ([], [x], "sympy symbols as variables"),
        (["x"], [x], "sympy symbols as variables"),
        ([x + y], [x], "sympy symbols as variables"),
        ([x], [], "at least one formula; got none"),
        ([x], [x * y], r"formulas in the branch's variables only; got x\*y, with y"),
        ([x], ["x**2"], "formula"),
        ([x], ["__import__('os').system('true')"], "formula"),
        ([x, x], [x, x], "variables"),
    ],
)
def test_bad_formulas_are_refused(variables, formulas, message):
    with pytest.raises(InputError, match=message):
        SymbolicBranch(variables, formulas)


def test_there_are_no_gates_to_freeze():
    with pytest.raises(InputError, match=r"gates can be frozen; got SymbolicBranch"):
        MIXED.frozen(np.ones(2))
