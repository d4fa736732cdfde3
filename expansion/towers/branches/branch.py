"""What every residual branch can do, and what a frozen one is.

A vector is an array whose last axis has the branch's dimension; leading axes are a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from expansion.errors import InputError
from expansion.towers.arrays import Array

__all__ = ["Branch", "FrozenMap"]


@dataclass(frozen=True, slots=True)
class FrozenMap:
    """The affine map ``v ↦ J v + offset`` that a branch is once its gates are frozen (E7, E7b).

    Parameters
    ----------
    linear : callable
        v ↦ J v for vectors along the last axis.
    offset : array
        What the branch adds whatever its input, shape (..., outputs).
    """

    linear: Callable[[Array], Array]
    offset: Array


class Branch(ABC):
    """A map whose value, directional derivatives and power series are known.

    The derivative and the power series are separate routes to the same Taylor coefficients:
    enumerated terms use the first, jets the second.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def inputs(self) -> int | None:
        """Dimension of the input; None when any fits."""

    @property
    @abstractmethod
    def outputs(self) -> int | None:
        """Dimension of the output; None when it equals the input's."""

    @property
    def is_exact(self) -> bool:
        """Whether exact input gives exact output: no floating-point number inside."""
        return True

    @abstractmethod
    def __call__(self, x: Array) -> Array:
        """The value f(x), shape (..., outputs) for x of shape (..., inputs)."""

    @abstractmethod
    def derivative(self, x: Array, directions: Sequence[Array]) -> Array:
        """The m-th derivative f^(m)(x)[v_1, …, v_m], for m = len(directions) ≥ 1."""

    @abstractmethod
    def jet(self, series: Array) -> Array:
        """Coefficients of f(Σ_k u_k z^k): shape (K + 1, ..., inputs) to (K + 1, ..., outputs)."""

    def frozen(self, x: Array) -> FrozenMap:
        """The branch with its gates frozen at x; equal to the branch at x (claim E7b).

        Raises
        ------
        InputError
            For a branch without gates to freeze.
        """
        kind = type(self).__name__
        mend = "use jets, or an affine, ReLU or MLP branch"
        raise InputError("a branch whose gates can be frozen", kind, mend)
