"""Where the first number that is none appears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from expansion.errors import InputError
from torch_bridge.tracing.runner import Runner, float_tensors

__all__ = ["check_finite_signal", "first_nonfinite"]


def first_nonfinite(
    runner: Runner,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    scales: Sequence[float] | Tensor | None = None,
) -> str | None:
    """Where nan or infinity first appears between the blocks of a model, or None.

    Only the signals that enter and leave blocks are looked at: a masked attention score is
    minus infinity, and rightly so.

    Parameters
    ----------
    runner : Runner
        The traced model.
    args, kwargs : tuple and mapping
        Its inputs.
    scales : sequence of float or Tensor, optional
        λ_1..λ_n; 1 by default.

    Returns
    -------
    str or None
        ``"before block 1 (layers.0)"``, ``"in the branch of block 2 (layers.1)"``,
        ``"in the sum of block 2 (layers.1)"`` or ``"after the last block"``.
    """
    found: list[str] = []

    def observe(index: int, skip: Tensor, branch: Tensor, total: Tensor) -> Tensor:
        block = runner.blocks[index]
        told = f"block {block.number} ({block.name})"
        places = {"before": skip, "in the branch of": branch, "in the sum of": total}
        found.extend(f"{place} {told}" for place, value in places.items() if not _finite(value))
        return total

    with torch.no_grad():
        output = runner.run(args, kwargs, scales=scales, observe=observe)
    if not found and not all(_finite(tensor) for tensor in float_tensors(output)):
        found.append("after the last block")
    return found[0] if found else None


def check_finite_signal(
    runner: Runner,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    scales: Sequence[float] | Tensor | None = None,
) -> None:
    """Refuse a model whose signal is not finite, and say where that begins.

    Raises
    ------
    InputError
        Naming the first block.
    """
    place = first_nonfinite(runner, args, kwargs, scales)
    if place is not None:
        mend = "look at the weights there, at the inputs, or use float64 if the signal overflows"
        raise InputError("a finite signal in every block", f"nan or infinity {place}", mend)


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())
