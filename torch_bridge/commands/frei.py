"""``torch-bridge frei``: which terms of an over-parameterised residual network see its depth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    count,
    counts,
    data_place,
    numbers,
    print_found,
)

__all__ = ["SEVERAL", "frei"]

SEVERAL = ("--depth", "--width", "--rule")


def frei(
    depth: Annotated[list[str] | None, typer.Option(help="Depths L, not the preset's.")] = None,
    width: Annotated[list[str] | None, typer.Option(help="Widths m, even.")] = None,
    rule: Annotated[
        list[str] | None, typer.Option(help="Scales θ with n for L: 1/n, 1/sqrt(n), 1.")
    ] = None,
    preset: Annotated[str, typer.Option(help="The grid: tiny, small or gpu.")] = "small",
    task: Annotated[str, typer.Option(help="parity, or two classes such as 3/8.")] = "parity",
    rate: Annotated[str | None, typer.Option(help="η·m, the step times the width.")] = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    data: Data = "digits",
    output: Output = Path("frei"),
    resume: Resume = False,
    jobs: Jobs = None,
    cluster: Cluster = None,
    device: Device = "auto",
    format: Format = "text",
) -> int:
    """Train near the start; track τ, the gap terms and the interlayer certificate over depths."""
    check_format(format, ("text", "json"))
    depths, widths = counts(depth, "depth", least=2), counts(width, "width", least=2)
    steps = numbers(None if rate is None else [rate], "rate", "2", positive=True)
    how_many, passes = count(seeds, "seeds"), count(epochs, "epochs")

    from torch_bridge.experiments.frei.cell import answer
    from torch_bridge.experiments.frei.presets import preset_cells
    from torch_bridge.experiments.frei.results import (
        end_grid,
        law_grid,
        margin_of,
        run_rows,
        sentences,
        write_results,
    )
    from torch_bridge.experiments.frei.statistics import depth_laws
    from torch_bridge.experiments.frei.task import signed_data
    from torch_bridge.experiments.grids.datasets import load_data
    from torch_bridge.experiments.grids.inputs import cuda_or_cpu, pinned

    cells = preset_cells(
        preset,
        depths=depths,
        widths=widths,
        rules=rule,
        seeds=how_many,
        epochs=passes,
        rate=None if steps is None else steps[0],
        task=task,
        data=data_place(data),
        device=cuda_or_cpu(device),
    )
    cells = pinned(cells)
    images = load_data(cells[0].data, cells[0].samples)
    signed_data(images.data, task)  # refused before the first run
    answers = answer_all(
        cells,
        answer,
        lambda cell: cell.depth * cell.epochs * cell.width**2 // 1_000_000 + 1,
        what="million weights trained for a step",
        output=output,
        resume=resume,
        jobs=jobs,
        cluster=cluster,
    )
    found = sentences(cells, answers, margin_of(cells[0]))
    write_results(output, cells, answers, output / "cells", found)
    if format == "json":
        print_json({"runs": run_rows(cells, answers), "found": found})
    else:
        grids = [law_grid(depth_laws(cells, answers)), end_grid(cells, answers)]
        files = "README.md, epochs, runs and depth_laws as .csv, .parquet, plots"
        print_found(grids, found, output, files)
    return 0
