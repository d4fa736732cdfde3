r"""Ball arithmetic: numbers, vectors and matrices that enclose what they stand for.

A ball :math:`[m \pm r]` (FLINT's ``arb``) holds every real number within r of m, and every
operation on balls holds all results of that operation on their members. A number printed from the
upper end of a ball is therefore a bound. Floats enter exactly, as the rationals that they are;
Fractions and irrational scales such as :math:`1/\sqrt{n}` within :data:`PRECISION` bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import reduce
from numbers import Integral
from operator import add, mul
from typing import Any

from flint import arb, arb_mat, ctx, fmpq

from expansion.errors import InputError
from expansion.towers.arrays import Array

__all__ = [
    "PRECISION",
    "ball",
    "ball_matrix",
    "column",
    "cut_at",
    "downwards",
    "norm",
    "size",
    "upwards",
]

PRECISION = 128
"""Bits of the midpoints; run ball computations inside ``flint.ctx.workprec(PRECISION)``."""

_CONSTANTS = {"Pi": arb.pi, "Exp1": arb.const_e}
_FUNCTIONS = ("exp", "log", "sin", "cos", "tanh", "erf")


def ball(value: Any) -> arb:
    """A ball that holds a number; a float is taken exactly.

    Parameters
    ----------
    value : int, float, Fraction, sympy number or arb
        Finite.

    Raises
    ------
    InputError
        For something that is not a finite real number.

    Examples
    --------
    >>> ball(Fraction(1, 2)) == ball(0.5), ball(0.1) == ball(Fraction(1, 10))
    (True, False)
    """
    if isinstance(value, float):
        found = arb(float(value))
    elif isinstance(value, arb):
        found = value
    elif isinstance(value, Integral) and not isinstance(value, bool):
        found = arb(int(value))
    elif isinstance(value, Fraction):
        found = arb(fmpq(value.numerator, value.denominator))
    elif hasattr(value, "free_symbols"):
        found = _from_sympy(value)
    else:
        raise InputError("a real number", repr(value), "give a float, a Fraction or a whole number")
    if not found.is_finite():
        raise InputError("a finite number", value, "remove the infinite or missing entries")
    return found


def _from_sympy(value: Any) -> arb:
    """The number of a formula without variables, walked and never printed."""
    if value.is_Rational:
        return arb(fmpq(int(value.p), int(value.q)))
    if value.is_Float:
        return arb(float(value))
    kind = type(value).__name__
    if kind in _CONSTANTS:
        return _CONSTANTS[kind]()
    parts = [ball(part) for part in value.args]
    if value.is_Add:
        return reduce(add, parts)
    if value.is_Mul:
        return reduce(mul, parts)
    if value.is_Pow:
        return parts[0] ** (int(value.exp) if value.exp.is_Integer else parts[1])
    name = value.func.__name__
    if name in _FUNCTIONS and len(parts) == 1:
        return getattr(parts[0], name)()
    known = f"numbers made of sums, products, powers and {', '.join(_FUNCTIONS)}"
    raise InputError(known, value, "give the number as a float or a Fraction")


def ball_matrix(matrix: Array | arb_mat) -> arb_mat:
    """A matrix of balls about the entries.

    Examples
    --------
    >>> import numpy as np
    >>> ball_matrix(np.array([[1.0, 2.0]])) * column([ball(3), ball(4)])
    [11.0000000000000]
    """
    if isinstance(matrix, arb_mat):
        return matrix
    rows, columns = matrix.shape
    return arb_mat(rows, columns, [ball(entry) for entry in matrix.ravel().tolist()])


def column(entries: Iterable[arb]) -> arb_mat:
    """Balls as a matrix of one column.

    Examples
    --------
    >>> column([arb(1), arb(2)]).nrows()
    2
    """
    listed = list(entries)
    return arb_mat(len(listed), 1, listed)


def norm(entries: Iterable[arb]) -> arb:
    """The Euclidean norm.

    Examples
    --------
    >>> norm([ball(3), ball(4)])
    5.00000000000000
    """
    return sum((entry * entry for entry in entries), arb(0)).nonnegative_part().sqrt()


def size(entry: arb) -> arb:
    """The largest absolute value in a ball, exactly.

    Examples
    --------
    >>> size(arb(-2, 1)) >= 3
    True
    """
    return entry.abs_upper()


def upwards(bound: arb) -> float:
    """The smallest float found at or above a ball; infinity for one that is not finite.

    Examples
    --------
    >>> upwards(arb(1) / 3) >= 1 / 3, upwards(arb("nan"))
    (True, inf)
    """
    if not bound.is_finite():
        return math.inf
    highest = bound.upper()
    found = float(highest)
    return found if arb(found) >= highest else math.nextafter(found, math.inf)


def downwards(bound: arb) -> float:
    """The largest float found at or below a ball; minus infinity for one that is not finite.

    Examples
    --------
    >>> downwards(arb(1) / 3) <= 1 / 3
    True
    """
    return -upwards(-bound)


@contextmanager
def cut_at(length: int) -> Iterator[None]:
    """Cut power series after that many terms, inside a ``with`` block.

    Examples
    --------
    >>> from flint import arb_series
    >>> with cut_at(3):
    ...     len(arb_series([0, 1], prec=20).exp().coeffs())
    3
    """
    before = ctx.cap
    ctx.cap = length
    try:
        yield
    finally:
        ctx.cap = before
