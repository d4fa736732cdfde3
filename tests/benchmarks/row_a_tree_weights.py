"""Row A: the weights that n explicit Euler steps give to all trees, exactly (claim E3)."""

from harness import Row, Side

KNOWN = {"12": 1197846201347941539923395}  # Σ Ω°(τ; 100) over the 7,813 trees
TREES = {"12": 7813, "7": 85}


def start_ours(size):
    """All trees as a table, subtrees shared."""
    from expansion.trees.bulk import tree_table
    from expansion.trees.weights import labelling_counts

    return lambda: labelling_counts(tree_table(size["order"]), size["depth"])


def start_kauri(size):
    """Euler's method n times as one Runge-Kutta method: kauri's fastest route."""
    import kauri

    depth = size["depth"]
    rows = [[int(j < i) for j in range(depth)] for i in range(depth)]

    def job():
        # A new method each time, for it keeps what it has computed.
        weight = kauri.RK(rows, [1] * depth).elementary_weights_map()
        return [
            int(weight(tree))
            for order in range(1, size["order"] + 1)
            for tree in kauri.trees_of_order(order)
        ]

    return job


def start_pybs(size):
    """The same in pybs, on exact objects."""
    import collections
    import collections.abc

    for name in collections.abc.__all__:  # pybs was written before Python 3.10
        setattr(collections, name, getattr(collections.abc, name))
    import numpy as np
    from pybs.rungekutta.rk_method import RK_method
    from pybs.unordered_tree import trees_of_order

    depth = size["depth"]
    matrix = np.array([[int(j < i) for j in range(depth)] for i in range(depth)], object)

    def job():
        weight = RK_method(matrix, np.ones(depth, int).astype(object)).phi()
        return [
            int(weight(tree))
            for order in range(1, size["order"] + 1)
            for tree in trees_of_order(order)
        ]

    return job


def start_prefix_sums(size):
    """One tree after the other in plain Python: running sums over 0..n."""
    from itertools import accumulate

    from expansion.trees.generate import level_sequences

    depth = size["depth"]

    def weight(levels):
        below = [[1] * depth for _ in range(len(levels) + 1)]
        for level in reversed(levels):
            sums = [0, *accumulate(below[level])]
            below[level] = [1] * depth
            if not level:
                return sums[depth]
            below[level - 1] = [a * b for a, b in zip(below[level - 1], sums, strict=False)]
        raise AssertionError

    def job():
        orders = range(1, size["order"] + 1)
        return [weight(levels) for order in orders for levels in level_sequences(order)]

    return job


def summary(weights):
    """How many trees, and all weights in a common order."""
    return {
        "trees": len(weights),
        "sum": str(sum(weights)),
        "all": [str(w) for w in sorted(weights)],
    }


def gate(size, ours, theirs):
    """Every weight equal, the number of trees and the sum as known."""
    order = str(size["order"])
    if ours["trees"] != TREES.get(order, ours["trees"]):
        return "the number of trees is wrong"
    if size["depth"] == 100 and int(ours["sum"]) != KNOWN.get(order, int(ours["sum"])):
        return "the sum of all weights is wrong"
    return None if ours == theirs else "the weights differ"


ROW = Row(
    id="A",
    title="weights of all 7,813 trees of order <= 12 in a tied tower of depth 100, exact",
    sizes={"K=12, n=100": {"order": 12, "depth": 100}},
    quick={"K=7, n=20": {"order": 7, "depth": 20}},
    sides=(
        Side("ours", start_ours, summary),
        Side("kauri", start_kauri, summary, needs=("kauri",), bar=1000),
        Side("pybs", start_pybs, summary, needs=("pybs",), bar=50),
        Side("plain Python, tree by tree", start_prefix_sums, summary),
    ),
    gate=gate,
    notes="pybs keeps its trees between jobs; pybs and kauri make a new method for every job",
)
