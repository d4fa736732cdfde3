"""``torch-bridge rescale``: a scaling rule in a model's weights, and the growth it leaves."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from expansion.console import check_format, print_json
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

__all__ = ["rescale"]


def rescale(
    factory: Factory,
    rule: Annotated[str, typer.Option(help="1/sqrt(n), 1/n, 0.1, fixup, ….")],
    output: Annotated[Path, typer.Option(help="File to write (safetensors).")],
    weights: Weights = None,
    block: Block = None,
    device: Device = None,
    dtype: Dtype = None,
    seed: Seed = "0",
    batch_statistics: BatchStatistics = False,
    format: Format = "text",
) -> None:
    """Put a scaling rule into a model's weights, and show the growth before and after."""
    check_format(format, ("text", "json"))
    if not output.parent.is_dir():
        raise InputError("a folder that exists for the file", output.parent, "make it first")
    if rule.strip().lower() != "fixup":
        from expansion.towers.scaling import ScalingRule

        ScalingRule.parse(rule)  # a rule that cannot be read is told before a model is loaded
    tower = open_model(
        factory,
        weights=weights,
        device=device,
        dtype=dtype,
        seed=seed,
        blocks=block,
        batch_statistics=batch_statistics,
    )

    from torch_bridge.measuring.checkpoint import (
        fixup_weights,
        rescaled_weights,
        save_rescaled,
    )
    from torch_bridge.measuring.measure import measure
    from torch_bridge.report import growth_text, json_float

    with redirect_stdout(sys.stderr):  # what the model's own code prints
        before = measure(tower, gradients=False)
        if rule.strip().lower() == "fixup":
            found, after = fixup_weights(tower), measure(tower, rule="0", gradients=False)
        else:
            found = rescaled_weights(tower, rule)
            after = measure(tower, rule=rule, gradients=False)
    save_rescaled(found, output)
    if format == "json":
        print_json(
            {
                "file": str(output),
                "rule": rule,
                "blocks": list(tower.names),
                "in_weights": found.folded,
                "reason": found.reason or None,
                "growth_before": json_float(before.growth),
                "growth_after": json_float(after.growth),
            }
        )
        return
    if found.folded:
        told = "the scales are in the weights, which load into your own model"
    else:
        told = (
            "original weights, with residual_scales beside them (one for each block, in the order "
            f"of the metadata's blocks): {found.reason}"
        )
    print(f"{output}: {told}.")
    print(
        f"Growth before: {growth_text(before.growth, before.growth_error)}; "
        f"after: {growth_text(after.growth, after.growth_error)}."
    )
