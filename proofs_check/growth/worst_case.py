r"""The worst case: bounds by their recursion, never crossed, and attained (claim G8).

**The recursion.** With :math:`\|f_l(x)\| \le M` and Lipschitz constants 𝓛, a state at distance e
from x has :math:`\|f_l\| \le M + \mathcal{L} e`. So bounds of the displacement and of what lies
beyond first order may start at e = r = 0 and go on by

.. math:: e' = e + \lambda (M + \mathcal{L} e), \qquad r' = r + \lambda \mathcal{L} e .

The closed forms satisfy both as polynomials in λ, 𝓛, M, P = Π(1 + λ_l𝓛) and S = Σ λ_l: every depth.

**Attained**: branches :math:`f(x) = \mathcal{L} x + M` at x = 0, exactly, against the floats in
balls. The floats may be off by (n + 32)·2^-48 of 1 + ln P + \|ln M/𝓛\| in the logarithm.

**Never crossed**: random exact towers with biases, ReLU or linear, at an exact point. M and 𝓛 are
certified, in the maximum norm: M as the largest branch at x, and 𝓛 as the largest ‖V‖‖U‖, row
sums of absolute values. Among the towers are those that attain the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import sympy
from flint import arb
from hypothesis import strategies as st

from expansion.growth.worst_case import worst_case
from expansion.towers.arrays import Array, as_array
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from proofs_check.balls import ball, near
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.sampling import sample
from proofs_check.strategies import layered_towers, points

__all__ = ["CHECKS"]

Forms = Callable[[Any, Any, Any, Any], tuple[Any, Any]]
Bounds = Callable[[ScalingRule, int, float, float], tuple[float, float]]

_LEAST = Fraction(1, 8)  # a Lipschitz constant for branches that are constant
_SCALES: dict[str, Callable[[int, int], Fraction]] = {
    "1": lambda n, block: Fraction(1),
    "1/n": lambda n, block: Fraction(1, n),
    "0.3": lambda n, block: Fraction(3, 10),
    "1e-9": lambda n, block: Fraction(1, 10**9),
    "1/l": lambda n, block: Fraction(1, block),
}


# --- the recursion ----------------------------------------------------------------------------


def _closed_forms(bound: Any, gain: Any, product: Any, total: Any) -> tuple[Any, Any]:
    """Displacement and remainder from M, 𝓛, P and S, as they are printed."""
    displacement = bound / gain * (product - 1)
    return displacement, bound / gain * (product - 1 - gain * total)


def _recursion(subject: Forms, effort: Effort) -> Evidence:
    def cases() -> Iterator[str | None]:
        bound, gain, product, total, scale = sympy.symbols("M L P S l")
        e, r = subject(bound, gain, product, total)
        following = subject(bound, gain, product * (1 + scale * gain), total + scale)
        true = [e + scale * (bound + gain * e), r + scale * gain * e]
        gaps = [sympy.cancel(a - b) for a, b in zip(following, true, strict=True)]
        given = {"bound": bound, "gain": gain}
        yield difference(gaps, [sympy.Integer(0)] * 2, **given)
        start = subject(bound, gain, sympy.Integer(1), sympy.Integer(0))
        yield difference([sympy.cancel(v) for v in start], [sympy.Integer(0)] * 2, **given)

    return exhaust(cases(), Verdict.PROVED, "every depth, scales, M and 𝓛")


# --- attained ---------------------------------------------------------------------------------


def _attained(subject: Bounds, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 2, 3, 8, 60), deep=(*range(1, 40), 300, 1000))

    def cases() -> Iterator[str | None]:
        for text, scale_of in _SCALES.items():
            rule = ScalingRule.parse(text)
            for depth in depths:
                scales = [scale_of(depth, block) for block in range(1, depth + 1)]
                for bound, gain in ((1.0, 1.0), (0.75, 3.0), (2.0, 0.5)):
                    branch = AffineBranch([[Fraction(gain)]], [Fraction(bound)])
                    moved = Tower.tied(branch, depth, scales)([0])[0]
                    beyond = moved - Fraction(bound) * sum(scales)
                    logs = abs(ball(Fraction(bound) / Fraction(gain)).log())
                    size = 1 + (1 + ball(Fraction(gain) / Fraction(bound) * moved)).log() + logs
                    allowance = arb(depth + 32) * arb(2) ** -48 * size
                    claimed = subject(rule, depth, bound, gain)
                    given = {"rule": rule, "depth": depth, "M": bound, "lipschitz": gain}
                    for one, true in zip(claimed, (moved, beyond), strict=True):
                        if true:
                            yield near(one, ball(true).log(), allowance, **given)
                        else:
                            yield difference(math.exp(one), 0.0, **given)

    reach = f"tied linear towers, five rules, depths ≤ {max(depths)}, in balls"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _bounds(rule: ScalingRule, depth: int, bound: float, gain: float) -> tuple[float, float]:
    case = worst_case(rule, depth, bound=bound, lipschitz=gain)
    return case.log_displacement, case.log_remainder


# --- never crossed ----------------------------------------------------------------------------


@st.composite
def _attaining(draw: st.DrawFn) -> tuple[Tower, Array]:
    """Towers of ±(𝓛 x + M) whose signs are those of the scales."""
    quarters = st.integers(1, 8).map(lambda k: Fraction(k, 4))
    gain, bound = draw(quarters), draw(quarters)
    scales = draw(st.lists(st.tuples(quarters, st.sampled_from([1, -1])), min_size=1, max_size=4))
    branches = [AffineBranch([[s * gain]], [s * bound]) for _, s in scales]
    return Tower(tuple(branches), [s * size for size, s in scales]), as_array([0], "x")


def _never_crossed(subject: Bounds, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        values = [branch(point) for branch in tower.branches]
        bound = max(map(_norm, values))
        gain = max(_LEAST, *map(_lipschitz, tower.branches))
        moved = tower(point) - point
        steps = zip(tower.scales, values, strict=True)
        beyond = moved - sum((scale * value for scale, value in steps), point * 0)
        true = [_norm(moved), _norm(beyond)]
        claimed = subject(tower.rule, tower.depth, _upwards(bound), _upwards(gain))
        if all(_within(t, log) for t, log in zip(true, claimed, strict=True)):
            return None
        sizes = [math.exp(log) for log in claimed]
        return difference(sizes, list(map(float, true)), tower=tower, point=point)

    places = st.one_of(st.tuples(layered_towers(), points(2)), _attaining())
    reach = "exact towers with certified M and 𝓛, depths ≤ 4, any scale"
    return sample(places, counterexample, effort, name="never crossed", number=90, reach=reach)


def _within(size: Fraction, log: float) -> bool:
    """Whether a size is within a bound, up to the rounding of the bound's logarithm."""
    if not size:
        return True
    if log == -math.inf:
        return False
    allowance = arb(2) ** -42 * (1 + abs(arb(log)))
    gap = ball(size).log() - arb(log)
    if gap <= allowance:
        return True
    if gap > allowance:
        return False
    raise ArithmeticError("balls too wide to compare; raise their precision")


def _norm(vector: Array) -> Fraction:
    return max(map(abs, vector))


def _lipschitz(branch: Any) -> Fraction:
    if isinstance(branch, MLPBranch):
        return _row_sums(branch.outer) * _row_sums(branch.inner)
    return _row_sums(branch.matrix)


def _row_sums(matrix: Array) -> Fraction:
    return max(sum(map(abs, row)) for row in matrix)


def _upwards(value: Fraction) -> float:
    near_value = float(value)
    return near_value if Fraction(near_value) >= value else math.nextafter(near_value, math.inf)


# --- mistakes ---------------------------------------------------------------------------------


def _wrong(form: Callable[[Sequence[float], float, float], tuple[float, float]]) -> Bounds:
    """Bounds from the scales, M and 𝓛, in logarithms."""

    def wrong(rule: ScalingRule, depth: int, bound: float, gain: float) -> tuple[float, float]:
        first, second = form([float(s) for s in rule.floats(depth)], bound, gain)
        return _log(first), _log(second)

    return wrong


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _forms(scales: Sequence[float], bound: float, gain: float) -> tuple[float, float]:
    product = math.prod(1 + s * gain for s in scales)
    return _closed_forms(bound, gain, product, sum(scales))


def _sizes(scales: Sequence[float]) -> list[float]:
    return [abs(s) for s in scales]


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "G8",
        "closed forms by their recursion",
        _recursion,
        _closed_forms,
        {
            "M for M/𝓛": lambda m, g, p, s: (m * (p - 1), m * (p - 1 - g * s)),
            "first order kept in the remainder": lambda m, g, p, s: (m / g * (p - 1),) * 2,
            "Σ λ for 𝓛 Σ λ": lambda m, g, p, s: (m / g * (p - 1), m / g * (p - 1 - s)),
            "no −1": lambda m, g, p, s: (m / g * p, m / g * (p - 1 - g * s)),
            "first order only": lambda m, g, p, s: (m * s, m * g * s**2 / 2),
        },
    ),
    Check(
        "G8",
        "attained by tied linear towers",
        _attained,
        _bounds,
        {
            "exponential for the product": _wrong(
                lambda scales, m, g: _closed_forms(
                    m, g, math.exp(min(g * sum(scales), 600.0)), sum(scales)
                )
            ),
            "M for M/𝓛": _wrong(lambda scales, m, g: _forms(scales, m * g, g)),
            "the last block left out": _wrong(lambda scales, m, g: _forms(scales[:-1], m, g)),
            "products without care for small scales": _wrong(_forms),
        },
    ),
    Check(
        "G8",
        "never crossed by exact towers",
        _never_crossed,
        _bounds,
        {
            "first order only": _wrong(
                lambda scales, m, g: (m * sum(_sizes(scales)), m * g * sum(_sizes(scales)) ** 2)
            ),
            "λ for |λ|": _wrong(_forms),
            "the last block left out": _wrong(
                lambda scales, m, g: _forms(_sizes(scales)[:-1], m, g)
            ),
            "half the remainder": _wrong(
                lambda scales, m, g: (
                    _forms(_sizes(scales), m, g)[0],
                    _forms(_sizes(scales), m, g)[1] / 2,
                )
            ),
        },
    ),
)
