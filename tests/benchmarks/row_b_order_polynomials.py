"""Row B: order polynomials of all trees to order 10, as polynomials in the depth (claim E3)."""

from harness import Row, Side


def start_ours(size):
    """All trees together, as FLINT polynomials."""
    from expansion.trees.bulk import tree_table
    from expansion.trees.weights import order_polynomials

    return lambda: order_polynomials(tree_table(size["order"]))


def start_tree_by_tree(size):
    """The reference route: one tree after the other, subtrees kept."""
    from expansion.trees.generate import rooted_trees
    from expansion.trees.order_polynomials import order_polynomial

    def job():
        order_polynomial.cache_clear()
        orders = range(1, size["order"] + 1)
        return [order_polynomial(tree) for order in orders for tree in rooted_trees(order)]

    return job


def start_passagemath(size):
    """Strict order polynomials of the trees as posets, by reciprocity."""
    import sage.all__sagemath_combinat  # noqa: F401 (the rest of sage needs it first)
    from sage.combinat.posets.posets import Poset

    def job():
        found = []
        for levels in _level_sequences(size["order"]):
            open_vertices, edges = {}, []
            for vertex, level in enumerate(levels):
                if level:
                    edges.append((vertex, open_vertices[level - 1]))
                open_vertices[level] = vertex
            weak = Poset((list(range(len(levels))), edges)).order_polynomial()
            found.append((-1) ** len(levels) * weak(-weak.parent().gen()))
        return found

    return job


def _level_sequences(largest):
    for order in range(1, largest + 1):
        levels = list(range(order))
        while True:
            yield tuple(levels)
            last = order - 1
            while last > 0 and levels[last] == 1:
                last -= 1
            if last <= 0:
                break
            parent = last - 1
            while levels[parent] != levels[last] - 1:
                parent -= 1
            for vertex in range(last, order):
                levels[vertex] = levels[vertex - last + parent]


def summary(polynomials):
    """Every polynomial at 0..9 and at one large depth, in a common order."""
    points = (*range(10), 1000)
    return sorted([str(polynomial(point)) for point in points] for polynomial in polynomials)


def gate(size, ours, theirs):
    """All values equal, and Σ Ω°(τ; 1) = 1: only the single vertex fits into one block."""
    known = {10: 1205, 6: 37}
    if len(ours) != known[size["order"]]:
        return "the number of trees is wrong"
    if sum(int(values[1]) for values in ours) != 1:
        return "a tower of one block has one term"
    return None if ours == theirs else "the polynomials differ"


ROW = Row(
    id="B",
    title="order polynomials in n of all 1,205 trees of order <= 10, exact",
    sizes={"K=10": {"order": 10}},
    quick={"K=6": {"order": 6}},
    sides=(
        Side("ours", start_ours, summary),
        Side("passagemath", start_passagemath, summary, needs=("sage",), bar=100),
        Side("ours, tree by tree", start_tree_by_tree, summary),
    ),
    gate=gate,
)
