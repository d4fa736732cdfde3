"""Row F: the abstract terms of one order of an untied tower (claims E1, C2)."""

from harness import Row, Side

TREES = {(6, 6): 3088, (8, 6): 21938, (10, 6): 96291, (4, 4): 32}
COLLAPSED = {(6, 6): 1933, (8, 6): 11872, (10, 6): 47697, (4, 4): 31}


def start_ours(size):
    """All labelled trees, and what they collapse to in one dimension: symengine's answer."""
    from expansion.series.one_dimension import collapsed_order

    return lambda: collapsed_order(size["depth"], size["order"])


def start_trees(size):
    """All labelled trees with their symmetries, in any dimension: what symengine cannot do."""
    from expansion.trees.labelled_bulk import labelled_table

    def job():
        table = labelled_table(size["depth"], size["order"])
        return len(table.numbers(size["order"])), table.symmetries()

    return job


def start_objects(size):
    """The theorem's mapping, every term made as an object."""
    from expansion.series.expansion import expand

    def job():
        expansion = expand(size["depth"], size["order"])
        return sum(term.order == size["order"] for term in expansion), None

    return job


def start_symengine(size):
    """Truncated Taylor expansion, block by block, in symbols f{block}_{derivative}."""
    import symengine

    depth, order = size["depth"], size["order"]
    symbols = [
        [symengine.Symbol(f"f{block}_{m}") for m in range(order)] for block in range(depth + 1)
    ]

    def job():
        moved = [symengine.Integer(0)] * (order + 1)  # coefficients of z^i in H - x
        for block in range(1, depth + 1):
            added = list(moved)
            power, factorial = [symengine.Integer(1)] + [symengine.Integer(0)] * (order - 1), 1
            for m in range(order):
                for i in range(order):
                    # Of the last block only the wanted order is needed.
                    if power[i] != 0 and (block < depth or i == order - 1):
                        added[i + 1] += symbols[block][m] * power[i] / factorial
                raised = [symengine.Integer(0)] * order
                for i in range(m, order):
                    if power[i] != 0:
                        for j in range(1, order - i):
                            raised[i + j] += power[i] * moved[j]
                power = [symengine.expand(value) for value in raised]
                factorial *= m + 1
            moved = [symengine.expand(value) for value in added]
        return moved[order]

    return job


def summary_ours(terms):
    """Every term as text, with its coefficient."""
    lines = []
    for factors, coefficient in terms.as_dict().items():
        names = [f"f{block}_{m}" for block, m in factors]
        lines.append(" ".join([str(coefficient), *sorted(names)]))
    return sorted(lines)


def summary_symengine(expression):
    """The same, read off the expression."""
    import symengine

    lines = []
    for term in symengine.Add.make_args(expression):
        names, coefficient = [], symengine.Integer(1)
        for factor in symengine.Mul.make_args(term):
            base, power = factor.args if isinstance(factor, symengine.Pow) else (factor, 1)
            if isinstance(base, symengine.Symbol):
                names += [str(base)] * int(power)
            else:
                coefficient *= factor
        lines.append(" ".join([str(coefficient), *sorted(names)]))
    return sorted(lines)


def summary_trees(answer):
    """The number of trees."""
    return {"trees": answer[0]}


def gate(size, ours, theirs):
    """Every collapsed term equal; the number of terms, or of trees, as known."""
    key = size["depth"], size["order"]
    if len(ours) != COLLAPSED[key]:
        return f"{len(ours)} collapsed terms instead of {COLLAPSED[key]}"
    if isinstance(theirs, dict):
        return None if theirs["trees"] == TREES[key] else f"{theirs['trees']} trees"
    return None if ours == theirs else "the terms differ"


ROW = Row(
    id="F",
    title="abstract terms of order exactly k of an untied tower",
    sizes={f"n={n} k=6": {"depth": n, "order": 6} for n in (6, 8, 10)},
    quick={"n=4 k=4": {"depth": 4, "order": 4}},
    sides=(
        Side("ours, one dimension", start_ours, summary_ours),
        Side("symengine", start_symengine, summary_symengine, needs=("symengine",), bar=1),
        Side("ours, trees for any dimension", start_trees, summary_trees),
        Side("ours, as objects with coefficients", start_objects, summary_trees),
    ),
    gate=gate,
    notes="symengine does the scalar case only, where isomeric trees collapse",
)
