"""Numbers in ball arithmetic: comparisons that are proved, refuted, or given up."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from flint import arb, fmpq

from proofs_check.evidence import difference

__all__ = ["ball", "near"]


def ball(value: int | float | Fraction) -> arb:
    """The smallest ball about a number.

    Examples
    --------
    >>> ball(Fraction(1, 2)) == ball(0.5)
    True
    """
    if isinstance(value, Fraction):
        return arb(fmpq(value.numerator, value.denominator))
    return arb(value)


def near(claimed: float, true: arb, allowance: arb, **given: Any) -> str | None:
    """None if a float is provably within the allowance, otherwise the counterexample.

    Parameters
    ----------
    claimed : float
        What the implementation says.
    true : arb
        What holds.
    allowance : arb
        How far floats may be off by rounding alone.
    **given
        The case.

    Raises
    ------
    ArithmeticError
        When the balls are too wide to decide.

    Examples
    --------
    >>> near(0.333, arb(1) / 3, arb("0.001")) is None
    True
    >>> print(near(0.3, arb(1) / 2, arb("0.001"), n=1))
    n = 1
    claimed = 0.3
    true = 0.5
    """
    gap = abs(arb(claimed) - true)
    if gap <= allowance:
        return None
    if gap > allowance:
        return difference(float(claimed), float(true), **given)
    raise ArithmeticError("balls too wide to compare; raise their precision")
