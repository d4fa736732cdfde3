r"""How many paths of each order an architecture has, exactly, at any size (claim C4).

The path polynomial :math:`P(z) = \sum_k c_k z^k` counts the paths from input to output that pass
branches of total order k, each with the product of its edges' weights. It obeys
:math:`P_{\text{source}} = 1`, :math:`P_v = \sum_{e: u \to v} w_e z^{o_e} P_u`.

Three ideas make it fast. *Segments*: what lies between two nodes that all paths pass is a factor
of P; equal factors are powered, others multiplied by a balanced tree of FLINT's products.
*Reduction*: inside a segment parallel edges add and edges in series multiply, so that a U-Net
shrinks to one edge. *Kronecker substitution*: what is left runs through the recurrence at z = 2ᴮ,
with B bits enough for every coefficient, so that adding two long integers adds two polynomials.

Source: derived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import fmpz, fmpz_poly

from expansion.errors import InputError
from expansion.growth.path_graph import PathGraph, links_of, product
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Weight
from expansion.trees.order_polynomials import to_fraction

__all__ = ["PathPolynomial", "path_polynomial"]


@dataclass(frozen=True, slots=True)
class PathPolynomial:
    """Exact numbers, or total weights, of the paths of each order.

    Parameters
    ----------
    counts : tuple of int or Fraction
        Orders 0..K, the last one not 0; empty when there is no path.

    Examples
    --------
    >>> print(PathPolynomial((1, 2, 1)))
    1 + 2 z + z^2
    """

    counts: tuple[Weight, ...]

    @property
    def total(self) -> Weight:
        """P(1): all paths."""
        return sum(self.counts)

    @property
    def order(self) -> int:
        """The largest order of a path; −1 without paths."""
        return len(self.counts) - 1

    @property
    def mean(self) -> Fraction:
        """The mean order P′(1)/P(1), exactly."""
        return Fraction(sum(k * c for k, c in enumerate(self.counts))) / self._nonzero_total()

    @property
    def variance(self) -> Fraction:
        """The variance of the order of a path, exactly."""
        squares = Fraction(sum(k * k * c for k, c in enumerate(self.counts)))
        return squares / self._nonzero_total() - self.mean**2

    @property
    def distribution(self) -> tuple[Fraction, ...]:
        """The share of each order among all paths; the shares add up to 1."""
        total = self._nonzero_total()
        return tuple(Fraction(count) / total for count in self.counts)

    def at(self, order: int) -> Weight:
        """The number of paths of one order; 0 where there is none."""
        return self.counts[order] if 0 <= order < len(self.counts) else 0

    def _nonzero_total(self) -> Weight:
        total = self.total
        if not total:
            raise InputError("paths whose weights do not add up to 0", "0", "change the weights")
        return total

    def __str__(self) -> str:
        powers = ["", " z", *(f" z^{k}" for k in range(2, len(self.counts)))]
        terms = [
            f"{count}{power}" if count != 1 or not power else power.strip()
            for count, power in zip(self.counts, powers, strict=False)
            if count
        ]
        return " + ".join(terms).replace("+ -", "- ") or "0"


def path_polynomial(
    architecture: Architecture, *, without: str | Iterable[str] = ()
) -> PathPolynomial:
    """The path polynomial of an architecture, or of what a lesion leaves of it.

    Parameters
    ----------
    architecture : Architecture
        Any size: the answer is exact.
    without : str or iterable of str
        Blocks to remove, by name (Veit, Wilber & Belongie 2016).

    Returns
    -------
    PathPolynomial

    Raises
    ------
    InputError
        For an unknown block.
    TooManyTermsError
        When the answer alone would not fit into memory.

    Notes
    -----
    Source: claim C4, derived.

    Examples
    --------
    >>> from expansion.towers.architectures.residual import residual_tower
    >>> path_polynomial(residual_tower(4)).counts
    (1, 4, 6, 4, 1)
    >>> path_polynomial(residual_tower(4), without="block2").counts
    (1, 3, 3, 1)
    >>> path_polynomial(residual_tower(1000)).total == 2**1000
    True
    """
    links = links_of(architecture, without)
    links.refuse_if_too_large()
    if not links.table:
        return PathPolynomial(())
    singles, graphs = links.segments()
    factors = [(links.kinds[kind], count) for kind, count in singles.items()]
    factors += [(_solve(graph), 1) for graph in graphs]
    return _numbers(product(factors, links.one).coeffs())


def _solve(graph: PathGraph) -> Any:
    """The polynomial of all paths of a graph."""
    graph.reduce()
    if list(graph.links[graph.source]) == [graph.sink]:
        return graph.links[graph.source][graph.sink]
    if graph.natural:
        return _by_substitution(graph)
    return _sum_over_paths(graph, graph.one, lambda link: link)


def _sum_over_paths(graph: PathGraph, one: Any, factor: Callable[[Any], Any]) -> Any:
    """The recurrence of the module, with a factor for the polynomial of each link."""
    reached: dict[int, Any] = {graph.source: one}
    for node in graph.nodes():
        here = reached.pop(node)  # forgotten, so that only a frontier is in memory
        if node == graph.sink:
            break
        for head, link in graph.links[node].items():
            there = here * factor(link)
            reached[head] = reached[head] + there if head in reached else there
    return here


def _by_substitution(graph: PathGraph) -> Any:
    """The same at z = 2ᴮ, for weights that are whole and positive.

    A coefficient of P_v is at most P_sink(1): every path to v goes on to the sink.
    """
    total = _sum_over_paths(graph, fmpz(1), lambda link: link(fmpz(1)))
    size = int(total).bit_length() // 8 + 1  # bytes for one coefficient
    packed: dict[int, _Packed] = {}

    def factor(link: Any) -> _Packed:
        if id(link) not in packed:
            packed[id(link)] = _Packed(link, 8 * size)
        return packed[id(link)]

    answer = int(_sum_over_paths(graph, fmpz(1), factor))
    count = answer.bit_length() // (8 * size) + 1
    data = answer.to_bytes(count * size, "little")
    starts = range(0, count * size, size)
    return fmpz_poly([int.from_bytes(data[start : start + size], "little") for start in starts])


class _Packed:
    """A polynomial at z = 2ᴮ as a factor from the right; powers of z are shifts."""

    __slots__ = ("_shift", "_value")

    def __init__(self, polynomial: Any, bits: int) -> None:
        low = next(k for k, c in enumerate(polynomial.coeffs()) if c)
        rest = polynomial.right_shift(low)
        self._shift = bits * low
        self._value = None if rest.is_one() else rest(fmpz(1) << bits)

    def __rmul__(self, number: Any) -> Any:
        product = number if self._value is None else number * self._value
        return product << self._shift if self._shift else product


def _numbers(coefficients: Sequence[Any]) -> PathPolynomial:
    if coefficients and isinstance(coefficients[0], fmpz):
        return PathPolynomial(tuple(map(int, coefficients)))
    fractions = map(to_fraction, coefficients)
    return PathPolynomial(tuple(f.numerator if f.denominator == 1 else f for f in fractions))
