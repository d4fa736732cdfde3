"""What a formula of an expansion is made of, before anything is known about its tower."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

__all__ = [
    "Choose",
    "Depth",
    "Node",
    "Number",
    "Power",
    "Product",
    "Quotient",
    "Scale",
    "Start",
    "Sum",
    "Total",
    "Vertex",
]

Index = int | str | None
"""A block number, the letter of a sum, or nothing."""


@dataclass(frozen=True, slots=True)
class Number:
    """An exact number."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Depth:
    """The letter n."""


@dataclass(frozen=True, slots=True)
class Scale:
    """λ, or λ with the number or letter of a block."""

    index: Index


@dataclass(frozen=True, slots=True)
class Start:
    """The input x."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """A branch, or the decoder D, with what its derivative is applied to."""

    symbol: str
    index: Index
    children: tuple[Vertex, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """A product of two."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Quotient:
    """A quotient."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Power:
    """A whole power."""

    base: Node
    exponent: int


@dataclass(frozen=True, slots=True)
class Choose:
    """C(top, bottom) = top(top − 1)…(top − bottom + 1)/bottom!."""

    top: Node
    bottom: int


@dataclass(frozen=True, slots=True)
class Total:
    """A sum over block numbers.

    Parameters
    ----------
    letters : tuple of str
        What is summed over.
    relations : tuple of (str, str, str)
        Letter, one of ``<``, ``≤``, ``≠``, letter: what the numbers satisfy.
    body : Node
        What is summed.
    """

    letters: tuple[str, ...]
    relations: tuple[tuple[str, str, str], ...]
    body: Node


Node = Number | Depth | Scale | Start | Vertex | Sum | Product | Quotient | Power | Choose | Total
