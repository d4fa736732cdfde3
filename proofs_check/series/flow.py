r"""Towers as flows, proved for every depth (claim E6).

**Depths add up as times do.** Writing :math:`\alpha_n(\tau)` for a tree's weight at depth n (its
coefficient times σ), m blocks followed by n blocks have

.. math:: \alpha_{m+n}(\tau) = \alpha_m(\tau)
   + \sum_{\text{tops}} \alpha_n(\tau^\top) \prod_s \alpha_m(s),

where a top is any part of τ that holds the root and s runs over the subtrees below it. If the
weights are polynomials in n this is an identity of polynomials in m and n, and m = 0..k decide
one of degree at most k in m. With the weights of Euler's method at n = 1 it says that n steps are
a flow, for every n.

**Modified equation.** Differentiating at n = 0 gives :math:`\alpha' = \sum_{\text{tops}}
\omega(\tau^\top) \prod_s \alpha(s)`: the flow of the field with weights ω, whose solution
with α(0) = 0 is found here tree by tree, by integrating polynomials. It must take Euler's step,
:math:`\alpha(n+1) - \alpha(n) = \prod_i \alpha_n(\tau_i)`; then it is the tower at every n.

**The limit.** The flow of f itself has weights :math:`a(\tau) t^k` with
:math:`k\,a(\tau) = \prod_i a(\tau_i)`, and the corrections times n^k must take Euler's step.

**The gap to the flow** is the tower's own orders less the flow's Lie series, and its entry of n^-j
falls like n^-j at a given time.

**On polynomial fields** the modified equation is solved by its Lie series, without trees:
:math:`\sum_j \frac{n^j}{j!} L^j x` must take Euler's step as a polynomial in n, x and λ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import factorial, prod
from typing import Any

import numpy as np
import sympy
from flint import fmpq, fmpq_mpoly_ctx, fmpq_poly
from hypothesis import strategies as st

from expansion.series.flow import (
    ModifiedField,
    depth_corrections,
    euler_logarithm,
    flow_weight,
    modified_field,
    predicted_gap,
)
from expansion.series.jets import jet_orders
from expansion.towers.arrays import Array, as_array
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower
from expansion.trees.generate import rooted_trees
from expansion.trees.order_polynomials import modified_weight, order_polynomial, to_fraction
from expansion.trees.tree import Tree
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.sampling import sample
from proofs_check.strategies import points, polynomial_branches

__all__ = ["CHECKS", "modified", "tops"]

OrderPolynomial = Callable[[Tree], fmpq_poly]
Weight = Callable[[Tree], Fraction]
Limit = Callable[[Tree], tuple[Fraction, Sequence[Fraction]]]
Field = Callable[[int], ModifiedField]
Gaps = Callable[[Tower, Array, int], Sequence[Array]]

_N = fmpq_poly([0, 1])
_ONE = fmpq_poly([1])
_RING = fmpq_mpoly_ctx.get(("n", "lambda", "x1", "x2"), "lex")


def tops(tree: Tree) -> Iterator[tuple[Tree, list[Tree]]]:
    """Every part of a tree that holds the root, with the subtrees that hang below it.

    Examples
    --------
    >>> [(str(top), len(cut)) for top, cut in tops(Tree.chain(3))]
    [('[]', 1), ('[[]]', 1), ('[[[]]]', 0)]
    """
    parts: list[tuple[tuple[Tree, ...], list[Tree]]] = [((), [])]
    for child in tree.children:
        choices = [((), [child]), *(((top,), cut) for top, cut in tops(child))]
        parts = [(kept + k, below + b) for kept, below in parts for k, b in choices]
    for kept, below in parts:
        yield Tree(kept), below


def _trees(order: int) -> Iterator[Tree]:
    for size in range(1, order + 1):
        yield from rooted_trees(size)


def _euler_step(weights: Callable[[Tree], fmpq_poly], tree: Tree) -> str | None:
    """Whether a tree's weight takes the step of Euler's method, for every n, from 0."""
    value = weights(tree)
    step = prod(map(weights, tree.children), start=_ONE)
    return difference([value(_N + 1) - value, value(0)], [step, 0], tree=tree)


# --- depths add up ----------------------------------------------------------------------------


def _composition(subject: OrderPolynomial, effort: Effort) -> Evidence:
    order = effort.pick(quick=6, deep=8)

    def cases() -> Iterator[str | None]:
        for tree in _trees(order):
            value = subject(tree)
            claimed = [value(fmpq(1)), value.degree()]
            yield difference(claimed, [int(tree.order == 1), tree.order], tree=tree)
            parts = [
                (subject(top), [subject(subtree) for subtree in cut]) for top, cut in tops(tree)
            ]
            for m in range(tree.order + 1):
                products = (
                    upper * prod((lower(fmpq(m)) for lower in cut), start=fmpq(1))
                    for upper, cut in parts
                )
                true = sum(products, fmpq_poly([value(fmpq(m))]))
                yield difference(value(_N + m), true, tree=tree, m=m)

    return exhaust(cases(), Verdict.PROVED, f"every depth m and n, orders ≤ {order}")


def _weak(tree: Tree) -> fmpq_poly:
    return (-1) ** tree.order * order_polynomial(tree)(-_N)


# --- the modified equation --------------------------------------------------------------------


def modified(subject: Weight, effort: Effort) -> Evidence:
    """Whether the flow of the field with these weights takes Euler's steps."""
    order = effort.pick(quick=7, deep=9)

    def cases() -> Iterator[str | None]:
        flow: dict[Tree, fmpq_poly] = {}
        for tree in _trees(order):
            slope = fmpq_poly([0])
            for top, cut in tops(tree):
                weight = subject(top)
                below = prod((flow[subtree] for subtree in cut), start=_ONE)
                slope += fmpq(weight.numerator, weight.denominator) * below
            flow[tree] = slope.integral()
            yield _euler_step(flow.__getitem__, tree)

    return exhaust(cases(), Verdict.PROVED, f"every depth n, orders ≤ {order}")


_WRONG_WEIGHTS: dict[str, Weight] = {
    "+½ for −½: every sign positive": lambda tree: abs(modified_weight(tree)),
    "the chain's (−1)^(k−1)/k for every shape": lambda tree: Fraction(
        (-1) ** (tree.order - 1), tree.order
    ),
    "chains only, bushes forgotten": lambda tree: (
        modified_weight(tree) if tree == Tree.chain(tree.order) else Fraction(0)
    ),
    "1/σ inside the weight": lambda tree: modified_weight(tree) / tree.symmetry,
    "depth n + 1": lambda tree: to_fraction(order_polynomial(tree)(_N + 1)[1]),
    "the unmodified field": lambda tree: Fraction(int(tree.order == 1)),
}


# --- the limit and its corrections ------------------------------------------------------------


def _limit_and_corrections(tree: Tree) -> tuple[Fraction, Sequence[Fraction]]:
    return flow_weight(tree), depth_corrections(tree)


def _limits(subject: Limit, effort: Effort) -> Evidence:
    order = effort.pick(quick=7, deep=9)

    def polynomial(tree: Tree) -> fmpq_poly:
        rational = [fmpq(c.numerator, c.denominator) for c in subject(tree)[1]]
        return fmpq_poly([0] * (tree.order + 1 - len(rational)) + rational[::-1])

    def cases() -> Iterator[str | None]:
        flow: dict[Tree, Fraction] = {}
        for tree in _trees(order):
            flow[tree] = prod((flow[c] for c in tree.children), start=Fraction(1)) / tree.order
            limit, corrections = subject(tree)
            claimed = [limit, corrections[0], len(corrections)]
            yield difference(claimed, [flow[tree], flow[tree], tree.order], tree=tree)
            yield _euler_step(polynomial, tree)

    return exhaust(cases(), Verdict.PROVED, f"every depth n and power of 1/n, orders ≤ {order}")


def _changed_corrections(change: Callable[[Tree, list[Fraction]], list[Fraction]]) -> Limit:
    def wrong(tree: Tree) -> tuple[Fraction, Sequence[Fraction]]:
        corrections = change(tree, depth_corrections(tree))
        return corrections[0], corrections

    return wrong


def _in_steps(tree: Tree, corrections: list[Fraction]) -> list[Fraction]:
    """n + 1 for n: the coefficients of the weight one block deeper."""
    deeper = order_polynomial(tree)(_N + 1)
    return [to_fraction(deeper[power]) for power in range(tree.order, 0, -1)]


# --- polynomial fields ------------------------------------------------------------------------


def _lie_series(subject: Field, effort: Effort) -> Evidence:
    order = effort.pick(quick=3, deep=4)

    def counterexample(branch: SymbolicBranch) -> str | None:
        n, scale, *x = _RING.gens()
        formulas = subject(order)(Tower.tied(branch, 1, "lambda"), branch.variables)
        field = [_to_ring(formula) for formula in formulas]
        vector = [_to_ring(formula) for formula in branch.formulas]
        flows = [_flow(start, field, order) for start in x]
        for flow, component in zip(flows, vector, strict=True):
            claimed = flow.compose(n + 1, scale, *x)
            true = _truncated(flow + scale * component.compose(n, scale, *flows), order)
            if claimed != true:
                parts = (_lowest(claimed - true, p) for p in (claimed, true))
                return difference(*parts, branch=branch)
        return None

    reach = f"quadratic fields, every depth and point, orders ≤ {order}"
    branches = polynomial_branches()
    return sample(branches, counterexample, effort, name="lie series", number=45, reach=reach)


# --- the gap to the flow ----------------------------------------------------------------------


def _gaps(subject: Gaps, effort: Effort) -> Evidence:
    """Order by order: what the tower has, less the flow's own Lie series; and as powers of 1/n."""
    order = 4

    def counterexample(case: tuple[SymbolicBranch, Array, Fraction]) -> str | None:
        branch, point, time = case
        given = {"branch": branch, "point": point, "time": time}
        flow = _taylor_of_flow(branch, point, time, order)
        first = None
        for depth in range(1, order):
            tower = Tower.tied(branch, depth, [time / depth] * depth)
            claimed = subject(tower, point, order)
            true = jet_orders(tower, point, order).sum(axis=0) - flow
            if found := difference(sum(claimed), true, **given, depth=depth):
                return found
            # The entry of n^-j falls like n^-j at a given time.
            rows = [row * depth**j for j, row in enumerate(claimed, 1)]
            first = rows if first is None else first
            if found := difference(np.stack(rows), np.stack(first), **given, depth=depth):
                return found
        return None

    times = st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(-2)])
    places = st.tuples(polynomial_branches(), points(2), times)
    reach = f"quadratic fields, depths < {order}, orders ≤ {order}"
    return sample(places, counterexample, effort, name="gap", number=45, reach=reach)


def _taylor_of_flow(branch: SymbolicBranch, point: Array, time: Fraction, order: int) -> Array:
    """Σ_j t^j/j! L^j x at a point."""
    field = [_to_ring(formula) for formula in branch.formulas]
    place = [fmpq(v.numerator, v.denominator) for v in (time, Fraction(1), *point)]
    flows = (_flow(start, field, order)(*place) for start in _RING.gens()[2:])
    return as_array([to_fraction(fmpq(value)) for value in flows], "the flow")


def _wrong_gaps(change: Callable[[int, Tower, Any], Any]) -> Gaps:
    def wrong(tower: Tower, point: Array, order: int) -> Sequence[Array]:
        return [
            change(j, tower, row) for j, row in enumerate(predicted_gap(tower, point, order), 1)
        ]

    return wrong


def _flow(start: Any, field: Sequence[Any], order: int) -> Any:
    """Σ_j n^j/j! L^j of a coordinate, L the derivative along the field."""
    n, flow, power = _RING.gens()[0], start, start
    for j in range(1, order + 1):
        moved = (g * power.derivative(2 + a) for a, g in enumerate(field))
        power = _truncated(sum(moved, power * 0), order)
        flow = flow + power * n**j / factorial(j)
    return flow


def _to_ring(formula: Any) -> Any:
    """A sympy polynomial in λ, x1, x2 as a FLINT one."""
    terms = sympy.Poly(formula, *sympy.symbols("n lambda x1 x2")).terms()
    return _RING.from_dict({powers: fmpq(int(c.p), int(c.q)) for powers, c in terms})


def _truncated(polynomial: Any, order: int) -> Any:
    kept = {powers: c for powers, c in polynomial.to_dict().items() if powers[1] <= order}
    return _RING.from_dict(kept)


def _lowest(gap: Any, polynomial: Any) -> sympy.Expr:
    """The coefficient of the first power of λ at which there is a gap."""
    power = min(powers[1] for powers in gap.to_dict())
    n, x1, x2 = sympy.symbols("n x1 x2")
    return sympy.Add(
        *(
            sympy.Rational(int(c.p), int(c.q)) * n ** p[0] * x1 ** p[2] * x2 ** p[3]
            for p, c in polynomial.to_dict().items()
            if p[1] == power
        )
    )


def _wrong_field(change: Callable[[Tree, Fraction], Fraction]) -> Field:
    def wrong(order: int) -> ModifiedField:
        right = modified_field(order)
        return ModifiedField(tuple((t, change(t, w)) for t, w in right.weights), order)

    return wrong


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "E6",
        "m blocks and n blocks compose as times of a flow",
        _composition,
        order_polynomial,
        {
            "labels ≤ instead of <: implicit Euler": _weak,
            "only the limit n^k/τ!": lambda t: _N**t.order / t.factorial,
            "C(n, k) for every shape": lambda t: order_polynomial(Tree.chain(t.order)),
            "n + 1 for n": lambda t: order_polynomial(t)(_N + 1),
        },
    ),
    Check(
        "E6",
        "ω from order polynomials: its flow takes Euler's steps",
        modified,
        modified_weight,
        _WRONG_WEIGHTS,
    ),
    Check(
        "E6",
        "ω from Euler's logarithm: its flow takes Euler's steps",
        modified,
        euler_logarithm,
        _WRONG_WEIGHTS,
    ),
    Check(
        "E6",
        "limit 1/τ! and all corrections in 1/n",
        _limits,
        _limit_and_corrections,
        {
            "1/σ for 1/τ!": lambda t: (Fraction(1, t.symmetry), depth_corrections(t)),
            "1/k! for 1/τ!": lambda t: (Fraction(1, factorial(t.order)), depth_corrections(t)),
            "the limit without corrections": _changed_corrections(
                lambda t, c: c[:1] + [Fraction(0)] * (len(c) - 1)
            ),
            "corrections of the wrong sign": _changed_corrections(
                lambda t, c: [(-1) ** j * value for j, value in enumerate(c)]
            ),
            "n + 1 for n": _changed_corrections(_in_steps),
        },
    ),
    Check(
        "E6",
        "corrections in 1/n at a point, by the flow's Lie series",
        _gaps,
        predicted_gap,
        {
            "1/n for every power of 1/n": _wrong_gaps(
                lambda j, tower, row: row * tower.depth ** (j - 1)
            ),
            "the first correction only": _wrong_gaps(
                lambda j, tower, row: row if j == 1 else row * 0
            ),
            "of the wrong sign": _wrong_gaps(lambda j, tower, row: -row),
        },
    ),
    Check(
        "E6",
        "modified field by its Lie series",
        _lie_series,
        modified_field,
        {
            "+½ f′f for −½ f′f": _wrong_field(lambda t, w: -w if t.order == 2 else w),
            "1/σ dropped": _wrong_field(lambda t, w: w * t.symmetry),
            "chains only": _wrong_field(lambda t, w: w if t == Tree.chain(t.order) else w * 0),
        },
    ),
)
