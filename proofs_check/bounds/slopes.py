r"""Slopes of activations on intervals, and deep chains of blocks (claim B2).

**Slopes.** On an interval, and everywhere, every slope φ' must lie in the range that is given for
it: at points of the interval, among them the turns of φ', in balls.

**Deep chains.** Chains are measured in segments, and their bounds multiplied. Tied towers
:math:`f(x) = \mathcal{L} x` of more blocks than a segment stretch by exactly
:math:`(1 + \lambda \mathcal{L})^n`: no way of bounding may stay below that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from flint import arb

from expansion.bounds.capacity import METHODS, capacity_bounds
from expansion.bounds.slopes import slope_intervals, slope_range
from expansion.towers.activations import ACTIVATIONS
from expansion.towers.branches.layered import AffineBranch
from expansion.towers.tower import Tower
from proofs_check.balls import ball
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust

__all__ = ["CHECKS"]

Slopes = Callable[[str, float, float], tuple[float, float]]
Bounds = Callable[[Tower], list[tuple[float, float]]]

_TRUE: dict[str, Callable[[arb], arb]] = {
    "linear": lambda a: arb(1),
    "relu": lambda a: arb(1) if a > 0 else arb(0),
    "tanh": lambda a: 1 - a.tanh() ** 2,
    "erf": lambda a: 2 / arb.pi().sqrt() * (-a * a).exp(),
    "sin": lambda a: a.cos(),
    "gelu": lambda a: (
        (1 + (a / arb(2).sqrt()).erf()) / 2 + a * (-a * a / 2).exp() / (2 * arb.pi()).sqrt()
    ),
}
_ENDS = (-9.0, -math.pi, -2.5, -math.sqrt(2), -1.0, -0.25, 0.0, 0.5, 1.0, math.sqrt(2), 3.25, 8.0)


# --- slopes -----------------------------------------------------------------------------------


def _inside(subject: Slopes, effort: Effort) -> Evidence:
    number = effort.pick(quick=16, deep=400)

    def cases() -> Iterator[str | None]:
        for name, slope in _TRUE.items():
            for low, high in combinations(_ENDS, 2):
                least, most = subject(name, low, high)
                places = [*np.linspace(low, high, number), *(e for e in _ENDS if low <= e <= high)]
                for place in places:
                    true = slope(arb(float(place)))
                    given = {"activation": name, "low": low, "high": high, "at": float(place)}
                    outside = true < arb(least) or true > arb(most)
                    claimed = [least, most]
                    yield difference(claimed, float(true), **given) if outside else None

    reach = f"six activations, intervals between {len(_ENDS)} ends, points in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _on_intervals(name: str, low: float, high: float) -> tuple[float, float]:
    least, most = slope_intervals(ACTIVATIONS[name], np.array(low), np.array(high))
    return float(least), float(most)


def _everywhere(name: str, low: float, high: float) -> tuple[float, float]:
    return slope_range(ACTIVATIONS[name])


def _at_the_ends(name: str, low: float, high: float) -> tuple[float, float]:
    ends = [float(_TRUE[name](arb(end))) for end in (low, high)]
    return min(ends), max(ends)


def _between(least: float, most: float) -> Slopes:
    """The same range for every activation, but no wider than the right one on the other side."""
    return lambda name, low, high: (
        max(least, _everywhere(name, low, high)[0]),
        min(most, _everywhere(name, low, high)[1]),
    )


# --- deep chains ------------------------------------------------------------------------------


def _deep(subject: Bounds, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(31, 33, 70), deep=(31, 32, 33, 64, 65, 200))

    def cases() -> Iterator[str | None]:
        for depth in depths:
            for gain, dimension in ((Fraction(1, 4), 1), (Fraction(-1, 2), 2), (Fraction(2), 3)):
                matrix = [[gain * (i == j) for j in range(dimension)] for i in range(dimension)]
                scale = Fraction(1, 2) * (1 if gain > 0 else -1)
                tower = Tower.tied(AffineBranch(matrix), depth, [scale] * depth)
                log = depth * (1 + ball(scale * gain)).log()
                true = log, 2 * log + arb(dimension).log()
                given = {"depth": depth, "scale": scale, "gain": gain, "d": dimension}
                for claimed in subject(tower):
                    below = any(arb(c) < t for c, t in zip(claimed, true, strict=True))
                    shown = [list(claimed), list(map(float, true))]
                    yield difference(*shown, **given) if below else None

    reach = f"tied f(x) = 𝓛x, depths {', '.join(map(str, depths))}, every way of bounding"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _all_ways(tower: Tower) -> list[tuple[float, float]]:
    found = capacity_bounds(tower, METHODS)
    return [(one.log_lipschitz, one.log_complexity) for one in found]


def _of_blocks(number: int) -> Bounds:
    """Only so many blocks counted."""

    def wrong(tower: Tower) -> list[tuple[float, float]]:
        kept = min(number, tower.depth)
        return _all_ways(Tower(tower.branches[:kept], tower.scales[:kept]))

    return wrong


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "B2",
        "slopes on intervals, at their points",
        _inside,
        _on_intervals,
        {
            "slopes at the ends": _at_the_ends,
            "no negative slope": _between(0.0, 2.0),
            "no slope above 1": _between(-2.0, 1.0),
        },
    ),
    Check(
        "B2",
        "slopes anywhere, at points",
        _inside,
        _everywhere,
        {
            "slopes at the ends": _at_the_ends,
            "no negative slope": _between(0.0, 2.0),
            "no slope above 1": _between(-2.0, 1.0),
        },
    ),
    Check(
        "B2",
        "deep chains, in segments",
        _deep,
        _all_ways,
        {
            "the largest segment alone": _of_blocks(32),
            "the last block left out": lambda tower: _of_blocks(tower.depth - 1)(tower),
            "the complexity of one dimension": lambda tower: [
                (log, 2 * log) for log, _ in _all_ways(tower)
            ],
        },
    ),
)
