r"""Branches with a mean: θ relu(W x), which adds coherently (claim G6).

Per coordinate, with s = ⟨x, 1⟩/m and q = ‖x‖²/m. The pre-activations of one block are independent
normal numbers of variance 2q, whatever x is and at every width m, so that one block's means are
identities at every width; the recursion over blocks is the limit m → ∞, where s and q do not
fluctuate.

**The moments** are integrated symbolically, for every s, q and θ. **The recursion** is carried in
ball arithmetic. **The growth** follows from two bounds, for s_0 = 0 and η = θ/√π:

.. math::

   2L \ln(1+\eta) - 2\ln 2 \;\le\; \ln \frac{q_L}{q_0} \;\le\; L \ln(1 + 2\eta + \theta^2) .

*Upper*: s² ≤ q, so q' ≤ q(1 + 2η + θ²). *Lower*: q − s² never falls, :math:`q' - s'^2 = q - s^2 +
\theta^2 q (1 - 1/\pi)`, so s' ≥ s + η√(s² + q_0); with s = √q_0 sinh τ, and e^δ = 1 + η,
:math:`\sinh \tau + \eta \cosh \tau \ge \sinh(\tau + \delta)`, hence s_L ≥ √q_0 sinh(L ln(1+η)),
and q_L ≥ q_0 cosh² of the same. At θ = 1/√L both are 2√(L/π) + O(1): the signal's norm explodes
like e^{√(L/π)}. At θ = c/L both stay between −2 ln 2 + 2c/√π − c²/(πL) and 2c/√π + c²/L. Derived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import exp, sqrt
from typing import Any

import numpy as np
import sympy
from flint import arb

from expansion.growth.drawn import drawn_towers
from expansion.growth.mean_field import mean_field
from expansion.growth.setting import Setting
from expansion.towers.scaling import ScalingRule
from proofs_check.balls import near
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust

__all__ = ["CHECKS"]

Maps = Callable[[Any, Any, Any], tuple[Any, Any]]
Recursion = Callable[[str, int, float], tuple[float, float]]

_ERRORS = 5.0  # standard errors: chance passes this once in 1.7 million comparisons


def _printed(s: Any, q: Any, theta: Any) -> tuple[Any, Any]:
    """s and q behind a block, as they are printed."""
    mean = theta * sympy.sqrt(q / sympy.pi)
    return s + mean, q + 2 * s * mean + theta**2 * q


def _moments(subject: Maps, effort: Effort) -> Evidence:
    """One block, its normal integrals done symbolically."""
    most = effort.pick(quick=3, deep=30)

    def cases() -> Iterator[str | None]:
        s, theta = sympy.symbols("s theta", real=True)
        q, u = sympy.symbols("q u", positive=True)
        law = sympy.exp(-(u**2) / (4 * q)) / sympy.sqrt(4 * sympy.pi * q)
        mean, square = (sympy.integrate(u**k * law, (u, 0, sympy.oo)) for k in (1, 2))
        true = [s + theta * mean, q + 2 * theta * s * mean + theta**2 * square]
        gaps = [sympy.simplify(a - b) for a, b in zip(subject(s, q, theta), true, strict=True)]
        yield difference(gaps, [sympy.Integer(0)] * 2)
        for k in range(1, most + 1):
            values = {
                s: sympy.Rational(1, k),
                q: sympy.Integer(k) ** 2,
                theta: sympy.Rational(1, 2),
            }
            claimed = subject(*values.values())
            gaps = [sympy.simplify(a - b.subs(values)) for a, b in zip(claimed, true, strict=True)]
            yield difference(gaps, [sympy.Integer(0)] * 2, s=values[s], q=values[q])

    return exhaust(cases(), Verdict.PROVED, "one block, every s, q and θ, by integration")


# --- the recursion ----------------------------------------------------------------------------


def _engine(text: str, depth: int, overlap: float) -> tuple[float, float]:
    """ln q_n/q_0 and the cosine of x_n and the mean direction."""
    setting = Setting("relu", "post-activation", overlap=overlap)
    found = mean_field(setting, text, depth)
    return found.log_energy, float(found.overlaps[-1])


def _scale(text: str, depth: int) -> arb:
    return {"1/n": 1 / arb(depth), "1/sqrt(n)": 1 / arb(depth).sqrt()}.get(text, arb(1) / 4)


def _recursion(subject: Recursion, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 2, 7, 40), deep=(*range(1, 41), 100, 400))

    def cases() -> Iterator[str | None]:
        for text in ("1/n", "1/sqrt(n)", "1/4"):
            for depth in depths:
                theta = _scale(text, depth)
                for overlap in (0.0, 0.5, 1.0, -0.75):
                    s, q = arb(overlap), arb(1)
                    for _ in range(depth):
                        mean = theta * (q / arb.pi()).sqrt()
                        s, q = s + mean, q + 2 * s * mean + theta**2 * q
                    claimed = subject(text, depth, overlap)
                    given = {"rule": text, "depth": depth, "overlap": overlap}
                    # Some operations of size ε for each block, and a cosine near 1 loses none.
                    allowance = arb(depth + 8) * arb(2) ** -46
                    for one, true in zip(claimed, (q.log(), s / q.sqrt()), strict=True):
                        yield near(one, true, allowance, **given)

    reach = f"three rules, four overlaps, depths ≤ {max(depths)}, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _wrong(step: Callable[[float, float, float], tuple[float, float]]) -> Recursion:
    def wrong(text: str, depth: int, overlap: float) -> tuple[float, float]:
        theta = float(_scale(text, depth))
        s, q = overlap, 1.0
        for _ in range(depth):
            s, q = step(s, q, theta)
        return float(np.log(q)), s / sqrt(q)

    return wrong


_WRONG_STEPS: dict[str, Recursion] = {
    "E relu = √(q/2π)": _wrong(
        lambda s, q, t: (
            s + t * sqrt(q / (2 * np.pi)),
            q + 2 * t * s * sqrt(q / (2 * np.pi)) + t**2 * q,
        )
    ),
    "incoherent: q(1 + θ²)": _wrong(lambda s, q, t: (s + t * sqrt(q / np.pi), q * (1 + t**2))),
    "the new s in the cross term": _wrong(
        lambda s, q, t: (
            s + t * sqrt(q / np.pi),
            q + 2 * t * (s + t * sqrt(q / np.pi)) * sqrt(q / np.pi) + t**2 * q,
        )
    ),
    "half the branch's energy": _wrong(
        lambda s, q, t: (s + t * sqrt(q / np.pi), q + 2 * t * s * sqrt(q / np.pi) + t**2 * q / 2)
    ),
}


# --- growth with depth ------------------------------------------------------------------------


def _laws(subject: Recursion, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 4, 30, 250, 2500), deep=(*range(1, 40), 250, 2500, 25000))

    def cases() -> Iterator[str | None]:
        for depth in depths:
            for text in ("1/sqrt(n)", "1/n"):
                theta = _scale(text, depth)
                eta = theta / arb.pi().sqrt()
                low = 2 * depth * (1 + eta).log() - 2 * arb(2).log()
                high = depth * (1 + 2 * eta + theta**2).log()
                claimed, _ = subject(text, depth, 0.0)
                allowance = (high - low) / 2 + arb(depth + 8) * arb(2) ** -46
                yield near(claimed, (high + low) / 2, allowance, rule=text, depth=depth)

    reach = f"θ = 1/√L and 1/L, s = 0 at first, depths ≤ {max(depths)}, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _rule_for(change: str) -> Recursion:
    """The recursion with another rule: 1/L for 1/√L, or the reverse."""
    return lambda text, depth, overlap: _engine(change, depth, overlap)


# --- drawn blocks -----------------------------------------------------------------------------


def _drawn(subject: Maps, effort: Effort) -> Evidence:
    """One block with its weights drawn, at small width, against the means."""
    number, trials = effort.samples(45), 400
    random = effort.random("one positive block, drawn")
    reach = f"one block, widths 8 and 24, {trials} draws each, within {_ERRORS:g} standard errors"
    for case in range(1, number + 1):
        overlap, theta = random.uniform(-1, 1), random.uniform(0.3, 2)
        width, seed = random.choice((8, 24)), random.randrange(2**32)
        setting = Setting("relu", "post-activation", overlap=overlap)
        rule = ScalingRule.of([theta])
        drawn = drawn_towers(setting, rule, 1, dimension=width, trials=trials, seed=seed)
        error = float(drawn.energies.std(ddof=1)) / trials**0.5
        claimed = float(subject(overlap, 1.0, theta)[1])
        mean = float(drawn.energies.mean())
        if abs(mean - claimed) > _ERRORS * error:
            given = {"overlap": overlap, "theta": theta, "width": width, "seed": seed}
            found = difference(claimed, mean, **given)
            return Evidence(Verdict.REFUTED, reach, case, effort.seed, found)
    return Evidence(Verdict.SAMPLED, reach, number, effort.seed)


_WRONG_MAPS: dict[str, Maps] = {
    "E relu = √(q/2π)": lambda s, q, t: (
        s + t * sympy.sqrt(q / (2 * sympy.pi)),
        q + 2 * s * t * sympy.sqrt(q / (2 * sympy.pi)) + t**2 * q,
    ),
    "incoherent: q(1 + θ²)": lambda s, q, t: (_printed(s, q, t)[0], q + t**2 * q),
    "the cross term once": lambda s, q, t: (
        _printed(s, q, t)[0],
        q + s * t * sympy.sqrt(q / sympy.pi) + t**2 * q,
    ),
    "W of variance 1/m": lambda s, q, t: (
        _printed(s, q / 2, t)[0],
        q + 2 * s * t * sympy.sqrt(q / (2 * sympy.pi)) + t**2 * q / 2,
    ),
}

CHECKS: tuple[Check[Any], ...] = (
    Check("G6", "one block, integrated symbolically", _moments, _printed, _WRONG_MAPS),
    Check("G6", "the recursion in balls", _recursion, _engine, _WRONG_STEPS),
    Check(
        "G6",
        "e^√(L/π) at 1/√L, depth-free at 1/L",
        _laws,
        _engine,
        {
            "1/n for 1/√n": _rule_for("1/n"),
            "1/√n for 1/n": _rule_for("1/sqrt(n)"),
            "energy for amplitude: half the exponent": lambda text, depth, overlap: (
                _engine(text, depth, overlap)[0] / 2,
                0.0,
            ),
            "incoherent: e at 1/√n": lambda text, depth, overlap: (
                depth * np.log1p(float(_scale(text, depth)) ** 2),
                exp(0.0),
            ),
        },
    ),
    Check("G6", "one block, its weights drawn", _drawn, _printed, _WRONG_MAPS),
)
