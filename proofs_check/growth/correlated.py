r"""Blocks correlated in depth, between independent and aligned ones (claim G3).

Linear blocks with normal entries of variance 1/d and correlations ρ between blocks. At infinite
width only nested pairings survive, so that the energy is a sum over pairs of increasing sequences,

.. math:: q_n = \sum_k \lambda^{2k} \sum_{i_1 < \cdots < i_k,\; j_1 < \cdots < j_k}
   \rho_{i_1 j_1} \cdots \rho_{i_k j_k},

summed here one by one in exact fractions. Its ends are known: Π(1 + λ²) for independent blocks and
Σ λ^{2k} C(n, k)² for tied ones. Order 1 is λ² Σ ρ_ij, which for fractional noise is λ² n^{2H}.

**Exponents.** Orders 1 and 2 stay bounded at λ = n^(−β) only if n^{2β} ≥ Σ ρ_ij and, by the
diagonal's share of order 2, n^{4β} ≥ n/2 or so: the predicted β is the least such. That no other
order asks for more is a heuristic, and not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations
from math import comb, prod
from typing import Any

import numpy as np
from flint import arb

from expansion.growth.correlated import (
    correlated_energy,
    covariance,
    first_order_energy,
    predicted_exponent,
)
from proofs_check.balls import ball, near
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, exhaust

__all__ = ["CHECKS"]

Energy = Callable[[Any, float], float]
Exponent = Callable[[str, float | None], float]

_COVARIANCES = (
    ("independent", None),
    ("tied", None),
    ("exponential", 2.0),
    ("smooth-rbf", 0.5),
    ("fractional", 0.25),
    ("fractional", 0.75),
)
_SCALES = (0.25, 1.0, -2.0)


def _paired(subject: Energy, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 2, 4), deep=(1, 2, 3, 5, 7))

    def cases() -> Iterator[str | None]:
        for name, parameter in _COVARIANCES:
            for depth in depths:
                rho = covariance(name, depth, parameter)
                exact = [[Fraction(float(entry)) for entry in row] for row in rho]
                for scale in _SCALES:
                    true = ball(_pairings(exact, Fraction(scale)))
                    given = {"covariance": name, "depth": depth, "scale": scale}
                    allowance = arb(2) ** -40 * (1 + abs(true))
                    yield near(subject(rho, scale), true, allowance, **given)
        for depth in (10, 40):
            ends = {
                "independent": (1 + Fraction(1, 16)) ** depth,
                "tied": sum(Fraction(1, 16) ** k * comb(depth, k) ** 2 for k in range(depth + 1)),
            }
            for name, value in ends.items():
                given = {"covariance": name, "depth": depth, "scale": 0.25}
                claimed = subject(covariance(name, depth), 0.25)
                yield near(claimed, ball(value), arb(2) ** -40 * ball(value), **given)

    reach = f"six covariances, three scales, depths ≤ {max(depths)} pair by pair, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _pairings(rho: list[list[Fraction]], scale: Fraction) -> Fraction:
    total = Fraction(0)
    for k in range(len(rho) + 1):
        chosen = list(combinations(range(len(rho)), k))
        sums = (
            prod((rho[i][j] for i, j in zip(left, right, strict=True)), start=Fraction(1))
            for left in chosen
            for right in chosen
        )
        total += scale ** (2 * k) * sum(sums, Fraction(0))
    return total


def _first_orders(subject: Energy, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 3, 50), deep=(*range(1, 30), 400))

    def cases() -> Iterator[str | None]:
        for hurst in (0.25, 0.5, 0.75, 1.0):
            for depth in depths:
                true = arb(depth) ** (2 * arb(hurst)) / 16
                given = {"hurst": hurst, "depth": depth}
                rho = covariance("fractional", depth, hurst)
                allowance = arb(2) ** -36 * depth * (1 + true)
                for scale in (0.25, -0.25):
                    yield near(subject(rho, scale), true, allowance, **given, scale=scale)

    reach = f"fractional noise of four indices, depths ≤ {max(depths)}, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _exponents(subject: Exponent, effort: Effort) -> Evidence:
    """Half the slope of ln Σ ρ_ij between two depths, and at least ¼."""
    low, high = effort.pick(quick=(30, 60), deep=(300, 600))
    asked: list[tuple[str, float | None]] = [("independent", None), ("tied", None)]
    asked += [("fractional", hurst) for hurst in (0.1, 0.25, 0.4, 0.5, 0.8, 1.0)]

    def cases() -> Iterator[str | None]:
        for name, parameter in asked:
            sums = [arb(float(covariance(name, depth, parameter).sum())) for depth in (low, high)]
            slope = (sums[1] / sums[0]).log() / (2 * (arb(high) / low).log())
            true = slope.max(arb("0.25"))
            given = {"covariance": name, "parameter": parameter}
            yield near(subject(name, parameter), true, arb("1e-9"), **given)

    reach = f"independent, tied and fractional blocks, orders 1 and 2, depths {low} and {high}"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "G3",
        "correlated blocks, pairing by pairing",
        _paired,
        correlated_energy,
        {
            "λ for λ²": lambda rho, scale: correlated_energy(rho, abs(scale) ** 0.5),
            "order 1 alone": lambda rho, scale: 1 + first_order_energy(rho, scale),
            "as if independent": lambda rho, scale: (1 + scale**2) ** len(rho),
            "orders that do not increase": lambda rho, scale: float(np.exp(scale**2 * rho.sum())),
        },
    ),
    Check(
        "G3",
        "order 1 of correlated blocks",
        _first_orders,
        first_order_energy,
        {
            "λ for λ²": lambda rho, scale: scale * float(rho.sum()),
            "the diagonal alone": lambda rho, scale: scale**2 * len(rho),
            "every pair once": lambda rho, scale: scale**2 * float(np.tril(rho).sum()),
        },
    ),
    Check(
        "G3",
        "exponents from orders 1 and 2",
        _exponents,
        predicted_exponent,
        {
            "H alone": lambda name, hurst: (
                hurst if hurst is not None else predicted_exponent(name, hurst)
            ),
            "½ for all": lambda name, hurst: 0.5,
            "H/2": lambda name, hurst: (hurst or 2 * predicted_exponent(name, hurst)) / 2,
        },
    ),
)
