r"""The generalisation bound put together: constants, covers and their sum, in balls (claim B3).

The ingredients hold by themselves (:mod:`~proofs_check.bounds.generalization`); here the numbers
that are printed are held against the formulas, evaluated in ball arithmetic from the fields of the
class:

.. math::

   K_F = M q^{L-1}, \quad \|F\| \le R_X + \tfrac{M}{K_\sigma} (q^L - 1), \quad
   \bar M = \min(\ell_0 + K_\ell (\|F\| + R_Y),\ \text{loss bound}), \quad
   q = 1 + \tfrac{K_\sigma R}{L},

with :math:`e^{K_\sigma R}` for the powers where one bound serves every depth. *Counts*: every entry
has :math:`\lceil R d^2/\varepsilon \rceil` starts and :math:`\lceil K T d^2/\varepsilon \rceil`
signs, or :math:`1 + 2R/\varepsilon` points in every layer. *Sums*: 2K_ℓK_Fε and the deviation,
with R + ε for R where centres lie outside the class; of a chain the sum over its covers at
ε_0, ε_1 …, cover j having the share 2^(−j−1) of δ. A printed number may lie above the formula by
10^-8 of it, the engine's margin for rounding, and not below.

**Rounding up.** The probabilities that pay for measured constants must not add up to more than 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
from flint import arb

from expansion.bounds.covering import lipschitz_entropy, parametric_entropy
from expansion.bounds.deviation import Gap
from expansion.bounds.neural_ode import NeuralODEBound, neural_ode_bound
from expansion.bounds.neural_ode_class import TowerClass, class_of_weights
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust

__all__ = ["CHECKS"]

Constants = Callable[[TowerClass, float], tuple[float, float, float]]
Entropies = Callable[[int, float, float, float, int], tuple[float, float]]
Bound = Callable[[TowerClass, int, float], NeuralODEBound]
Rounding = Callable[[TowerClass], tuple[TowerClass, float]]
Sizes = Callable[[Any, Any], tuple[float, float]]

_MARGIN = arb("1e-8")
_ROUNDING = arb(2) ** -40
_RATIOS = (Fraction(1, 2), Fraction(1, 4), Fraction(1, 8))


def _above(claimed: float, true: arb, **given: Any) -> str | None:
    """None if a logarithm is at or above the true one, and by no more than the margin."""
    size = 1 + abs(true)
    fits = true - _ROUNDING * size <= arb(claimed) <= true + _MARGIN * size
    return None if fits else difference(claimed, float(true), **given)


def _classes() -> list[TowerClass]:
    plain = TowerClass(2, 0.5, 0.5, activation=1.5, input_radius=1.0, target_radius=0.25)
    one = TowerClass(1, 3.0, 0.0, activation=0.5, input_radius=2.0, target_radius=0.0)
    steep = replace(plain, activation_slope=2.0, loss_slope=3.0, loss_at_target=0.75)
    limited = replace(steep, loss_bound=1.0)
    classes = [plain, one, steep, limited]
    return [replace(one, depth=depth) for one in classes for depth in (None, 1, 5)]


# --- constants --------------------------------------------------------------------------------


def _constants(subject: Constants, effort: Effort) -> Evidence:
    def cases() -> Iterator[str | None]:
        for towers, excess in product(_classes(), (0.0, 0.125)):
            given = {"towers": towers, "excess": excess}
            claimed = subject(towers, excess)
            true = [value.log() for value in _sizes(towers, arb(excess))]
            for one, log in zip(claimed, true, strict=True):
                yield _above(one, log, **given)

    return exhaust(cases(), Verdict.EXHAUSTED, "twelve classes, of a depth and of every depth")


def _sizes(towers: TowerClass, excess: arb) -> tuple[arb, arb, arb]:
    """K_F, the largest output and M̄ at radius R + excess."""
    m, k = arb(towers.activation), arb(towers.activation_slope)
    gain = k * (towers.radius + excess)
    if towers.depth is None:
        grown = before = gain.exp()
    else:
        q = 1 + gain / towers.depth
        grown, before = q**towers.depth, q ** (towers.depth - 1)
    output = towers.input_radius + m / k * (grown - 1)
    loss = towers.loss_at_target + towers.loss_slope * (output + towers.target_radius)
    return m * before, output, loss if towers.loss_bound is None else loss.min(towers.loss_bound)


def _printed_constants(towers: TowerClass, excess: float) -> tuple[float, float, float]:
    logs = (towers.log_lipschitz, towers.log_output, towers.log_loss)
    return tuple(float(log(excess)) for log in logs)  # type: ignore[return-value]


def _of(change: Callable[[TowerClass], TowerClass]) -> Constants:
    return lambda towers, excess: _printed_constants(change(towers), excess)


# --- covers -----------------------------------------------------------------------------------


def _entropies(subject: Entropies, effort: Effort) -> Evidence:
    depths = effort.pick(quick=(1, 3, 10), deep=tuple(range(1, 30)))
    errors = (Fraction(10, 97), Fraction(31, 97), Fraction(71, 97))

    def cases() -> Iterator[str | None]:
        for d, slope, error, depth in product((1, 2, 3), (0.0, 0.5, 4.0), errors, depths):
            radius = 1.25
            claimed = subject(d, radius, slope, float(error), depth)
            starts = Fraction(radius) * d**2 / error
            steps = Fraction(slope) * Fraction(depth - 1, depth) * d**2 / error
            if starts.denominator == 1 or (steps and steps.denominator == 1):
                continue  # a float cannot tell a whole quotient from what is just above
            layers = depth if slope else 1
            points = 1 + 2 * arb(radius) / arb(float(error))
            true = (
                d**2 * (arb(math.ceil(starts)).log() + math.ceil(steps) * arb(2).log()),
                layers * d**2 * points.log(),
            )
            given = {"d": d, "radius": radius, "slope": slope, "error": error, "depth": depth}
            for one, log in zip(claimed, true, strict=True):
                yield _above(one, log, **given)

    return exhaust(
        cases(),
        Verdict.EXHAUSTED,
        f"d ≤ 3, depths ≤ {max(depths)}, three errors, no quotient whole",
    )


def _printed_entropies(
    d: int, radius: float, slope: float, error: float, depth: int
) -> tuple[float, float]:
    lipschitz = lipschitz_entropy(d, radius, slope, error, depth)
    return float(lipschitz), float(parametric_entropy(d, radius, slope, error, depth))


# --- the sum ----------------------------------------------------------------------------------


def _bounds(subject: Bound, effort: Effort) -> Evidence:
    samples = effort.pick(quick=(100, 10**6), deep=(1, 10, 100, 10**4, 10**6, 10**9))

    def cases() -> Iterator[str | None]:
        for towers, n, delta in product(_classes(), samples, (0.05, 0.5)):
            given = {"towers": towers, "samples": n, "delta": delta}
            found = subject(towers, n, delta)
            for gap in found.gaps:
                logs = [value.log() for value in _gaps(towers, gap, n, delta)]
                fits = [_above(gap.log_total, log, **given, cover=gap.cover) for log in logs]
                yield None if None in fits else fits[0]
            yield difference(found.log_gap, min(gap.log_total for gap in found.gaps), **given)
            least = found.smallest_sample
            if least is not None and least < 10**15:
                around = [subject(towers, k, delta) for k in (least, least - 1) if k]
                claimed = [one.vacuous for one in around]
                yield difference(claimed, [False, True][: len(around)], **given, least=least)

    return exhaust(cases(), Verdict.EXHAUSTED, f"twelve classes, n ≤ {max(samples):,}, two δ")


def _gaps(towers: TowerClass, gap: Gap, n: int, delta: float) -> list[arb]:
    """What the bound may be at the ε that it names: for a chain, by each ratio of its covers."""
    if gap.cover == "parametric":
        count = _log_points(towers, arb(gap.epsilon))
        return [_one_cover(towers, gap.epsilon, count, n, delta, outside=False)]
    if gap.cover == "lipschitz":
        count = _log_codes(towers, towers.radius, gap.epsilon)
        outside = gap.epsilon < towers.radius
        return [_one_cover(towers, gap.epsilon, count, n, delta, outside=outside)]
    return [_chain(towers, gap, ratio, n, delta) for ratio in _RATIOS]


def _one_cover(
    towers: TowerClass, epsilon: float, count: arb, n: int, delta: float, *, outside: bool
) -> arb:
    lipschitz, _, loss = _sizes(towers, arb(epsilon if outside else 0.0))
    moved = 2 * towers.loss_slope * lipschitz * arb(epsilon)
    return moved + loss * ((count - arb(delta).log()) / (2 * n)).sqrt()


def _chain(towers: TowerClass, gap: Gap, ratio: Fraction, n: int, delta: float) -> arb:
    epsilons = [gap.epsilon * float(ratio) ** (j - gap.levels) for j in range(gap.levels + 1)]
    excess = arb(epsilons[0]) / (1 - arb(float(ratio)))
    lipschitz, _, loss = _sizes(towers, excess)
    moved = [2 * towers.loss_slope * lipschitz * arb(epsilon) for epsilon in epsilons]
    total = moved[-1]
    for j, (span, epsilon) in enumerate(zip([loss, *moved[:-1]], epsilons, strict=True)):
        count = _log_codes(towers, float((towers.radius + excess).mid()), epsilon)
        share = (j + 1) * arb(2).log() - arb(delta).log()
        total += span * ((count + share) / (2 * n)).sqrt()
    return total


def _log_codes(towers: TowerClass, radius: float, epsilon: float) -> arb:
    """log N of the Lipschitz cover of towers of that radius."""
    if epsilon >= radius:
        return arb(0)
    entries = towers.dimension**2
    share = 1.0 if towers.depth is None else 1 - 1 / towers.depth
    starts = max(1, math.ceil(np.nextafter(radius * entries / epsilon, np.inf)))
    quotient = towers.slope * share * entries / epsilon
    steps = math.ceil(np.nextafter(quotient, np.inf)) if quotient else 0
    return entries * (arb(starts).log() + steps * arb(2).log())


def _log_points(towers: TowerClass, epsilon: arb) -> arb:
    if epsilon >= towers.radius:
        return arb(0)
    layers = (towers.depth or 1) if towers.slope else 1
    return layers * towers.dimension**2 * (1 + 2 * arb(towers.radius) / epsilon).log()


def _changed(change: Callable[[TowerClass, Gap, int, float], float]) -> Bound:
    """A bound whose parts are added up wrongly: the new log of the deviation."""

    def wrong(towers: TowerClass, samples: int, delta: float) -> NeuralODEBound:
        found = neural_ode_bound(towers, samples, delta)
        gaps = [
            replace(gap, log_deviation=change(towers, gap, samples, delta)) for gap in found.gaps
        ]
        return replace(found, gaps=tuple(sorted(gaps, key=lambda gap: gap.log_total)))

    return wrong


def _half_approximation(towers: TowerClass, samples: int, delta: float) -> NeuralODEBound:
    """K_ℓK_Fε for 2K_ℓK_Fε."""
    found = neural_ode_bound(towers, samples, delta)
    gaps = [replace(g, log_approximation=g.log_approximation - math.log(2)) for g in found.gaps]
    return replace(found, gaps=tuple(sorted(gaps, key=lambda gap: gap.log_total)))


# --- rounding up ------------------------------------------------------------------------------


def _rounded(subject: Rounding, effort: Effort) -> Evidence:
    """The whole grid of R and of K: what each costs, and that it holds what was measured."""
    radii, powers = effort.pick(quick=(60, 24), deep=(2000, 200))
    plain = TowerClass(1, 1.0, 1.0, activation=1.0, input_radius=1.0, target_radius=1.0)

    def cases() -> Iterator[str | None]:
        total = 0.0
        for i in range(1, radii + 1):
            # Just below the powers, so that rounding takes every place of the grid once.
            below = (2.0 ** (j / 4) * (1 - 1e-9) for j in range(-powers, powers + 1))
            for slope in (0.0, *below):
                grid, cost = subject(replace(plain, radius=i / 16, slope=slope))
                total += math.exp(-cost)
                near = slope <= grid.slope <= slope * (1 + 1e-8)
                yield difference((grid.radius, near), (i / 16, True), radius=i / 16, slope=slope)
        yield difference(bool(0.5 < total <= 1.0), True, total=total)
        for radius, slope in product((0.01, 0.49, 3.3), (0.0, 0.3, 7.7)):
            grid, _ = subject(replace(plain, radius=radius, slope=slope))
            above = radius <= grid.radius <= radius + 1 / 16 and slope <= grid.slope <= 1.2 * slope
            yield difference(above, True, radius=radius, slope=slope)

    reach = f"R to {radii}/16 and K from 2^-{powers}/4 to 2^{powers}/4 and 0"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _cheaper(towers: TowerClass) -> tuple[TowerClass, float]:
    grid, cost = towers.rounded_up()
    return grid, cost - math.log(16 * towers.radius + 1)


# --- constants read off a network -------------------------------------------------------------


def _read_off(subject: Sizes, effort: Effort) -> Evidence:
    """R and K of weights in eighths, so that every sum is exact but for the margin upwards."""
    random = effort.random("constants of weights")
    number = effort.samples(45)
    reach = "weights in eighths, L ≤ 5, d ≤ 3"
    for case in range(1, number + 1):
        depth, d = random.randrange(1, 6), random.randrange(1, 4)
        weights = np.array([random.randrange(-8, 9) / 8 for _ in range(depth * d * d)]).reshape(
            depth, d, d
        )
        radius = max(sum(abs(entry) for row in layer for entry in row) for layer in weights)
        steps = [abs(b - a).max() for a, b in pairwise(weights)]
        true = (float(radius), depth * float(max(steps, default=0.0)))
        claimed = subject(weights, np.ones((1, d)))
        if not all(t <= c <= t * (1 + 1e-9) for c, t in zip(claimed, true, strict=True)):
            found = difference(claimed, true, weights=weights)
            return Evidence(Verdict.REFUTED, reach, case, effort.seed, found)
    return Evidence(Verdict.SAMPLED, reach, number, effort.seed)


def _class_sizes(weights: Any, inputs: Any) -> tuple[float, float]:
    found = class_of_weights(weights, inputs)
    return found.radius, found.slope


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "B3",
        "constants of a class, in balls",
        _constants,
        _printed_constants,
        {
            "one block more": _of(
                lambda c: c if c.depth is None else replace(c, depth=c.depth + 1)
            ),
            "K_ℓ left out": _of(lambda c: replace(c, loss_slope=1.0)),
            "R_Y left out": _of(lambda c: replace(c, target_radius=0.0)),
            "ℓ_0 left out": _of(lambda c: replace(c, loss_at_target=0.0)),
            "K_σ left out": _of(lambda c: replace(c, activation_slope=1.0)),
            "R for R + ε": lambda towers, excess: _printed_constants(towers, 0.0),
        },
    ),
    Check(
        "B3",
        "counts of covers, in balls",
        _entropies,
        _printed_entropies,
        {
            "d for d²": lambda d, r, k, e, n: tuple(
                value / d for value in _printed_entropies(d, r, k, e, n)
            ),
            "ε for ε/d²": lambda d, r, k, e, n: _printed_entropies(d, r, k, d**2 * e, n),
            "one layer for all": lambda d, r, k, e, n: (
                _printed_entropies(d, r, k, e, n)[0],
                _printed_entropies(d, r, k, e, 1)[1],
            ),
            "R for 2R": lambda d, r, k, e, n: (
                _printed_entropies(d, r, k, e, n)[0],
                _printed_entropies(d, r / 2, k, e, n)[1],
            ),
        },
    ),
    Check(
        "B3",
        "the bound as the sum of its parts, in balls",
        _bounds,
        neural_ode_bound,
        {
            "K_ℓK_Fε for 2K_ℓK_Fε": _half_approximation,
            "4n for 2n": _changed(lambda c, gap, n, delta: gap.log_deviation - math.log(2) / 2),
            "M̄ left out": _changed(
                lambda c, gap, n, delta: gap.log_deviation - float(c.log_loss())
            ),
            "another δ": lambda c, n, delta: neural_ode_bound(c, n, (delta + 1) / 2),
            "R for R + ε": _changed(
                lambda c, gap, n, delta: (
                    gap.log_deviation
                    + float(c.log_loss())
                    - float(c.log_loss(gap.epsilon if gap.epsilon < c.radius else 0.0))
                )
            ),
        },
    ),
    Check(
        "B3",
        "what measured constants cost",
        _rounded,
        TowerClass.rounded_up,
        {
            "1/i for 1/i(i+1)": _cheaper,
            "nothing paid": lambda towers: (towers.rounded_up()[0], 0.0),
            "rounded down": lambda towers: (
                replace(towers.rounded_up()[0], radius=math.floor(16 * towers.radius) / 16),
                towers.rounded_up()[1],
            ),
        },
    ),
    Check(
        "B3",
        "R and K of given weights",
        _read_off,
        _class_sizes,
        {
            "steps without L": lambda w, x: (_class_sizes(w, x)[0], _class_sizes(w, x)[1] / len(w)),
            "the largest entry for the sum": lambda w, x: (
                float(np.abs(w).max()),
                _class_sizes(w, x)[1],
            ),
            "the first layer for all": lambda w, x: (
                _class_sizes(w[:1], x)[0],
                _class_sizes(w, x)[1],
            ),
        },
    ),
)
