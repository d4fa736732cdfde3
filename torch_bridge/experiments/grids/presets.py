"""What presets are made of: all combinations of some settings, and whole grids by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

from expansion.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["combinations", "named"]

C = TypeVar("C", bound="DataclassInstance")
P = TypeVar("P")
_MOST_CELLS = 100_000


def combinations(like: C, **values: Iterable[Any]) -> tuple[C, ...]:
    """Every combination of these values, the last name's running fastest; the rest as in ``like``.

    Parameters
    ----------
    like : frozen dataclass
        A cell.
    **values : iterable
        By the name of a setting, what it shall be.

    Raises
    ------
    InputError
        For more than 100,000 cells, or a value that no cell can have.

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> Cell = make_dataclass("Cell", ["depth", "seed", "rate"], frozen=True)
    >>> found = combinations(Cell(1, 0, 0.5), depth=[3, 4], seed=range(2))
    >>> [(cell.depth, cell.seed, cell.rate) for cell in found]
    [(3, 0, 0.5), (3, 1, 0.5), (4, 0, 0.5), (4, 1, 0.5)]
    """
    listed = {name: v if isinstance(v, Sequence) else tuple(v) for name, v in values.items()}
    if (runs := prod(map(len, listed.values()))) > _MOST_CELLS:
        mend = "ask for fewer seeds, depths or rules"
        raise InputError(f"a grid of at most {_MOST_CELLS:,} runs", f"{runs:,}", mend)
    return tuple(
        replace(like, **dict(zip(values, chosen, strict=True)))
        for chosen in product(*listed.values())
    )


def named(presets: Mapping[str, P], name: str) -> P:
    """A preset by its name.

    Raises
    ------
    InputError
        For an unknown name.

    Examples
    --------
    >>> named({"tiny": 1, "small": 2}, "small")
    2
    """
    if name not in presets:
        raise InputError(f"a preset among {', '.join(presets)}", name, "choose one of these")
    return presets[name]
