"""``torch-bridge train``: the depth × scheme grid, predictions beside what training finds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expansion.checking import check_count, check_jobs
from expansion.console import check_format, print_json, progress_bar
from expansion.errors import InputError

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
    seeds: Annotated[str | None, typer.Option(help="How many seeds.")] = None,
    epochs: Annotated[str | None, typer.Option(help="Passes over the training part.")] = None,
    data: Annotated[
        str, typer.Option(help="digits, a folder of arrays or CIFAR-10 .bin, FILE.py:callable.")
    ] = "digits",
    output: Annotated[Path, typer.Option(help="Folder for cells, tables, plots.")] = Path(
        "training"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    jobs: Annotated[str | None, typer.Option(help="Processes; -1: one per core.")] = None,
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> int:
    """Train a grid of networks and hold what happens against what the expansion predicts."""
    check_format(format, ("text", "json"))
    depths = None if depth is None else [check_count(n, "depth", least=1) for n in depth]
    rates = None if rate is None else [_rate(text) for text in rate]
    how_many = None if seeds is None else check_count(seeds, "seeds", least=1)
    passes = None if epochs is None else check_count(epochs, "epochs", least=1)

    from expansion.growth.sweep import joined_cluster
    from torch_bridge.experiments.datasets import load_data
    from torch_bridge.experiments.grid import run_grid
    from torch_bridge.experiments.presets import preset as named
    from torch_bridge.experiments.results import write_results
    from torch_bridge.experiments.schemes import Scheme
    from torch_bridge.experiments.table import lines_of, rows_of
    from torch_bridge.experiments.trial import Trial, answer, check_all, cuda_or_cpu

    schemes = None if rule is None else [Scheme.parse(text).text for text in rule]
    workers = None if jobs is None else check_jobs(jobs)
    chosen = named(preset).only(
        networks=network, depths=depths, schemes=schemes, rates=rates, seeds=how_many, epochs=passes
    )
    images = load_data(data, chosen.samples)
    where = Path(data).absolute().as_posix() if Path(data).is_dir() else data
    cells = chosen.trials(data=where, fingerprint=images.fingerprint, device=cuda_or_cpu(device))
    check_all(cells, images.shape, images.data.classes)
    # A deep network takes longer: the bar counts blocks, so that the time it promises is honest.
    with (
        progress_bar("blocks trained", sum(trial.depth for trial in cells)) as advance,
        joined_cluster(cluster),
    ):

        def on_cell(trial: Trial) -> None:
            for _ in range(trial.depth):
                advance()

        kept = output / "cells"
        answers = run_grid(cells, answer, folder=kept, resume=resume, jobs=workers, on_cell=on_cell)
    rows = rows_of(cells, answers)
    write_results(output, cells, rows, kept)
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


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError("a learning rate", text, "give e.g. 0.02") from None
    if not 0 < value < 1e6:
        raise InputError("a learning rate above 0", text, "give e.g. 0.02")
    return value
