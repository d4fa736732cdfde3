"""The polynomial through given values: how a check reaches every n from finitely many."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from flint import fmpq, fmpq_poly

__all__ = ["polynomial_through"]


def polynomial_through(values: Sequence[int | Fraction]) -> fmpq_poly:
    """The polynomial of least degree with these values at 0, 1, 2, …, exactly.

    Newton's form: Σ_j Δ^j v(0) · C(n, j).

    Parameters
    ----------
    values : sequence of int or Fraction
        At least one.

    Examples
    --------
    >>> polynomial_through([0, 1, 4, 9])
    x^2
    """
    total, binomial = fmpq_poly([0]), fmpq_poly([1])
    differences = [fmpq(v.numerator, v.denominator) for v in values]
    for j in range(len(values)):
        total += differences[0] * binomial
        binomial *= fmpq_poly([fmpq(-j, j + 1), fmpq(1, j + 1)])
        differences = [b - a for a, b in pairwise(differences)]
    return total
