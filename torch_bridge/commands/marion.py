"""``torch-bridge marion``: the gap against sup‖ΔW‖, the penalty sweep, and claim B3's bound."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from expansion.console import check_format, print_json
from torch_bridge.commands.grids import (
    Cluster,
    Device,
    Epochs,
    Format,
    Jobs,
    Output,
    Resume,
    Seeds,
    answer_all,
    count,
    counts,
    data_place,
    numbers,
    print_found,
)

__all__ = ["SEVERAL", "marion"]

SEVERAL = ("--depth", "--width", "--penalty")


def marion(
    depth: Annotated[list[str] | None, typer.Option(help="Depths L, not the preset's.")] = None,
    width: Annotated[list[str] | None, typer.Option(help="Widths d, not the preset's.")] = None,
    penalty: Annotated[
        list[str] | None, typer.Option(help="Penalties μ; inf: one weight for all layers.")
    ] = None,
    preset: Annotated[str, typer.Option(help="The grid: tiny, small or gpu.")] = "small",
    seeds: Seeds = None,
    epochs: Epochs = None,
    data: Annotated[str | None, typer.Option(help="Data, not the preset's; as for train.")] = None,
    output: Output = Path("marion"),
    resume: Resume = False,
    jobs: Jobs = None,
    cluster: Cluster = None,
    device: Device = "auto",
    format: Format = "text",
) -> int:
    """Train towers that are smooth in depth; hold their gaps against penalties and the bound."""
    check_format(format, ("text", "json"))
    depths, widths = counts(depth, "depth"), counts(width, "width")
    sizes = numbers(penalty, "penalty", "0.01, or inf")
    how_many, passes = count(seeds, "seeds"), count(epochs, "epochs")

    from torch_bridge.experiments.grids.cells import finite
    from torch_bridge.experiments.grids.inputs import cuda_or_cpu, pinned
    from torch_bridge.experiments.marion.cell import answer
    from torch_bridge.experiments.marion.presets import preset_cells
    from torch_bridge.experiments.marion.results import (
        bound_grid,
        gap_grid,
        run_rows,
        sentences,
        write_results,
    )
    from torch_bridge.experiments.marion.statistics import groups_of

    cells = preset_cells(
        preset,
        depths=depths,
        widths=widths,
        penalties=None if sizes is None else [None if math.isinf(mu) else mu for mu in sizes],
        seeds=how_many,
        epochs=passes,
        data=None if data is None else data_place(data),
        device=cuda_or_cpu(device),
    )
    cells = pinned(cells)
    answers = answer_all(
        cells,
        answer,
        lambda cell: cell.depth * cell.epochs // 10 + 1,
        what="tens of layers trained for an epoch",
        output=output,
        resume=resume,
        jobs=jobs,
        cluster=cluster,
    )
    write_results(output, cells, answers, output / "cells")
    groups = groups_of(cells, answers)
    found = sentences(groups)
    if format == "json":
        print_json({"runs": finite(run_rows(cells, answers)), "found": found})
    else:
        files = "README.md, epochs and runs as .csv and .parquet, plots"
        print_found([gap_grid(groups), bound_grid(groups)], found, output, files)
    return 0
