"""Branches that are only symbols: for expansions to be read, not evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from expansion.errors import InputError
from expansion.towers.arrays import Array
from expansion.towers.branches.branch import Branch

__all__ = ["AbstractBranch"]


@dataclass(frozen=True, slots=True)
class AbstractBranch(Branch):
    """A smooth branch known by its symbol alone.

    Parameters
    ----------
    symbol : str
        The letter it is printed with.

    Examples
    --------
    >>> AbstractBranch("f").symbol
    'f'
    """

    symbol: str = "f"

    def __post_init__(self) -> None:
        if not self.symbol.isidentifier():
            raise InputError("a symbol of letters and digits", repr(self.symbol), "use e.g. f")

    @property
    def inputs(self) -> None:
        """Any dimension fits."""
        return None

    outputs = inputs

    def __call__(self, x: Array) -> NoReturn:
        """Always an error: there is nothing to evaluate."""
        self._refuse()

    def derivative(self, x: Array, directions: Sequence[Array]) -> NoReturn:
        """Always an error: there is nothing to evaluate."""
        self._refuse()

    def jet(self, series: Array) -> NoReturn:
        """Always an error: there is nothing to evaluate."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        mend = "use a symbolic, affine, ReLU or MLP branch"
        raise InputError("a branch with values", f"the abstract branch {self.symbol}", mend)
