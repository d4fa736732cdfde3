"""Arrays that are exact or floating, never silently both.

Whole numbers, Fractions and sympy expressions are kept as object arrays, so that exact input
gives exact output; floats become float64, complex numbers complex128. A compiled integer dtype
is never used: it would overflow without a word.
"""

from __future__ import annotations

from fractions import Fraction
from numbers import Integral, Rational
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.errors import InputError

__all__ = ["Array", "as_array", "is_exact", "product", "zeros_like"]

Array = NDArray[Any]
_REMOVE = "remove the infinite or missing entries"


def as_array(values: Any, name: str, *, dimensions: int | None = None) -> Array:
    """An exact object array, or a finite float64 or complex128 one.

    Parameters
    ----------
    values : array_like
        Numbers of one kind; a single float among exact numbers makes all of them floats.
    name : str
        What the numbers are, for the error.
    dimensions : int, optional
        How many axes are required.

    Raises
    ------
    InputError
        For something that is not a rectangular array of finite numbers.

    Examples
    --------
    >>> as_array([1, Fraction(1, 2)], "x")
    array([Fraction(1, 1), Fraction(1, 2)], dtype=object)
    >>> as_array([1, 0.5], "x")
    array([1. , 0.5])
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "fc":
        array = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64, copy=False)
    else:
        try:
            array = np.array(values, dtype=object)
        except ValueError:
            raise _not_numbers(name, values) from None
        flat = [_scalar(value, name) for value in array.ravel()]
        if not all(map(_is_finite, flat)):
            raise InputError(f"{name} must hold finite numbers", "a non-finite entry", _REMOVE)
        if any(isinstance(value, (float, complex)) for value in flat):
            kind = np.complex128 if any(isinstance(v, complex) for v in flat) else np.float64
            array = np.array([kind(value) for value in flat], dtype=kind).reshape(array.shape)
        else:
            exact = np.empty(array.size, dtype=object)
            exact[:] = flat
            array = exact.reshape(array.shape)
    if array.dtype != object and not np.isfinite(array).all():
        raise InputError(f"{name} must hold finite numbers", "a non-finite entry", _REMOVE)
    if dimensions is not None and array.ndim != dimensions:
        kind_of_array = {1: "a vector", 2: "a matrix"}.get(dimensions, f"{dimensions} axes")
        mend = f"give {kind_of_array}"
        raise InputError(f"{name} must be {kind_of_array}", f"shape {array.shape}", mend)
    return array


def is_exact(array: Array) -> bool:
    """Whether the array holds exact numbers.

    Examples
    --------
    >>> is_exact(as_array([1, 2], "x")), is_exact(as_array([1.0], "x"))
    (True, False)
    """
    return array.dtype == object


def product(vectors: Array, matrix: Array) -> Array:
    """``matrix @ v`` for vectors v along the last axis of ``vectors``, any leading axes.

    Exact only if both are exact: an exact matrix is rounded when it meets floats.

    Examples
    --------
    >>> product(np.array([1.0, 2.0]), as_array([[0, 1], [1, 1]], "A"))
    array([2., 3.])
    """
    if is_exact(matrix) != is_exact(vectors):
        matrix, vectors = _floating(matrix), _floating(vectors)
    return np.asarray(vectors @ matrix.T)


def _floating(array: Array) -> Array:
    return array.astype(np.float64) if is_exact(array) else array


def zeros_like(vectors: Array, size: int) -> Array:
    """Zeros with the leading axes and the kind of ``vectors``, last axis of length ``size``."""
    fill = Fraction(0) if is_exact(vectors) else 0
    return np.full((*vectors.shape[:-1], size), fill, dtype=vectors.dtype)


def _scalar(value: Any, name: str) -> Any:
    if isinstance(value, (bool, np.bool_)):
        raise _not_numbers(name, value)
    if isinstance(value, (Integral, Rational)):
        return Fraction(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, (complex, np.complexfloating)):
        return complex(value)
    if hasattr(value, "free_symbols") and hasattr(value, "is_Rational"):
        if value.is_Rational:
            return Fraction(int(value.p), int(value.q))
        return float(value) if value.is_Float else value
    raise _not_numbers(name, value)


def _is_finite(value: Any) -> bool:
    """Whether an exact entry is a number; floats are looked at together."""
    # sympy's nan does not say that it is not finite.
    return getattr(value, "is_finite", None) is not False and type(value).__name__ != "NaN"


def _not_numbers(name: str, came: object) -> InputError:
    return InputError(f"{name} must hold numbers", repr(came), "give a list or array of numbers")
