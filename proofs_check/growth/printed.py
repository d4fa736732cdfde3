r"""What growth tables print at any depth: energies and spectra in floats (claims G1, G2).

The exact energies of G1 and G2 are proved elsewhere; the floats are other code. Here they are held
against :math:`\sum_l \ln(1 + \lambda_l^2)` and against :math:`\prod_l (1 + \lambda_l^2 z)`
multiplied out as a power series, with the squares written out, all in ball arithmetic. At the
largest depths the spectrum is carried under a tilt and no longer in logarithms; both are compared.

A sum of n logarithms may be off by (n + 16)·2^-50 of its size; of a spectrum every order may be off
by (n + 64)·2^-42 of 1 + its logarithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from flint import arb, arb_series

from expansion.bounds.balls import cut_at
from expansion.growth.energy import energy, log_energy
from expansion.growth.spectrum import spectrum
from expansion.towers.scaling import ScalingRule
from proofs_check.balls import ball, near
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.growth.rules import squares

__all__ = ["CHECKS"]

LogEnergy = Callable[[ScalingRule, int], float]
LogSpectrum = Callable[[ScalingRule, int, int], Sequence[float]]

_RULES = ("1", "1/n", "1/sqrt(n)", "batchnorm", "half", "skipinit", "0.3")


def _log_factor(text: str, depth: int) -> arb:
    """ln s^(2n) of blocks divided by 1/s."""
    return -depth * arb(2).log() if text == "half" else arb(0)


# --- energies ---------------------------------------------------------------------------------


def _energies_to(largest: int) -> Callable[[LogEnergy, Effort], Evidence]:
    def procedure(subject: LogEnergy, effort: Effort) -> Evidence:
        some = effort.pick(quick=(1, 2, 3, 8, 100), deep=tuple(range(1, 60)))
        depths = (*some, effort.pick(quick=900, deep=largest))

        def cases() -> Iterator[str | None]:
            for text in _RULES:
                rule = ScalingRule.parse(text)
                for depth in depths:
                    whole = sum(((1 + ball(s)).log() for s in squares(text, depth)), arb(0))
                    factor = _log_factor(text, depth)
                    allowance = arb(depth + 16) * arb(2) ** -50 * (1 + whole - factor)
                    given = {"rule": rule, "depth": depth}
                    yield near(subject(rule, depth), whole + factor, allowance, **given)

        reach = f"seven rules, depths ≤ {max(depths)}, in balls"
        return exhaust(cases(), Verdict.EXHAUSTED, reach)

    return procedure


def _log_of_energy(rule: ScalingRule, depth: int) -> float:
    """From the number itself, which a float holds up to 2^1023."""
    return float(np.log(energy(rule, depth)))


def _log_sum(total: Callable[[Any], Any]) -> LogEnergy:
    return lambda rule, n: float(np.sum(total(rule.floats(n)))) + 2 * n * rule.log_block_factor


_WRONG_ENERGIES: dict[str, LogEnergy] = {
    "λ for λ²": _log_sum(np.log1p),
    "log10 for ln": _log_sum(lambda scales: np.log10(1 + scales**2)),
    "coherent: 2 ln(1 + λ)": _log_sum(lambda scales: 2 * np.log1p(scales)),
    "s for s²": lambda rule, n: log_energy(rule, n) - n * rule.log_block_factor,
}


# --- spectra ----------------------------------------------------------------------------------


def _spectra(subject: LogSpectrum, effort: Effort) -> Evidence:
    # The last size is beyond what the engine carries in logarithms.
    sizes = effort.pick(
        quick=((1, 1), (4, 6), (100, 12), (2500, 90)), deep=((9, 9), (1000, 40), (9000, 300))
    )

    def cases() -> Iterator[str | None]:
        for text in _RULES:
            rule = ScalingRule.parse(text)
            for depth, order in sizes:
                claimed = subject(rule, depth, order)
                factor = _log_factor(text, depth)
                for k, true in enumerate(_elementary(squares(text, depth), order)):
                    given = {"rule": rule, "depth": depth, "order": k}
                    if true == 0:
                        yield difference(float(claimed[k]), -float("inf"), **given)
                        continue
                    log = true.log() + factor
                    allowance = arb(depth + 64) * arb(2) ** -42 * (1 + abs(log))
                    yield near(float(claimed[k]), log, allowance, **given)

    reach = f"seven rules, depths ≤ {max(n for n, _ in sizes)}, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _elementary(weights: Sequence[Any], order: int) -> list[arb]:
    """e_0..e_K as coefficients of a product, the factors paired again and again."""
    with cut_at(order + 1):
        factors = [arb_series([1, ball(weight)], prec=order + 1) for weight in weights]
        while len(factors) > 1:
            pairs = zip(factors[::2], factors[1::2], strict=False)
            left = factors[-1:] if len(factors) % 2 else []
            factors = [a * b for a, b in pairs] + left
    found = factors[0].coeffs()[: order + 1]
    return found + [arb(0)] * (order + 1 - len(found))


def _log_spectrum(rule: ScalingRule, depth: int, order: int) -> Sequence[float]:
    return list(spectrum(depth, rule, order).log_energy)


def _log_of_powers_of_ten(rule: ScalingRule, depth: int, order: int) -> Sequence[float]:
    return list(spectrum(depth, rule, order).log10_energy * np.log(10))


def _changed(change: Callable[[ScalingRule, int, int, float], float]) -> LogSpectrum:
    def wrong(rule: ScalingRule, depth: int, order: int) -> Sequence[float]:
        right = _log_spectrum(rule, depth, order)
        return [change(rule, depth, k, value) for k, value in enumerate(right)]

    return wrong


_WRONG_SPECTRA: dict[str, LogSpectrum] = {
    "e_k(λ) for e_k(λ²)": lambda rule, n, order: [
        float(e.log()) if e > 0 else -float("inf")
        for e in _elementary([float(s) for s in rule.floats(n)], order)
    ],
    "s for s²": _changed(lambda rule, n, k, log: log - n * rule.log_block_factor),
    "log10 for ln": _changed(lambda rule, n, k, log: log / float(np.log(10))),
    "one depth more": lambda rule, n, order: _log_spectrum(rule, n + 1, order),
}

CHECKS: tuple[Check[Any], ...] = (
    Check(
        "G1", "energies in logarithms, in balls", _energies_to(30000), log_energy, _WRONG_ENERGIES
    ),
    Check(
        "G1", "energies as floats, in balls", _energies_to(1000), _log_of_energy, _WRONG_ENERGIES
    ),
    Check("G2", "spectra of any depth, in balls", _spectra, _log_spectrum, _WRONG_SPECTRA),
    Check("G2", "spectra in powers of ten", _spectra, _log_of_powers_of_ten, _WRONG_SPECTRA),
)
