r"""Truncated power series in one bookkeeping variable z: the arithmetic of Taylor mode (E5).

A series :math:`u(z) = u_0 + u_1 z + \ldots + u_K z^K` holds K + 1 coefficients: exact numbers,
floats, or arrays handled elementwise. Every function below follows from

.. math:: y' = g(u)\,u' \quad\Longrightarrow\quad k\,y_k = \sum_{j=1}^{k} j\,u_j\,g_{k-j},

so that a composition costs O(K²) operations and no derivative is ever formed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from expansion.errors import InputError

__all__ = ["FUNCTIONS", "Series", "apply_function", "convolve"]


class Series:
    """A truncated power series; arithmetic keeps the number of coefficients.

    Parameters
    ----------
    coefficients : sequence
        u_0..u_K: numbers, or arrays of one common shape.

    Examples
    --------
    >>> z = Series([0.0, 1.0, 0.0])
    >>> (z * z + 3 * z).coefficients
    [0.0, 3.0, 1.0]
    >>> FUNCTIONS["exp"](z).coefficients
    [1.0, 1.0, 0.5]
    """

    __slots__ = ("coefficients",)
    # numpy must leave ``array * series`` to this class.
    __array_ufunc__ = None

    def __init__(self, coefficients: Sequence[Any]) -> None:
        self.coefficients = list(coefficients)

    def __len__(self) -> int:
        return len(self.coefficients)

    def __add__(self, other: Any) -> Series:
        if isinstance(other, Series):
            pairs = zip(self.coefficients, other.coefficients, strict=True)
            return Series([a + b for a, b in pairs])
        return Series([self.coefficients[0] + other, *self.coefficients[1:]])

    __radd__ = __add__

    def __neg__(self) -> Series:
        return Series([-a for a in self.coefficients])

    def __sub__(self, other: Any) -> Series:
        return self + (-other)

    def __rsub__(self, other: Any) -> Series:
        return -self + other

    def __mul__(self, other: Any) -> Series:
        if not isinstance(other, Series):
            return Series([a * other for a in self.coefficients])
        a, b = self.coefficients, other.coefficients
        return Series([convolve(a, b, k) for k in range(len(a))])

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Series:
        if exponent < 0:
            return self.reciprocal() ** (-exponent)
        result: Series | None = None
        square = self
        while exponent:
            if exponent & 1:
                result = square if result is None else result * square
            exponent >>= 1
            if exponent:
                square = square * square
        one = self.coefficients[0] * 0 + 1
        return result or Series([one] + [one * 0] * (len(self) - 1))

    def reciprocal(self) -> Series:
        """1/u, from Σ_j u_j y_{k−j} = 0."""
        u = self.coefficients
        inverse = [1 / u[0]]
        for k in range(1, len(u)):
            inverse.append(-sum(u[j] * inverse[k - j] for j in range(1, k + 1)) / u[0])
        return Series(inverse)


def convolve(a: Sequence[Any], b: Sequence[Any], k: int) -> Any:
    """Coefficient k of the product of two series.

    Examples
    --------
    >>> convolve([1, 2, 3], [4, 5, 6], 2)
    28
    """
    total = a[0] * b[k]
    for j in range(1, k + 1):
        total = total + a[j] * b[k - j]
    return total


def _next(u: Sequence[Any], slope: Sequence[Any], k: int) -> Any:
    """y_k from y' = g u', given g_0..g_{k−1}."""
    total = u[1] * slope[k - 1]
    for j in range(2, k + 1):
        total = total + j * u[j] * slope[k - j]
    return total / k


def _exp(series: Series) -> Series:
    u = series.coefficients
    y = [apply_function("exp", u[0])]
    for k in range(1, len(u)):
        y.append(_next(u, y, k))
    return Series(y)


def _sin_cos(series: Series) -> tuple[Series, Series]:
    u = series.coefficients
    sine, cosine = [apply_function("sin", u[0])], [apply_function("cos", u[0])]
    for k in range(1, len(u)):
        next_sine, next_cosine = _next(u, cosine, k), -_next(u, sine, k)
        sine.append(next_sine)
        cosine.append(next_cosine)
    return Series(sine), Series(cosine)


def _tanh(series: Series) -> Series:
    u = series.coefficients
    y = [apply_function("tanh", u[0])]
    slope = [1 - y[0] * y[0]]
    for k in range(1, len(u)):
        y.append(_next(u, slope, k))
        slope.append(-convolve(y, y, k))
    return Series(y)


def _erf(series: Series) -> Series:
    u = series.coefficients
    gaussian = _exp(-(series * series)).coefficients
    y = [apply_function("erf", u[0])]
    for k in range(1, len(u)):
        y.append(_next(u, gaussian, k) * _two_over_root_pi(u[0]))
    return Series(y)


def _log(series: Series) -> Series:
    u = series.coefficients
    slope = series.reciprocal().coefficients
    y = [apply_function("log", u[0])]
    for k in range(1, len(u)):
        y.append(_next(u, slope, k))
    return Series(y)


FUNCTIONS: dict[str, Callable[[Series], Series]] = {
    "exp": _exp,
    "sin": lambda series: _sin_cos(series)[0],
    "cos": lambda series: _sin_cos(series)[1],
    "tanh": _tanh,
    "erf": _erf,
    "log": _log,
}


def apply_function(name: str, value: Any) -> Any:
    """An elementary function of a number or array: exact for exact input, floating for floats.

    Examples
    --------
    >>> apply_function("sin", 0.0)
    0.0
    >>> from fractions import Fraction
    >>> apply_function("exp", Fraction(1, 2))
    exp(1/2)
    """
    if isinstance(value, Series):
        return FUNCTIONS[name](value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return np.frompyfunc(lambda entry: apply_function(name, entry), 1, 1)(value)
    if isinstance(value, (float, complex, np.ndarray, np.generic)):
        if name == "erf":
            from scipy.special import erf  # scipy costs a tenth of a second

            return erf(value)
        result = getattr(np, name)(value)
        return float(result) if isinstance(value, float) else result
    import sympy

    function = getattr(sympy, name, None)
    if name not in FUNCTIONS or function is None:
        raise InputError(f"a function among {', '.join(FUNCTIONS)}", name, "use one of these")
    return function(sympy.sympify(value, strict=True))


def _two_over_root_pi(like: Any) -> Any:
    if isinstance(like, (float, complex, np.generic)):
        return 2 / np.sqrt(np.pi)
    if isinstance(like, np.ndarray) and like.dtype != object:
        return 2 / np.sqrt(np.pi)
    import sympy

    return 2 / sympy.sqrt(sympy.pi)
