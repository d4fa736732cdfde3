r"""Certified truncation: the bounds by their recursion, attained, and never crossed (claim B1).

**Closed forms.** The bounds of the orders start at :math:`\sum |\lambda_l| B_l = \rho q` and each
is q times the one before; the tail after K is the bound of order K + 1 and the tail after K + 1,
and vanishes as K grows. This determines both.

**Complex ranges.** The bounds of :math:`|\varphi|` on discs against φ at points of the disc, in
balls; beyond a pole they must be infinite. Poles are where real balls mislead.

**Attained.** In one dimension a branch with coefficients ≥ 0 at 0 is its own majorant, and with
scales ≥ 0 nothing cancels: the bounds of the majorant tower are the orders themselves, its tail is
what is left of the output, and a decoder of that kind changes nothing.

**Never crossed.** Exact polynomial towers, whose orders and outputs are fractions, and towers of
tanh units in balls; both the theorem and the majorant tower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import sympy
from flint import acb, arb, ctx
from hypothesis import strategies as st

from expansion.bounds.ball_series import encoded, orders_in_balls
from expansion.bounds.balls import PRECISION, ball_matrix, norm
from expansion.bounds.balls import ball as ball_of
from expansion.bounds.complex_range import range_bound
from expansion.bounds.remainder import cauchy_bounds, certified_truncation
from expansion.series.jets import jet_orders
from expansion.towers.arrays import Array, as_array
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from proofs_check.balls import ball
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.sampling import sample
from proofs_check.strategies import float_towers, points, polynomial_towers

__all__ = ["CHECKS"]

Forms = Callable[[Any, Any, int], tuple[Sequence[Any], Any]]
Range = Callable[[str, arb, arb], arb]
Attained = Callable[[Tower, int], Sequence[arb]]
Bounds = Callable[[Tower, Array, int], tuple[Sequence[arb], arb]]

_ORDER = 3
_WIDTH = arb(2) ** -40
_RADII = [Fraction(2) ** k for k in range(-12, 13)]


# --- closed forms -----------------------------------------------------------------------------


def _closed_forms(subject: Forms, effort: Effort) -> Evidence:
    largest = effort.pick(quick=6, deep=20)

    def cases() -> Iterator[str | None]:
        for rho in (Fraction(1, 3), Fraction(1), Fraction(5, 2)):
            for q in (Fraction(k, largest + 5) for k in range(1, largest + 5)):
                for order in range(1, largest + 1):
                    given = {"rho": rho, "q": q, "order": order}
                    orders, tail = subject(rho, q, order)
                    steps = [orders[0] - rho * q]
                    steps += [b - q * a for a, b in pairwise(orders)]
                    steps.append(tail * (1 - q) - q * orders[-1])
                    yield difference(steps, [Fraction(0)] * (order + 1), **given)

    reach = f"orders ≤ {largest}, as many q as the degree of the identities asks for"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


# --- complex ranges ---------------------------------------------------------------------------

_VALUES: dict[str, Callable[[acb], acb]] = {
    "tanh": lambda w: w.tanh(),
    "sigmoid": lambda w: 1 / (1 + (-w).exp()),
    "sin": lambda w: w.sin(),
    "cos": lambda w: w.cos(),
    "erf": lambda w: w.erf(),
    "gelu": lambda w: w * (1 + (w / arb(2).sqrt()).erf()) / 2,
    "exp": lambda w: w.exp(),
    "log": lambda w: w.log(),
    "inverse": lambda w: 1 / w,
    "linear": lambda w: w,
}


def _ranges(subject: Range, effort: Effort) -> Evidence:
    turns = effort.pick(quick=16, deep=64)
    centres = (-3, Fraction(-1, 2), 0, Fraction(1, 4), 2)
    radii = [Fraction(k, 4) for k in (0, 1, 3, 5, 6, 7, 9, 12, 16)]

    def cases() -> Iterator[str | None]:
        for name, value in _VALUES.items():
            for centre in centres:
                for radius in radii:
                    if name in ("log", "inverse") and centre <= radius:
                        continue  # the disc holds the singularity
                    given = {"function": name, "centre": centre, "radius": radius}
                    a, t = ball(Fraction(centre)), ball(radius)
                    claimed = subject(name, a, t)
                    values = [abs(value(point)) for point in _disc(a, t, turns)]
                    sizes = [size for size in values if size.is_finite()]
                    broken = [size for size in sizes if not _holds(claimed, size)]
                    yield _crossed(claimed, broken[0], **given) if broken else None

    return exhaust(cases(), Verdict.EXHAUSTED, f"discs about {len(centres)} centres, in balls")


def _holds(bound: arb, size: arb) -> bool:
    """Whether a bound is not crossed, up to the width of balls where it is attained."""
    if bound < size:
        return False
    if not bound.is_finite() or size <= bound + (1 + abs(bound)) * _WIDTH:
        return True
    raise ArithmeticError("balls too wide to compare; raise their precision")


def _disc(a: arb, t: arb, turns: int) -> Iterator[acb]:
    for share in (arb(1), arb(7) / 8, arb(1) / 2):
        for turn in range(turns + 1):
            angle = arb.pi() * turn / turns
            yield acb(a + share * t * angle.cos(), share * t * angle.sin())


def _crossed(claimed: arb, true: arb, **given: Any) -> str | None:
    if float(claimed) == float(true):  # apart by less than floats can tell
        return difference(claimed.str(40), true.str(40), **given)
    return difference(float(claimed), float(true), **given)


# --- attained ---------------------------------------------------------------------------------


def _attained(subject: Attained, effort: Effort) -> Evidence:
    u = sympy.Symbol("u")
    half = sympy.Rational(1, 2)
    formulas = [
        1 + u,
        half + u**2,
        1 + u / 3 + u**3,
        (1 + u) ** 2,
        sympy.exp(u),
        2 * sympy.exp(u) * u + 1,
    ]
    depths = effort.pick(quick=(1, 2, 4), deep=(1, 2, 3, 4, 6, 8))

    decoders = (None, SymbolicBranch((u,), (2 * u + u**2,)), SymbolicBranch((u,), (sympy.exp(u),)))

    def cases() -> Iterator[str | None]:
        for formula, decoder in product(formulas, decoders):
            for depth in depths:
                scales = [Fraction(1, 4 * block) for block in range(1, depth + 1)]
                branch = SymbolicBranch((u,), (formula,))
                tower = Tower.tied(branch, depth, scales, decoder=decoder)
                given = {"formula": formula, "decoder": decoder, "scales": scales}
                with ctx.workprec(PRECISION):
                    # Orders by formulas, which may hold e; the output by composition.
                    first, *true = (ball_of(row[0]) for row in jet_orders(tower, [0], 6))
                    true.append(orders_in_balls(tower, [0], 0)[-1][0] - sum(true, first))
                    pairs = list(zip(subject(tower, 6), true, strict=True))
                    near = [c.is_finite() and abs(c - t) <= arb(2) ** -80 for c, t in pairs]
                for (claimed, size), close in zip(pairs, near, strict=True):
                    yield None if close else difference(float(claimed), float(size), **given)

    reach = f"six branches of one variable, depths ≤ {max(depths)}, orders ≤ 6 and tails, decoders"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _majorant_orders(tower: Tower, order: int) -> Sequence[arb]:
    found = certified_truncation(tower, [0], order)
    return [*found.majorant.orders[1 : order + 1], found.majorant.tail(order)]


def _cauchy_orders(tower: Tower, order: int) -> Sequence[arb]:
    found = certified_truncation(tower, [0], order)
    return [*(found.cauchy.order(k) for k in range(1, order + 1)), found.cauchy.tail(order)]


def _rescaled(change: Callable[[list[Any]], list[Any]]) -> Attained:
    def wrong(tower: Tower, order: int) -> Sequence[arb]:
        scales = change(list(tower.scales))
        branches = tower.branches[: len(scales)]
        return _majorant_orders(Tower(branches, scales, decoder=tower.decoder), order)

    return wrong


def _without_decoder(tower: Tower, order: int) -> Sequence[arb]:
    return _majorant_orders(Tower(tower.branches, tower.scales), order)


def _tail_bounded_alone(tower: Tower, order: int) -> Sequence[arb]:
    """The orders that are bounded one by one, and nothing beyond them."""
    *orders, _ = _majorant_orders(tower, order)
    majorant = certified_truncation(tower, [0], order).majorant
    return [*orders, sum(majorant.orders[order + 1 : order + 4], arb(0))]


# --- never crossed ----------------------------------------------------------------------------


def _never_crossed(subject: Bounds, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        with ctx.workprec(PRECISION):
            sizes = _sizes(tower, point)
            orders, tail = subject(tower, point, _ORDER)
            claimed = [*orders, tail]
            for one, true in zip(claimed, sizes, strict=True):
                if not _holds(one, true):
                    return _crossed(one, true, tower=tower, point=point)
        return None

    towers = st.one_of(
        polynomial_towers(depths=(1, 3)), polynomial_towers(depths=(1, 2), ends=True)
    )
    exact = st.tuples(towers, points(2))
    floats = st.tuples(_tanh_towers(), st.just(np.array([0.5, -1.0])))
    places = st.one_of(exact, floats, _positive_lines())
    reach = "polynomial, tanh and affine towers, with decoders, depths ≤ 6, any scales, orders ≤ 3"
    return sample(places, counterexample, effort, name="B1 crossed", number=60, reach=reach)


@st.composite
def _positive_lines(draw: st.DrawFn) -> tuple[Tower, Array]:
    """Tied 𝓛 x + M at 0, all positive, also below a steep decoder: its majorant is itself."""
    eighths = st.integers(1, 8).map(lambda k: Fraction(k, 8))
    branch = AffineBranch([[draw(eighths)]], [draw(eighths)])
    steep = AffineBranch([[Fraction(64)]], [Fraction(1)])
    tower = Tower.tied(
        branch,
        draw(st.integers(4, 6)),
        draw(eighths),
        decoder=draw(st.sampled_from([None, steep])),
    )
    return tower, as_array([0], "x")


def _tanh_towers() -> st.SearchStrategy[Tower]:
    scales = st.lists(
        st.sampled_from([Fraction(k, 8) for k in (1, -1, 2, -4, 8)]), min_size=4, max_size=4
    )

    def scaled(drawn: tuple[Tower, list[Fraction]]) -> Tower:
        tower, listed = drawn
        return Tower(tower.branches, ScalingRule.of(listed[: tower.depth]))

    return st.tuples(float_towers(("tanh",), dimension=2), scales).map(scaled)


def _sizes(tower: Tower, point: Array) -> list[arb]:
    """‖P_1‖..‖P_K‖ and the tail, by fractions where the tower is exact."""
    if tower.is_exact:
        exact = jet_orders(tower, point, _ORDER)
        parts = [*exact[1:], tower(point) - exact.sum(axis=0)]
        return [norm(ball(entry) for entry in part) for part in parts]
    *orders, output = orders_in_balls(tower, point, _ORDER)
    rest = [y - sum(p, arb(0)) for y, *p in zip(output, *orders, strict=True)]
    return [norm(part) for part in (*orders[1:], rest)]


def _majorant(tower: Tower, point: Array, order: int) -> tuple[Sequence[arb], arb]:
    found = certified_truncation(tower, point, order).majorant
    return found.orders[1 : order + 1], found.tail(order)


def _cauchy(tower: Tower, point: Array, order: int) -> tuple[Sequence[arb], arb]:
    found = certified_truncation(tower, point, order).cauchy
    return [found.order(k) for k in range(1, order + 1)], found.tail(order)


# --- mistakes ---------------------------------------------------------------------------------


def _real_range(name: str, a: arb, t: arb) -> arb:
    """The largest value on the real interval, for functions that grow along it."""
    return (abs(a) + t).tanh() if name == "tanh" else range_bound(name, a, t)


def _late_poles(name: str, a: arb, t: arb) -> arb:
    """As if tanh had its poles at ±iπ."""
    return range_bound("tanh", a / 2, t / 2) if name == "tanh" else range_bound(name, a, t)


def _half_radius(name: str, a: arb, t: arb) -> arb:
    return range_bound(name, a, t / 2)


def _at_the_centre(name: str, a: arb, t: arb) -> arb:
    return range_bound(name, a, t * 0)


def _theorem(
    ranges: Range = range_bound,
    weigh: Callable[[arb], arb] = abs,
    share: Callable[[arb, arb], arb] = lambda total, rho: total / rho,
) -> Bounds:
    """The theorem for tanh units at the radius of least tail, with parts that may be wrong."""

    def bounds(tower: Tower, point: Array, order: int) -> tuple[Sequence[arb], arb]:
        if not all(isinstance(branch, MLPBranch) for branch in tower.branches):
            return _cauchy(tower, point, order)
        start = encoded(tower, point)
        best: tuple[Sequence[arb], arb] = ([arb("inf")] * order, arb("inf"))
        for radius in map(ball, _RADII):
            total = sum(
                (
                    weigh(ball(scale)) * _size_on_ball(branch, start, radius, ranges)
                    for scale, branch in zip(tower.scales, tower.branches, strict=True)
                ),
                arb(0),
            )
            found = cauchy_bounds(radius, share(total, radius), order)
            best = found if found[1] < best[1] else best
        return best

    return bounds


def _size_on_ball(branch: Any, start: list[arb], radius: arb, ranges: Range) -> arb:
    """‖V‖_F (Σ_j S_j²)^½ + ‖c‖, S_j the range of a unit on its disc."""
    inner = ball_matrix(branch.inner)
    before = [
        sum((u * x for u, x in zip(row, start, strict=True)), arb(0)) for row in inner.tolist()
    ]
    biases = [ball(float(b)) for b in branch.inner_bias]
    rows = [norm(row) for row in inner.tolist()]
    sizes = [
        ranges(branch.activation.name, a + b, row * radius)
        for a, b, row in zip(before, biases, rows, strict=True)
    ]
    outer = norm(ball_matrix(branch.outer).entries())
    return outer * norm(sizes) + norm(ball(float(c)) for c in branch.outer_bias)


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "B1",
        "closed forms by their recursion",
        _closed_forms,
        cauchy_bounds,
        {
            "q^K for q^(K+1)": lambda r, q, k: (cauchy_bounds(r, q, k)[0], r * q**k / (1 - q)),
            "no 1/(1 − q)": lambda r, q, k: (cauchy_bounds(r, q, k)[0], r * q ** (k + 1)),
            "ρ left out": lambda r, q, k: cauchy_bounds(Fraction(1), q, k),
            "orders from 0": lambda r, q, k: (
                [r * q**j for j in range(k)],
                cauchy_bounds(r, q, k)[1],
            ),
        },
    ),
    Check(
        "B1",
        "complex ranges at points of their discs",
        _ranges,
        range_bound,
        {
            "a real ball for a complex one": _real_range,
            "poles at ±iπ for ±iπ/2": _late_poles,
            "half the radius": _half_radius,
            "no centre": lambda name, a, t: range_bound(name, a * 0 + 1, t),
        },
    ),
    Check(
        "B1",
        "majorants attained by branches without cancellation",
        _attained,
        _majorant_orders,
        {
            "Cauchy's estimate for the majorant": _cauchy_orders,
            "Σ λ² for Σ λ": _rescaled(lambda scales: [s * s for s in scales]),
            "the last block left out": _rescaled(lambda scales: scales[:-1] or [Fraction(0)]),
            "one scale for all": _rescaled(lambda scales: [max(scales)] * len(scales)),
            "the decoder left out": _without_decoder,
            "the tail cut after three orders": _tail_bounded_alone,
        },
    ),
    Check(
        "B1",
        "the majorant tower never crossed",
        _never_crossed,
        _majorant,
        {
            "half the tail": lambda t, x, k: (_majorant(t, x, k)[0], _majorant(t, x, k)[1] / 2),
            "the tail after the next order": lambda t, x, k: (
                _majorant(t, x, k)[0],
                _majorant(t, x, k + 1)[1],
            ),
            "the orders one too early": lambda t, x, k: (
                _majorant(t, x, k + 1)[0][1:],
                _majorant(t, x, k)[1],
            ),
        },
    ),
    Check(
        "B1",
        "the theorem never crossed",
        _never_crossed,
        _cauchy,
        {
            "a real ball for a complex one": _theorem(_real_range),
            "B at x for B on the ball": _theorem(_at_the_centre),
            "Σ λ² for Σ |λ|": _theorem(weigh=lambda scale: scale * scale),
            "λ for |λ|": _theorem(weigh=lambda scale: scale),
            "ρ left out of q": _theorem(share=lambda total, rho: total),
        },
    ),
)
