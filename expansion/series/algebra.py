r"""Composition of expansions (claim E4), truncation and substitution.

The tower of the first m blocks followed by the next n has the expansion

.. math:: \alpha(t) = \alpha_{\mathrm{upper}}(t^\top) \prod_s \alpha_{\mathrm{lower}}(s),
   \qquad \alpha(t) = \sigma(t)\, c(t),

where :math:`t^\top` is the part of t with labels above m and s runs over the subtrees hanging
below it: labels fall from root to leaf, so the upper block numbers sit on top. If the root
belongs to the lower tower, :math:`\alpha(t) = \alpha_{\mathrm{lower}}(t)`. Without labels (tied
branches) the top is not determined and all possible tops are summed, the composition rule of
B-series. *Proof.* Taylor-expand the upper terms at x in the lower expansion of
:math:`H_m(x) - x`: every way of hanging lower trees below the vertices of an upper tree arises
once, and dividing by σ counts the orderings that give the same tree. ∎ Source: derived; without
labels Hairer, Lubich & Wanner, Geometric Numerical Integration, III.1.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product as combinations_of
from math import prod
from typing import Any

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.series.expansion import Expansion
from expansion.series.size import DEFAULT_BUDGET, refuse_above
from expansion.towers.tower import Tower
from expansion.trees.generate import labelled_trees, rooted_trees
from expansion.trees.labelled import Forest, LabelledTree, Term
from expansion.trees.tree import Tree

__all__ = ["compose", "substituted", "truncated"]


def truncated(expansion: Expansion, order: int) -> Expansion:
    """The terms of order at most ``order``.

    Examples
    --------
    >>> from expansion import expand
    >>> truncated(expand(3, 4), 2) == expand(3, 2)
    True
    """
    order = min(check_count(order, "order", least=0), expansion.max_order)
    terms = {term: value for term, value in expansion.items() if term.order <= order}
    return Expansion(terms, order, expansion.tower, expansion.start)


def substituted(expansion: Expansion, values: Mapping[Any, Any]) -> Expansion:
    """Numbers or symbols put in place of symbols in every coefficient.

    Parameters
    ----------
    values : mapping
        From sympy symbol (λ, λ_l, n) to exact number or expression.

    Examples
    --------
    >>> import sympy
    >>> from expansion import expand
    >>> at_ten = substituted(expand("n", 2, tied=True), {sympy.Symbol("n"): 10})
    >>> at_ten[Tree.chain(2)]
    Fraction(45, 1)
    """
    import sympy

    replaced = {symbol: sympy.sympify(value) for symbol, value in values.items()}
    terms: dict[Term, Any] = {}
    for term, value in expansion.items():
        result = sympy.sympify(value).subs(replaced)
        rational = bool(result.is_Rational)
        terms[term] = Fraction(int(result.p), int(result.q)) if rational else result
    return Expansion(terms, expansion.max_order, expansion.tower, expansion.start)


def compose(lower: Expansion, upper: Expansion) -> Expansion:
    """The expansion of one tower followed by another (claim E4).

    Parameters
    ----------
    lower : Expansion
        Of the blocks that act first, 1..m.
    upper : Expansion
        Of the blocks that act next; its block 1 becomes block m + 1. Both labelled, or both tied
        to the same branch.

    Returns
    -------
    Expansion
        To the lower of the two orders; of the composed tower where both have a depth.

    Raises
    ------
    InputError
        For an expansion with a decoder, or a tied one with an untied one.
    TooManyTermsError
        When the composition has too many terms.

    Examples
    --------
    >>> from expansion import expand
    >>> compose(expand(2, 4), expand(3, 4)) == expand(5, 4)
    True
    """
    order = min(lower.max_order, upper.max_order)
    kinds = {type(term) for expansion in (lower, upper) for term in expansion}
    if len(kinds) > 1 or kinds & {Forest}:
        came = ", ".join(sorted(kind.__name__ for kind in kinds))
        mend = "expand both without decoder, and both tied or both untied"
        raise InputError("expansions of one kind without decoder", came, mend)
    tied = kinds == {Tree}
    tower = _joined(lower.tower, upper.tower, tied=tied)
    depth = None if tower is None else tower.depth
    refuse_above(DEFAULT_BUDGET, depth, order, tied=tied, decoder=False)
    trees: Iterator[Any] = (t for size in range(1, order + 1) for t in rooted_trees(size))
    if not tied:
        trees = labelled_trees(depth or 0, order)
    last = lower.tower.depth if lower.tower is not None else 0
    terms: dict[Term, Any] = {}
    for tree in trees:
        total = _weight(lower, tree)
        for top, cut in _tops(tree) if tied else _labelled_tops(tree, last):
            below = prod((_weight(lower, subtree) for subtree in cut), start=Fraction(1))
            total = total + _weight(upper, top) * below
        terms[tree] = total / tree.symmetry
    return Expansion(terms, order, tower)


def _weight(expansion: Expansion, tree: Any) -> Any:
    """α(t) = σ(t) c(t)."""
    value = expansion.get(tree)
    return Fraction(0) if value is None else value * tree.symmetry


def _labelled_tops(tree: LabelledTree, last: int) -> Iterator[tuple[Any, list[Any]]]:
    """The one part of a tree above block ``last``, renumbered from 1, and what hangs below it."""
    if tree.label <= last:
        return
    kept, cut = [], []
    for child in tree.children:
        if child.label <= last:
            cut.append(child)
        else:
            ((top, below),) = _labelled_tops(child, last)
            kept.append(top)
            cut += below
    yield LabelledTree(tree.label - last, tuple(kept)), cut


def _tops(tree: Tree) -> Iterator[tuple[Any, list[Any]]]:
    """Every part of a tree that holds the root, and what hangs below it."""
    choices = [[(None, [child]), *_tops(child)] for child in tree.children]
    for choice in combinations_of(*choices):
        kept = tuple(top for top, _ in choice if top is not None)
        yield Tree(kept), [subtree for _, below in choice for subtree in below]


def _joined(lower: Tower | None, upper: Tower | None, *, tied: bool) -> Tower | None:
    if lower is None or upper is None:
        return None
    branches = lower.branches + upper.branches
    if tied:
        if lower.branches[0] != upper.branches[0]:
            raise InputError("towers tied to the same branch", "two branches", "share one")
        branches = branches[:1] * len(branches)
    scales = lower.scales + upper.scales
    rule = "1" if all(scale == 1 for scale in scales) else scales
    return Tower(branches, rule, lower.encoder, upper.decoder)
