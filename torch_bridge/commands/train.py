"""``torch-bridge train``: the depth × scheme grid, predictions beside what training finds."""

from __future__ import annotations

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
    how_many = None if seeds is None else check_count(seeds, "seeds", least=1)
    passes = None if epochs is None else check_count(epochs, "epochs", least=1)

    from torch_bridge.experiments.datasets import load_data
    from torch_bridge.experiments.presets import preset as named
    from torch_bridge.experiments.results import write_results
    from torch_bridge.experiments.schemes import Scheme
    from torch_bridge.experiments.table import lines_of, rows_of
    from torch_bridge.experiments.trial import answer, check_all, cuda_or_cpu

    schemes = None if rule is None else [Scheme.parse(text).text for text in rule]
    chosen = named(preset).only(
        networks=network, depths=depths, schemes=schemes, rates=rates, seeds=how_many, epochs=passes
    )
    images = load_data(data, chosen.samples)
    place = data_place(data)
    cells = chosen.trials(data=place, fingerprint=images.fingerprint, device=cuda_or_cpu(device))
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
    if format == "json":
        print_json({"runs": rows, "networks": len(lines), "agree": sum(x.agrees for x in lines)})
        return 0

    from expansion.report.grid import print_table
    from torch_bridge.experiments.results import exceptions_of, summary_grid

    print_table(summary_grid(lines))
    for sentence in exceptions_of(lines):
        print(f"exception: {sentence}")
    print(f"Predicted and found agree for {sum(x.agrees for x in lines)} of {len(lines)} networks.")
    print(f"Written to {output}: README.md, table.csv, table.parquet, seconds.csv and plots.")
    return 0
