"""``expansion expand``: every term of a tower."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from expansion.checking import check_count
from expansion.commands.options import Depth, Order
from expansion.console import check_format, print_json
from expansion.errors import InputError

__all__ = ["expand"]


def expand(
    depth: Depth,
    order: Order,
    tied: Annotated[bool, typer.Option("--tied", help="All blocks share one branch.")] = False,
    decoder: Annotated[bool, typer.Option("--decoder", help="Expand D∘H_n.")] = False,
    scalar: Annotated[
        bool, typer.Option("--scalar", help="One dimension: collapse terms that are equal there.")
    ] = False,
    rule: Annotated[str, typer.Option(help="Scales: 1, 1/n, lambda, lambda_l, @FILE, ….")] = "1",
    budget: Annotated[str, typer.Option(help="Largest number of terms.")] = "1000000",
    format: Annotated[str, typer.Option("--format", help="text, json or latex.")] = "text",
) -> None:
    """List every term of a tower, with its exact coefficient.

    DEPTH may be the letter n: sums over block numbers or, with --tied, polynomials in n.
    """
    from expansion.series.expansion import expand as expand_tower
    from expansion.series.indexed import expand_indexed
    from expansion.series.size import refuse_above
    from expansion.towers.scaling import ScalingRule
    from expansion.towers.tower import Tower

    check_format(format, ("text", "json", "latex"))
    largest = check_count(order, "order", least=0)
    allowed = check_count(budget, "budget", least=0)
    chosen = ScalingRule.parse(rule)
    symbolic = depth.strip() == "n"
    if symbolic and chosen != ScalingRule("1"):
        raise InputError("the rule 1 for a symbolic depth", rule, "give a number as the depth")
    if symbolic and scalar and not tied:
        raise InputError("a number as the depth, or --tied, with --scalar", depth, "give one")
    expansion: Any
    number: int | None = None
    if symbolic and not tied:
        expansion = expand_indexed(largest, decoder=decoder, budget=min(allowed, 20_000))
    elif symbolic:
        expansion = expand_tower("n", largest, tied=True, decoder=decoder, budget=allowed)
    else:
        number = check_count(depth, "depth", least=1)
        refuse_above(allowed, number, largest, tied=tied, decoder=decoder)
        tower = Tower.abstract(number, chosen, tied=tied)
        expansion = expand_tower(tower, largest, tied=tied, decoder=decoder, budget=allowed)
    if scalar:
        from expansion.series.scalar import one_dimensional

        expansion = one_dimensional(expansion)
    if format == "json":
        settings = {"order": largest, "tied": tied, "decoder": decoder, "rule": chosen.text}
        shown = "n" if symbolic else number
        print_json({"depth": shown, **settings, "terms": expansion.to_dicts()})
    else:
        print(expansion.latex() if format == "latex" else expansion)
