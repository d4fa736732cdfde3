"""The fast Möbius transform over subsets, compiled; its Python body serves exact numbers."""

from __future__ import annotations

from typing import Any

from expansion.compiling import compiled

__all__ = ["moebius_transform"]


@compiled()
def moebius_transform(values: Any) -> Any:
    """Replace F_S by Σ_{T ⊆ S} (−1)^|S∖T| F_T, in place; rows are subsets, bit by bit.

    Parameters
    ----------
    values : array, shape (2^n, size)
        Row ``mask`` belongs to the subset whose members are the mask's bits.

    Notes
    -----
    n·2^(n−1) row subtractions: bit i of every mask that has it is inverted in turn.
    """
    rows = values.shape[0]
    step = 1
    while step < rows:
        for start in range(0, rows, 2 * step):
            for row in range(start, start + step):
                for column in range(values.shape[1]):
                    values[row + step, column] -= values[row, column]
        step *= 2
    return values
