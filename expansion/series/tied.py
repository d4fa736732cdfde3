r"""Coefficients of a tied tower: order polynomials over symmetries (claim E3).

The labelled trees of one shape τ add up to :math:`\sum_\ell \prod_v \lambda_{\ell(v)}` over all
strict labellings ℓ of τ, divided by σ(τ); with one scale that is
:math:`\lambda^{|\tau|}\,\Omega^\circ(\tau; n)/\sigma(\tau)`. Source: derived.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any

from flint import fmpq_poly

from expansion.trees.generate import rooted_forests, rooted_trees
from expansion.trees.labelled import Forest, Term
from expansion.trees.order_polynomials import factored, order_polynomial
from expansion.trees.tree import Tree

if TYPE_CHECKING:
    import sympy

__all__ = ["polynomial_coefficient", "tied_coefficients", "tied_terms", "weighted_labellings"]


def tied_coefficients(scales: Sequence[Any], order: int, decoder: bool) -> dict[Term, Any]:
    """Every tree, or forest under a decoder, with its coefficient for these scales.

    Examples
    --------
    >>> tied_coefficients([1, 1, 1], 2, False)[Tree.chain(2)]
    Fraction(3, 1)
    """
    return {
        term: weighted_labellings(term, scales) / term.symmetry
        for term in tied_terms(order, decoder)
    }


def tied_terms(order: int, decoder: bool) -> Iterator[Any]:
    """The trees of order 1..K, or the forests of order 0..K under a decoder.

    Examples
    --------
    >>> [str(term) for term in tied_terms(1, True)]
    ['D[]', 'D[[]]']
    """
    for size in range(0 if decoder else 1, order + 1):
        yield from rooted_forests(size) if decoder else rooted_trees(size)


def weighted_labellings(term: Tree | Forest[Tree], scales: Sequence[Any]) -> Any:
    """Σ over strict labellings of Π λ: Ω° when all scales are 1.

    Examples
    --------
    >>> weighted_labellings(Tree.chain(2), [Fraction(1), Fraction(1, 2), Fraction(1, 3)])
    Fraction(1, 1)
    """
    common = scales[0] if all(scale == scales[0] for scale in scales) else None
    weights = [Fraction(1)] * len(scales) if common is not None else scales

    def prefix(tree: Tree) -> list[Any]:
        below = [prefix(child) for child in tree.children]
        steps = [w * prod(b[j] for b in below) for j, w in enumerate(weights)]
        return list(accumulate(steps, initial=Fraction(0)))

    trees = term.trees if isinstance(term, Forest) else (term,)
    total = prod((prefix(tree)[-1] for tree in trees), start=Fraction(1))
    return total if common is None else total * common**term.order


def polynomial_coefficient(term: Tree | Forest[Tree]) -> sympy.Expr:
    """Ω°(τ; n)/σ(τ) as a factored polynomial in the sympy symbol n.

    Examples
    --------
    >>> polynomial_coefficient(Tree.parse("[[],[]]"))
    n*(n - 1)*(2*n - 1)/12
    """
    trees = term.trees if isinstance(term, Forest) else (term,)
    return factored(prod(map(order_polynomial, trees), start=fmpq_poly([1])) / term.symmetry)
