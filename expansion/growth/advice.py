r"""Advice: the largest scale that keeps the energy within a factor, and where each rule breaks.

The rule advised is :math:`\lambda = c\,n^{-\beta}` with the exponent that makes c free of the
depth, and the largest c with :math:`q_n/q_0 \le F`. With t = l/n and many blocks:

* *Incoherent* (branches of mean zero, independent): β = 1/2 and dq/dt = c²κ(q), κ the branch's
  energy, so that :math:`c^2 = \int_{q_0}^{F q_0} dq/\kappa(q)`; ln F/g for a branch of gain g.
* *A mean* (``post-activation``, E φ ≠ 0): the overlap adds up, ds/dt = cμ(q), dq/dt = 2csμ(q), so
  that q − s² stays what it was: β = 1 and :math:`c = \int_{s_0}^{s_1} ds/\mu(q_0 - s_0^2 + s^2)`,
  :math:`s_1^2 = (F - 1) q_0 + s_0^2`; for ReLU without overlap c = √π arcosh √F.
* *Coherent* (tied or aligned branches): β = 1, amplitude e^{c𝓛} with 𝓛 the amplitude gain of a
  branch at the input: c = ln F/(2𝓛).

c is then lowered, where it must be, until the asked depths themselves are within the factor.

Where a rule *breaks*: the first depth whose mean square ‖x‖² = width·q (energy) or root mean
square coordinate √q (amplitude) is outside the range of normal float16 or float32 numbers.
Source: derived (claims G1, G3, G6, G7).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import integrate

from expansion.checking import check_finite
from expansion.errors import InputError
from expansion.growth.mean_field import mean_field
from expansion.growth.moments import homogeneous_moments, moment
from expansion.growth.setting import Setting
from expansion.growth.units import HOMOGENEOUS
from expansion.towers.scaling import ScalingRule

__all__ = ["FLOATS", "SEARCHED", "Advice", "Break", "advise", "first_break"]

# ln of the smallest normal and of the largest number.
FLOATS = {
    "float16": (-14 * math.log(2), math.log(65504.0)),
    "float32": (-126 * math.log(2), 128 * math.log(2)),
}
SEARCHED = 2**20  # depths beyond are not searched


@dataclass(frozen=True, slots=True)
class Break:
    """Where a rule leaves the numbers of a machine.

    Parameters
    ----------
    rule : ScalingRule
        The scales.
    depths : tuple of (format, quantity, depth or None)
        The first depth out of range, by float format and quantity ("energy", "amplitude"); None
        where there is none up to :data:`SEARCHED` (or the length of a list of scales).
    """

    rule: ScalingRule
    depths: tuple[tuple[str, str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """The largest scale c·n^(−β) that keeps the energy within a factor.

    Parameters
    ----------
    coefficient : float
        c; infinite where every scale will do.
    exponent : Fraction
        β: 1/2 or 1.
    limit : float
        c in the limit of great depth; ``coefficient`` is at most this.
    factor : float
        F.
    reason : str
        Why this exponent, in a sentence.
    breaks : tuple of Break
        For every rule asked about.
    """

    coefficient: float
    exponent: Fraction
    limit: float
    factor: float
    reason: str
    breaks: tuple[Break, ...]

    @property
    def rule(self) -> str:
        """The rule as text, its coefficient rounded down to four digits."""
        if math.isinf(self.coefficient):
            return "any"
        value = self.coefficient * (1 + 1e-12)  # what rounding took from 1 is no reason for 0.9999
        digits = 3 - math.floor(math.log10(value))
        rounded = math.floor(value * 10.0**digits) / 10.0**digits
        return f"{rounded:.{max(0, digits)}f}/{'n' if self.exponent == 1 else 'sqrt(n)'}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "rule": self.rule,
            "coefficient": None if math.isinf(self.coefficient) else self.coefficient,
            "coefficient_at_great_depth": None if math.isinf(self.limit) else self.limit,
            "exponent": str(self.exponent),
            "factor": self.factor,
            "why": self.reason,
            "breaks": [
                {"rule": one.rule.text, "float": name, "quantity": quantity, "depth": depth}
                for one in self.breaks
                for name, quantity, depth in one.depths
            ],
        }


def advise(
    setting: Setting,
    depths: Sequence[int],
    rules: Sequence[ScalingRule] = (),
    *,
    factor: float = math.e,
    coherent: bool = False,
    width: int = 64,
) -> Advice:
    """Name the largest scale that keeps the energy of these depths within a factor.

    Parameters
    ----------
    setting : Setting
        What a block is.
    depths : sequence of int
        Depths that must be within the factor.
    rules : sequence of ScalingRule
        Rules of which to say where they break.
    factor : float
        F > 1.
    coherent : bool
        Whether branches are aligned or tied instead of independent.
    width : int
        Coordinates of the signal, for its energy in floats.

    Examples
    --------
    >>> advice = advise(Setting("relu"), [100], [ScalingRule.parse("1")])
    >>> advice.rule, advice.breaks[0].depths[3]
    ('1.000/sqrt(n)', ('float32', 'amplitude', 256))
    """
    if check_finite(factor, "the factor") <= 1:
        raise InputError("a factor above 1", factor, "give e.g. 2.718")
    exponent, limit, reason = _limit(setting, factor, coherent)
    scale = limit
    if math.isfinite(limit):

        def excess(c: float) -> float:
            rule = ScalingRule("", Fraction(c), -exponent)
            most = max(_log_energies(setting, rule, n, coherent)[-1] for n in depths)
            return float(most) - math.log(factor)

        if depths and excess(limit) > 1e-12:
            scale = _largest(excess, limit)
    breaks = tuple(first_break(setting, rule, coherent=coherent, width=width) for rule in rules)
    return Advice(scale, exponent, limit, factor, reason, breaks)


def first_break(
    setting: Setting, rule: ScalingRule, *, coherent: bool = False, width: int = 64
) -> Break:
    """The first depth at which energy or amplitude leaves float16 and float32.

    Rules that scale with the depth are searched by doubling and halving, which finds the first
    depth because their energy is monotone in the depth.

    Examples
    --------
    >>> first_break(Setting("relu"), ScalingRule.parse("1/sqrt(n)")).depths[1]
    ('float16', 'amplitude', None)
    """
    prefix = rule.listed is not None or rule.base == "block" or rule.exponent == 0
    length = SEARCHED if rule.listed is None else len(rule.listed)
    found = []
    whole = _log_energies(setting, rule, length, coherent) if prefix else None
    ends: dict[int, float] = {}

    def end(depth: int) -> float:
        if depth not in ends:
            ends[depth] = float(_log_energies(setting, rule, depth, coherent)[-1])
        return ends[depth]

    start = math.log(setting.input_energy)
    for name, (least, most) in FLOATS.items():
        for quantity in ("energy", "amplitude"):
            part, more = (1.0, math.log(width)) if quantity == "energy" else (0.5, 0.0)

            def outside(log_energy: Any, part: float = part, more: float = more) -> Any:
                value = part * (log_energy + start) + more
                return (value >= most) | (value < least)  # noqa: B023

            if whole is not None:
                hits = np.flatnonzero(outside(whole[1:]))
                found.append((name, quantity, int(hits[0]) + 1 if hits.size else None))
            else:
                found.append((name, quantity, _first(lambda n: bool(outside(end(n))))))
    return Break(rule, tuple(found))


def _first(outside: Callable[[int], bool]) -> int | None:
    high = 1
    while not outside(high):
        high *= 2
        if high > SEARCHED:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if outside(middle) else (middle, high)
    return high


def _largest(excess: Callable[[float], float], above: float) -> float:
    low = 0.0
    high = above
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) <= 0 else (low, middle)
    return low


def _log_energies(setting: Setting, rule: ScalingRule, depth: int, coherent: bool) -> Any:
    if not coherent:
        return mean_field(setting, rule, depth).log_energies
    scales = np.ones(depth) if rule.normalised else np.abs(rule.floats(depth))
    gains = np.log1p(scales * _amplitude(setting)) + rule.log_block_factor
    if rule.normalised or setting.normalises_input:
        gains = np.diff(np.log1p(np.cumsum(np.concatenate([[0.0], scales])) * _amplitude(setting)))
    if setting.block == "post-norm":
        gains = np.zeros(depth)
    return np.concatenate([[0.0], 2 * np.cumsum(gains)])


def _amplitude(setting: Setting) -> float:
    """√(E‖f(x)‖²/‖x‖²) at the input."""
    q = 1.0 if setting.normalises_input else setting.input_energy
    return math.sqrt(_branch(setting, q)[0] / setting.input_energy)


def _branch(setting: Setting, q: float) -> tuple[float, float]:
    """Energy κ and mean μ of a branch at input energy q."""
    weight, bias = float(setting.weight_variance or 0.0), setting.bias_variance
    h, mean = q, 0.0
    if setting.opens:
        h = weight * h + bias
    for layer in range(setting.activations):
        if layer > 0:
            h = weight * h + bias
        mean = _moment(setting.branch, "mean", h) * math.sqrt(h)
        h *= _moment(setting.branch, "energy", h)
    if setting.closes and not setting.unit_closing and not setting.opens:
        h = weight * h + bias
    return h, 0.0 if setting.closes else mean


def _moment(branch: str, name: str, h: float) -> float:
    if branch in HOMOGENEOUS:
        return homogeneous_moments(branch)[0 if name == "energy" else 1]
    return moment(branch, name, h).value if h > 0 else 1.0


def _limit(setting: Setting, factor: float, coherent: bool) -> tuple[Fraction, float, str]:
    q0 = setting.input_energy
    half, one = Fraction(1, 2), Fraction(1)
    if setting.block == "post-norm":
        return half, math.inf, "every block ends in a normalisation: the energy cannot grow"
    if coherent:
        reason = "coherent: aligned or tied branches add amplitudes, Σ λ must stay bounded"
        gain = _amplitude(setting)
        if gain == 0:
            return one, math.inf, "the branches are zero"
        if setting.normalises_input:
            return one, (math.sqrt(factor) - 1) / gain, reason
        return one, math.log(factor) / (2 * gain), reason
    if not setting.closes and _branch(setting, q0)[1] != 0:
        s0 = setting.overlap * math.sqrt(q0)
        s1 = math.sqrt((factor - 1) * q0 + s0**2)
        value = integrate.quad(lambda s: 1 / _branch(setting, q0 - s0**2 + s * s)[1], s0, s1)[0]
        reason = "coherent: the branch has a mean, which adds up from block to block"
        return one, float(value), reason
    if _branch(setting, q0)[0] == 0:
        return half, math.inf, "the branches are zero"
    reason = "incoherent: independent branches of mean zero add energies, Σ λ² must stay bounded"
    if setting.normalises_input:
        return half, math.sqrt((factor - 1) * q0 / _branch(setting, 1.0)[0]), reason
    value = integrate.quad(lambda q: 1 / _branch(setting, q)[0], q0, factor * q0)[0]
    return half, math.sqrt(value), reason
