"""Row K: how time and memory grow with the order; no peers."""

from harness import Row, Side


def start_weights(size):
    """Exact weights of all trees to order K at depth 100."""
    from expansion.trees.bulk import tree_table
    from expansion.trees.weights import labelling_counts

    return lambda: len(labelling_counts(tree_table(size["order"]), 100))


def start_table(size):
    """All trees to order K."""
    from expansion.trees.bulk import tree_table

    return lambda: len(tree_table(size["order"]))


def start_stream(size):
    """Level sequences of all trees to order K, streamed."""
    from expansion.trees.streams import level_chunks

    orders = range(1, size["order"] + 1)
    return lambda: sum(len(rows) for order in orders for rows in level_chunks(order))


def gate(size, ours, theirs):
    """The number of trees, by the count that needs no tree."""
    from expansion.trees.counting import rooted_tree_counts

    known = sum(rooted_tree_counts(size["order"]))
    return None if ours == theirs == known else f"{theirs} trees instead of {known}"


ROW = Row(
    id="K",
    title="growth with the order: all rooted trees of order <= K",
    sizes={f"K={order}": {"order": order} for order in (4, 8, 12, 16)},
    quick={"K=4": {"order": 4}},
    sides=(
        Side("table", start_table, int),
        Side("weights at depth 100", start_weights, int),
        Side("streamed level sequences", start_stream, int),
    ),
    gate=gate,
    compared=False,
)
