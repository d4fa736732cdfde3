r"""How large the elementary functions get on complex discs, and their certified Taylor tails.

For :math:`|w - a| \le t` with a real:

.. math::

   |\tanh w|^2 &= \frac{2}{1 + \cos 2q / \cosh 2p} - 1 \quad (w = p + iq), \\
   |\sin w| &\le \min(\cosh t,\; |\sin a| \cosh t + |\cos a| \sinh t), \\
   |\mathrm{erf}\, w| &\le |\mathrm{erf}\, a| + \tfrac{2}{\sqrt\pi}\, t\, e^{h},
   \qquad h = \max_{|w - a| \le t} (-\mathrm{Re}\, w^2), \\
   |\mathrm{gelu}\, w| &\le (|a| + t) \big(\Phi(a) + \tfrac{1}{\sqrt{2\pi}}\, t\, e^{h/2}\big).

*Proofs.* tanh: :math:`|\sinh|^2 = (\cosh 2p - \cos 2q)/2` and :math:`|\cosh|^2 = (\cosh 2p + \cos
2q)/2`. The right side falls in :math:`\cos 2q` and is at most 1 where that is not negative; on the
disc :math:`|q| \le t` and :math:`|p| \ge |a| - t`. So the strip :math:`|\mathrm{Im}| < \pi/2` is
safe for every a, and beyond it the part of the plane away from the imaginary axis.
sin: the addition formula with :math:`|\cos w| \le \cosh |w|`, :math:`|\sin w| \le \sinh |w|`; and
:math:`|\sin|^2 = \sin^2 p + \sinh^2 q`. erf, gelu: integrate the derivative along the radius.
:math:`-\mathrm{Re}\, w^2 = q^2 - p^2` is harmonic, so largest on the circle, where with
:math:`c = \cos\theta` it is :math:`t^2 - a^2 - 2atc - 2t^2c^2`: at most :math:`t^2 - a^2/2` if
:math:`|a| \le 2t`, and otherwise :math:`-(|a| - t)^2`. ∎

By Cauchy's estimate the Taylor coefficients obey :math:`|c_m| \le S R^{-m}`, S the bound on a disc
of radius R, which certifies everything beyond the coefficients that are computed. Real intervals
would not do: tanh is at most 1 on the line, and has poles at :math:`\pm i\pi/2`.
Source: derived (claim B1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flint import arb, arb_poly, arb_series

from expansion.bounds.balls import cut_at
from expansion.errors import InputError

__all__ = [
    "FUNCTIONS",
    "Majorant",
    "function_series",
    "function_value",
    "majorant",
    "range_bound",
    "slope",
]

FUNCTIONS = ("linear", "tanh", "sin", "cos", "erf", "gelu", "sigmoid", "exp", "log", "inverse")
"""Functions with an analytic bound."""

_INFINITE = arb("inf")
_POLE_SHARE = arb(97) / 100  # how near to a pole the last disc goes; tanh is at most 21.3 there


def range_bound(name: str, a: arb, t: arb) -> arb:
    """A bound of |φ(w)| over the complex disc |w − a| ≤ t; infinite where φ may have a pole.

    Parameters
    ----------
    name : str
        φ, among :data:`FUNCTIONS`.
    a : arb
        The real centre.
    t : arb
        The radius, at least 0.

    Raises
    ------
    InputError
        For a function without an analytic bound.

    Examples
    --------
    >>> round(float(range_bound("tanh", arb(0), arb(1))), 6)  # tan 1, not tanh 1
    1.557408
    """
    size = abs(a)
    if name == "linear":
        return size + t
    if name == "tanh":
        return _tanh_bound(size, t)
    if name == "sigmoid":  # (1 + tanh(w/2))/2
        return (1 + _tanh_bound(size / 2, t / 2)) / 2
    if name in ("sin", "cos"):
        sine, cosine = abs(a.sin()), abs(a.cos())
        if name == "cos":
            sine, cosine = cosine, sine
        return t.cosh().min(sine * t.cosh() + cosine * t.sinh())
    if name == "erf":
        return abs(a.erf()) + 2 / arb.pi().sqrt() * t * _gaussian_exponent(size, t).exp()
    if name == "gelu":
        slope = (_gaussian_exponent(size, t) / 2).exp() / (2 * arb.pi()).sqrt()
        return (size + t) * ((1 + (a / arb(2).sqrt()).erf()) / 2 + t * slope)
    if name == "exp":
        return (a + t).exp()
    if name == "log":
        return abs(a.log()) - (1 - t / a).log() if a > t else _INFINITE
    if name == "inverse":
        return 1 / (size - t) if size > t else _INFINITE
    mend = f"use {', '.join(FUNCTIONS[:7])} or a polynomial"
    raise InputError("an activation that is analytic, with a bound", name, mend)


def _tanh_bound(size: arb, t: arb) -> arb:
    quarter = arb.pi() / 2
    nearest = (size - t).max(arb(0))
    if not (t < quarter or nearest > 0):
        return _INFINITE
    # cos 2q is least at |q| = min(t, π/2), where it is negative once q > π/4.
    ratio = (2 * t.min(quarter)).cos().min(arb(0)) / (2 * nearest).cosh()
    if not ratio > -1:
        return _INFINITE
    return (2 / (1 + ratio) - 1).nonnegative_part().sqrt()


def _gaussian_exponent(size: arb, t: arb) -> arb:
    """h = max −Re w² on the disc; both forms are at least it where the case is not decided."""
    return -((size - t) ** 2) if size > 2 * t else t * t - size * size / 2


def function_series(name: str, series: arb_series) -> arb_series:
    """φ of a truncated power series of balls.

    Examples
    --------
    >>> function_series("tanh", arb_series([0, 1], prec=4)).coeffs()[1]
    1.00000000000000
    """
    if name == "linear":
        return series
    if name == "tanh":
        return 2 * function_series("sigmoid", 2 * series) - 1
    if name == "sigmoid":  # by the exponential that does not overflow
        if series[0] > 0:
            return 1 / ((-series).exp() + 1)
        return 1 - 1 / (series.exp() + 1)
    if name == "gelu":
        return series * (1 + (series / arb(2).sqrt()).erf()) / 2
    if name == "inverse":
        return 1 / series
    if name in FUNCTIONS:
        return getattr(series, name)()
    raise InputError("an analytic activation", name, f"use {', '.join(FUNCTIONS[:7])}")


def function_value(name: str, a: arb) -> arb:
    """φ(a).

    Examples
    --------
    >>> function_value("inverse", arb(4))
    0.250000000000000
    """
    return function_series(name, arb_series([a], prec=1))[0]


def slope(name: str, a: arb) -> arb:
    """φ'(a).

    Examples
    --------
    >>> slope("sin", arb(0))
    1.00000000000000
    """
    return function_series(name, arb_series([a, 1], prec=2))[1]


@dataclass(frozen=True, slots=True)
class Majorant:
    r"""A power series :math:`b(s) = \sum_m b_m s^m` with b_m at least what it stands for.

    Parameters
    ----------
    coefficients : tuple of arb
        b_0..b_M.
    size, rate : arb
        C and τ: b_m = C τ^m for every m > M; C = 0 for a polynomial.
    """

    coefficients: tuple[arb, ...]
    size: arb
    rate: arb
    _polynomial: arb_poly = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_polynomial", arb_poly(list(self.coefficients)))

    @property
    def degree(self) -> int | None:
        """Degree of a polynomial; None when the series does not end."""
        if not self.size.is_zero():
            return None
        return max((m for m, c in enumerate(self.coefficients) if not c.is_zero()), default=0)

    def __call__(self, s: arb) -> arb:
        """b(s) for s ≥ 0; infinite where the series is not known to converge.

        Examples
        --------
        >>> geometric = Majorant((arb(1),), arb(1), arb(1) / 2)
        >>> round(float(geometric(arb(1))), 12), geometric(arb(2)).is_finite()
        (2.0, False)
        """
        if not s.is_finite():
            return _INFINITE
        total = self._polynomial(s)
        if self.size.is_zero():
            return total
        ratio = self.rate * s
        if not ratio < 1:
            return _INFINITE
        return total + self.size * ratio ** len(self.coefficients) / (1 - ratio)


def majorant(name: str, a: arb, order: int) -> Majorant:
    """The series Σ |c_m| t^m of φ about a, exact to ``order`` and certified beyond it.

    Parameters
    ----------
    name : str
        φ, among :data:`FUNCTIONS`.
    a : arb
        The real centre.
    order : int
        M ≥ 1.

    Examples
    --------
    >>> round(float(majorant("tanh", arb(0), 40)(arb(1))), 4)  # tan 1 = 1.5574
    1.5574
    """
    coefficients: list[Any] = _taylor(name, a, order)
    if name == "linear":
        return Majorant(tuple(coefficients), arb(0), arb(0))
    radius = _tail_radius(name, a, order)
    return Majorant(tuple(coefficients), range_bound(name, a, radius), 1 / radius)


def _taylor(name: str, a: arb, order: int) -> list[arb]:
    with cut_at(order + 1):
        image = function_series(name, arb_series([a, 1], prec=order + 1))
    found = [abs(c) for c in image.coeffs()]
    return found + [arb(0)] * (order + 1 - len(found))


def _tail_radius(name: str, a: arb, order: int) -> arb:
    """Where Cauchy's estimate is taken: near the poles, or where S R^-M is about least."""
    size = abs(a)
    if name in ("tanh", "sigmoid"):
        scale = arb(2) if name == "sigmoid" else arb(1)
        return (_POLE_SHARE * scale * arb.pi() / 2).max(size - scale / 5).lower()
    if name in ("log", "inverse"):
        return (_POLE_SHARE * size).lower()
    if name in ("sin", "cos", "exp"):
        return arb(order + 1) / 2 + 1
    return (arb(order + 1) / 2).sqrt() + (1 if name == "gelu" else 0)
