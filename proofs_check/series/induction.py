r"""Coefficients proved for every depth, by the induction of the theorem (claims E1, E2, E3).

**The step.** :math:`H_{n+1} = H_n + \lambda_{n+1} f_{n+1}(H_n)`. With the series
:math:`H_n - x = \sum_t c_t F_t` inserted into Taylor's formula, the terms that are new at depth
n + 1 are those with root n + 1, and their coefficients are

.. math::

   c_{[t_1 \ldots t_m]} = \lambda_{n+1} \cdot
   \text{coefficient of } X_{t_1} \cdots X_{t_m} \text{ in }
   \sum_m \frac{1}{m!} \Big( \sum_t c_t X_t \Big)^m .

:func:`taylor_insertion` multiplies this out with one commuting variable X_t for each tree, and
knows neither symmetries nor orderings. An expansion is right to order K exactly if it starts at
H_0 = x and takes this step to order K at every depth.

**Why finitely many depths are enough (untied).** A tree of order ≤ K with root n + 1 carries at
most K different numbers. Renumbering blocks by a strictly increasing map sends strict labellings
to strict labellings and equal subtrees to equal ones, so it carries the step for one tree into
the step for the other, with the scales renumbered too. Every case is therefore a renumbered case
with labels 1..K, and n + 1 ≤ K exhausts them. The implementation under test must respect the
renumbering: that is compared for every choice of blocks out of K + 1.

**Why one set of scales is enough.** A coefficient is a product of scales times a rational number
whose numerator and denominator have no prime factor above K (multiplicities are at most K). With
different primes above K as scales, equal values mean equal products.

**Forests.** The decoder's Taylor formula is the same insertion without a new root, and E2 follows
from E1 at every depth; the same renumbering makes depths up to K enough.

**Tied towers.** The coefficients are polynomials in n, and the step is an identity of such
polynomials: with the values at n = 0 it holds for every n, by induction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import factorial, prod
from typing import Any, TypeVar

import sympy
from flint import fmpq, fmpq_poly

from expansion.series.expansion import expand
from expansion.towers.tower import Tower
from expansion.trees.generate import rooted_trees
from expansion.trees.labelled import Forest, LabelledTree
from expansion.trees.order_polynomials import order_polynomial
from expansion.trees.tree import Tree
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.mistakes import (
    Coefficients,
    block_feeds_itself,
    decoded_terms,
    last_block_left_out,
    on_terms,
    only_paths,
    scale_once_per_block,
    terms,
)

__all__ = ["CHECKS", "order_polynomial_steps", "taylor_insertion"]

AnyTree = TypeVar("AnyTree", Tree, LabelledTree)
_Monomial = tuple[int, ...]  # which trees, as positions in a sorted list
_PRIMES = tuple(map(Fraction, (11, 13, 17, 19, 23, 29, 31, 37, 41, 43)))
_ONE = Fraction(1)
_N = fmpq_poly([0, 1])


def taylor_insertion(
    coefficients: Mapping[AnyTree, Any], order: int, one: Any = _ONE
) -> dict[tuple[AnyTree, ...], Any]:
    """Multiply out Σ_m (Σ_t c_t X_t)^m / m! up to ``order`` vertices.

    Parameters
    ----------
    coefficients : mapping
        Tree to c_t, in any commutative ring that contains the rationals.
    order : int
        Largest total number of vertices in a monomial.
    one : optional
        The ring's 1; the rational one by default.

    Returns
    -------
    dict
        Monomial, as a sorted tuple of trees, to its coefficient.

    Examples
    --------
    >>> found = taylor_insertion({Tree(): Fraction(1)}, 3)
    >>> [str(c) for c in found.values()]
    ['1', '1', '1/2', '1/6']
    """
    trees = sorted(tree for tree in coefficients if tree.order <= order)
    factors = [(tree.order, coefficients[tree]) for tree in trees]
    total: dict[_Monomial, Any] = {(): one}
    power = total
    for m in range(1, order + 1):
        power = _multiplied(power, factors, order)
        for monomial, value in power.items():
            total[monomial] = total.get(monomial, 0) + value / factorial(m)
    return {tuple(trees[i] for i in chosen): value for chosen, value in total.items()}


def _multiplied(
    power: Mapping[_Monomial, Any], factors: Sequence[tuple[int, Any]], order: int
) -> dict[_Monomial, Any]:
    """The power times Σ_i c_i X_i, up to ``order`` vertices; factors (order, c_i) by order."""
    product: dict[_Monomial, Any] = {}
    for monomial, value in power.items():
        room = order - sum(factors[i][0] for i in monomial)
        for i, (size, coefficient) in enumerate(factors):
            if size > room:
                break
            longer = tuple(sorted((*monomial, i)))
            product[longer] = product.get(longer, 0) + value * coefficient
    return product


def _labelled(subject: Coefficients, effort: Effort) -> Evidence:
    order = effort.pick(quick=6, deep=7)

    def cases() -> Iterator[str | None]:
        before: Mapping[Any, Any] = {}
        for n in range(order):
            scales = _PRIMES[: n + 1]
            after = subject(Tower.abstract(n + 1, scales), order)
            true = dict(before)
            for children, value in taylor_insertion(before, order - 1).items():
                true[LabelledTree(n + 1, children)] = scales[n] * value
            yield from _compare(after, true, scales)
            before = after
        yield from _renumbered(subject, order, order + 1)

    reach = f"every depth and scales, orders ≤ {order}; the engine's terms at depths ≤ {order + 1}"
    return exhaust(cases(), Verdict.PROVED, reach)


def _renumbered(subject: Coefficients, order: int, depth: int) -> Iterator[str | None]:
    """Whether coefficients do not change when blocks that a term does not use are left out."""
    whole = subject(Tower.abstract(depth, _PRIMES[:depth]), order)
    true: dict[Any, Any] = {}
    for size in range(1, order + 1):
        for blocks in combinations(range(1, depth + 1), size):
            part: Mapping[Any, Any] = subject(
                Tower.abstract(size, [_PRIMES[b - 1] for b in blocks]), order
            )
            for term, value in part.items():
                if len(set(term.labels)) in (0, size):  # D[] has no labels
                    true[_renumber(term, blocks)] = value
    yield from _compare(whole, true, _PRIMES[:depth])


def _renumber(term: Any, blocks: Sequence[int]) -> Any:
    children = tuple(_renumber(child, blocks) for child in term.children)
    if isinstance(term, Forest):
        return Forest(children)
    # Saboteurs repeat numbers from parent to child, which the validating constructor refuses.
    return LabelledTree.from_sorted(blocks[term.label - 1], children)


def _forests(subject: Coefficients, effort: Effort) -> Evidence:
    order = effort.pick(quick=5, deep=6)

    def cases() -> Iterator[str | None]:
        for depth in range(1, order + 1):
            scales = _PRIMES[:depth]
            tower = Tower.abstract(depth, scales)
            inner: Any = expand(tower, order)  # H_n − x, by E1
            inserted = taylor_insertion(inner, order)
            true = {Forest(trees): value for trees, value in inserted.items()}
            yield from _compare(subject(tower, order), true, scales)
        yield from _renumbered(subject, order, order + 1)

    reach = f"every depth and scales, orders ≤ {order}; the engine's terms at depths ≤ {order + 1}"
    return exhaust(cases(), Verdict.PROVED, reach)


def _compare(
    claimed: Mapping[Any, Any], true: Mapping[Any, Any], scales: Any
) -> Iterator[str | None]:
    for term in sorted({*claimed, *true}):
        given = {"term": term, "scales": scales}
        yield difference(claimed.get(term, Fraction(0)), true.get(term, Fraction(0)), **given)


TiedPolynomials = Callable[[int], Mapping[Tree, fmpq_poly]]


def tied_polynomials(order: int) -> dict[Tree, fmpq_poly]:
    """The coefficients that :func:`expand` gives to a tied tower of symbolic depth.

    Examples
    --------
    >>> tied_polynomials(2)[Tree.chain(2)]
    1/2*x^2 + (-1/2)*x
    """
    n = sympy.Symbol("n")
    return {
        tree: fmpq_poly([fmpq(int(c.p), int(c.q)) for c in sympy.Poly(v, n).all_coeffs()[::-1]])
        for tree, v in expand("n", order, tied=True).items()
        if isinstance(tree, Tree)
    }


def _tied(subject: TiedPolynomials, effort: Effort) -> Evidence:
    order = effort.pick(quick=6, deep=8)

    def cases() -> Iterator[str | None]:
        claimed = subject(order)
        step = taylor_insertion(claimed, order - 1, fmpq_poly([1]))
        for tree in sorted({*claimed, *map(Tree, step)}):
            # A tuple of children, sorted as trees are, is the monomial that the tree comes from.
            value = claimed.get(tree, fmpq_poly([0]))
            true = step.get(tuple(sorted(tree.children)), fmpq_poly([0]))
            yield difference([value(_N + 1) - value, value(0)], [true, 0], tree=tree)

    return exhaust(cases(), Verdict.PROVED, f"every depth n, orders ≤ {order}")


OrderPolynomial = Callable[[Tree], fmpq_poly]


def order_polynomial_steps(subject: OrderPolynomial, effort: Effort) -> Evidence:
    """Whether polynomials take the steps of the strict order polynomials, from 0."""
    order = effort.pick(quick=6, deep=9)

    def cases() -> Iterator[str | None]:
        for size in range(1, order + 1):
            for tree in rooted_trees(size):
                value = subject(tree)
                claimed = [value(_N + 1) - value, value(0), value[size], value.degree()]
                product = prod((subject(child) for child in tree.children), start=fmpq_poly([1]))
                true = [product, 0, fmpq(1, _tree_factorial(tree)), size]
                yield difference(claimed, true, tree=tree)

    return exhaust(cases(), Verdict.PROVED, f"every depth n, orders ≤ {order}")


def _tree_factorial(tree: Tree) -> int:
    return len(tree.key) * prod(map(_tree_factorial, tree.children))


@lru_cache(maxsize=1024)
def _binomial(order: int) -> fmpq_poly:
    return prod((_N - i for i in range(order)), start=fmpq_poly([1])) / factorial(order)


def _weak(tree: Tree) -> fmpq_poly:
    """Ω, with ≤ for <: Stanley's reciprocity."""
    return (-1) ** tree.order * order_polynomial(tree)(-_N)


def _all_different(tree: Tree) -> fmpq_poly:
    """Labellings without repetition: k!/τ! for every choice of k blocks."""
    return _binomial(tree.order) * fmpq(factorial(tree.order), _tree_factorial(tree))


def _wrong_polynomials(change: Callable[[Tree, fmpq_poly], fmpq_poly]) -> TiedPolynomials:
    return lambda order: {t: change(t, value) for t, value in tied_polynomials(order).items()}


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "E1",
        "coefficients by induction on the depth",
        _labelled,
        terms,
        {
            "1/σ dropped": on_terms(lambda t, c: c * t.symmetry),
            "σ of the shape instead of the labelled tree": on_terms(
                lambda t, c: c * Fraction(t.symmetry, t.shape.symmetry)
            ),
            "only paths": on_terms(only_paths),
            "labels ≤ instead of <": block_feeds_itself,
            "the last block left out": last_block_left_out,
            "λ once for every block instead of every vertex": scale_once_per_block,
        },
    ),
    Check(
        "E2",
        "forests by Taylor's formula",
        _forests,
        decoded_terms,
        {
            "1/σ of the trees, but not of the forest": on_terms(
                lambda f, c: c * Fraction(f.symmetry, prod(t.symmetry for t in f.trees)),
                decoded_terms,
            ),
            "D' only, no higher derivatives": on_terms(
                lambda f, c: c if len(f.trees) <= 1 else None, decoded_terms
            ),
            "trees of a forest ordered by block": on_terms(
                lambda f, c: c if len({t.label for t in f.trees}) == len(f.trees) else None,
                decoded_terms,
            ),
        },
    ),
    Check(
        "E3",
        "order polynomials by their difference in n",
        order_polynomial_steps,
        order_polynomial,
        {
            "labels ≤ instead of <": _weak,
            "C(n, k) for every shape": lambda tree: _binomial(tree.order),
            "depth off by one": lambda tree: order_polynomial(tree)(_N + 1),
            "blocks used at most once": _all_different,
            "only the limit n^k/τ!": lambda tree: _N**tree.order / _tree_factorial(tree),
        },
    ),
    Check(
        "E3",
        "tied coefficients by induction on the depth",
        _tied,
        tied_polynomials,
        {
            "1/σ dropped": _wrong_polynomials(lambda t, c: c * t.symmetry),
            "1/τ! for 1/σ": _wrong_polynomials(
                lambda t, c: c * fmpq(t.symmetry, _tree_factorial(t))
            ),
            "C(n, k) for every shape": _wrong_polynomials(
                lambda t, c: _binomial(t.order) / t.symmetry
            ),
            "depth off by one": _wrong_polynomials(lambda t, c: c(_N - 1)),
        },
    ),
)
