r"""Means under a normal law, enclosed: what closed forms and tables are held against (G6, G7).

Arb's integrator encloses :math:`\int_{-20}^{20} g(z) e^{-z^2/2} dz / \sqrt{2\pi}`, left and right
of 0 separately, so that φ may have a kink there. Beyond 20 the integrand is bounded: where
:math:`|g(z)| \le 10^{30} e^{(z^2-400)/4}`, both tails together are below 10^-55. Everything here is
far inside that: activations that grow no faster than their argument, their fourth powers, and
Hermite polynomials of degree ≤ 30 divided by √k!.

**Two inputs** u, v of variance h and correlation c. For two lines that meet at 0 the mean over v
given u is elementary, and one integral is left. Otherwise, with :math:`a_k = E\,\phi(\sqrt h z)
\mathrm{He}_k(z)/\sqrt{k!}`, Mehler's formula gives :math:`E\,\phi(u)\phi(v) = \sum_k a_k^2 c^k`,
and its derivative in c is :math:`h\,E\,\phi'(u)\phi'(v)`. What is left after K terms is bounded by
:math:`|c|^{K+1} (E\phi^2 - \sum_{k \le K} a_k^2)`, the sum of all a_k² being E φ². Classical.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import factorial
from typing import Any

from flint import acb, arb, ctx

from expansion.growth.units import HOMOGENEOUS, LEAKY_SLOPE

__all__ = ["BITS", "BRANCHES", "normal_mean", "true_moment", "true_pair"]

BRANCHES = ("linear", "relu", "leaky-relu", "tanh", "erf", "sin", "gelu", "silu")
"""The activations with enclosed means."""

BITS = 100
"""Precision of the integrals."""

_REACH = 20
_TAIL = arb(0, "1e-55")
_TOLERANCE = arb(2) ** -80
_DEGREE = 30

_ODD = ("tanh", "erf", "sin")
_Function = Callable[[acb], acb]
_LEAK = acb(LEAKY_SLOPE)


def _erf_part(u: acb) -> acb:
    return (1 + (u / acb(2).sqrt()).erf()) / 2


def _density(u: acb) -> acb:
    return (-u * u / 2).exp() / (2 * acb.pi()).sqrt()


def _logistic(u: acb) -> acb:
    return 1 / (1 + (-u).exp())


def _silu_slope(u: acb) -> acb:
    s = _logistic(u)
    return s + u * s * (1 - s)


# φ left and right of 0, and φ' left and right of 0.
_PARTS: dict[str, tuple[_Function, _Function, _Function, _Function]] = {
    "linear": (lambda u: u, lambda u: u, lambda u: acb(1), lambda u: acb(1)),
    "relu": (lambda u: acb(0), lambda u: u, lambda u: acb(0), lambda u: acb(1)),
    "leaky-relu": (lambda u: _LEAK * u, lambda u: u, lambda u: _LEAK, lambda u: acb(1)),
    "tanh": (acb.tanh, acb.tanh, lambda u: 1 - u.tanh() ** 2, lambda u: 1 - u.tanh() ** 2),
    "erf": (
        acb.erf,
        acb.erf,
        lambda u: 2 * (-u * u).exp() / acb.pi().sqrt(),
        lambda u: 2 * (-u * u).exp() / acb.pi().sqrt(),
    ),
    "sin": (acb.sin, acb.sin, acb.cos, acb.cos),
    "gelu": (
        lambda u: u * _erf_part(u),
        lambda u: u * _erf_part(u),
        lambda u: _erf_part(u) + u * _density(u),
        lambda u: _erf_part(u) + u * _density(u),
    ),
    "silu": (
        lambda u: u * _logistic(u),
        lambda u: u * _logistic(u),
        _silu_slope,
        _silu_slope,
    ),
}


# φ(u)/u; of lines that meet at 0 it is the slope.
_GATES: dict[str, _Function] = {"gelu": _erf_part, "silu": _logistic}


def normal_mean(left: _Function, right: _Function) -> arb:
    """E g(z) for a standard normal z, g given left and right of 0.

    Examples
    --------
    >>> normal_mean(lambda z: acb(0), lambda z: z).overlaps(arb(1) / (2 * arb.pi()).sqrt())
    True
    """
    with ctx.workprec(BITS):
        total = arb(0)
        for side, start, end in ((left, -_REACH, 0), (right, 0, _REACH)):
            value = acb.integral(
                lambda z, _, g=side: g(z) * (-z * z / 2).exp(), start, end, abs_tol=_TOLERANCE
            )
            total += value.real
        return total / (2 * arb.pi()).sqrt() + _TAIL


def _mean_of(branch: str, variance: arb, what: Callable[[acb, acb, acb], acb]) -> arb:
    """E of a function of φ(u), φ'(u) and z, with u = √h z."""
    low, high, low_slope, high_slope = _PARTS[branch]
    spread = acb(variance.sqrt())
    return normal_mean(
        lambda z: what(low(spread * z), low_slope(spread * z), z),
        lambda z: what(high(spread * z), high_slope(spread * z), z),
    )


@lru_cache(maxsize=1024)
def _known(branch: str, name: str, variance: Any) -> arb:
    h = arb(variance)
    if name == "energy":
        return _mean_of(branch, h, lambda f, _, z: f * f) / h
    if name == "mean":
        return _mean_of(branch, h, lambda f, _, z: f) / h.sqrt()
    if name == "slope":
        return _mean_of(branch, h, lambda f, g, z: g * g)
    if name == "gate":
        low, high = (_GATES.get(branch, slopes) for slopes in _PARTS[branch][2:])
        spread = acb(h.sqrt())
        return normal_mean(lambda z: low(spread * z) ** 2, lambda z: high(spread * z) ** 2)
    second = _known(branch, "energy", variance) * h
    if name == "third":
        return _mean_of(branch, h, lambda f, _, z: f**3) / second ** arb("1.5")
    return _mean_of(branch, h, lambda f, _, z: f**4) / second**2


def true_moment(branch: str, name: str, variance: float | arb) -> arb:
    """The moments of :mod:`expansion.growth.moments`: energy, mean, slope, gate, fourth, third.

    The gate φ(u)/u is elementary for lines that meet at 0, gelu and silu; others have none here.

    Examples
    --------
    >>> true_moment("relu", "energy", 3.0).contains(arb(0.5))
    True
    """
    if isinstance(variance, float):
        return _known(branch, name, variance)
    return _known.__wrapped__(branch, name, variance)


@lru_cache(maxsize=256)
def _hermite_squares(branch: str, variance: float) -> tuple[arb, ...]:
    """a_0², …, a_K² of a smooth activation.

    tanh, erf and sin are odd, gelu and silu are u/2 and an even rest: every second a_k is 0, and
    for the others two halves of the integral are equal.
    """
    h = arb(variance)
    spread = acb(h.sqrt())
    phi = _PARTS[branch][1]
    is_odd = branch in _ODD
    squares = []
    for k in range(_DEGREE + 1):
        if k % 2 == is_odd:
            size = acb(factorial(k)).sqrt() / 2

            def along(z: acb, k: int = k, size: acb = size) -> acb:
                rest = phi(spread * z) if is_odd else phi(spread * z) - spread * z / 2
                return rest * _hermite(k, z) / size

            mean = normal_mean(lambda z: acb(0), along)
        else:
            mean = spread.real / 2 if k == 1 else arb(0)
        squares.append(mean * mean)
    return tuple(squares)


@lru_cache(maxsize=256)
def _kinked_pair(branch: str, correlation: float) -> tuple[arb, arb]:
    """Of two lines that meet at 0: given u, v is normal about c u, and its mean is elementary."""
    low, high = (part(acb(1)) for part in _PARTS[branch][:2])
    c = acb(correlation)
    spread = (1 - c * c).sqrt()

    def above(z: acb) -> acb:
        """Given u, the mean of v where it is positive."""
        return c * z * _erf_part(c * z / spread) + spread * _density(c * z / spread)

    def value(z: acb) -> acb:
        return high * above(z) + low * (c * z - above(z))

    def slope(z: acb) -> acb:
        return low + (high - low) * _erf_part(c * z / spread)

    value_mean = normal_mean(lambda z: low * z * value(z), lambda z: high * z * value(z))
    slope_mean = normal_mean(lambda z: low * slope(z), lambda z: high * slope(z))
    return value_mean, slope_mean


def _hermite(degree: int, z: acb) -> acb:
    before, value = acb(0), acb(1)
    for k in range(degree):
        before, value = value, z * value - k * before
    return value


def true_pair(branch: str, variance: float, correlation: float) -> tuple[arb, arb]:
    """E φ(u)φ(v)/h and E φ'(u)φ'(v), enclosed; tightly for |c| ≤ 1/2 if φ is smooth.

    Examples
    --------
    >>> value, slope = true_pair("linear", 2.0, 0.5)
    >>> value.overlaps(arb(0.5)), slope.overlaps(arb(1))
    (True, True)
    """
    if correlation == 1.0:
        return true_moment(branch, "energy", variance), true_moment(branch, "slope", variance)
    if branch in HOMOGENEOUS:
        return _kinked_pair(branch, correlation)
    h, c = arb(variance), arb(correlation)
    squares = _hermite_squares(branch, variance)
    value = sum((a * c**k for k, a in enumerate(squares)), arb(0))
    slope = sum((k * a * c ** (k - 1) for k, a in enumerate(squares) if k), arb(0))
    left = true_moment(branch, "energy", variance) * h - sum(squares, arb(0))
    # k |c|^(k-1) falls from k = K on, |c| being below 1 − 1/K.
    beyond = abs(left).upper() * abs(c) ** _DEGREE
    value += arb(0, 1) * beyond * abs(c)
    slope += arb(0, 1) * beyond * (_DEGREE + 1)
    return value / h, slope / h
