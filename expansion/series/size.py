"""The size of an expansion, known before any term is made, and the refusal of one too large."""

from __future__ import annotations

from expansion.checking import check_count
from expansion.errors import TooManyTermsError
from expansion.trees.counting import forest_counts, rooted_tree_counts, tree_counts

__all__ = ["DEFAULT_BUDGET", "refuse_above", "term_count"]

DEFAULT_BUDGET = 1_000_000
_EXACTLY_COUNTED = 128  # orders whose terms are counted in well under a second
_INSTEAD = (
    "for the counts alone use count, for the sum of each order jet_orders or gated_orders, "
    "for its size spectrum; or lower the order"
)


def term_count(depth: int | None, order: int, *, tied: bool, decoder: bool) -> int:
    """How many terms :func:`expand` would return, known before any is made (claims C2, C3).

    Examples
    --------
    >>> term_count(5, 5, tied=False, decoder=False)
    414
    """
    if tied or depth is None:
        # Forests with k vertices are trees with k + 1.
        rooted = rooted_tree_counts(order + 1)
        return sum(rooted[1:]) if decoder else sum(rooted[1 : order + 1])
    return sum(forest_counts(depth, order)) if decoder else sum(tree_counts(depth, order)[1:])


def refuse_above(budget: int, depth: int | None, order: int, *, tied: bool, decoder: bool) -> None:
    """Raise at once if an expansion would have more than ``budget`` terms.

    Raises
    ------
    TooManyTermsError
        With the number of terms (exact up to order 128), and what to do instead.
    """
    budget = check_count(budget, "budget", least=0)
    # An exact count of a great order takes long itself: its lower orders are enough to refuse.
    counted = order
    while counted > _EXACTLY_COUNTED:
        counted //= 2
    terms = term_count(depth, counted, tied=tied, decoder=decoder)
    if terms <= budget and counted < order:
        terms = term_count(depth, order, tied=tied, decoder=decoder)
        counted = order
    if terms > budget:
        raise TooManyTermsError(terms, budget, _INSTEAD, at_least=counted < order)
