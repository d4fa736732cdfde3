"""Numbers as people read them, from logarithms where a float would overflow."""

from __future__ import annotations

import math
from fractions import Fraction

from flint import fmpz

__all__ = ["energy_text", "estimate_text", "exact_text", "number_text"]

_PLAIN = (math.log(1e-3), math.log(1e6))


def exact_text(value: int | Fraction) -> str:
    """All digits of an exact number; Python's own ``str`` refuses more than 4300.

    Examples
    --------
    >>> exact_text(Fraction(1, 4)), len(exact_text(10**5000))
    ('1/4', 5001)
    """
    if value.denominator == 1:
        return str(fmpz(value.numerator))
    return f"{exact_text(value.numerator)}/{exact_text(value.denominator)}"


def number_text(value: float) -> str:
    """Four significant digits, no exponent where none is needed.

    Examples
    --------
    >>> number_text(2.70481), number_text(1024.0), number_text(0.0)
    ('2.705', '1024', '0')
    """
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3e}"


def energy_text(log_value: float) -> str:
    """A positive number given by its natural logarithm.

    Examples
    --------
    >>> energy_text(math.log(2.7)), energy_text(693.147)
    ('2.7', '10^301.03')
    """
    if log_value == -math.inf:
        return "0"
    if _PLAIN[0] <= log_value < _PLAIN[1]:
        return number_text(math.exp(log_value))
    return f"10^{log_value / math.log(10):.2f}"


def estimate_text(log_value: float, error: float) -> str:
    """An estimate by its natural logarithm, with its relative standard error.

    Examples
    --------
    >>> estimate_text(math.log(2.7), 0.01), estimate_text(693.0, 0.5)
    ('2.700 ± 0.027', '10^(300.97 ± 0.22)')
    """
    if _PLAIN[0] <= log_value < _PLAIN[1] and error < 0.3:
        value = math.exp(log_value)
        spread = value * error
        digits = 0 if spread >= 10 else min(6, max(0, 1 - math.floor(math.log10(spread or 1))))
        return f"{value:.{digits}f} ± {spread:.{digits}f}" if spread else f"{value:g} ± 0"
    return f"10^({log_value / math.log(10):.2f} ± {error / math.log(10):.2f})"
