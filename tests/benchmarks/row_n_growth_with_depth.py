"""Row N: how time and memory grow with the depth; no peers."""

from _towers import start_ours, summary
from harness import Row, Side


def start_terms(size):
    """All labelled trees to order 4."""
    from expansion.trees.labelled_bulk import labelled_table

    return lambda: len(labelled_table(size["depth"], size["order"]))


def gate(size, ours, theirs):
    """The number of trees by its generating function; one row of the series per order."""
    from expansion.trees.counting import tree_counts

    if isinstance(theirs, list):
        return None if len(theirs) == size["order"] + 1 else "the number of orders is wrong"
    known = sum(tree_counts(size["depth"], size["order"])[1:])
    return None if theirs == known else f"{theirs} trees instead of {known}"


ROW = Row(
    id="N",
    title="growth with the depth: all terms of order <= 4, and their sums by jets (width 64)",
    sizes={f"n={n}": {"depth": n, "order": 4, "width": 64} for n in (4, 8, 16, 32)},
    quick={"n=3": {"depth": 3, "order": 3, "width": 8}},
    sides=(
        Side("labelled trees, as a table", start_terms, int),
        Side("orders 0..4 by jets", start_ours, summary),
    ),
    gate=gate,
    compared=False,
    notes="the number of terms grows like n^4, the work of jets like n",
)
