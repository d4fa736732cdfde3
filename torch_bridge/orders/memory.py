"""The refusal of orders that would not fit into memory, before anything is computed."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from expansion.errors import InputError
from torch_bridge.orders.plan import Plan

__all__ = ["TooLargeError", "free_memory", "refuse_too_large"]

_NEVER_ASKED = 1 << 26  # bytes that any machine has


class TooLargeError(InputError):
    """A request whose signals would not fit into memory."""


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device, or None where that cannot be told.

    Examples
    --------
    >>> free_memory(torch.device("meta")) is None
    True
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(found[0].split()[1]) if found else None


def refuse_too_large(
    plan: Plan, order: int, *, differentiable: bool = False, budget: int | None = None
) -> None:
    """Say at once that orders up to K do not fit.

    Parameters
    ----------
    plan : Plan
        Of the walk.
    order : int
        K, for the message.
    differentiable : bool
        Whether every signal is kept.
    budget : int, optional
        Bytes that may be used; by default what the device has free.

    Raises
    ------
    TooLargeError
        With the estimate.
    """
    needed = plan.total if differentiable else plan.most
    if budget is None:
        if needed < _NEVER_ASKED:
            return
        values = (step.node.meta.get("val") for step in reversed(plan.steps))
        device = next((v.device for v in values if isinstance(v, Tensor)), torch.device("cpu"))
        budget = free_memory(device)
    if budget is not None and needed > budget:
        required = f"orders whose signals fit into {_in_words(budget)}"
        came = f"order {order}, which needs about {_in_words(needed)}"
        raise TooLargeError(required, came, "ask for a lower order or give a smaller batch")


def _in_words(size: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"
