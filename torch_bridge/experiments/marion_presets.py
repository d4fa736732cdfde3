"""Marion's grids by name.

======== ============================================================================
preset   what it is for
======== ============================================================================
tiny     a look at everything, in seconds
small    the results page: two cores, under six minutes; L = 300, and 1000 beside it
gpu      the paper's sizes (L = 1000, d = 30, 20 seeds), for the user's data; it has
         not been run
======== ============================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from expansion.errors import InputError
from torch_bridge.experiments.marion import Marion, marions

__all__ = ["PRESETS", "MarionPart", "marion_cells"]


@dataclass(frozen=True, slots=True)
class MarionPart:
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
        MarionPart(Marion(30, 6, epochs=3, samples=256), (0.0, 0.1, None), 2),
        MarionPart(Marion(30, 6, epochs=3, samples=256, trained_ends=True), (0.0,), 2),
    ),
    "small": (
        MarionPart(Marion(300, epochs=20), _PAPER, 10),
        MarionPart(Marion(300, epochs=20, trained_ends=True), (0.0,), 10),
        MarionPart(Marion(1000, epochs=20), (0.0, None), 2),
        MarionPart(Marion(300, 4, epochs=20), (0.0, None), 2),
    ),
    "gpu": (
        MarionPart(Marion(1000, epochs=50), _PAPER, 20),
        MarionPart(Marion(1000, trained_ends=True), (0.0,), 10),
        MarionPart(Marion(100, epochs=50), _PAPER, 20),
    ),
}


def marion_cells(
    preset: str,
    *,
    depths: Iterable[int] | None = None,
    widths: Iterable[int] | None = None,
    penalties: Iterable[float | None] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    data: str = "digits",
    fingerprint: str = "",
    device: str = "cpu",
) -> tuple[Marion, ...]:
    """The cells of a preset, with what the user asked for in place of its own.

    Raises
    ------
    InputError
        For an unknown preset.

    Examples
    --------
    >>> cells = marion_cells("small", depths=[50], penalties=[0.0, None], seeds=3)
    >>> len(cells), cells[-1].penalty_text, cells[-1].width
    (18, '∞', 4)
    """
    if preset not in PRESETS:
        raise InputError(f"a preset among {', '.join(PRESETS)}", preset, "choose one of these")
    asked = None if penalties is None else tuple(penalties)
    depth_list = None if depths is None else tuple(depths)
    width_list = None if widths is None else tuple(widths)
    found: list[Marion] = []
    for part in PRESETS[preset]:
        for depth in depth_list or (part.like.depth,):
            for width in width_list or (part.like.width,):
                like = replace(
                    part.like,
                    depth=depth,
                    width=width,
                    epochs=epochs or part.like.epochs,
                    data=data,
                    fingerprint=fingerprint,
                    device=device,
                )
                found += marions(like, penalties=asked or part.penalties, seeds=seeds or part.seeds)
    return tuple(dict.fromkeys(found))
