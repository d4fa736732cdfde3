"""Matrices that know their rounding: against ball arithmetic, and against exact numbers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion import InputError
from expansion.bounds.norms import spectral_norm
from expansion.bounds.rounded import Rounded, rounded_matrix
from expansion.towers.arrays import as_array

SEEDS = st.integers(0, 2**32 - 1)


def exact(matrix):
    return np.vectorize(Fraction, otypes=[object])(matrix)


def distance(rounded, true):
    """‖A − centre‖_F², exactly."""
    gaps = exact(rounded.centre) - true
    return (gaps * gaps).sum()


@given(SEEDS, st.integers(1, 6), st.integers(1, 6), st.integers(-40, 40))
def test_norms_are_above_the_truth_and_sharp(seed, rows, columns, power):
    matrix = np.random.default_rng(seed).normal(size=(rows, columns)) * 10.0**power
    bound, true = float(rounded_matrix(matrix).norm()), spectral_norm(matrix)
    assert bound >= true.lower()
    assert bound <= float(true.upper()) * (1 + 1e-10)


@given(SEEDS, st.integers(1, 5), st.integers(1, 5))
def test_products_know_their_rounding(seed, size, count):
    generator = np.random.default_rng(seed)
    floats = [generator.normal(size=(size, size)) for _ in range(count)]
    product, true = rounded_matrix(floats[0]), exact(floats[0])
    for matrix in floats[1:]:
        product, true = product @ rounded_matrix(matrix), true @ exact(matrix)
        factor = generator.normal()
        product, true = product.times(factor).plus_identity(), Fraction(factor) * true
        true = true + as_array(np.eye(size, dtype=int), "I")
    scales = generator.normal(size=size)
    product, true = product.columns_times(scales), true * exact(scales)
    product, true = product.rows_times(scales), exact(scales)[:, None] * true
    assert distance(product, true) <= Fraction(float(product.error)) ** 2
    assert float(product.error) < 1e-11 * (1 + float(product.frobenius()))


def test_without_the_error_products_would_not_hold():
    # The control: the comparison above sees a rounding.
    matrix = np.random.default_rng(0).normal(size=(4, 4))
    product = rounded_matrix(matrix) @ rounded_matrix(matrix)
    assert distance(product, exact(matrix) @ exact(matrix)) > 0


def test_exact_entries_are_rounded_with_their_error():
    third = rounded_matrix(as_array([[Fraction(1, 3)]], "A"))
    gap = abs(Fraction(float(third.centre[0, 0])) - Fraction(1, 3))
    assert 0 < gap <= Fraction(float(third.error))


def test_stacks_are_taken_one_by_one():
    stack = np.random.default_rng(1).normal(size=(5, 3, 2))
    bounds = Rounded(stack, np.zeros(5)).norm()
    assert bounds.tolist() == [float(rounded_matrix(matrix).norm()) for matrix in stack]


def test_what_no_float_holds():
    assert float(Rounded(np.array([[np.inf, 0], [0, 1.0]]), np.zeros(())).norm()) == np.inf
    huge = rounded_matrix(np.full((2, 2), 1e200))
    assert float((huge @ huge).norm()) == np.inf
    assert float(rounded_matrix(np.zeros((3, 2))).norm()) < 1e-200
    with pytest.raises(InputError, match="weights that a float can hold"):
        rounded_matrix(as_array([[10**400]], "A"))
    with pytest.raises(InputError, match="at most 2048"):
        rounded_matrix(np.zeros((1, 3000)))
