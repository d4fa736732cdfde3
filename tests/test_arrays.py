"""Arrays keep exact numbers exact, floats floating, and refuse what is neither."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.towers.arrays import as_array, is_exact, product, zeros_like
from proofs_check.strategies import rationals


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], object),
        ([Fraction(1, 3)], object),
        (np.array([1, 2], dtype=np.int64), object),
        ([np.int32(4)], object),
        ([sympy.sqrt(2), 1], object),
        ([sympy.Symbol("x")], object),
        ([1, 0.5], np.float64),
        (np.array([1.0], dtype=np.float32), np.float64),
        ([np.float32(0.5)], np.float64),
        ([1.0, 2j], np.complex128),
        (np.array([1j], dtype=np.complex64), np.complex128),
        ([Fraction(1, 2), 1j], np.complex128),
    ],
)
def test_kind_of_array(values, dtype):
    array = as_array(values, "x")
    assert array.dtype == dtype
    assert is_exact(array) == (dtype is object)
    assert array.shape == np.shape(values)
    assert (array == np.array(values)).all()


def test_whole_numbers_become_fractions_and_never_overflow():
    array = as_array([2**62, 2**62, 7**40], "x")
    assert array.sum() == 2**63 + 7**40
    assert {type(value) for value in array} == {Fraction}


def test_rational_sympy_numbers_become_fractions():
    array = as_array([sympy.Rational(1, 3), sympy.Integer(2)], "x")
    assert {type(value) for value in array} == {Fraction}


@given(st.lists(st.lists(rationals(), min_size=2, max_size=2), min_size=1, max_size=3))
def test_exact_numbers_are_kept(rows):
    array = as_array(rows, "x", dimensions=2)
    assert array.tolist() == rows
    again = as_array(array, "x")
    assert again.tolist() == rows


def test_an_array_of_floats_is_not_copied():
    floats = np.array([1.0, 2.0])
    assert as_array(floats, "x") is floats


@pytest.mark.parametrize(
    "values",
    [
        ["1"],
        [None],
        [True],
        np.array([True, False]),
        [[1, 2], [3]],
        [{}],
        [Decimal("0.1")],
        np.array(["a"]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        object(),
    ],
)
def test_what_is_not_a_number_is_refused(values):
    with pytest.raises(
        InputError, match=r"^weights must hold numbers; got .*; give a list or array"
    ):
        as_array(values, "weights")


@pytest.mark.parametrize(
    "values",
    [
        [float("nan")],
        [1, float("inf")],
        np.array([-np.inf]),
        [complex(0, np.nan)],
        np.array([np.nan], dtype=np.float32),
        [sympy.oo],
        [sympy.nan],
        [sympy.zoo, 1],
    ],
)
def test_what_is_not_finite_is_refused(values):
    with pytest.raises(
        InputError, match=r"weights must hold finite numbers; got a non-finite entry"
    ):
        as_array(values, "weights")


@pytest.mark.parametrize("values", [[sympy.Float("0.5")], [sympy.Float("0.5"), 1]])
def test_floating_numbers_of_sympy_are_floats(values):
    # An object array that holds floats would pass for exact.
    assert as_array(values, "x").dtype == np.float64


@pytest.mark.parametrize(("dimensions", "word"), [(1, "a vector"), (2, "a matrix"), (3, "3 axes")])
def test_number_of_axes(dimensions, word):
    shape = (2,) * dimensions
    assert as_array(np.ones(shape), "W", dimensions=dimensions).shape == shape
    with pytest.raises(InputError, match=f"W must be {word}; got shape .*; give {word}"):
        as_array(np.ones((2,) * (dimensions + 1)), "W", dimensions=dimensions)


@given(
    st.lists(rationals(), min_size=6, max_size=6), st.lists(rationals(), min_size=12, max_size=12)
)
def test_product_over_the_last_axis(matrix, vectors):
    A = as_array(np.array(matrix, dtype=object).reshape(2, 3), "A")
    batch = as_array(np.array(vectors, dtype=object).reshape(2, 2, 3), "v")
    expected = [
        [[sum(a * v for a, v in zip(row, vector, strict=True)) for row in A] for vector in part]
        for part in batch
    ]
    found = product(batch, A)
    assert is_exact(found)
    assert found.tolist() == expected


def test_product_of_exact_matrix_and_floats():
    found = product(np.array([1.0, 2.0]), as_array([[Fraction(1, 2), 0]], "A"))
    assert found.dtype == np.float64
    assert found.tolist() == [0.5]


def test_product_of_floats_and_exact_vectors_is_not_called_exact():
    found = product(as_array([1, 2], "x"), np.array([[0.5, 0.25]]))
    assert not is_exact(found)
    assert found.tolist() == [1.0]


def test_zeros_of_the_same_kind():
    exact = zeros_like(as_array([[1, 2, 3]], "x"), 2)
    assert exact.tolist() == [[0, 0]]
    assert type(exact[0, 0]) is Fraction
    floats = zeros_like(np.ones((4, 3)), 2)
    assert floats.shape == (4, 2)
    assert floats.dtype == np.float64
    assert zeros_like(np.ones(3, dtype=complex), 1).dtype == np.complex128
    assert not floats.any()
