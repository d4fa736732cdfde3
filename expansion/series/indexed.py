r"""Untied towers of every depth at once: the expansion as sums over block numbers (claim E1).

A labelled tree whose labels are exactly 1..r is a *pattern*. Every labelled tree of a tower of
depth n arises from one pattern and one choice of r block numbers, so that

.. math:: H_n(x) = x + \sum_p \frac{1}{\sigma(p)} \sum_{i_1 < \cdots < i_r} F_p

holds for every n (scale 1), the coincident labels standing in sums of their own: to order 3

.. math::

   \sum_{i<j<k} f_k' f_j' f_i + \sum_{i<j<k} f_k''(f_j, f_i) + \tfrac12 \sum_{i<j} f_j''(f_i, f_i).

Source: derived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, groupby, pairwise
from typing import Any

from expansion.checking import check_count
from expansion.errors import TooManyTermsError
from expansion.series.expansion import Expansion
from expansion.series.notation import (
    LATEX,
    UNICODE,
    Style,
    Written,
    shortened,
    write_coefficient,
    write_indexed,
)
from expansion.series.size import DEFAULT_BUDGET, refuse_above
from expansion.towers.tower import Tower
from expansion.trees.counting import forest_counts, tree_counts
from expansion.trees.generate import labelled_forests, labelled_trees
from expansion.trees.labelled import Forest, LabelledTree, Term
from expansion.trees.tree import fold

__all__ = ["IndexedExpansion", "expand_indexed", "pattern_count", "patterns"]

Pattern = LabelledTree | Forest[LabelledTree]
_EXACTLY_COUNTED = 16  # orders whose patterns are counted in a moment


def patterns(order: int, *, decoder: bool = False) -> Iterator[Pattern]:
    """Labelled trees, or forests, of that order whose labels are exactly 1..r, for some r.

    Parameters
    ----------
    order : int
        k ≥ 0.
    decoder : bool
        Whether forests are wanted, for the terms of D∘H_n.

    Examples
    --------
    >>> [str(pattern) for pattern in patterns(3)]
    ['2[1,1]', '3[2,1]', '3[2[1]]']
    >>> [str(pattern) for pattern in patterns(2, decoder=True)]
    ['D[1,1]', 'D[2,1]', 'D[2[1]]']
    """
    found: Iterator[Any] = (labelled_forests if decoder else labelled_trees)(order, order)
    for term in found:
        if term.order == order and len(set(term.labels)) == max(term.labels, default=0):
            yield term


def pattern_count(order: int, *, decoder: bool = False) -> int:
    """How many patterns an order has, known before any is made.

    A tower of depth n has Σ_r C(n, r) p_r labelled trees of order k; inverting this at n ≤ k
    counts the patterns p_r with r labels.

    Examples
    --------
    >>> [pattern_count(order) for order in range(1, 6)]
    [1, 1, 3, 12, 64]
    """
    counts = forest_counts if decoder else tree_counts
    differences = [counts(depth, order)[order] for depth in range(order + 1)]
    total = differences[0] if decoder else 0  # D itself has no labels
    for _ in range(order):
        differences = [b - a for a, b in pairwise(differences)]
        total += differences[0]
    return total


@dataclass(frozen=True, slots=True)
class IndexedExpansion(Written):
    """The expansion of an untied tower of symbolic depth.

    Parameters
    ----------
    terms : tuple of LabelledTree, or of Forest
        The patterns, by order.
    max_order : int
        Largest order K.
    decoder : bool
        Whether D∘H_n is expanded.

    Examples
    --------
    >>> print(expand_indexed(3))
    Hₙ(x) = x
      + λ [ Σ_{i} fᵢ ]
      + λ² [ Σ_{i<j} fⱼ′fᵢ ]
      + λ³ [ ½ Σ_{i<j} fⱼ″(fᵢ, fᵢ) + Σ_{i<j<k} fₖ″(fⱼ, fᵢ) + Σ_{i<j<k} fₖ′fⱼ′fᵢ ]
      + O(λ⁴)
    """

    terms: tuple[Pattern, ...]
    max_order: int
    decoder: bool = False

    def at(self, depth: int, *, budget: int = DEFAULT_BUDGET) -> Expansion:
        """The concrete terms for a tower of that depth, with scale 1.

        Raises
        ------
        TooManyTermsError
            When there would be more than ``budget``.
        """
        depth = check_count(depth, "depth", least=1)
        refuse_above(budget, depth, self.max_order, tied=False, decoder=self.decoder)
        concrete: dict[Term, Any] = {
            _relabelled(pattern, blocks): Fraction(1, pattern.symmetry)
            for pattern in self.terms
            for blocks in combinations(range(1, depth + 1), max(pattern.labels, default=0))
        }
        return Expansion(concrete, self.max_order, Tower.abstract(depth))

    def to_dicts(self) -> list[dict[str, Any]]:
        """The patterns as JSON-ready values, with the sum each stands for."""
        return [
            {
                "order": pattern.order,
                "tree": str(pattern),
                "coefficient": str(Fraction(1, pattern.symmetry)),
                "latex": write_indexed(pattern, LATEX),
            }
            for pattern in self.terms
        ]

    def _write(self, style: Style, limit: int | None) -> str:
        tower = f"{style.branch('H', 'n')}(x)"
        lines = [f"D({tower}) = D" if self.decoder else f"{tower} = x"]
        opening, closing = ("[ ", " ]") if style is UNICODE else (r"\left[", r"\right]")
        for order, group in groupby(self.terms, key=lambda pattern: pattern.order):
            if order == 0:
                continue
            terms = [
                write_coefficient(Fraction(1, p.symmetry), style) + write_indexed(p, style)
                for p in group
            ]
            inside = " + ".join(shortened(terms, limit, style))
            lines.append(f"{style.power(style.scale, order)} {opening}{inside}{closing}")
        lines.append(f"O({style.power(style.scale, self.max_order + 1)})")
        return ("\n  + " if style is UNICODE else " + ").join(lines)


def expand_indexed(order: int, *, decoder: bool = False, budget: int = 20_000) -> IndexedExpansion:
    """Expand an untied tower of symbolic depth to order K.

    Parameters
    ----------
    order : int
        K ≥ 0.
    decoder : bool
        Whether to expand D∘H_n (claim E2).
    budget : int
        Largest number of patterns.

    Raises
    ------
    TooManyTermsError
        When there are more patterns than ``budget``.

    Examples
    --------
    >>> [str(pattern) for pattern in expand_indexed(2).terms]
    ['1', '2[1]']
    """
    orders = range(0 if decoder else 1, check_count(order, "order", least=0) + 1)
    terms = counted = 0
    for counted in orders:
        terms += pattern_count(counted, decoder=decoder)
        # Counting great orders takes minutes: the lower ones are enough to refuse.
        if terms > budget and counted >= _EXACTLY_COUNTED:
            break
    if terms > budget:
        at_least = counted < orders.stop - 1
        raise TooManyTermsError(terms, budget, "lower the order, or tie the branches", at_least)
    found = tuple(pattern for k in orders for pattern in patterns(k, decoder=decoder))
    return IndexedExpansion(found, orders.stop - 1, decoder)


def _relabelled(pattern: Pattern, blocks: tuple[int, ...]) -> Pattern:
    # An increasing relabelling keeps every order of children, so nothing is sorted anew.
    def rename(vertex: Pattern, children: list[LabelledTree]) -> Pattern:
        if isinstance(vertex, Forest):
            return Forest(tuple(children))
        return LabelledTree.from_sorted(blocks[vertex.label - 1], tuple(children))

    renamed: Pattern = fold(pattern, rename)
    return renamed
