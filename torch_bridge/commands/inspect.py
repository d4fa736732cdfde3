"""``torch-bridge inspect``: how a model's signal grows, and which scale would tame it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expansion.checking import check_count
from expansion.console import check_format, print_json, progress_bar
from expansion.errors import InputError
from torch_bridge.commands.options import (
    BatchStatistics,
    Block,
    Device,
    Dtype,
    Factory,
    Format,
    Seed,
    Weights,
    open_model,
)

if TYPE_CHECKING:
    from torch_bridge.tower import TracedTower

__all__ = ["inspect"]

_WIDTH = 100


def inspect(
    factory: Factory,
    weights: Weights = None,
    batches: Annotated[
        str | None,
        typer.Option(
            help="Factory of batches, such as a DataLoader: data.py:loader. By default the "
            "factory's own inputs."
        ),
    ] = None,
    limit: Annotated[str, typer.Option(help="Most batches to measure.")] = "100",
    block: Block = None,
    device: Device = None,
    dtype: Dtype = None,
    seed: Seed = "0",
    batch_statistics: BatchStatistics = False,
    bare: Annotated[
        bool,
        typer.Option(
            "--without-normalisation", help="Also without normalisation inside the branches."
        ),
    ] = False,
    format: Format = "text",
) -> None:
    """Show how a model's signal grows block by block, and which scale would tame it."""
    check_format(format, ("text", "json"))
    most = check_count(limit, "limit", least=1)
    tower = open_model(
        factory,
        weights=weights,
        device=device,
        dtype=dtype,
        seed=seed,
        blocks=block,
        batch_statistics=batch_statistics,
    )

    from torch_bridge.measuring.measure import measure
    from torch_bridge.measuring.prediction import predict
    from torch_bridge.measuring.recommend import recommend
    from torch_bridge.report import blocks_dict, blocks_grid, counted, growth_text, verdict_lines

    first, inputs = _inputs(batches, most)
    with redirect_stdout(sys.stderr):  # what the model's own code prints
        with progress_bar("batches", most if batches else 1) as advance:
            measured = measure(tower, inputs, seed=int(seed), on_batch=advance)
        predicted = predict(tower, first)
        recommended = recommend(tower, first, measured=measured, predicted=predicted)
        without = _without(tower) if bare else None
    name = type(tower.model).__name__
    if format == "json":
        answer = {"model": name, **blocks_dict(measured, predicted, recommended)}
        print_json({**answer, **({"without_normalisation": without} if without else {})})
        return

    from expansion.report.grid import print_table

    samples = counted(measured.samples, "sample")
    title = f"{name}: {counted(measured.depth, 'block')}, {samples}"
    if batches:
        title += f" in {counted(measured.batches, 'batch', 'batches')}"
    print_table(blocks_grid(measured, predicted, title))
    lines = verdict_lines(measured, predicted, recommended)
    if without:
        grown = growth_text(without["measured_growth"])
        lines.append(
            f"Without {counted(without['removed'], 'normalisation layer')} inside the branches "
            f"the same inputs grow by a factor of {grown} instead of "
            f"{growth_text(without['growth_with'])}."
        )
    print("\n".join(textwrap.fill(line, _WIDTH) for line in lines))


def _inputs(batches: str | None, most: int) -> tuple[list[Any] | None, Iterable[Any] | None]:
    """The first batch, which is what a prediction sees, and all of them."""
    if batches is None:
        return None, None
    from torch_bridge.loading.factory import load_batches

    stream: Iterator[Any] = iter(load_batches(batches))
    first = list(islice(stream, 1))
    if not first:
        raise InputError(f"at least one batch from {batches}", "none", "give it data")
    return first, islice(chain(first, stream), most)


def _without(tower: TracedTower) -> dict[str, Any]:
    """Growth on the factory's own inputs, without normalisation and with it."""
    from torch_bridge.measuring.measure import measure
    from torch_bridge.measuring.normalisation import BareBlocks

    blocks = BareBlocks(tower)
    return {
        "removed": blocks.removed,
        "measured_growth": measure(blocks, gradients=False).growth,
        "growth_with": measure(tower, gradients=False).growth,
    }
