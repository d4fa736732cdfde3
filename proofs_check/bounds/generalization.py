r"""Generalisation near neural ODEs: the ingredients of B3, by recursion and in exact towers.

The constants solve their recursion (polynomials in :math:`q = 1 + K_\sigma R/L` and
:math:`q^k`, so every depth); exact towers never cross them, among them some that attain them; path
centres follow exact paths within η and are as few as counted; and what is allowed for N means of n
values is enough, by exact binomial tails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import sympy
from flint import arb
from hypothesis import strategies as st

from expansion.bounds.covering import PathCentre, lipschitz_entropy, path_centre
from expansion.bounds.deviation import log_uniform_deviation
from expansion.bounds.neural_ode_class import TowerClass
from expansion.towers.arrays import Array
from proofs_check.balls import ball
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.sampling import sample

__all__ = ["CHECKS", "EIGHTHS", "SIZES", "at_most", "entry_sum", "squared_norm"]

Forms = Callable[[Any, Any, Any, Any, Any, Any], tuple[Any, Any, Any]]
Constants = Callable[[TowerClass], tuple[float, float]]
Centre = Callable[[Sequence[Any], Any, Any, Any], PathCentre]
Deviation = Callable[[float, float, int], float]

EIGHTHS = st.integers(-16, 16).map(lambda k: Fraction(k, 8))
SIZES = st.integers(1, 24).map(lambda k: Fraction(k, 8))


# --- B3: the recursion ------------------------------------------------------------------------


def _closed_forms(m: Any, slope: Any, q: Any, power: Any, k: Any, depth: Any) -> tuple[Any, ...]:
    """Activation, displacement and sensitivity after k blocks; power = q^k."""
    return m * power, m / slope * (power - 1), k / depth * m * power / q


def _recursion(subject: Forms, effort: Effort) -> Evidence:
    def cases() -> Iterator[str | None]:
        m, slope, q, power, k, depth = sympy.symbols("M K q P k L")
        radius = depth * (q - 1) / slope
        a, e, d = subject(m, slope, q, power, k, depth)
        following = subject(m, slope, q, q * power, k + 1, depth)
        true = [m + slope * following[1], e + radius / depth * a, q * d + a / depth]
        gaps = [sympy.cancel(one - other) for one, other in zip(following, true, strict=True)]
        given = {"activation": a, "displacement": e, "sensitivity": d}
        yield difference(gaps, [sympy.Integer(0)] * 3, **given)
        start = subject(m, slope, q, sympy.Integer(1), sympy.Integer(0), depth)
        gaps = [sympy.cancel(one - other) for one, other in zip(start, (m, 0, 0), strict=True)]
        yield difference(gaps, [sympy.Integer(0)] * 3, **given)

    return exhaust(cases(), Verdict.PROVED, "every depth, radius, M and K_σ")


# --- B3: exact towers -------------------------------------------------------------------------


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[str, list[Array], list[Array], Array]:
    """σ, two weight sequences and an input, exact; one in three attains the constants."""
    depth, size = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    if draw(st.integers(0, 2)) == 0:
        large, small = draw(SIZES), draw(st.integers(0, 15))
        first = [np.array([[large]], dtype=object)] * depth
        second = [np.array([[large * Fraction(small, 16)]], dtype=object)] * depth
        return "linear", first, second, np.array([draw(SIZES)], dtype=object)
    matrices = st.lists(EIGHTHS, min_size=size * size, max_size=size * size).map(
        lambda entries: np.array(entries, dtype=object).reshape(size, size)
    )
    sequences = st.lists(matrices, min_size=depth, max_size=depth)
    point = draw(st.lists(EIGHTHS, min_size=size, max_size=size))
    name = draw(st.sampled_from(["linear", "relu"]))
    return name, draw(sequences), draw(sequences), np.array(point, dtype=object)


def _never_crossed(subject: Constants, effort: Effort) -> Evidence:
    def counterexample(case: tuple[str, list[Array], list[Array], Array]) -> str | None:
        name, first, second, x = case
        apart = max(entry_sum(a - b) for a, b in zip(first, second, strict=True))
        towers = TowerClass(
            len(x),
            _upwards(max(map(entry_sum, [*first, *second]))),
            0.0,
            _upwards(max(abs(value) for value in _active(name, x))),
            math.nextafter(math.sqrt(_upwards(squared_norm(x))), math.inf),
            1.0,
            depth=len(first),
        )
        ends = [_run(name, weights, x) for weights in (first, second)]
        log_lipschitz, log_output = subject(towers)
        allowed = [log_lipschitz + (math.log(apart) if apart else -math.inf), log_output]
        true = [squared_norm(ends[0] - ends[1]), squared_norm(ends[0])]
        if all(_within(square, log) for square, log in zip(true, allowed, strict=True)):
            return None
        sizes = [math.exp(log) for log in allowed]
        moved = [math.sqrt(square) for square in true]
        return difference(sizes, moved, sigma=name, first=first, second=second, x=x)

    reach = "pairs of exact towers, linear or ReLU, L ≤ 4, d ≤ 2"
    return sample(_pairs(), counterexample, effort, name="B3 pairs", number=150, reach=reach)


def _constants(towers: TowerClass) -> tuple[float, float]:
    return float(towers.log_lipschitz()), float(towers.log_output())


def _wrong_lipschitz(form: Callable[[float, float, int], float]) -> Constants:
    """K_F from M, K_σR and L."""

    def wrong(towers: TowerClass) -> tuple[float, float]:
        gain, depth = towers.activation_slope * towers.radius, towers.depth or 1
        value = form(towers.activation, gain, depth)
        return (math.log(value) if value > 0 else -math.inf), float(towers.log_output())

    return wrong


def _wrong_output(towers: TowerClass) -> tuple[float, float]:
    most = towers.input_radius + towers.activation * towers.radius
    return float(towers.log_lipschitz()), math.log(most) if most > 0 else -math.inf


def _active(name: str, x: Array) -> list[Fraction]:
    return [value if name == "linear" else max(value, Fraction(0)) for value in x]


def _run(name: str, weights: list[Array], x: Array) -> Array:
    state = x
    for weight in weights:
        active = np.array(_active(name, state), dtype=object)
        state = state + weight @ active * Fraction(1, len(weights))
    return state


def entry_sum(matrix: Array) -> Fraction:
    """Σ |A_ij|, exactly."""
    return sum((abs(entry) for entry in matrix.ravel()), Fraction(0))


def squared_norm(vector: Array) -> Fraction:
    """Σ of the squared entries, exactly."""
    return sum((entry * entry for entry in vector.ravel()), Fraction(0))


# --- B3: path centres -------------------------------------------------------------------------


@st.composite
def _paths(draw: st.DrawFn) -> tuple[list[Fraction], Fraction, Fraction, Fraction]:
    """A path with its R and K, and an η; many paths turn at the steepest slope."""
    steps = draw(st.lists(st.integers(-4, 4), max_size=8))
    path = [draw(EIGHTHS)]
    for step in steps:
        path.append(path[-1] + Fraction(step, 8))
    radius = max(map(abs, path)) + Fraction(1, 64)
    slope = max((abs(b - a) for a, b in pairwise(path)), default=Fraction(0)) * len(path)
    return path, radius, slope, radius * Fraction(1, draw(st.integers(1, 9)))


def _covered(subject: Centre, effort: Effort) -> Evidence:
    def counterexample(case: tuple[list[Fraction], Fraction, Fraction, Fraction]) -> str | None:
        path, radius, slope, error = case
        centre = subject(path, radius, slope, error)
        given = {"path": path, "radius": radius, "slope": slope, "error": error}
        found = [max(abs(a - b) for a, b in zip(path, centre.values, strict=True)) <= error]
        # The values follow from the code alone, and there are no more codes than counted.
        knots = [(2 * centre.start + 1 - centre.starts) * error]
        for sign in centre.signs:
            knots.append(knots[-1] + sign * error)
        times = [Fraction(k) * slope / (len(path) * error) for k in range(len(path))]
        found.append(list(centre.values) == [_line(knots, time) for time in times])
        starts = centre.starts <= max(1, math.ceil(radius / error))
        found.append(starts and 0 <= centre.start < centre.starts)
        log_codes = math.log(centre.starts) + len(centre.signs) * math.log(2)
        counted = lipschitz_entropy(1, float(radius), float(slope), float(error), len(path))
        found.append(error >= radius or log_codes <= float(counted) + 1e-9)
        return difference(found, [True] * len(found), **given)

    reach = "exact paths of up to nine layers"
    return sample(_paths(), counterexample, effort, name="B3 paths", number=150, reach=reach)


def _line(knots: list[Fraction], time: Fraction) -> Fraction:
    """Straight lines between knots at 0, 1, 2 …"""
    left = min(math.floor(time), max(0, len(knots) - 2))
    rise = knots[left + 1] - knots[left] if len(knots) > 1 else Fraction(0)
    return knots[left] + rise * (time - left)


def _coarser(path: Sequence[Any], radius: Any, slope: Any, error: Any) -> PathCentre:
    return path_centre(path, radius, slope, Fraction(3, 2) * error)


def _starts_in_the_middle(path: Sequence[Any], radius: Any, slope: Any, error: Any) -> PathCentre:
    centre = path_centre([value - path[0] for value in path], 2 * radius, slope, error)
    return PathCentre(0, 1, centre.signs, centre.values)


def _turned(path: Sequence[Any], radius: Any, slope: Any, error: Any) -> PathCentre:
    """The signs that were right one step before."""
    centre = path_centre(path, radius, slope, error)
    signs = (1, *centre.signs[:-1]) if centre.signs else ()
    knots = [(2 * centre.start + 1 - centre.starts) * error]
    for sign in signs:
        knots.append(knots[-1] + sign * error)
    times = [Fraction(k) * slope / (len(path) * error) for k in range(len(path))]
    values = tuple(_line(knots, time) for time in times)
    return PathCentre(centre.start, centre.starts, signs, values)


# --- B3: the deviation of means ---------------------------------------------------------------


def _deviates(subject: Deviation, effort: Effort) -> Evidence:
    counts = effort.pick(quick=(1, 2, 5, 20, 60), deep=(*range(1, 40), 100, 200))

    def cases() -> Iterator[str | None]:
        for n, p, functions, delta in product(
            counts,
            [Fraction(i, 8) for i in range(1, 8)],
            (1, 50),
            (Fraction(1, 20), Fraction(1, 99)),
        ):
            allowed = Fraction(subject(math.log(functions), math.log(1 / delta), n))
            # P(mean < p − allowed) for n values 0 or 1 of mean p
            fewer = min(n + 1, max(0, math.ceil(n * (p - allowed))))
            tail = sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(fewer))
            given = {"n": n, "p": p, "functions": functions, "delta": delta}
            yield difference(bool(functions * tail <= delta), True, **given)

    reach = f"n ≤ {max(counts)} coin tosses, 1 and 50 functions, exact tails"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _deviation(log_count: float, confidence: float, samples: int) -> float:
    return math.exp(log_uniform_deviation(log_count, confidence, samples))


# --- shared -----------------------------------------------------------------------------------


def _within(square: Fraction, log: float) -> bool:
    """Whether √square is at most e^log, up to the rounding of the logarithm."""
    return square == 0 or (log > -math.inf and at_most(ball(square).log() / 2, log))


def at_most(size: arb, log: float) -> bool:
    """Whether a logarithm is at most another, up to rounding.

    Examples
    --------
    >>> at_most(arb(2).log(), 0.7), at_most(arb(2).log(), 0.6)
    (True, False)
    """
    gap, allowance = size - arb(log), arb(2) ** -40 * (1 + abs(arb(log)))
    if gap <= allowance:
        return True
    if gap > allowance:
        return False
    raise ArithmeticError("balls too wide to compare; raise their precision")


def _upwards(value: Fraction) -> float:
    found = float(value)
    return found if Fraction(found) >= value else math.nextafter(found, math.inf)


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "B3",
        "constants by their recursion",
        _recursion,
        _closed_forms,
        {
            "activations that do not grow": lambda m, s, q, p, k, n: (
                m,
                m / s * (p - 1),
                k / n * m,
            ),
            "the power of the next block": lambda m, s, q, p, k, n: (
                m * p,
                m / s * (p - 1),
                k / n * m * p,
            ),
            "2MKR e^(2KR)": lambda m, s, q, p, k, n: (
                m * p,
                m / s * (p - 1),
                2 * m * k * (q - 1) * p**2,
            ),
        },
    ),
    Check(
        "B3",
        "never crossed by exact towers",
        _never_crossed,
        _constants,
        {
            "2MKR e^(2KR)": _wrong_lipschitz(lambda m, g, n: 2 * m * g * math.exp(2 * g)),
            "M alone": _wrong_lipschitz(lambda m, g, n: m),
            "one block too few": _wrong_lipschitz(lambda m, g, n: m * (1 + g / n) ** (n - 2)),
            "outputs to first order": _wrong_output,
        },
    ),
    Check(
        "B3",
        "path centres cover",
        _covered,
        path_centre,
        {
            "steps too long": _coarser,
            "one start for all": _starts_in_the_middle,
            "signs a step late": _turned,
        },
    ),
    Check(
        "B3",
        "deviations of means",
        _deviates,
        _deviation,
        {
            "4n for 2n": lambda count, sure, n: math.sqrt((count + sure) / (4 * n)),
            "log N left out": lambda count, sure, n: math.sqrt(sure / (2 * n)),
            "no logarithm of 1/δ": lambda count, sure, n: math.sqrt(count / (2 * n)),
        },
    ),
)
