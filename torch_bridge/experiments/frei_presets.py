"""The grids on Frei, Cao & Gu's network by name.

======== ============================================================================
preset   what it is for
======== ============================================================================
tiny     a look at everything, in seconds
small    the results page: two cores, under six minutes; L from 8 to 128
gpu      wider, longer, on more of the user's data; it has not been run
======== ============================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from expansion.errors import InputError
from torch_bridge.experiments.frei import Frei, freis

__all__ = ["PRESETS", "FreiPreset", "frei_cells"]


@dataclass(frozen=True, slots=True)
class FreiPreset:
    """A grid.

    Parameters
    ----------
    like : Frei
        How all networks are trained, and on what.
    widths, depths : tuple of int
        m and L.
    rules : tuple of str
        θ.
    seeds : int
        How many.
    """

    like: Frei
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    rules: tuple[str, ...] = ("1/n", "1/sqrt(n)", "1")
    seeds: int = 3


PRESETS = {
    "tiny": FreiPreset(Frei(2, 2, epochs=8, samples=128), (16,), (4, 32), seeds=2),
    "small": FreiPreset(Frei(2, 2, epochs=128), (32, 64, 128), (8, 32, 128), seeds=4),
    "gpu": FreiPreset(
        Frei(2, 2, epochs=1024, samples=4096), (128, 256, 512), (8, 32, 128), seeds=5
    ),
}


def frei_cells(
    preset: str,
    *,
    widths: Iterable[int] | None = None,
    depths: Iterable[int] | None = None,
    rules: Iterable[str] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    rate: float | None = None,
    task: str = "parity",
    data: str = "digits",
    fingerprint: str = "",
    device: str = "cpu",
) -> tuple[Frei, ...]:
    """The cells of a preset, with what the user asked for in place of its own.

    Raises
    ------
    InputError
        For an unknown preset.

    Examples
    --------
    >>> cells = frei_cells("small", widths=[8], depths=[4, 64], rules=["0.5/n"], seeds=1)
    >>> [(cell.depth, cell.theta) for cell in cells]
    [(4, 0.125), (64, 0.0078125)]
    """
    if preset not in PRESETS:
        raise InputError(f"a preset among {', '.join(PRESETS)}", preset, "choose one of these")
    grid = PRESETS[preset]
    like = replace(
        grid.like,
        epochs=epochs or grid.like.epochs,
        rate=rate or grid.like.rate,
        task=task,
        data=data,
        fingerprint=fingerprint,
        device=device,
    )
    found = freis(
        like,
        widths=widths or grid.widths,
        depths=depths or grid.depths,
        rules=rules or grid.rules,
        seeds=seeds or grid.seeds,
    )
    return tuple(dict.fromkeys(found))
