"""``expansion spectrum``: how the energy is shared among the orders."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from expansion.checking import check_count
from expansion.commands.options import (
    BiasVariance,
    Block,
    Depth,
    Format,
    Layers,
    Order,
    Overlap,
    WeightVariance,
)
from expansion.console import check_format, print_json

__all__ = ["spectrum"]


def spectrum(
    depth: Depth,
    rule: Annotated[str, typer.Option(help="Scaling rule.")],
    order: Order,
    branch: Annotated[str, typer.Option(help="The activation.")] = "relu",
    block: Block = "pre-activation",
    weight_variance: WeightVariance = None,
    bias_variance: BiasVariance = 0.0,
    layers: Layers = None,
    overlap: Overlap = 0.0,
    format: Format = "text",
) -> None:
    """Show how the energy is shared among the orders."""
    from expansion.growth.frozen import frozen_spectrum
    from expansion.growth.setting import Setting
    from expansion.growth.spectrum import spectrum as order_spectrum
    from expansion.growth.table import DEEPEST
    from expansion.report.grid import print_table
    from expansion.report.tables import frozen_grid, spectrum_grid, spectrum_lists
    from expansion.towers.scaling import ScalingRule

    check_format(format, ("text", "json"))
    number = check_count(depth, "depth", least=1, most=DEEPEST)
    most = check_count(order, "order", least=0, most=10**5)
    matrices = None if layers is None else check_count(layers, "layers", least=1, most=1000)
    setting = Setting(branch, block, weight_variance, bias_variance, matrices, overlap=overlap)
    scales = ScalingRule.parse(rule)
    answer: dict[str, Any] = {"depth": number, "rule": scales.text}
    if setting.preserves_energy:
        found = order_spectrum(number, scales, most)
        answer |= spectrum_lists(found.log_energy)
        table = spectrum_grid(found)
    else:
        frozen = frozen_spectrum(setting, scales, number, most)
        answer |= spectrum_lists(frozen.log_energies) | {"share": frozen.along.tolist()}
        table = frozen_grid(frozen, setting, number, scales.text)
    if format == "json":
        print_json(answer)
    else:
        print_table(table)
