"""The terms of an untied tower, written down when they are looked at (claims E1, E2).

How many there are, whether a tree is among them and its coefficient Π λ / σ are known from the
theorem: none of these needs the list. The list is made on the first iteration and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import Any

from expansion.trees.counting import forest_counts, tree_counts
from expansion.trees.generate import labelled_forests, labelled_trees
from expansion.trees.labelled import Forest, LabelledTree, Term

__all__ = ["LabelledTerms"]


class LabelledTerms(Mapping[Term, Any]):
    """Labelled trees, or forests of them, to their exact coefficients.

    Parameters
    ----------
    scales : sequence, length n
        Exact λ_1..λ_n.
    order : int
        Largest order K ≥ 0.
    decoder : bool
        Whether the terms are forests.

    Examples
    --------
    >>> terms = LabelledTerms([Fraction(1, 10)] * 10, 6, decoder=False)
    >>> len(terms), terms[LabelledTree.parse("10[3,3]")]
    (111919, Fraction(1, 2000))
    >>> LabelledTree.parse("11[3]") in terms
    False
    """

    def __init__(self, scales: Sequence[Any], order: int, *, decoder: bool) -> None:
        self.scales = scales
        self.max_order = order
        self.decoder = decoder
        self._made: dict[Term, Any] | None = None
        self._ones = all(scale == 1 for scale in scales)
        depth = len(scales)
        counts = forest_counts(depth, order) if decoder else tree_counts(depth, order)[1:]
        self._length = sum(counts)

    def __len__(self) -> int:
        return self._length

    def __contains__(self, term: object) -> bool:
        if not isinstance(term, Forest if self.decoder else LabelledTree):
            return False
        if term.order > self.max_order or max(term.labels, default=0) > len(self.scales):
            return False
        # A forest of trees without labels has vertices, but no labels.
        return len(term.labels) == term.order

    def __getitem__(self, term: Term) -> Any:
        if self._made is not None:
            return self._made[term]
        if term not in self:
            raise KeyError(term)
        return self._coefficient(term)

    def __iter__(self) -> Iterator[Term]:
        if self._made is None:
            list_all = labelled_forests if self.decoder else labelled_trees
            terms = list_all(len(self.scales), self.max_order)
            self._made = {term: self._coefficient(term) for term in terms}
        return iter(self._made)

    def __repr__(self) -> str:
        return f"<{len(self)} terms to order {self.max_order}>"

    def _coefficient(self, term: Any) -> Any:
        if self._ones:
            return _reciprocal(term.symmetry)
        scales = (self.scales[label - 1] for label in term.labels)
        return prod(scales, start=Fraction(1)) / term.symmetry


@lru_cache(maxsize=1024)
def _reciprocal(symmetry: int) -> Fraction:
    """1/σ; equal ones share one object, for there are few of them and many terms."""
    return Fraction(1, symmetry)
