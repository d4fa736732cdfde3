"""Truncated power series against FLINT's, against polynomials, and against an oracle file."""

import json
from fractions import Fraction
from pathlib import Path

import flint
import numpy as np
import pytest
import sympy
from flint import fmpq, fmpq_poly, fmpq_series
from hypothesis import given
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.towers.power_series import FUNCTIONS, Series, apply_function, convolve
from proofs_check.strategies import rationals

LENGTH = 6
ORACLE = json.loads(Path(__file__).with_name("oracles").joinpath("power_series.json").read_text())


def coefficients(*, first=None):
    rest = st.lists(rationals(), min_size=LENGTH - 1, max_size=LENGTH - 1)
    start = rationals() if first is None else st.just(Fraction(first))
    return st.builds(lambda head, tail: [head, *tail], start, rest)


def in_flint(values):
    return fmpq_series([fmpq(v.numerator, v.denominator) for v in values], prec=LENGTH)


def listed(series):
    return [Fraction(int(series[k].p), int(series[k].q)) for k in range(LENGTH)]


@given(coefficients(), coefficients(), rationals())
def test_ring_operations(a, b, number):
    left, right = in_flint(a), in_flint(b)
    constant = fmpq(number.numerator, number.denominator)
    assert (Series(a) + Series(b)).coefficients == listed(left + right)
    assert (Series(a) - Series(b)).coefficients == listed(left - right)
    assert (Series(a) * Series(b)).coefficients == listed(left * right)
    assert (-Series(a)).coefficients == listed(-left)
    assert (Series(a) + number).coefficients == listed(left + constant)
    assert (number + Series(a)).coefficients == listed(left + constant)
    assert (Series(a) - number).coefficients == listed(left - constant)
    assert (number - Series(a)).coefficients == listed(constant - left)
    assert (number * Series(a)).coefficients == listed(left * constant)
    assert (Series(a) * number).coefficients == listed(left * constant)
    assert len(Series(a) * Series(b)) == LENGTH


@given(coefficients(), st.integers(0, 7))
def test_whole_powers(a, exponent):
    power = fmpq_poly([fmpq(v.numerator, v.denominator) for v in a]) ** exponent
    expected = [Fraction(int(power[k].p), int(power[k].q)) for k in range(LENGTH)]
    assert (Series(a) ** exponent).coefficients == expected


@given(coefficients().filter(lambda a: a[0] != 0), st.integers(1, 4))
def test_reciprocals_and_negative_powers(a, exponent):
    inverse = Series(a).reciprocal()
    assert (inverse * Series(a)).coefficients == [1] + [0] * (LENGTH - 1)
    assert (Series(a) ** -exponent).coefficients == (inverse**exponent).coefficients


def rational(values):
    """Coefficients that must be rational numbers already, as Fractions."""
    return [Fraction(str(value)) for value in values]


@pytest.mark.parametrize("name", ["exp", "sin", "cos", "tanh"])
@given(u=coefficients(first=0))
def test_functions_without_constant_term_are_rational(name, u):
    ours = FUNCTIONS[name](Series(u)).coefficients
    series = in_flint(u)
    if name == "tanh":
        doubled = (series + series).exp()
        theirs = (doubled - 1) / (doubled + 1)
    else:
        theirs = getattr(series, name)()
    assert rational(ours) == listed(theirs)


@given(coefficients(first=1))
def test_logarithm(u):
    assert rational(FUNCTIONS["log"](Series(u)).coefficients) == listed(in_flint(u).log())


@given(coefficients(first=0))
def test_error_function(u):
    # erf' = (2/√π) exp(−u²) u': FLINT integrates the exact series.
    series = in_flint(u)
    integral = ((-series * series).exp() * series.derivative()).integral()
    ours = FUNCTIONS["erf"](Series(u)).coefficients
    scaled = [sympy.expand(value * sympy.sqrt(sympy.pi) / 2) for value in ours]
    assert rational(scaled) == listed(integral)


@pytest.mark.parametrize("case", ORACLE["cases"], ids=lambda case: case["name"])
def test_floats_against_the_oracle(case):
    # mpmath differentiates f(u(z)) numerically at 50 digits; each coefficient takes at most a few
    # dozen roundings of terms no larger than the largest coefficient.
    u = [float(value) for value in case["argument"]]
    expected = [float(value) for value in case["coefficients"]]
    found = FUNCTIONS[case["name"]](Series(u)).coefficients
    scale = max(1.0, *map(abs, expected))
    assert found == pytest.approx(expected, rel=0, abs=2e-15 * scale * len(u))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arrays_are_handled_elementwise(name):
    generator = np.random.default_rng(3)
    u = generator.normal(size=(LENGTH, 2, 3)) + 0j
    u[0] = generator.uniform(0.5, 2, size=(2, 3))
    whole = np.stack(FUNCTIONS[name](Series(list(u))).coefficients)
    for index in np.ndindex(2, 3):
        alone = FUNCTIONS[name](Series([complex(c[index]) for c in u])).coefficients
        assert whole[(slice(None), *index)] == pytest.approx(alone, rel=1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_exact_and_floating_routes_agree(name):
    u = [Fraction(3, 4), Fraction(1, 3), Fraction(-1, 2), Fraction(2), Fraction(0)]
    exact = FUNCTIONS[name](Series(u)).coefficients
    floats = FUNCTIONS[name](Series([float(v) for v in u])).coefficients
    assert floats == pytest.approx([float(sympy.N(v, 30)) for v in exact], rel=4e-15, abs=1e-15)


def test_arrays_times_series():
    doubled = np.array([1.0, 2.0]) * Series([np.ones(2), np.ones(2)])
    assert isinstance(doubled, Series)
    assert [c.tolist() for c in doubled.coefficients] == [[1, 2], [1, 2]]
    shifted = np.float64(1) + Series([np.ones(2), np.ones(2)])
    assert [c.tolist() for c in shifted.coefficients] == [[2, 2], [1, 1]]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"zip"):
        Series([1, 2]) + Series([1])


@given(
    st.lists(st.integers(-9, 9), min_size=4, max_size=4),
    st.lists(st.integers(-9, 9), min_size=4, max_size=4),
)
def test_convolve(a, b):
    expected = np.convolve(a, b)
    assert [convolve(a, b, k) for k in range(4)] == expected[:4].tolist()


class TestApplyFunction:
    def test_exact_stays_exact(self):
        assert apply_function("exp", Fraction(0)) == 1
        assert apply_function("sin", Fraction(1, 2)) == sympy.sin(sympy.Rational(1, 2))
        assert apply_function("log", np.array([Fraction(1)], dtype=object))[0] == 0

    def test_floats_stay_floats(self):
        assert type(apply_function("tanh", 0.5)) is float
        assert type(apply_function("erf", 0.5)) in (float, np.float64)
        assert apply_function("cos", np.zeros(2)).dtype == np.float64
        assert apply_function("erf", 0.3 + 0.2j).imag != 0

    def test_series_go_through_the_recurrence(self):
        assert apply_function("exp", Series([0.0, 1.0])).coefficients == [1.0, 1.0]

    def test_unknown_functions_are_refused(self):
        for name in ("gamma", "__import__", "system"):
            with pytest.raises(InputError, match=r"a function among exp, sin, cos, tanh, erf, log"):
                apply_function(name, Fraction(1))

    def test_text_is_never_evaluated(self):
        with pytest.raises((sympy.SympifyError, InputError)):
            apply_function("exp", "1 + 1")


def test_flint_is_a_fair_judge():
    # The negative control: a wrong series is seen.
    wrong = FUNCTIONS["exp"](Series([Fraction(0), Fraction(1), Fraction(1)]))
    right = fmpq_series([0, 1, 2], prec=3).exp()
    assert rational(wrong.coefficients)[2] != Fraction(int(right[2].p), int(right[2].q))
    assert flint.ctx.cap >= 3
