"""Row C: all rooted trees to order 15 as arrays (claim C3)."""

from harness import Row, Side

A000081 = [0, 1, 1, 2, 4, 9, 20, 48, 115, 286, 719, 1842, 4766, 12486, 32973, 87811]


def start_ours(size):
    """The table of all trees, an object made when one is asked for."""
    from expansion.trees.bulk import tree_table

    def job():
        table = tree_table(size["order"])
        return [len(table.numbers(order)) for order in range(1, size["order"] + 1)]

    return job


def start_levels(size):
    """The table, and every tree written out as its level sequence."""
    from expansion.trees.bulk import tree_table

    def job():
        table = tree_table(size["order"])
        return [len(table.levels(order)) for order in range(1, size["order"] + 1)]

    return job


def start_objects(size):
    """Tree objects of this project, all made."""
    from expansion.trees.generate import rooted_trees

    orders = range(1, size["order"] + 1)
    return lambda: [sum(1 for _ in rooted_trees(order)) for order in orders]


def start_kauri(size):
    """kauri's tree objects."""
    import kauri

    orders = range(1, size["order"] + 1)
    return lambda: [sum(1 for _ in kauri.trees_of_order(order)) for order in orders]


def gate(size, ours, theirs):
    """A000081, order by order."""
    known = A000081[1 : size["order"] + 1]
    return None if ours == theirs == known else "the counts are not A000081"


ROW = Row(
    id="C",
    title="all rooted trees of order <= 15 enumerated",
    sizes={"K=15": {"order": 15}},
    quick={"K=8": {"order": 8}},
    sides=(
        Side("ours", start_ours, list),
        Side("kauri", start_kauri, list, needs=("kauri",), bar=100),
        Side("ours, as level sequences", start_levels, list),
        Side("ours, as objects", start_objects, list),
    ),
    gate=gate,
    notes="ours holds every tree as two numbers and makes an object when one is asked for",
)
