"""Energies of signals, row by row, and the check that they are numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from expansion.errors import InputError

__all__ = ["check_signal", "energies", "products"]


def energies(signal: Tensor) -> Tensor:
    """‖x‖² of every sample over all its other dimensions, in float64.

    Parameters
    ----------
    signal : Tensor, shape (batch, ...)
        Of any floating-point type.

    Returns
    -------
    Tensor, shape (batch,)

    Examples
    --------
    >>> energies(torch.tensor([[[3.0], [4.0]], [[0.0], [1.0]]])).tolist()
    [25.0, 1.0]
    """
    return products(signal, signal)


def products(left: Tensor, right: Tensor) -> Tensor:
    """⟨x, y⟩ of every sample, in float64; shape (batch,).

    Examples
    --------
    >>> products(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]])).tolist()
    [1.0]
    """
    x, y = (t.detach().double().reshape(t.shape[0] if t.ndim else 1, -1) for t in (left, right))
    return (x * y).sum(dim=1)


def check_signal(number: int, name: str, parts: dict[str, Tensor]) -> None:
    """Refuse a block whose signal has no entries, or entries that are not finite.

    Parameters
    ----------
    number, name : int and str
        Of the block, counted from 1.
    parts : mapping from word to Tensor
        What goes in and comes out, in the order of the computation.

    Raises
    ------
    InputError
        Naming the block and the part; with this call in every block, the first one.
    """
    for word, signal in parts.items():
        if not signal.numel():
            came = f"an empty {word} in block {number} ({name})"
            raise InputError("a batch with at least one sample", came, "give inputs")
        if bool(torch.isfinite(signal).all()):
            continue
        kind = "nan" if bool(torch.isnan(signal).any()) else "infinity"
        came = f"{kind} first in the {word} of block {number} ({name})"
        mend = "check its weights and the inputs, or use dtype float64 if the signal overflows"
        raise InputError("a finite signal in every block", came, mend)
