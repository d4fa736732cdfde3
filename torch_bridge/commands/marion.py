"""``torch-bridge marion``: the gap against sup‖ΔW‖, the penalty sweep, and claim B3's bound."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from expansion.checking import check_count
from expansion.console import check_format, print_json
from torch_bridge.commands.grids import (
    Cluster,
    Data,
    Device,
    Epochs,
    Format,
    Jobs,
    Output,
    Resume,
    Seeds,
    answer_all,
    counts,
    data_place,
    numbers,
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
    data: Data = "digits",
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
    how_many = None if seeds is None else check_count(seeds, "seeds", least=1)
    passes = None if epochs is None else check_count(epochs, "epochs", least=1)

    from torch_bridge.experiments.datasets import load_data
    from torch_bridge.experiments.marion import marion_answer
    from torch_bridge.experiments.marion_presets import marion_cells
    from torch_bridge.experiments.marion_results import (
        bound_grid,
        gap_grid,
        run_rows,
        sentences,
        write_marion,
    )
    from torch_bridge.experiments.marion_statistics import groups_of
    from torch_bridge.experiments.trial import cuda_or_cpu

    place = data_place(data)
    cells = marion_cells(
        preset,
        depths=depths,
        widths=widths,
        penalties=None if sizes is None else [None if math.isinf(mu) else mu for mu in sizes],
        seeds=how_many,
        epochs=passes,
        data=place,
        device=cuda_or_cpu(device),
    )
    cells = tuple(cell.of(load_data(place, cell.samples).fingerprint) for cell in cells)
    answers = answer_all(
        cells,
        marion_answer,
        lambda cell: cell.depth * cell.epochs // 10 + 1,
        what="tens of layers trained for an epoch",
        output=output,
        resume=resume,
        jobs=jobs,
        cluster=cluster,
    )
    write_marion(output, cells, answers, output / "cells")
    groups = groups_of(cells, answers)
    if format == "json":
        from torch_bridge.experiments.cells import finite

        print_json({"runs": finite(run_rows(cells, answers)), "found": sentences(groups)})
        return 0

    from expansion.report.grid import print_table

    for grid in (gap_grid(groups), bound_grid(groups)):
        if grid.rows:
            print_table(grid)
    for sentence in sentences(groups):
        print(sentence)
    print(f"Written to {output}: README.md, epochs and runs as .csv and .parquet, plots.")
    return 0
