"""The ``expansion`` command: parse, call, report. No mathematics.

Each command imports what it needs, so that ``expansion --help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from expansion.checking import check_count
from expansion.console import check_format, print_json, progress_bar, run
from expansion.errors import InputError

__all__ = ["main"]

app = typer.Typer(
    help="Expand deep residual networks, count their paths, see how their signal grows.",
    add_completion=False,
    rich_markup_mode=None,
)

Format = Annotated[str, typer.Option("--format", help="text or json.")]
Depth = Annotated[str, typer.Option(help="Number of blocks n.")]
Order = Annotated[str, typer.Option(help="Largest order K.")]


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run(app, sys.argv[1:], several=("--depth", "--rule")))


@app.command()
def report(
    weights: Annotated[
        Path | None, typer.Option(help="A tower with inputs (safetensors); by default digits.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Also write one page of HTML.")] = None,
    format: Format = "text",
) -> int:
    """Show everything: terms, counts, growth, a network's spectrum, and the checks."""
    from expansion.main_job import run_main_job
    from expansion.report.grid import print_table

    check_format(format, ("text", "json"))
    if output is not None and not output.parent.is_dir():
        raise InputError("a folder that exists for the page", output.parent, "make it first")
    with _bars() as progress:
        job = run_main_job(weights, progress)
    if output is not None:
        from expansion.writing import write_whole

        write_whole(output, job.to_html().encode())
        print(f"written: {output}", file=sys.stderr)
    if format == "json":
        print_json(job.to_dict())
    else:
        print("\n".join(job.terms), end="\n\n")
        for grid in job.grids():
            print_table(grid)
            if "network" in grid.title:
                print(job.saved.description, end="\n\n")
        print(job.verdict())
    return 0 if job.passed else 1


@app.command()
def expand(
    depth: Depth,
    order: Order,
    tied: Annotated[bool, typer.Option("--tied", help="All blocks share one branch.")] = False,
    decoder: Annotated[bool, typer.Option("--decoder", help="Expand D∘H_n.")] = False,
    rule: Annotated[str, typer.Option(help="Scales: 1, 1/n, lambda, lambda_l, @FILE, ….")] = "1",
    budget: Annotated[str, typer.Option(help="Largest number of terms.")] = "1000000",
    format: Annotated[str, typer.Option("--format", help="text, json or latex.")] = "text",
) -> None:
    """List every term of a tower, with its exact coefficient.

    DEPTH may be the letter n: sums over block numbers or, with --tied, polynomials in n.
    """
    from expansion.series.expansion import expand as expand_tower
    from expansion.series.expansion import refuse_above
    from expansion.series.indexed import expand_indexed
    from expansion.towers.scaling import ScalingRule
    from expansion.towers.tower import Tower

    check_format(format, ("text", "json", "latex"))
    largest = check_count(order, "order", least=0)
    allowed = check_count(budget, "budget", least=0)
    chosen = ScalingRule.parse(rule)
    symbolic = depth.strip() == "n"
    if symbolic and chosen != ScalingRule("1"):
        raise InputError("the rule 1 for a symbolic depth", rule, "give a number as the depth")
    if symbolic and decoder and not tied:
        raise InputError("--tied with --decoder at a symbolic depth", "--decoder alone", "add it")
    expansion: Any
    number: int | None = None
    if symbolic and not tied:
        expansion = expand_indexed(largest, budget=min(allowed, 20_000))
    elif symbolic:
        expansion = expand_tower("n", largest, tied=True, decoder=decoder, budget=allowed)
    else:
        number = check_count(depth, "depth", least=1)
        refuse_above(allowed, number, largest, tied=tied, decoder=decoder)
        tower = Tower.abstract(number, chosen, tied=tied)
        expansion = expand_tower(tower, largest, tied=tied, decoder=decoder, budget=allowed)
    if format == "json":
        settings = {"order": largest, "tied": tied, "decoder": decoder, "rule": chosen.text}
        shown = "n" if symbolic else number
        print_json({"depth": shown, **settings, "terms": expansion.to_dicts()})
    else:
        print(expansion.latex() if format == "latex" else expansion)


@app.command()
def count(
    depth: Depth,
    order: Order,
    kind: Annotated[str, typer.Option(help="paths, trees or weighted (trees by 1/σ).")] = "paths",
    format: Format = "text",
) -> None:
    """Count the terms of each order, exactly."""
    from expansion.report.grid import print_table
    from expansion.report.tables import counts_grid
    from expansion.trees.counting import counts

    check_format(format, ("text", "json"))
    number = check_count(depth, "depth", least=1)
    found = counts(kind, number, check_count(order, "order", least=0))
    if format == "json":
        print_json({"depth": number, "kind": kind, "counts": [str(value) for value in found]})
    else:
        print_table(counts_grid({kind: found}, f"Terms of each order, n = {number}"))


@app.command()
def trees(order: Order, format: Format = "text") -> None:
    """List every rooted tree with its symmetry, factorial, order polynomial and ω."""
    from expansion.report.grid import print_table
    from expansion.report.tables import tree_row, trees_grid
    from expansion.series.expansion import refuse_above
    from expansion.trees.generate import rooted_trees

    check_format(format, ("text", "json"))
    largest = check_count(order, "order", least=1)
    refuse_above(20_000, None, largest, tied=True, decoder=False)
    rows = [tree_row(tree) for size in range(1, largest + 1) for tree in rooted_trees(size)]
    if format == "json":
        print_json({"trees": rows})
    else:
        print_table(trees_grid(rows))


@app.command()
def growth(
    depth: Annotated[list[str], typer.Option(help="Depths n, several allowed.")],
    rule: Annotated[list[str], typer.Option(help="Scaling rules, several allowed.")],
    branch: Annotated[str, typer.Option(help="relu or linear.")] = "relu",
    simulate: Annotated[
        str | None, typer.Option(metavar="TRIALS", help="Also simulate, with this many draws.")
    ] = None,
    seed: Annotated[str, typer.Option(help="Of the simulation.")] = "0",
    format: Annotated[
        str, typer.Option("--format", help="text, json, csv, markdown or latex.")
    ] = "text",
) -> None:
    """Predict how the signal's energy grows with depth, and simulate it."""
    from expansion.growth.table import growth_table
    from expansion.report.grid import csv_text, latex_text, markdown_text, print_table
    from expansion.report.tables import growth_grid
    from expansion.towers.scaling import ScalingRule

    check_format(format, ("text", "json", "csv", "markdown", "latex"))
    depths = [check_count(one, "depth", least=1) for one in depth]
    rules = [ScalingRule.parse(one) for one in rule]
    trials = None if simulate is None else check_count(simulate, "trials", least=2)
    cells = len(depths) * len(rules)
    with progress_bar("growth", cells) as advance:
        table = growth_table(
            depths,
            rules,
            branch=branch,
            trials=trials,
            seed=check_count(seed, "seed", least=0),
            on_row=lambda row: advance(f"growth, rule {row.rule}, n = {row.depth}"),
        )
    if format == "json":
        print_json({"branch": branch, "rows": table.to_dicts()})
    elif format == "csv":
        print(csv_text(table.to_dicts()), end="")
    elif format == "text":
        print_table(growth_grid(table))
    else:
        print({"markdown": markdown_text, "latex": latex_text}[format](growth_grid(table)))


@app.command()
def spectrum(
    depth: Depth,
    rule: Annotated[str, typer.Option(help="Scaling rule.")],
    order: Order,
    format: Format = "text",
) -> None:
    """Show how the energy is shared among the orders."""
    from expansion.growth.spectrum import spectrum as order_spectrum
    from expansion.report.grid import print_table
    from expansion.report.tables import spectrum_grid, spectrum_lists
    from expansion.towers.scaling import ScalingRule

    check_format(format, ("text", "json"))
    number = check_count(depth, "depth", least=1)
    found = order_spectrum(number, ScalingRule.parse(rule), check_count(order, "order", least=0))
    if format == "json":
        print_json({"depth": number, "rule": found.rule.text, **spectrum_lists(found)})
    else:
        print_table(spectrum_grid(found))


@contextmanager
def _bars() -> Iterator[Callable[[str, int], Callable[..., None]]]:
    """Progress bars one after the other, each closed when the next opens."""
    with ExitStack() as stack:

        def open_next(description: str, total: int) -> Callable[..., None]:
            stack.close()
            advance: Callable[..., None] = stack.enter_context(progress_bar(description, total))
            return advance

        yield open_next
