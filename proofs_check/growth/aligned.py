r"""Branches that add amplitudes (claim G3).

One block takes a state a to a(1 + λ𝓛), as polynomials in a, λ and 𝓛; hence
the product at every depth. From :math:`x - x^2/2 \le \ln(1+x) \le x` the logarithm of the product
lies within :math:`\sum_l (\lambda_l \mathcal{L})^2/2` below :math:`\sum_l \lambda_l \mathcal{L}`:
below 𝓛 at 1/n, and below 𝓛√n by at most 𝓛²/2 at 1/√n.

Floats are compared in ball arithmetic; a sum of n logarithms may be off by (n + 16)·2^-50 of its
size, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import log, prod
from typing import Any

import sympy
from flint import arb

from expansion.growth.energy import log_coherent_amplitude
from expansion.towers.branches.layered import AffineBranch
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from proofs_check.balls import ball, near
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.growth.rules import squares

__all__ = ["CHECKS"]

Amplitude = Callable[[Any, Sequence[Any], Any], Any]
LogAmplitude = Callable[[ScalingRule, int, float], float]

_RULES = ("1", "1/n", "1/sqrt(n)", "batchnorm", "half", "skipinit", "0.3")


def _linear_tower(state: Any, scales: Sequence[Any], gain: Any) -> Any:
    """A tower tied to x ↦ 𝓛 x, run on a number."""
    return Tower.tied(AffineBranch([[gain]]), len(scales), scales)([state])[0]


def _aligned(subject: Amplitude, effort: Effort) -> Evidence:
    depth = effort.pick(quick=4, deep=7)

    def cases() -> Iterator[str | None]:
        state, gain = sympy.symbols("a L")
        scales = sympy.symbols(f"l1:{depth + 2}")
        before = state
        for n in range(1, depth + 1):
            after = subject(state, scales[:n], gain)
            true = before * (1 + scales[n - 1] * gain)
            yield difference(sympy.expand(after - true), sympy.Integer(0), scales=scales[:n])
            before = after

    return exhaust(cases(), Verdict.PROVED, "one block from every state, every scale and gain")


def _amplitudes(subject: LogAmplitude, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 2, 3, 5, 8, 100, 2000), deep=(*range(1, 60), 1000, 30000))

    def cases() -> Iterator[str | None]:
        for text in _RULES:
            rule = ScalingRule.parse(text)
            for depth in depths:
                for gain in (0.5, 1.0, 3.0):
                    steps = [ball(s).sqrt() * ball(gain) for s in squares(text, depth)]
                    whole_log = sum(((1 + step).log() for step in steps), arb(0))
                    factor = arb(depth) / 2 * arb(2).log() if text == "half" else arb(0)
                    allowance = arb(depth + 16) * arb(2) ** -50 * (whole_log + factor)
                    claimed = subject(rule, depth, gain)
                    given = {"rule": rule, "depth": depth, "gain": gain}
                    yield near(claimed, whole_log - factor, allowance, **given)
                    # ln Π lies within Σ(λ𝓛)²/2 below Σ λ𝓛.
                    whole, half = sum(steps, arb(0)), sum((s * s for s in steps), arb(0)) / 4
                    yield near(claimed, whole - half - factor, half + allowance, **given)

    reach = f"seven rules, three gains, depths ≤ {max(depths)}, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _floats(rule: ScalingRule, depth: int) -> list[float]:
    return [float(scale) for scale in rule.floats(depth)]


def _log_sum(total: Callable[[list[float], float], float]) -> LogAmplitude:
    return lambda rule, n, gain: total(_floats(rule, n), gain) + n * rule.log_block_factor


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "G3",
        "aligned branches block by block",
        _aligned,
        _linear_tower,
        {
            "gains added up once: 1 + 𝓛 Σ λ": lambda a, scales, gain: a * (1 + gain * sum(scales)),
            "one gain for all blocks": lambda a, scales, gain: (
                a * prod(1 + s for s in scales) * gain
            ),
            "incoherent: Π(1 + λ²𝓛²)": lambda a, scales, gain: (
                a * prod(1 + (s * gain) ** 2 for s in scales)
            ),
            "the last block left out": lambda a, scales, gain: (
                a * prod(1 + s * gain for s in scales[:-1])
            ),
        },
    ),
    Check(
        "G3",
        "amplitudes of scaling rules",
        _amplitudes,
        log_coherent_amplitude,
        {
            "incoherent: ½ Σ ln(1 + λ²𝓛²)": _log_sum(
                lambda scales, gain: sum(log(1 + (s * gain) ** 2) for s in scales) / 2
            ),
            "the limit at every depth: 𝓛 Σ λ": _log_sum(lambda scales, gain: gain * sum(scales)),
            "added up once: ln(1 + 𝓛 Σ λ)": _log_sum(
                lambda scales, gain: log(1 + gain * sum(scales))
            ),
            "block factor √2 forgotten": lambda rule, n, gain: (
                log_coherent_amplitude(rule, n, gain) - n * rule.log_block_factor
            ),
        },
    ),
)
