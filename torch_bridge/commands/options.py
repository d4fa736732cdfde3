"""What the commands that take a model share: their options, and the way to the traced tower."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expansion.checking import check_count
from expansion.errors import InputError

if TYPE_CHECKING:
    from torch_bridge.tower import TracedTower

__all__ = [
    "BatchStatistics",
    "Block",
    "Device",
    "Dtype",
    "Factory",
    "Format",
    "Seed",
    "Weights",
    "open_model",
]

Factory = Annotated[
    str,
    typer.Argument(
        help="package.module:callable or path/to/file.py:callable, which returns "
        "(model, args) or (model, args, kwargs).",
        show_default=False,
    ),
]
Weights = Annotated[
    Path | None, typer.Option(help="Checkpoint: safetensors, or a state dict of torch.save.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str | None, typer.Option(help="float64, float32, bfloat16 or float16.")]
Seed = Annotated[str, typer.Option(help="Of torch, before the factory runs.")]
Block = Annotated[
    list[str] | None,
    typer.Option(help="Name of a module that is a block; several allowed. Found by default."),
]
BatchStatistics = Annotated[
    bool,
    typer.Option(
        "--batch-statistics", help="Batch norm by the batch's statistics, as in training."
    ),
]
Format = Annotated[str, typer.Option("--format", help="text or json.")]


def open_model(
    factory: str,
    *,
    weights: Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
    seed: str = "0",
    blocks: list[str] | None = None,
    batch_statistics: bool = False,
) -> TracedTower:
    """The user's model with its blocks, loaded, filled, moved and traced, in evaluation mode.

    Parameters
    ----------
    factory, weights, device, dtype, seed, blocks
        As the user gave them.
    batch_statistics : bool
        Whether normalisation over the batch uses the batch's own statistics.

    Raises
    ------
    InputError
        For anything that does not work out, in one line.
    """
    from torch_bridge.loading.factory import load_factory
    from torch_bridge.loading.weights import load_weights
    from torch_bridge.tower import trace

    loaded = load_factory(factory, seed=check_count(seed, "seed", least=0))
    if weights is not None:
        load_weights(loaded.model, weights)
    loaded = loaded.to(device, dtype)
    loaded.check_devices()
    loaded.model.eval()
    _set_statistics(loaded.model, batch_statistics)
    with redirect_stdout(sys.stderr):  # what the model's own code prints
        tower = trace(loaded.model, loaded.args, loaded.kwargs, blocks=blocks or None)
    if not tower.depth:
        mend = "name its blocks with --block, or look at a residual network"
        raise InputError("a model with residual additions", "one without any", mend)
    return tower


def _set_statistics(model: Any, of_the_batch: bool) -> None:
    """Choose the statistics of batch norm, and tell when running ones have never seen data."""
    from torch import nn

    layers = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if of_the_batch:
        for layer in layers:
            layer.train()
    elif any(layer.num_batches_tracked == 0 for layer in layers if layer.track_running_stats):
        print(
            "note: batch normalisation has seen no data yet, so that it normalises nothing in "
            "evaluation mode; --batch-statistics shows it as in training",
            file=sys.stderr,
        )
