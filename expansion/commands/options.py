"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = [
    "BiasVariance",
    "Block",
    "Depth",
    "Format",
    "Layers",
    "Order",
    "Overlap",
    "WeightVariance",
]

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
