"""The grids on Frei, Cao & Gu's network by name.

======== ============================================================================
preset   what it is for
======== ============================================================================
tiny     a look at everything, in seconds
small    the results page: a quarter of an hour on two cores; L from 8 to 128
gpu      wider, longer, on more of the user's data; it has not been run
======== ============================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from expansion.checking import check_count
from torch_bridge.experiments.frei.cell import Frei
from torch_bridge.experiments.grids.presets import combinations, named

__all__ = ["PRESETS", "Preset", "preset_cells"]


@dataclass(frozen=True, slots=True)
class Preset:
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
    "tiny": Preset(Frei(2, 2, epochs=8, samples=128), (16,), (4, 32), seeds=2),
    "small": Preset(Frei(2, 2, epochs=128), (32, 64, 128), (8, 32, 128), seeds=4),
    "gpu": Preset(Frei(2, 2, epochs=1024, samples=4096), (128, 256, 512), (8, 32, 128), seeds=5),
}


def preset_cells(
    preset: str,
    *,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    rules: Sequence[str] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    rate: float | None = None,
    task: str = "parity",
    data: str = "digits",
    device: str = "cpu",
) -> tuple[Frei, ...]:
    """The cells of a preset, with what the user asked for in place of its own.

    Raises
    ------
    InputError
        For an unknown preset; for no seeds, or settings that no cell can have.

    Examples
    --------
    >>> cells = preset_cells("small", widths=[8], depths=[4, 64], rules=["0.5/n"], seeds=1)
    >>> [(cell.depth, cell.theta) for cell in cells]
    [(4, 0.125), (64, 0.0078125)]
    """
    grid = named(PRESETS, preset)
    like = replace(
        grid.like,
        epochs=grid.like.epochs if epochs is None else epochs,
        rate=grid.like.rate if rate is None else rate,
        task=task,
        data=data,
        device=device,
    )
    found = combinations(
        like,
        width=widths or grid.widths,
        rule=rules or grid.rules,
        depth=depths or grid.depths,
        seed=range(grid.seeds if seeds is None else check_count(seeds, "seeds", least=1)),
    )
    return tuple(dict.fromkeys(found))
