"""``expansion growth``: energy against depth, predicted, simulated, and a scale that tames it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from expansion.checking import check_count, check_jobs
from expansion.commands.options import BiasVariance, Block, Layers, Overlap, WeightVariance
from expansion.console import check_format, print_json, progress_bar
from expansion.errors import InputError

__all__ = ["growth"]


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
