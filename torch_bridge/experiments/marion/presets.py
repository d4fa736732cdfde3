"""Marion's grids by name.

======== ============================================================================
preset   what it is for
======== ============================================================================
tiny     a look at everything, in seconds
small    the results page, half an hour on two cores: few samples (digits) at
         L = 300, and 1000 beside it; as many as MNIST has (clusters) at L = 50
gpu      the paper's sizes (L = 1000, d = 30, 20 seeds), for the user's data; it has
         not been run
======== ============================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from expansion.checking import check_count
from torch_bridge.experiments.grids.presets import combinations, named
from torch_bridge.experiments.marion.cell import Marion

__all__ = ["PRESETS", "Part", "preset_cells"]


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of tower.

    Parameters
    ----------
    like : Marion
        Sizes and training.
    penalties : tuple of float or None
        μ.
    seeds : int
        How many.
    """

    like: Marion
    penalties: tuple[float | None, ...]
    seeds: int


_PAPER = (0.0, 0.01, 0.1, None)

PRESETS = {
    "tiny": (
        Part(Marion(30, 6, epochs=3, samples=256), (0.0, 0.1, None), 2),
        Part(Marion(30, 6, epochs=3, samples=256, trained_ends=True), (0.0,), 2),
    ),
    "small": (
        Part(Marion(300, epochs=20), _PAPER, 10),
        Part(Marion(300, epochs=20, trained_ends=True), (0.0,), 10),
        Part(Marion(1000, epochs=20), (0.0, None), 2),
        Part(Marion(300, 4, epochs=20), (0.0, None), 2),
        Part(Marion(50, epochs=20, data="clusters"), _PAPER, 10),
    ),
    "gpu": (
        Part(Marion(1000, epochs=50), _PAPER, 20),
        Part(Marion(1000, trained_ends=True), (0.0,), 10),
        Part(Marion(100, epochs=50), _PAPER, 20),
    ),
}


def preset_cells(
    preset: str,
    *,
    depths: Sequence[int] | None = None,
    widths: Sequence[int] | None = None,
    penalties: Sequence[float | None] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    data: str | None = None,
    device: str = "cpu",
) -> tuple[Marion, ...]:
    """The cells of a preset, with what the user asked for in place of its own.

    Raises
    ------
    InputError
        For an unknown preset; for no seeds, or settings that no cell can have.

    Examples
    --------
    >>> cells = preset_cells("small", depths=[70], penalties=[0.0, None], seeds=3)
    >>> len(cells), cells[-1].penalty_text, cells[-1].data
    (24, '∞', 'clusters')
    """
    found: list[Marion] = []
    for part in named(PRESETS, preset):
        found += combinations(
            replace(
                part.like,
                epochs=part.like.epochs if epochs is None else epochs,
                data=data or part.like.data,
                device=device,
            ),
            depth=depths or (part.like.depth,),
            width=widths or (part.like.width,),
            penalty=penalties or part.penalties,
            seed=range(part.seeds if seeds is None else check_count(seeds, "seeds", least=1)),
        )
    return tuple(dict.fromkeys(found))
