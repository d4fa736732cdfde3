"""Balls and certified norms: what they must hold, against exact arithmetic."""

import math
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
import sympy
from flint import arb, arb_mat, ctx
from hypothesis import given
from hypothesis import strategies as st

from expansion.bounds import norms
from expansion.bounds.balls import (
    PRECISION,
    ball,
    ball_matrix,
    column,
    downwards,
    norm,
    size,
    upwards,
)
from expansion.bounds.norms import certified_spectral_norm, frobenius_norm, spectral_norm
from expansion.errors import InputError
from expansion.towers.arrays import as_array
from proofs_check.strategies import rationals

FINITE = st.floats(allow_nan=False, allow_infinity=False)


class TestBall:
    @given(FINITE)
    def test_floats_enter_exactly(self, value):
        found = ball(value)
        assert found.is_exact()
        assert found == arb(float(value))
        assert float(found) == value

    @given(st.fractions())
    def test_fractions_lie_inside(self, value):
        with ctx.workprec(PRECISION):
            found = ball(value) * value.denominator
            assert found.contains(value.numerator)
            assert abs(found - value.numerator) <= arb(2) ** -100 * (abs(value.numerator) + 1)

    @pytest.mark.parametrize(
        ("formula", "digits"),
        [
            (1 / sympy.sqrt(8), "0.353553390593273762200422181052424519642417968844237"),
            (sympy.pi / 3, "1.04719755119659774615421446109316762806572313312504"),
            (
                sympy.exp(sympy.Rational(1, 2)) - 1,
                "0.648721270700128146848650787814163571653776100710",
            ),
            (sympy.Rational(-7, 3), "-2.33333333333333333333333333333333333333333333333333"),
            (sympy.Integer(5) ** sympy.Rational(-3, 4), "0.299069756244240"),
        ],
    )
    def test_numbers_of_sympy(self, formula, digits):
        with ctx.workprec(PRECISION):
            found = ball(formula)
            places = len(digits.partition(".")[2])
            assert abs(found - arb(digits)) <= arb(10) ** (1 - places) + arb(2) ** -110
            assert found.rad() <= arb(2) ** -110

    @pytest.mark.parametrize(
        "value", [math.inf, math.nan, True, "1", 1j, None, sympy.Symbol("x"), sympy.zoo]
    )
    def test_anything_else_is_refused(self, value):
        with pytest.raises(InputError):
            ball(value)


class TestOutwards:
    @given(st.fractions())
    def test_a_fraction_is_between(self, value):
        found = ball(value)
        assert Fraction(downwards(found)) <= value <= Fraction(upwards(found))

    @pytest.mark.parametrize("tiny", ["1e-330", "1e-10000"])
    def test_underflow_stays_outside(self, tiny):
        assert upwards(arb(tiny)) > 0
        assert downwards(-arb(tiny)) < 0
        assert downwards(arb(tiny)) == 0

    def test_what_is_not_finite_is_infinite(self):
        assert upwards(arb("nan")) == upwards(arb("inf")) == math.inf
        assert upwards(arb("1e400")) == math.inf

    def test_it_is_the_next_float_at_most(self):
        assert upwards(arb(1) / 3) in (1 / 3, math.nextafter(1 / 3, 1))


class TestNorm:
    def test_pythagoras(self):
        assert norm([ball(3), ball(4)]) == 5
        assert norm([]) == 0
        assert size(arb(-2, 0.5)) >= 2.5

    def test_balls_about_zero_have_a_norm(self):
        found = norm([arb(0, 1e-3), arb(0, 1e-3)])
        assert found.is_finite()
        assert found.contains(0)
        assert found.contains(arb(0.001))

    def test_matrices(self):
        product = ball_matrix(np.array([[1.0, 2.0], [0.5, 0.0]])) * column([ball(1), ball(2)])
        assert product.entries() == [ball(5), ball(0.5)]
        assert ball_matrix(product) is product


def is_at_least_the_norm(matrix, bound):
    """Whether bound² I − A^T A is positive semidefinite: all principal minors at least 0."""
    exact = [[Fraction(entry) for entry in row] for row in matrix]
    width = len(exact[0])
    gram = [[sum(row[i] * row[j] for row in exact) for j in range(width)] for i in range(width)]
    rest = [[(bound**2 if i == j else 0) - gram[i][j] for j in range(width)] for i in range(width)]
    chosen = (c for k in range(1, width + 1) for c in combinations(range(width), k))
    return all(determinant([[rest[i][j] for j in c] for i in c]) >= 0 for c in chosen)


def determinant(rows):
    if not rows:
        return 1
    minors = ([row[:j] + row[j + 1 :] for row in rows[1:]] for j in range(len(rows)))
    return sum(
        (-1) ** j * a * determinant(m) for j, (a, m) in enumerate(zip(rows[0], minors, strict=True))
    )


ENTRIES = st.one_of(rationals(), st.floats(-4, 4))
MATRICES = st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(
    lambda shape: st.lists(
        st.lists(ENTRIES, min_size=shape[1], max_size=shape[1]),
        min_size=shape[0],
        max_size=shape[0],
    )
)


class TestSpectralNorm:
    @given(MATRICES)
    def test_it_holds_the_norm(self, matrix):
        matrix = as_array(matrix, "A").tolist()  # one float among them makes all of them floats
        found = spectral_norm(matrix)
        low, high = downwards(found), upwards(found)
        assert certified_spectral_norm(matrix) == high
        assert is_at_least_the_norm(matrix, Fraction(high))
        if low > 0:
            assert not is_at_least_the_norm(matrix, Fraction(low) * (1 - Fraction(1, 10**18)))
        assert high <= math.hypot(*(float(a) for row in matrix for a in row)) * (1 + 1e-12) + 1e-320

    @pytest.mark.parametrize("shape", [(1, 1), (8, 3), (3, 8), (40, 40)])
    def test_it_is_sharp(self, shape):
        matrix = np.random.default_rng(0).normal(size=shape)
        found = spectral_norm(matrix)
        assert found.rad() <= 1e-12 * found.mid()
        assert found.overlaps(arb(float(np.linalg.norm(matrix, 2)), 1e-12))

    def test_floats_alone_are_no_bound(self):
        # The saboteur: NumPy's own norm lies below the truth for some matrices, ours never does.
        below = 0
        for seed in range(40):
            matrix = np.random.default_rng(seed).normal(size=(2, 2)).tolist()
            below += not is_at_least_the_norm(matrix, Fraction(float(np.linalg.norm(matrix, 2))))
            assert is_at_least_the_norm(matrix, Fraction(certified_spectral_norm(matrix)))
        assert below > 0

    @pytest.mark.parametrize("error", [1e-3, 0.3, 2.0])
    def test_a_bad_decomposition_costs_sharpness_only(self, monkeypatch, error):
        true = np.linalg.svd
        noise = np.random.default_rng(1).normal(size=(3, 3)) * error

        def bad(matrix, full_matrices):
            left, values, right = true(matrix, full_matrices=full_matrices)
            return left + noise, values * (1 - error), right - noise

        matrix = np.random.default_rng(2).normal(size=(3, 3))
        best = certified_spectral_norm(matrix)
        monkeypatch.setattr(norms.np.linalg, "svd", bad)
        worse = spectral_norm(matrix)
        assert upwards(worse) >= best * (1 - 1e-12)
        assert is_at_least_the_norm(matrix.tolist(), Fraction(upwards(worse)))
        assert downwards(worse) <= best

    def test_no_convergence_leaves_the_frobenius_norm(self, monkeypatch):
        def fails(*_, **__):
            raise np.linalg.LinAlgError

        monkeypatch.setattr(norms.np.linalg, "svd", fails)
        assert 5.0 <= certified_spectral_norm([[3.0, 0.0], [0.0, 4.0]]) <= 5.0 * (1 + 2.0**-28)

    @pytest.mark.parametrize("power", [-320, -200, 200, 307, 400])
    def test_extreme_sizes(self, power):
        entry = Fraction(10) ** power
        found = spectral_norm([[entry, entry], [entry, -entry]])
        with ctx.workprec(PRECISION):
            assert arb(2).sqrt() * ball(entry) <= found.upper() * (1 + arb(2) ** -100)

    def test_every_member_of_a_ball_is_covered(self):
        found = certified_spectral_norm(arb_mat([[arb(1, 0.25), arb(0)], [arb(0), arb(0, 2)]]))
        assert found >= 2
        assert upwards(frobenius_norm(arb_mat([[arb(1, 0.25)]]))) >= 1.25

    def test_rotations_scale_nothing(self):
        angles = [Fraction(3, 5), Fraction(5, 13), Fraction(8, 17)]
        sizes = [
            certified_spectral_norm([[c, math.sqrt(1 - c * c)], [-math.sqrt(1 - c * c), c]])
            for c in map(float, angles)
        ]
        assert sizes == pytest.approx([1, 1, 1], rel=1e-14)
        assert all(abs(a - b) < 1e-13 for a, b in pairwise(sizes))

    @pytest.mark.parametrize("matrix", [[[1.0, math.inf]], [1.0, 2.0], [[1.0], [2.0, 3.0]], "ab"])
    def test_what_is_no_matrix_is_refused(self, matrix):
        with pytest.raises(InputError):
            certified_spectral_norm(matrix)
