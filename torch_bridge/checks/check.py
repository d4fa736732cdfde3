"""All predictions held against real forward passes: what ``torch-bridge check`` runs.

The first three look at one tower, the embedded trained network by default; the others at
networks that are freshly drawn for the purpose.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.resources import as_file, files

import numpy as np
import torch

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.towers.files import SavedTower, load_tower
from torch_bridge.checks import agreement, growth
from torch_bridge.checks.comparison import Comparison
from torch_bridge.networks.export import from_tower

__all__ = ["GROUPS", "check_all", "check_growth", "check_tower", "load_saved"]

RULES = ("1", "1/sqrt(n)", "1/n")
GROUPS = 3 + len(RULES) + 2  # steps of the progress


def load_saved(path: str | os.PathLike[str] | None = None) -> SavedTower:
    """A tower with inputs from a file; the embedded trained network by default.

    Raises
    ------
    InputError
        When the file cannot be read, or holds no inputs to run the tower on.

    Examples
    --------
    >>> load_saved().tower.depth
    8
    """
    if path is None:
        with as_file(files("expansion") / "data" / "digits.safetensors") as embedded:
            return load_tower(embedded)
    saved = load_tower(path)
    if saved.inputs is None or not len(saved.inputs):
        raise InputError("a tower with inputs to run it on", path, "save the tower with inputs")
    return saved


def check_tower(saved: SavedTower) -> Iterator[Comparison]:
    """The tower against its PyTorch network: output, frozen-gate orders, λ-series (E1, E7b, E5).

    Examples
    --------
    >>> [(c.claim, c.within) for c in check_tower(load_saved())]
    [('E1', True), ('E7b', True), ('E5', True)]
    """
    network, inputs = (
        from_tower(saved),
        torch.from_numpy(np.asarray(saved.inputs, dtype=np.float64)),
    )
    for compare in (agreement.output, agreement.frozen_gates, agreement.series):
        yield compare(saved.tower, network, inputs)


def check_growth(draws: int = 100, seed: int = 0) -> Iterator[tuple[Comparison, ...]]:
    """Growth of fresh networks against G1 for three rules, G4 and G6.

    Parameters
    ----------
    draws : int
        Networks for each claim, at least 100: fewer do not give a trustworthy standard error.
    seed : int
        Of all draws.
    """
    draws = check_count(draws, "draws", least=100)
    for rule in RULES:
        yield (growth.incoherent_growth(rule, draws=draws, seed=seed),)
    yield growth.normalised_growth(draws=draws, seed=seed)
    yield growth.positive_growth(draws=draws, seed=seed)


def check_all(
    saved: SavedTower,
    *,
    draws: int = 100,
    seed: int = 0,
    on_group: Callable[[str], None] | None = None,
) -> list[Comparison]:
    """Every comparison; ``on_group`` is called after each of the :data:`GROUPS` steps."""
    comparisons: list[Comparison] = []

    def keep(group: tuple[Comparison, ...]) -> None:
        comparisons.extend(group)
        if on_group is not None:
            on_group(group[0].claim)

    for comparison in check_tower(saved):
        keep((comparison,))
    for group in check_growth(draws, seed):
        keep(group)
    return comparisons
