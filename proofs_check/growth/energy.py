r"""Energies, exactly and without sampling (claims G1, G2).

G1 and G2 need no Gaussian weights: independent branches, symmetric in sign, that preserve energy
are enough. The smallest such branch is :math:`f(x) = V\,\mathrm{relu}(U x)` with d = 2, width 1,
U = (±1, ±1) and V = (±7/5, ±1/5). Over its 16 sign patterns :math:`E\,\mathrm{relu}(U x)^2 =
\frac12 E (U x)^2 = \frac12 \|x\|^2` and :math:`\|V\|^2 = 2`, so that
:math:`E\|f(x)\|^2 = \|x\|^2`, and everything stays rational. No state may lie on the boundary of
a gate, where frozen gates have no meaning: Gaussian weights never put one there, but V = (±1, ±1)
would at λ = ½, because 1 + λUV vanishes.

**Every pattern of every block** is gone through: equal states are merged and counted, which
leaves at most 9 of 16 for each block. Means over all of them are exact.

**One block, every state** (the step of an induction on the depth). While no gate changes, the
orders P_j of a state move to :math:`P_j + \lambda J P_{j-1}` with one matrix J, and the mean over
the patterns

.. math::

   E\langle p + \lambda J p',\; q + \lambda J q' \rangle
   = \langle p, q \rangle + \lambda^2 \langle p', q' \rangle

is an identity of polynomials in p, p', q, q' and λ. The gates depend on the state only through
the signs of x_1 ± x_2, and each of the four cones is checked. Hence
:math:`E\langle P_j, P_k \rangle` grows by :math:`\lambda^2 E\langle P_{j-1}, P_{k-1} \rangle` in
each block: the recursion of the elementary symmetric polynomials on the diagonal, zero beside
it. With p = q = p' = q' = x it is the step :math:`q_{n+1} = (1 + \lambda^2) q_n` of G1, and then it
holds on the boundaries too, where U x = 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import comb, factorial, prod
from typing import Any

import sympy

from expansion.growth.energy import exact_energy
from expansion.growth.spectrum import exact_spectrum
from expansion.series.gated_paths import gated_orders
from expansion.towers.arrays import as_array
from expansion.towers.branches.layered import relu_branch
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from expansion.trees.counting import weighted_path_counts
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.mistakes import PathOrders, scales_forgotten, without_gates

__all__ = ["CHECKS", "SIGN_PATTERNS", "gram_matrix"]

Energy = Callable[[ScalingRule, int], Any]
SpectrumOf = Callable[[ScalingRule, int, int], Sequence[Any]]
Orders = tuple[tuple[int, int], ...]

_SIGNS = tuple(product((-1, 1), repeat=2))
_OUTER = tuple(product((-7, 7), (-1, 1)))
_OUTER_UNIT = 5
SIGN_PATTERNS = tuple(
    (u, tuple(Fraction(entry, _OUTER_UNIT) for entry in v)) for u, v in product(_SIGNS, _OUTER)
)
"""All (U, V) of one block."""

_POINT = (3, 1)
_LISTED = (Fraction(1, 2), Fraction(1, 3), Fraction(3, 2), Fraction(2, 5))
_ONE, _HALF = Fraction(1), Fraction(1, 2)

# Rational cases of every rule: its scales written out, and the factor s² of its blocks.
_RULES: tuple[tuple[str, tuple[Fraction, ...], Fraction], ...] = (
    *(("1", (_ONE,) * n, _ONE) for n in (1, 2, 3)),
    *(("1/n", (Fraction(1, n),) * n, _ONE) for n in (2, 3)),
    ("1/sqrt(n)", (_ONE,), _ONE),
    ("1/sqrt(n)", (_HALF,) * 4, _ONE),
    *(("half", (_ONE,) * n, _HALF) for n in (1, 3)),
    ("batchnorm", (_ONE,), _ONE),
    ("skipinit", (Fraction(0),) * 2, _ONE),
)

# λ_l² of block l at depth n, written out, and s²: irrational scales too.
_SQUARES: dict[str, tuple[Callable[[int, int], Fraction], Fraction]] = {
    "1": (lambda n, block: _ONE, _ONE),
    "1/n": (lambda n, block: Fraction(1, n**2), _ONE),
    "1/sqrt(n)": (lambda n, block: Fraction(1, n), _ONE),
    "batchnorm": (lambda n, block: Fraction(1, block), _ONE),
    "half": (lambda n, block: _ONE, _HALF),
    "skipinit": (lambda n, block: Fraction(0), _ONE),
    "0.3": (lambda n, block: Fraction(9, 100), _ONE),
}


def _distribution(scales: Sequence[Fraction]) -> tuple[Counter[Orders], int]:
    """All states of a tower of sign weights with their multiplicities, in whole numbers.

    A state is its orders P_0..P_n, in units of 1/unit.
    """
    states = Counter({(_POINT, *[(0, 0)] * len(scales)): 1})
    unit = 1
    for block, scale in enumerate(scales):
        following: Counter[Orders] = Counter()
        for orders, count in states.items():
            for moved, times in _after_block(orders, scale, block).items():
                following[moved] += times * count
        states = following
        unit *= _OUTER_UNIT * scale.denominator
    return states, unit


def _after_block(orders: Orders, scale: Fraction, block: int) -> Counter[Orders]:
    """The states after one more block, over its 16 patterns; ``block`` were before."""
    state = [sum(column) for column in zip(*orders, strict=True)]
    unit = _OUTER_UNIT * scale.denominator
    same = tuple((unit * p[0], unit * p[1]) for p in orders)
    after: Counter[Orders] = Counter()
    for u in _SIGNS:
        gate = u[0] * state[0] + u[1] * state[1]
        hidden = [scale.numerator * (u[0] * p[0] + u[1] * p[1]) for p in orders[: block + 1]]
        if gate == 0 and any(hidden):
            raise ArithmeticError("a state lies on a gate's boundary; choose another input")
        if gate <= 0:
            after[same] += len(_OUTER)
            continue
        for v in _OUTER:
            pairs = zip(same[1 : block + 2], hidden, strict=True)
            moved = [(p[0] + v[0] * h, p[1] + v[1] * h) for p, h in pairs]
            after[(same[0], *moved, *same[block + 2 :])] += 1
    return after


def gram_matrix(scales: Sequence[Fraction]) -> list[list[Fraction]]:
    """E⟨P_j, P_k⟩/‖x‖² over all patterns of all blocks, exactly.

    Examples
    --------
    >>> [[str(v) for v in row] for row in gram_matrix([Fraction(1, 2)])]
    [['1', '0'], ['0', '1/4']]
    """
    return _known_gram(tuple(scales))


@lru_cache(maxsize=64)
def _known_gram(scales: tuple[Fraction, ...]) -> list[list[Fraction]]:
    return _gram(*_distribution(scales))


def _gram(states: Mapping[Any, int], unit: int) -> list[list[Fraction]]:
    size = range(len(next(iter(states))))
    norm = sum(states.values()) * unit**2 * _dot(_POINT, _POINT)

    def mean(j: int, k: int) -> Fraction:
        total = sum(count * _dot(orders[j], orders[k]) for orders, count in states.items())
        return Fraction(total) / norm

    upper = {(j, k): mean(j, k) for j in size for k in size[j:]}
    return [[upper[min(j, k), max(j, k)] for k in size] for j in size]


def _dot(p: Sequence[Any], q: Sequence[Any]) -> Any:
    return p[0] * q[0] + p[1] * q[1]


def _diagonal(values: Sequence[Any]) -> list[list[Any]]:
    """Energies on the diagonal, no correlation beside it."""
    size = range(len(values))
    return [[values[j] if j == k else Fraction(0) for k in size] for j in size]


# --- every pattern ----------------------------------------------------------------------------


def _cases(effort: Effort) -> Iterator[tuple[ScalingRule, tuple[Fraction, ...], Fraction]]:
    for n in range(1, effort.pick(quick=3, deep=4) + 1):
        yield ScalingRule.of(_LISTED[:n]), _LISTED[:n], _ONE
    for text, scales, factor in _RULES:
        yield ScalingRule.parse(text), scales, factor


def _reach(depth: int) -> str:
    return f"all 16^n sign weights (d = 2, width 1), depths ≤ {depth}"


def _energies(subject: Energy, effort: Effort) -> Evidence:
    def cases() -> Iterator[str | None]:
        for rule, scales, factor in _cases(effort):
            depth = len(scales)
            measured = sum(map(sum, gram_matrix(scales)), Fraction(0))  # ‖Σ_k P_k‖²
            yield difference(subject(rule, depth), factor**depth * measured, rule=rule, depth=depth)

    return exhaust(cases(), Verdict.EXHAUSTED, _reach(4))


def _spectra(subject: SpectrumOf, effort: Effort) -> Evidence:
    def cases() -> Iterator[str | None]:
        for rule, scales, factor in _cases(effort):
            depth = len(scales)
            claimed = _diagonal(subject(rule, depth, depth))
            true = [[factor**depth * value for value in row] for row in gram_matrix(scales)]
            yield difference(claimed, true, rule=rule, depth=depth)

    return exhaust(cases(), Verdict.EXHAUSTED, _reach(4))


def _gated(subject: PathOrders, effort: Effort) -> Evidence:
    """The orders that the implementation finds, tower by tower, against the spectrum."""
    depth = effort.pick(quick=2, deep=3)
    branches = [relu_branch([[v[0]], [v[1]]], [u]) for u, v in SIGN_PATTERNS]

    def cases() -> Iterator[str | None]:
        for n in range(1, depth + 1):
            scales = _LISTED[:n]
            states: Counter[Any] = Counter()
            for chosen in product(branches, repeat=n):
                orders = subject(Tower(chosen, scales), as_array(_POINT, "the input"))
                states[tuple(map(tuple, orders))] += 1
            true = _diagonal(exact_spectrum(ScalingRule.of(scales), n, n))
            yield difference(_gram(states, 1), true, scales=scales)

    return exhaust(cases(), Verdict.EXHAUSTED, _reach(depth))


# --- one block, every state -------------------------------------------------------------------


def _step() -> Iterator[str | None]:
    """The mean over the patterns of one block, as a polynomial, in each cone of states."""
    p, q, before_p, before_q = (sympy.symbols(f"{name}1 {name}2") for name in "pqrs")
    scale = sympy.Symbol("lambda")
    true = _dot(p, q) + scale**2 * _dot(before_p, before_q)
    for cone in _SIGNS:  # the signs of x_1 + x_2 and x_1 − x_2
        total: Any = 0
        for u, v in SIGN_PATTERNS:
            is_open = u[0] * cone[0 if u[0] == u[1] else 1] > 0
            weights = [scale * int(is_open) * sympy.Rational(str(entry)) for entry in v]
            moved = [
                tuple(a + w * _dot(u, old) for a, w in zip(now, weights, strict=True))
                for now, old in ((p, before_p), (q, before_q))
            ]
            total += _dot(*moved)
        mean = sympy.expand(total / len(SIGN_PATTERNS))
        yield difference(sympy.expand(mean - true), 0, cone=cone)


def _block_by_block(effort: Effort) -> Iterator[tuple[ScalingRule, list[Fraction]]]:
    """Rules and depths, with the spectrum that the step leads to."""
    depth = _most_blocks(effort)
    listed = (*_LISTED, *_LISTED[::-1])
    named = [
        (ScalingRule.parse(text), [square(n, block) for block in range(1, n + 1)], factor)
        for text, (square, factor) in _SQUARES.items()
        for n in range(1, depth + 1)
    ]
    listings = [listed[:n] for n in range(1, len(listed) + 1)]
    free = [(ScalingRule.of(scales), [s**2 for s in scales], _ONE) for scales in listings]
    for rule, squares, factor in (*free, *named):
        spectrum = [_ONE]
        for square in squares:
            pairs = zip((*spectrum, Fraction(0)), (Fraction(0), *spectrum), strict=True)
            spectrum = [factor * (same + square * below) for same, below in pairs]
        yield rule, spectrum


def _energy_steps(subject: Energy, effort: Effort) -> Evidence:
    def cases() -> Iterator[str | None]:
        yield from _step()
        for rule, spectrum in _block_by_block(effort):
            depth = len(spectrum) - 1
            yield difference(subject(rule, depth), sum(spectrum), rule=rule, depth=depth)

    states = "every depth, scale and state (sign weights, d = 2, width 1)"
    return exhaust(cases(), Verdict.PROVED, f"{states}; {_rules_reach(effort)}")


def _spectrum_steps(subject: SpectrumOf, effort: Effort) -> Evidence:
    def cases() -> Iterator[str | None]:
        yield from _step()
        for rule, spectrum in _block_by_block(effort):
            depth = len(spectrum) - 1
            yield difference(list(subject(rule, depth, depth)), spectrum, rule=rule, depth=depth)

    states = "every depth, scale and state off the gates' boundaries (sign weights, d = 2, width 1)"
    return exhaust(cases(), Verdict.PROVED, f"{states}; {_rules_reach(effort)}")


def _rules_reach(effort: Effort) -> str:
    """Where the engine was held against what the step leads to."""
    return f"the engine's values for eight rules, depths ≤ {_most_blocks(effort)}"


def _most_blocks(effort: Effort) -> int:
    return effort.pick(quick=8, deep=80)


def _over_n(rule: ScalingRule) -> ScalingRule:
    """1/n taken for 1/√n."""
    return ScalingRule.parse("1/n") if rule.text == "1/sqrt(n)" else rule


_WRONG_ENERGIES: dict[str, Energy] = {
    "coherent: Π(1 + λ)² for Π(1 + λ²)": lambda rule, n: prod((1 + s) ** 2 for s in rule.scales(n)),
    "energies added up once: 1 + Σ λ²": lambda rule, n: 1 + sum(rule.squares(n)),
    "λ for λ²": lambda rule, n: prod(1 + s for s in rule.scales(n)),
    "1/n for 1/√n": lambda rule, n: exact_energy(_over_n(rule), n),
    "the last block left out": lambda rule, n: (
        prod(1 + s for s in rule.squares(n)[:-1]) * rule.block_factor_squared**n
    ),
    "block factor √2 forgotten": lambda rule, n: prod(1 + s for s in rule.squares(n)),
}
_WRONG_SPECTRA: dict[str, SpectrumOf] = {
    "e_k(λ) for e_k(λ²)": lambda rule, n, k: weighted_path_counts(rule.scales(n), k),
    "coherent: e_k(λ)² for e_k(λ²)": lambda rule, n, k: [
        e**2 for e in weighted_path_counts(rule.scales(n), k)
    ],
    "C(n, k) whatever the scales": lambda rule, n, k: [Fraction(comb(n, i)) for i in range(k + 1)],
    "1/n for 1/√n": lambda rule, n, k: exact_spectrum(_over_n(rule), n, k),
    "the limit 1/k! at every depth": lambda rule, n, k: [
        Fraction(1, factorial(i)) for i in range(k + 1)
    ],
}

CHECKS: tuple[Check[Any], ...] = (
    Check("G1", "energy block by block", _energy_steps, exact_energy, _WRONG_ENERGIES),
    Check("G1", "energy over all sign patterns", _energies, exact_energy, _WRONG_ENERGIES),
    Check("G2", "spectrum block by block", _spectrum_steps, exact_spectrum, _WRONG_SPECTRA),
    Check("G2", "spectrum over all sign patterns", _spectra, exact_spectrum, _WRONG_SPECTRA),
    Check(
        "G2",
        "gated paths over all sign patterns",
        _gated,
        gated_orders,
        {
            "no gates": without_gates,
            "gates replaced by their mean ½": lambda tower, x: without_gates(
                Tower(tower.branches, [scale / 2 for scale in tower.scales]), x
            ),
            "λ forgotten": scales_forgotten,
        },
    ),
)
