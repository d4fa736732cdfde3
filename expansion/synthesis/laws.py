r"""How a quantity grows with depth: three kinds of law, in closed form and read off values.

============= ==================================== ==========================
kind          Q(n)                                 as text
============= ==================================== ==========================
bounded       tends to a limit                     → 2.718
power         ~ coefficient · n^p, p > 0           0.5·n^0.5
exponential   ln Q ~ coefficient · n^p, p > 0      e^(0.693·n)
============= ==================================== ==========================

**Closed forms.** With :math:`\lambda_l = c\,n^{-\beta}`, β > 0, the sum :math:`\sum_l \ln(1 + g
|\lambda_l|^m)` grows as :math:`g |c|^m n^{1 - m\beta}`: it is bounded from β = 1/m on, and tends
to :math:`g |c|^m` there. For β = 0 it is :math:`n \ln(1 + g |c|^m)`. With :math:`\lambda_l =
c\,l^{-\beta}` sums become :math:`n^{1 - m\beta}/(1 - m\beta)`, and :math:`\ln n` at β = 1/m: then
Q is a power of n, :math:`\prod_l (1 + a/l) \sim n^a / \Gamma(1 + a)`.

**Read off values.** Of :math:`y = \ln Q` at depths n, 2n, 4n only the two differences of
neighbours are used: their ratio is 2^s where y has a term n^s and nothing larger. s clearly above
0: exponential of power s; s about 0: y goes as ln n, a power law, whose exponent is read in the
same way off the differences of Q itself; s below 0, or a difference that vanishes: bounded, with
the limit that the geometric series of differences still to come leads to. Source: derived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from expansion.errors import InputError
from expansion.towers.scaling import ScalingRule

__all__ = ["Law", "fitted_law", "product_law", "sum_law"]

Kind = Literal["bounded", "power", "exponential"]

_FLAT = 0.08  # of s: closed forms used here have s at least 1/4 away from 0, or 0 itself
_NOTHING = 1e-7  # of a difference of logarithms


@dataclass(frozen=True, slots=True)
class Law:
    """How Q grows with n.

    Parameters
    ----------
    kind : {"bounded", "power", "exponential"}
        See the table of this module.
    power : float
        p; 0 where bounded.
    coefficient : float or None
        The coefficient, or the limit where bounded; None where it is not known in closed form.

    Raises
    ------
    InputError
        For an unknown kind, or a power that does not fit it.

    Examples
    --------
    >>> str(Law("exponential", 0.5, 2.0)), str(Law("bounded", 0, None))
    ('e^(2·n^0.5)', 'bounded')
    """

    kind: Kind
    power: float
    coefficient: float | None

    def __post_init__(self) -> None:
        if self.kind not in ("bounded", "power", "exponential"):
            raise InputError("bounded, power or exponential", self.kind, "choose one of these")
        if (self.power > 0) == (self.kind == "bounded") or not math.isfinite(self.power):
            raise InputError(f"a power that fits {self.kind}", self.power, "0 where bounded")

    def __str__(self) -> str:
        if self.kind == "bounded":
            return "bounded" if self.coefficient is None else f"→ {_digits(self.coefficient)}"
        base = "n" if abs(self.power - 1) < 5e-4 else f"n^{self.power:.3g}"
        factor = "" if self.coefficient is None else _digits(self.coefficient)
        body = base if factor in ("", "1") else f"{factor}·{base}"
        return body if self.kind == "power" else f"e^({body})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "law": self.kind,
            "power": self.power,
            "coefficient": self.coefficient,
            "text": str(self),
        }


def product_law(
    rule: ScalingRule, gains: float | Sequence[float] = 1.0, *, m: int = 1, times: float = 1.0
) -> Law:
    """The law of Π_l (1 + g_l |λ_l|^m)^times.

    Parameters
    ----------
    rule : ScalingRule
        λ_l = c·b^(−β) with β ≥ 0.
    gains : float or sequence
        g_l ≥ 0; several are taken in turn.
    m, times : int, float
        m ≥ 1, times > 0.

    Raises
    ------
    InputError
        For a list of scales, symbols, or scales that grow with the depth.

    Examples
    --------
    >>> from expansion.towers.scaling import ScalingRule
    >>> for text in ("1", "1/sqrt(n)", "1/n", "batchnorm"):
    ...     print(product_law(ScalingRule.parse(text), m=2))
    e^(0.693·n)
    → 2.718
    → 1
    n
    """
    beta, scale = _parts(rule)
    given = np.atleast_1d(np.asarray(gains, dtype=float)) * scale**m
    mean = float(given.mean())
    if mean == 0:
        return Law("bounded", 0.0, 1.0)
    if beta == 0:
        return Law("exponential", 1.0, times * float(np.log1p(given).mean()))
    left = 1 - m * beta
    if rule.base == "depth":
        if left > 1e-12:
            return Law("exponential", left, times * mean)
        return Law("bounded", 0.0, math.exp(times * mean) if abs(left) <= 1e-12 else 1.0)
    if left > 1e-12:
        return Law("exponential", left, times * mean / left)
    if left < -1e-12:
        return Law("bounded", 0.0, None)
    single = times * -math.lgamma(1 + mean) if len(given) == 1 else None
    return Law("power", times * mean, None if single is None else math.exp(single))


def sum_law(rule: ScalingRule, gain: float = 1.0) -> Law:
    """The law of g Σ_l |λ_l|.

    Parameters
    ----------
    rule : ScalingRule
        λ_l = c·b^(−β) with 0 ≤ β, and β ≠ 1 where the base is the block's number.
    gain : float
        g ≥ 0.

    Examples
    --------
    >>> from expansion.towers.scaling import ScalingRule
    >>> str(sum_law(ScalingRule.parse("batchnorm"))), str(sum_law(ScalingRule.parse("3/n"), 2.0))
    ('2·n^0.5', '→ 6')
    """
    beta, scale = _parts(rule)
    left, size = 1 - beta, gain * scale
    if rule.base == "depth" or beta == 0:
        if left > 1e-12 and size:
            return Law("power", left, size)
        return Law("bounded", 0.0, size if abs(left) <= 1e-12 else 0.0)
    if left > 1e-12 and size:
        return Law("power", left, size / left)
    if abs(left) <= 1e-12 and size:
        raise InputError("scales whose sum is not a logarithm", rule, "change the exponent")
    return Law("bounded", 0.0, None if size else 0.0)


def fitted_law(depths: Sequence[int], logs: Sequence[float]) -> Law:
    """The law that values of ln Q show at depths that double.

    Parameters
    ----------
    depths : sequence of int
        At least three, each twice the one before.
    logs : sequence of float
        ln Q there.

    Raises
    ------
    InputError
        For depths that do not double, or values that are not finite.

    Examples
    --------
    >>> depths = [64, 128, 256]
    >>> str(fitted_law(depths, [0.5 * n for n in depths]))
    'e^(0.5·n)'
    >>> str(fitted_law(depths, [math.log(3 * n**0.25) for n in depths]))
    '3·n^0.25'
    """
    numbers, values = np.asarray(depths, dtype=float), np.asarray(logs, dtype=float)
    if len(numbers) < 3 or values.shape != numbers.shape or (numbers[1:] != 2 * numbers[:-1]).any():
        raise InputError("three or more depths that double", list(depths), "give e.g. 64 128 256")
    if not np.isfinite(values).all():
        raise InputError("finite logarithms", list(logs), "leave the others out")
    before, last = (float(d) for d in np.diff(values)[-2:])
    ratio = last / before if abs(before) > _NOTHING else 0.0
    if abs(last) <= _NOTHING or ratio <= 0 or math.log2(ratio) < -_FLAT or last < 0:
        ending = last * ratio / (1 - ratio) if abs(last) > _NOTHING and abs(ratio) < 1 else 0.0
        if last < -_NOTHING and ratio >= 2.0**-_FLAT:
            return Law("bounded", 0.0, 0.0)  # ln Q falls without end
        return Law("bounded", 0.0, math.exp(float(values[-1]) + ending))
    power = math.log2(ratio)
    if power > _FLAT:
        return Law("exponential", power, last / (numbers[-1] ** power * (1 - 2.0**-power)))
    # Q = a n^p + b: differences of Q do not see b.
    steps = np.diff(np.exp(values[-3:] - values[-1]))
    slope = math.log2(steps[1] / steps[0])
    scale = math.log(steps[1] / (1 - 2.0**-slope)) + float(values[-1])
    return Law("power", slope, math.exp(scale - slope * math.log(numbers[-1])))


def _parts(rule: ScalingRule) -> tuple[float, float]:
    """β and |c| of a rule λ_l = c·b^(−β)."""
    if rule.listed is not None or rule.symbolic or rule.block_factor_squared != 1:
        raise InputError("a rule such as 1, 1/sqrt(n), n^-0.75 or batchnorm", rule, "write one")
    if rule.exponent > 0:
        raise InputError("a rule whose scales do not grow with depth", rule, "lower the exponent")
    return -float(rule.exponent), abs(float(rule.coefficient))


def _digits(value: float) -> str:
    return f"{value:.3g}" if value < 1 or value >= 100 else f"{value:.4g}"
