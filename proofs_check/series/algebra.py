r"""Expansions put together, and written for every depth at once (claims E1, E2, E4).

**Composition, tied.** The coefficients of a tied tower are polynomials in its depth. Those of m
blocks composed with those of n blocks must be the coefficients of m + n blocks, as polynomials in
m and n: every pair of depths. That the coefficients themselves are right is E3.

**Composition, untied.** With a different prime for every scale equal coefficients mean equal
terms; all pairs of depths in a range are gone through.

**Patterns.** A pattern is a labelled tree whose labels are exactly 1..r. Increasing renumberings
of different patterns are different labelled trees, so patterns with r labels stand for C(n, r)
trees each. If T(n) = Σ_p C(n, r(p)) z^{|p|} satisfies the recursion of labelled trees,
:math:`T(n+1) - T(n) = z\,\mathrm{Exp}(T(n))`, there are as many as there are labelled trees, hence
all of them; and with the printed coefficients the same must hold with exp, for every n. A
pattern is itself a labelled tree, whose coefficient is compared one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import product
from typing import Any

import sympy
from flint import fmpq, fmpq_poly

from expansion.series.algebra import compose, substituted
from expansion.series.expansion import Expansion, expand
from expansion.series.indexed import expand_indexed, pattern_count, patterns
from expansion.towers.tower import Tower
from expansion.trees.counting import tree_counts
from expansion.trees.labelled import LabelledTree
from expansion.trees.tree import Tree
from proofs_check.check import Check, Effort
from proofs_check.counting.terms import exponential, multisets
from proofs_check.evidence import Evidence, Verdict, difference, exhaust

__all__ = ["CHECKS"]

Compose = Callable[[Expansion, Expansion], Mapping[Any, Any]]
Patterns = Callable[[int], Mapping[LabelledTree, Fraction]]
AtDepth = Callable[[int, int], Mapping[Any, Any]]

_PRIMES = tuple(map(Fraction, (11, 13, 17, 19, 23, 29)))
_SHIFT = fmpq_poly([1, 1])
_ZERO = Fraction(0)


def _compare(claimed: Mapping[Any, Any], true: Mapping[Any, Any], **given: Any) -> Iterator[Any]:
    for term in sorted({*claimed, *true}):
        yield difference(claimed.get(term, _ZERO), true.get(term, _ZERO), term=term, **given)


# --- E4: composition --------------------------------------------------------------------------


def _tied(subject: Compose, effort: Effort) -> Evidence:
    order = effort.pick(quick=4, deep=6)
    n, m = sympy.symbols("n m")

    def cases() -> Iterator[str | None]:
        upper = expand("n", order, tied=True)
        claimed = subject(substituted(upper, {n: m}), upper)
        true = substituted(upper, {n: m + n})
        for tree in sorted({*claimed, *true}):
            gap = sympy.expand(claimed.get(tree, 0) - true.get(tree, 0))
            yield difference(gap, sympy.Integer(0), tree=tree)

    return exhaust(cases(), Verdict.PROVED, f"tied, every pair of depths, orders ≤ {order}")


def _untied(subject: Compose, effort: Effort) -> Evidence:
    depth, order = effort.pick(quick=(3, 4), deep=(3, 6))

    def cases() -> Iterator[str | None]:
        for m, n in product(range(1, depth + 1), repeat=2):
            scales = _PRIMES[: m + n]
            lower, upper = (Tower.abstract(len(s), s) for s in (scales[:m], scales[m:]))
            claimed = subject(expand(lower, order), expand(upper, order))
            true = expand(Tower.abstract(m + n, scales), order)
            yield from _compare(claimed, true, split=m, scales=scales)

    reach = f"untied, any scales, both depths ≤ {depth}, orders ≤ {order}"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _added(lower: Expansion, upper: Expansion) -> Mapping[Any, Any]:
    """Halves added: no lower tree below an upper one."""
    last = lower.tower.depth if lower.tower is not None else 0
    total: dict[Any, Any] = dict(lower)
    for term, c in upper.items():
        moved = _moved(term, last) if isinstance(term, LabelledTree) else term
        total[moved] = total.get(moved, 0) + c
    return total


def _moved(tree: LabelledTree, by: int) -> LabelledTree:
    return LabelledTree(tree.label + by, tuple(_moved(child, by) for child in tree.children))


def _changed(change: Callable[[Any, Any], Any]) -> Compose:
    def wrong(lower: Expansion, upper: Expansion) -> Mapping[Any, Any]:
        return {term: change(term, c) for term, c in compose(lower, upper).items()}

    return wrong


def _linear(term: Any, coefficient: Any) -> Any:
    """The upper half linearised: nothing that branches survives."""
    shape = term if isinstance(term, Tree) else term.shape
    return coefficient if shape == Tree.chain(shape.order) else coefficient * 0


# --- E1: patterns -----------------------------------------------------------------------------


def _printed(order: int) -> Mapping[LabelledTree, Fraction]:
    """The patterns with the coefficients that are printed."""
    rows = expand_indexed(order).to_dicts()
    return {LabelledTree.parse(row["tree"]): Fraction(row["coefficient"]) for row in rows}


def _patterns(subject: Patterns, effort: Effort) -> Evidence:
    order = effort.pick(quick=5, deep=7)

    def cases() -> Iterator[str | None]:
        patterns = subject(order)
        binomials = [fmpq_poly([1])]
        for r in range(order):
            binomials.append(binomials[-1] * fmpq_poly([fmpq(-r, r + 1), fmpq(1, r + 1)]))
        single = expand(Tower.abstract(order), order)
        for pattern, c in patterns.items():
            claimed = [sorted(set(pattern.labels)), c]
            true = [list(range(1, pattern.label + 1)), single.get(pattern, _ZERO)]
            yield difference(claimed, true, pattern=pattern)
        for weighted, insert in ((False, multisets), (True, exponential)):
            trees = [fmpq_poly([0]) for _ in range(order + 1)]
            for pattern, c in patterns.items():
                weight = fmpq(c.numerator, c.denominator) if weighted else fmpq(1)
                trees[pattern.order] += weight * binomials[pattern.label]
            new = [fmpq_poly([0]), *insert(trees)]
            for k in range(1, order + 1):
                claimed = [trees[k](_SHIFT) - trees[k], trees[k](0)]
                yield difference(claimed, [new[k], 0], order=k, weighted=weighted)

    return exhaust(cases(), Verdict.PROVED, f"untied, every depth n, orders ≤ {order}")


def _at_depths(subject: AtDepth, effort: Effort) -> Evidence:
    order, depth = effort.pick(quick=(4, 5), deep=(5, 8))

    def cases() -> Iterator[str | None]:
        for n in range(1, depth + 1):
            true = expand(Tower.abstract(n), order)
            yield from _compare(subject(order, n), true, depth=n)

    reach = f"depths ≤ {depth}, orders ≤ {order}"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _concrete(order: int, depth: int) -> Mapping[Any, Any]:
    return expand_indexed(order).at(depth)


def _forests_at_depths(subject: AtDepth, effort: Effort) -> Evidence:
    order, depth = effort.pick(quick=(4, 5), deep=(5, 7))

    def cases() -> Iterator[str | None]:
        for n in range(1, depth + 1):
            true = expand(Tower.abstract(n), order, decoder=True)
            yield from _compare(subject(order, n), true, depth=n)

    reach = f"depths ≤ {depth}, orders ≤ {order}"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _concrete_forests(order: int, depth: int) -> Mapping[Any, Any]:
    return expand_indexed(order, decoder=True).at(depth)


def _counted(subject: Callable[[int, bool], int], effort: Effort) -> Evidence:
    """How many patterns there are, known before any is made."""
    order = effort.pick(quick=5, deep=7)

    def cases() -> Iterator[str | None]:
        for k, decoder in product(range(order + 1), (False, True)):
            true = sum(1 for _ in patterns(k, decoder=decoder))
            yield difference(subject(k, decoder), true, order=k, decoder=decoder)

    return exhaust(cases(), Verdict.EXHAUSTED, f"trees and forests, orders ≤ {order}")


def _pattern_count(order: int, decoder: bool) -> int:
    return pattern_count(order, decoder=decoder)


def _different(tree: LabelledTree) -> bool:
    return len(set(tree.labels)) == tree.order


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "E1",
        "patterns by their generating function in n",
        _patterns,
        _printed,
        {
            "coincident labels forgotten": lambda order: {
                p: c for p, c in _printed(order).items() if _different(p)
            },
            "1/σ dropped": lambda order: dict.fromkeys(_printed(order), Fraction(1)),
            "1/σ of the shape": lambda order: {
                p: Fraction(1, p.shape.symmetry) for p in _printed(order)
            },
            "i ≤ j for i < j": lambda order: {
                **_printed(order),
                LabelledTree.from_sorted(1, (LabelledTree(1),)): Fraction(1),
            },
        },
    ),
    Check(
        "E1",
        "patterns filled in against the terms of a depth",
        _at_depths,
        _concrete,
        {
            "depth off by one": lambda order, depth: expand_indexed(order).at(depth + 1),
            "coincident labels forgotten": lambda order, depth: {
                t: c for t, c in _concrete(order, depth).items() if _different(t)
            },
            "1/σ dropped": lambda order, depth: dict.fromkeys(_concrete(order, depth), Fraction(1)),
        },
    ),
    Check(
        "E1",
        "numbers of patterns",
        _counted,
        _pattern_count,
        {
            "decoder forgotten": lambda k, decoder: pattern_count(k),
            "as many as labelled trees": lambda k, decoder: tree_counts(k, k)[k],
        },
    ),
    Check(
        "E2",
        "patterns below a decoder, filled in",
        _forests_at_depths,
        _concrete_forests,
        {
            "depth off by one": lambda order, depth: expand_indexed(order, decoder=True).at(
                depth + 1
            ),
            "different labels only": lambda order, depth: {
                t: c
                for t, c in _concrete_forests(order, depth).items()
                if len(set(t.labels)) == t.order
            },
            "1/σ dropped": lambda order, depth: dict.fromkeys(
                _concrete_forests(order, depth), Fraction(1)
            ),
        },
    ),
    Check(
        "E4",
        "composed expansions of every pair of depths",
        _tied,
        compose,
        {
            "halves added instead of composed": _added,
            "1/σ dropped": _changed(lambda term, c: c * term.symmetry),
            "the upper half linearised": _changed(_linear),
        },
    ),
    Check(
        "E4",
        "composed expansions of untied towers",
        _untied,
        compose,
        {
            "the second half first": lambda lower, upper: compose(upper, lower),
            "halves added instead of composed": _added,
            "1/σ dropped": _changed(lambda term, c: c * term.symmetry),
            "the upper half linearised": _changed(_linear),
        },
    ),
)
