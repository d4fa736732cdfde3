"""The ``expansion`` command: parse, call, report. No mathematics.

Each command imports what it needs, so that ``expansion --help`` answers at once.
"""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from expansion import bound_cli
from expansion.checking import check_count, check_jobs
from expansion.console import check_format, print_json, progress_bar, run
from expansion.errors import InputError

__all__ = ["SEVERAL", "app", "main"]

SEVERAL = (
    "--depth",
    "--rule",
    "--branch",
    "--width",
    "--hurst",
    "--samples",
    "--radius",
    "--slope",
    "--distance",
)  # options that take values in a row

app = typer.Typer(
    help="Expand deep residual networks, count their paths, see how their signal grows.",
    add_completion=False,
    rich_markup_mode=None,
)

app.add_typer(bound_cli.app, name="bound")

Format = Annotated[str, typer.Option("--format", help="text or json.")]
Depth = Annotated[str, typer.Option(help="Number of blocks n.")]
Order = Annotated[str, typer.Option(help="Largest order K.")]
Block = Annotated[
    str, typer.Option(help="{pre,post}-activation, activation-first, {pre,post}-norm.")
]
WeightVariance = Annotated[float | None, typer.Option(help="Of weights times fan-in; 2 for relu.")]
BiasVariance = Annotated[float, typer.Option(help="Of biases.")]
Layers = Annotated[str | None, typer.Option(help="Matrices in a branch.")]
Overlap = Annotated[float, typer.Option(help="Cosine of input and mean direction.")]


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run(app, sys.argv[1:] or ["--help"], SEVERAL))


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
        for section in job.sections():
            print_table(section.grid)
            if section.sentence:
                print(textwrap.fill(section.sentence, 100), end="\n\n")
    return 0 if job.passed else 1


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def growth(
    depth: Annotated[list[str], typer.Option(help="Depths n, several allowed.")],
    rule: Annotated[list[str], typer.Option(help="Scaling rules, several allowed.")],
    branch: Annotated[
        list[str] | None, typer.Option(help="relu (default), linear, leaky-relu, tanh, erf, …")
    ] = None,
    block: Block = "pre-activation",
    weight_variance: WeightVariance = None,
    bias_variance: BiasVariance = 0.0,
    layers: Layers = None,
    width: Annotated[
        list[str] | None, typer.Option(help="Of simulated towers (64), several allowed.")
    ] = None,
    overlap: Overlap = 0.0,
    correlation: Annotated[
        float | None, typer.Option(help="Of two inputs, to follow it too.")
    ] = None,
    simulate: Annotated[
        str | None, typer.Option(metavar="TRIALS", help="Also simulate, with this many draws.")
    ] = None,
    seed: Annotated[str, typer.Option(help="Of the simulation.")] = "0",
    advise: Annotated[
        bool, typer.Option("--advise", help="Name the largest scale, and where rules break.")
    ] = False,
    factor: Annotated[
        float | None, typer.Option(help="That the energy may grow by; e by default.")
    ] = None,
    coherent: Annotated[bool, typer.Option("--coherent", help="Advise for tied blocks.")] = False,
    cells: Annotated[
        Path | None, typer.Option(help="Folder of finished cells: to resume, give it again.")
    ] = None,
    jobs: Annotated[str, typer.Option(help="Processes; -1 for all cores.")] = "1",
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    format: Annotated[
        str, typer.Option("--format", help="text, json, csv, markdown or latex.")
    ] = "text",
) -> None:
    """Predict how the signal's energy grows with depth, simulate it, advise a scale."""
    from expansion.growth.advice import advise as advise_scale
    from expansion.growth.setting import Setting
    from expansion.growth.sweep import sweep
    from expansion.growth.table import DEEPEST, grid
    from expansion.parallel import joined_cluster
    from expansion.report.grid import csv_text, print_grids
    from expansion.report.tables import advice_grid, growth_grid
    from expansion.towers.scaling import ScalingRule

    check_format(format, ("text", "json", "csv", "markdown", "latex"))
    if not advise and (coherent or factor is not None):
        ignored = "--coherent" if coherent else "--factor"
        raise InputError("--advise, for advice to shape", f"{ignored} alone", "give --advise too")
    depths = [check_count(one, "depth", least=1, most=DEEPEST) for one in depth]
    rules = [ScalingRule.parse(one) for one in rule]
    matrices = None if layers is None else check_count(layers, "layers", least=1, most=1000)
    blocks = [
        Setting(one, block, weight_variance, bias_variance, matrices, overlap=overlap)
        for one in branch or ["relu"]
    ]
    widths = [check_count(one, "width", least=4, most=10**6) for one in width or ["64"]]
    questions = grid(
        depths,
        rules,
        settings=blocks,
        widths=widths,
        correlation=correlation,
        trials=None if simulate is None else check_count(simulate, "trials", least=2, most=10**7),
        seed=check_count(seed, "seed", least=0),
        matrices=True,
    )
    with progress_bar("growth", len(set(questions))) as advance, joined_cluster(cluster):
        # On a cluster its own workers are used; here as many processes as asked for.
        processes = None if cluster else check_jobs(jobs)
        table = sweep(questions, folder=cells, jobs=processes, on_cell=lambda _: advance())
    most = math.e if factor is None else factor
    found = {
        one: advise_scale(one, depths, rules, factor=most, coherent=coherent, width=widths[0])
        for one in (blocks if advise else [])
    }
    if format == "json":
        answers = [{"branch": s.branch, "block": s.block, **a.to_dict()} for s, a in found.items()]
        more = {"advice": answers} if advise else {}
        print_json({"branch": table.branch, "rows": table.to_dicts(), **more})
    elif format == "csv":
        print(csv_text(table.to_dicts()), end="")
    else:
        advice = (advice_grid(setting, answer) for setting, answer in found.items())
        print_grids([growth_grid(table), *advice], format)


@app.command()
def spectrum(
    depth: Depth,
    rule: Annotated[str, typer.Option(help="Scaling rule.")],
    order: Order,
    branch: Annotated[str, typer.Option(help="The activation.")] = "relu",
    block: Block = "pre-activation",
    weight_variance: WeightVariance = None,
    bias_variance: BiasVariance = 0.0,
    layers: Layers = None,
    overlap: Overlap = 0.0,
    format: Format = "text",
) -> None:
    """Show how the energy is shared among the orders."""
    from expansion.growth.frozen import frozen_spectrum
    from expansion.growth.setting import Setting
    from expansion.growth.spectrum import spectrum as order_spectrum
    from expansion.growth.table import DEEPEST
    from expansion.report.grid import print_table
    from expansion.report.tables import frozen_grid, spectrum_grid, spectrum_lists
    from expansion.towers.scaling import ScalingRule

    check_format(format, ("text", "json"))
    number = check_count(depth, "depth", least=1, most=DEEPEST)
    most = check_count(order, "order", least=0, most=10**5)
    matrices = None if layers is None else check_count(layers, "layers", least=1, most=1000)
    setting = Setting(branch, block, weight_variance, bias_variance, matrices, overlap=overlap)
    scales = ScalingRule.parse(rule)
    answer: dict[str, Any] = {"depth": number, "rule": scales.text}
    if setting.preserves_energy:
        found = order_spectrum(number, scales, most)
        answer |= spectrum_lists(found.log_energy)
        table = spectrum_grid(found)
    else:
        frozen = frozen_spectrum(setting, scales, number, most)
        answer |= spectrum_lists(frozen.log_energies) | {"share": frozen.along.tolist()}
        table = frozen_grid(frozen, setting, number, scales.text)
    if format == "json":
        print_json(answer)
    else:
        print_table(table)


@app.command()
def critical(
    depth: Annotated[str, typer.Option(help="The larger of two depths, n/2 and n.")] = "1024",
    hurst: Annotated[
        list[float] | None, typer.Option(help="Hurst indices of fractional noise, several allowed.")
    ] = None,
    format: Format = "text",
) -> None:
    """Find the exponent of n that keeps blocks correlated in depth bounded."""
    from dataclasses import asdict

    from expansion.growth.correlated import critical_exponents
    from expansion.report.grid import print_table
    from expansion.report.tables import critical_grid

    check_format(format, ("text", "json"))
    most = check_count(depth, "depth", least=16, most=8192)
    hursts = (0.1, 0.3, 0.5, 0.7, 0.9) if hurst is None else tuple(hurst)
    lines = critical_exponents(hursts=hursts, depths=(most // 2, most))
    if format == "json":
        print_json({"depths": [most // 2, most], "rows": [asdict(line) for line in lines]})
    else:
        print_table(critical_grid(lines))


@app.command()
def paths(
    architecture: Annotated[str, typer.Argument(help="A builder's name: residual, unet, ….")],
    parameters: Annotated[
        list[str] | None, typer.Argument(help="Its parameters, such as layers=2.")
    ] = None,
    depth: Annotated[
        list[str] | None, typer.Option(help="Its first parameter: depth, stages, levels.")
    ] = None,
    lesion: Annotated[
        list[str] | None, typer.Option(help="Blocks to remove together, joined by commas.")
    ] = None,
    lesions: Annotated[bool, typer.Option("--lesions", help="Each block removed alone.")] = False,
    output: Annotated[Path | None, typer.Option(help="Also draw it (SVG).")] = None,
    unravel: Annotated[bool, typer.Option("--unravel", help="Draw every path instead.")] = False,
    format: Format = "text",
) -> None:
    """Count an architecture's paths by order, exactly, and what lesions leave of them."""
    from expansion.growth.path_lesions import lesion_shares
    from expansion.growth.path_polynomials import path_polynomial
    from expansion.report.grid import print_table
    from expansion.report.numbers import exact_text
    from expansion.report.path_tables import lesions_grid, paths_dict, paths_grid
    from expansion.towers.architectures.catalogue import build, read_parameters

    check_format(format, ("text", "json"))
    # Commands share --depth, which takes all words up to the next option: parameters among them.
    words = [*(depth or []), *(parameters or [])]
    given = read_parameters([word for word in words if "=" in word or word not in (depth or [])])
    first = ",".join(word for word in depth or [] if "=" not in word) or None
    built = build(architecture, given, first)
    removed = [name for names in lesion or [] for name in names.split(",")]
    whole = path_polynomial(built)
    left = path_polynomial(built, without=removed) if removed else None
    shares = lesion_shares(built) if lesions else {}
    asked = [*([first] if first else []), *(f"{key}={value}" for key, value in given.items())]
    title = f"Paths of {' '.join([architecture, *asked])}"
    if unravel and output is None:
        raise InputError("a file to draw the paths in", "none", "give --output picture.svg")
    if output is not None:
        from expansion.report.drawings import draw_architecture, draw_paths
        from expansion.writing import write_whole

        draw = draw_paths if unravel else draw_architecture
        write_whole(output, draw(built, title=title, without=removed).encode())
        print(f"written: {output}", file=sys.stderr)
    if format == "json":
        settings = {"architecture": architecture, "depth": first, "parameters": given}
        gone = {"lesion": removed} if removed else {}
        each = {"lesions": {b: exact_text(s) for b, s in shares.items()}} if lesions else {}
        print_json({**settings, **paths_dict(whole, left), **gone, **each})
    else:
        print_table(paths_grid(whole, left, title))
        if lesions:
            print_table(lesions_grid(shares))


@contextmanager
def _bars() -> Iterator[Callable[[str, int], Callable[..., None]]]:
    """Progress bars one after the other, each closed when the next opens."""
    with ExitStack() as stack:

        def open_next(description: str, total: int) -> Callable[..., None]:
            stack.close()
            advance: Callable[..., None] = stack.enter_context(progress_bar(description, total))
            return advance

        yield open_next
