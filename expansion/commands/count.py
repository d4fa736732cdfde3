"""``expansion count`` and ``trees``: how many terms each order has, and which trees they are."""

from __future__ import annotations

from typing import Annotated

import typer

from expansion.checking import check_count
from expansion.commands.options import Depth, Format, Order
from expansion.console import check_format, print_json

__all__ = ["count", "trees"]


def count(
    depth: Depth,
    order: Order,
    kind: Annotated[str, typer.Option(help="paths, trees or weighted (trees by 1/σ).")] = "paths",
    format: Format = "text",
) -> None:
    """Count the terms of each order, exactly."""
    from expansion.report.grid import print_table
    from expansion.report.numbers import exact_text
    from expansion.report.tables import counts_grid
    from expansion.trees.counting import counts

    check_format(format, ("text", "json"))
    number = check_count(depth, "depth", least=1)
    found = counts(kind, number, check_count(order, "order", least=0))
    if format == "json":
        counted = [exact_text(value) for value in found]
        print_json({"depth": number, "kind": kind, "counts": counted})
    else:
        print_table(counts_grid({kind: found}, f"Terms of each order, n = {number}"))


def trees(order: Order, format: Format = "text") -> None:
    """List every rooted tree with its symmetry, factorial, order polynomial and ω."""
    from expansion.report.grid import print_table
    from expansion.report.tables import tree_row, trees_grid
    from expansion.series.size import refuse_above
    from expansion.trees.generate import rooted_trees

    check_format(format, ("text", "json"))
    largest = check_count(order, "order", least=1)
    refuse_above(20_000, None, largest, tied=True, decoder=False)
    rows = [tree_row(tree) for size in range(1, largest + 1) for tree in rooted_trees(size)]
    if format == "json":
        print_json({"trees": rows})
    else:
        print_table(trees_grid(rows))
