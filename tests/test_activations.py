"""Activations: values and derivatives against an oracle file, series against derivatives."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.towers.activations import ACTIVATIONS, Activation, activation
from expansion.towers.power_series import Series

ORACLE = json.loads(Path(__file__).with_name("oracles").joinpath("activations.json").read_text())
SMOOTH = ["linear", "gelu", "tanh", "erf", "sin"]


def test_the_known_names():
    assert list(ACTIVATIONS) == ["linear", "relu", "gelu", "tanh", "erf", "sin"]
    for name, known in ACTIVATIONS.items():
        assert known.name == name
        assert activation(name) is known


def test_unknown_names_are_refused():
    with pytest.raises(
        InputError, match=r"an activation among linear, relu, .*; got swish; choose"
    ):
        activation("swish")


@pytest.mark.parametrize("case", ORACLE["cases"], ids=lambda c: f"{c['name']} at {c['at']}")
def test_values_and_derivatives_against_the_oracle(case):
    phi = activation(case["name"])
    at = np.array(float(case["at"]))
    expected = [float(value) for value in case["derivatives"]]
    found = [float(phi.value(at))]
    found += [float(phi.derivative(at, m)) for m in range(1, len(expected))]
    # The closed forms are polynomials with integer coefficients up to ~1e3 in the 6th derivative,
    # times a function that is right to an ulp: cancellation costs that factor at most.
    for m, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours == pytest.approx(theirs, rel=1e-14, abs=1e-15 * math.factorial(m)), m


@pytest.mark.parametrize("name", SMOOTH)
@given(at=st.floats(-3, 3), slope=st.floats(-2, 2))
def test_series_and_derivatives_are_the_same_taylor_coefficients(name, at, slope):
    # φ(a + s z) = Σ φ^(m)(a) s^m z^m / m!: a recurrence on one side, a closed form on the other.
    phi = activation(name)
    series = phi.series(Series([np.array(v) for v in (at, slope, 0.0, 0.0, 0.0, 0.0)]))
    for m, coefficient in enumerate(series.coefficients):
        value = phi.value(np.array(at)) if m == 0 else phi.derivative(np.array(at), m)
        expected = float(value) * slope**m / math.factorial(m)
        assert float(coefficient) == pytest.approx(expected, rel=1e-13, abs=1e-14)


@pytest.mark.parametrize("name", SMOOTH)
def test_exact_input_gives_exact_output(name):
    # sympy differentiates the function it knows; ours are closed forms in other functions.
    x = sympy.Symbol("x")
    formula = {
        "linear": x,
        "gelu": x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2,
        "tanh": sympy.tanh(x),
        "erf": sympy.erf(x),
        "sin": sympy.sin(x),
    }[name]
    at = Fraction(2, 3)
    exact = np.array([at], dtype=object)
    phi = activation(name)
    found = [phi.value(exact)[0], *(phi.derivative(exact, m)[0] for m in range(1, 6))]
    for m, value in enumerate(found):
        expected = sympy.diff(formula, x, m).subs(x, sympy.Rational(2, 3))
        difference = sympy.sympify(value) - expected
        assert not difference.has(sympy.Float)
        assert abs(sympy.N(difference, 40)) < sympy.Float(10) ** -30


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(a=st.floats(-5, 5))
def test_frozen_gates(name, a):
    phi = activation(name)
    pre_activation = np.array([a, 0.0])
    gate = phi.gate(pre_activation)
    # Rounded twice: the quotient, and the product here.
    assert gate[0] * a == pytest.approx(float(phi.value(pre_activation)[0]), rel=4e-16, abs=1e-300)
    assert gate[1] == phi.derivative(pre_activation, 1)[1]


def test_gates_of_exact_numbers_are_exact():
    gate = activation("relu").gate(np.array([Fraction(-2), Fraction(0), Fraction(3)], dtype=object))
    assert gate.tolist() == [0, 0, 1]
    tanh = activation("tanh").gate(np.array([Fraction(2), Fraction(0)], dtype=object))
    assert tanh.tolist() == [sympy.tanh(2) / 2, 1]


@pytest.mark.parametrize("kind", ["exact", "float"])
def test_relu(kind):
    values = [Fraction(-2), Fraction(-1, 2), Fraction(0), Fraction(1, 2), Fraction(2)]
    array = np.array(values, dtype=object if kind == "exact" else float)
    relu = activation("relu")
    assert relu.value(array).tolist() == [0, 0, 0, 0.5, 2]
    assert relu.derivative(array, 1).tolist() == [0, 0, 0, 1, 1]
    assert relu.derivative(array, 2).tolist() == [0] * 5
    assert relu.value(array).dtype == array.dtype


def test_relu_has_no_negative_zero():
    assert not np.signbit(activation("relu").value(np.array([-1.0, -0.0, 0.0]))).any()


@pytest.mark.parametrize(
    ("coefficients", "passes"),
    [
        ([1, -5, 2], True),
        ([-1, 5, 2], False),
        ([0, 1, -9], True),
        ([0, -1, 9], False),
        ([0, 0, 3], True),
        ([0, 0, -3], False),
        ([0, 0, 0], False),
    ],
)
@pytest.mark.parametrize("number", [float, Fraction])
def test_relu_on_a_kink_follows_the_first_coefficient_that_moves(coefficients, passes, number):
    # u(z) for small z > 0 has the sign of its first coefficient that is not zero.
    dtype = float if number is float else object
    u = [np.array([number(c)], dtype=dtype) for c in coefficients]
    found = activation("relu").series(Series(u)).coefficients
    assert [c[0] for c in found] == (coefficients if passes else [0, 0, 0])
    step = 1e-6
    value = sum(c * step**k for k, c in enumerate(coefficients))
    image = sum(float(c[0]) * step**k for k, c in enumerate(found))
    assert image == pytest.approx(max(value, 0.0), abs=1e-24)


def test_activations_keep_the_origin():
    for name, phi in ACTIVATIONS.items():
        assert float(phi.value(np.array(0.0))) == 0, name


def test_activations_are_values():
    assert isinstance(activation("tanh"), Activation)
    with pytest.raises(AttributeError):
        activation("tanh").name = "other"


@pytest.mark.parametrize("name", ["gelu", "tanh", "erf", "sin", "linear"])
def test_complex_values_continue_the_real_ones(name):
    # Cauchy's route needs φ analytic: the complex step gives the real derivative.
    phi = activation(name)
    at, step = 0.7, 1e-20
    slope = phi.value(np.array(at + 1j * step)).imag / step
    assert slope == pytest.approx(float(phi.derivative(np.array(at), 1)), rel=1e-14)
