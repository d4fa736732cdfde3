"""``torch-bridge train``: the depth × scheme grid, predictions beside what training finds."""

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

__all__ = ["SEVERAL", "train"]

SEVERAL = ("--depth", "--rule", "--network", "--rate")


def train(
    depth: Annotated[
        list[str] | None, typer.Option(help="Depths n, instead of the preset's.")
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Scaling rules, batchnorm, layernorm, skipinit[:RULE], fixup."),
    ] = None,
    network: Annotated[
        list[str] | None, typer.Option(help="dense, conv, mlp, transformer.")
    ] = None,
    rate: Annotated[list[str] | None, typer.Option(help="Learning rates of the sweep.")] = None,
    preset: Annotated[str, typer.Option(help="The grid: tiny, small or gpu.")] = "small",
    seeds: Seeds = None,
    epochs: Epochs = None,
    data: Data = "digits",
    output: Output = Path("training"),
    resume: Resume = False,
    jobs: Jobs = None,
    cluster: Cluster = None,
    device: Device = "auto",
    format: Format = "text",
) -> int:
    """Train a grid of networks and hold what happens against what the expansion predicts."""
    check_format(format, ("text", "json"))
    depths = counts(depth, "depth")
    rates = numbers(rate, "learning rate", "0.02", positive=True)
    how_many, passes = count(seeds, "seeds"), count(epochs, "epochs")

    from torch_bridge.experiments.grids.datasets import load_data
    from torch_bridge.experiments.grids.inputs import cuda_or_cpu, pinned
    from torch_bridge.experiments.grids.presets import named
    from torch_bridge.experiments.training.presets import PRESETS
    from torch_bridge.experiments.training.results import (
        exceptions_of,
        summary_grid,
        write_results,
    )
    from torch_bridge.experiments.training.schemes import Scheme
    from torch_bridge.experiments.training.table import lines_of, rows_of
    from torch_bridge.experiments.training.trial import answer, check_all

    schemes = None if rule is None else [Scheme.parse(text).text for text in rule]
    chosen = named(PRESETS, preset).only(
        networks=network, depths=depths, schemes=schemes, rates=rates, seeds=how_many, epochs=passes
    )
    place = data_place(data)
    cells = pinned(chosen.trials(data=place, device=cuda_or_cpu(device)))
    images = load_data(place, chosen.samples)
    check_all(cells, images.shape, images.data.classes)
    answers = answer_all(
        cells,
        answer,
        lambda trial: trial.depth,  # a deep network takes longer
        what="blocks trained",
        output=output,
        resume=resume,
        jobs=jobs,
        cluster=cluster,
    )
    rows = rows_of(cells, answers)
    write_results(output, cells, rows, output / "cells")
    lines = lines_of(rows)
    agree = sum(line.agrees for line in lines)
    if format == "json":
        print_json({"runs": rows, "networks": len(lines), "agree": agree})
    else:
        found = [f"exception: {sentence}" for sentence in exceptions_of(lines)]
        found.append(f"Predicted and found agree for {agree} of {len(lines)} networks.")
        files = "README.md, table.csv, table.parquet, seconds.csv and plots"
        print_found([summary_grid(lines)], found, output, files)
    return 0
