r"""Towers whose paths have weights: highway networks and stochastic depth."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge, Weight, exact_weight
from expansion.towers.architectures.residual import check_flag

__all__ = ["highway", "stochastic_depth"]


def highway(depth: int, gate: Weight | float | str = Fraction(1, 2)) -> Architecture:
    """n blocks ``h ↦ T·f_l(h) + (1 − T)·h``; path polynomial ((1 − T) + T z)ⁿ.

    Follows Srivastava, Greff & Schmidhuber 2015, with a gate T that is one number for all blocks
    and units. The weights of all paths add up to 1: the order of a path is binomial.

    Parameters
    ----------
    depth : int
        n ≥ 1.
    gate : number
        T between 0 and 1, exact.

    Examples
    --------
    >>> from expansion.growth.path_polynomials import path_polynomial
    >>> [str(weight) for weight in path_polynomial(highway(2, gate="1/3")).counts]
    ['4/9', '4/9', '1/9']
    """
    depth = check_count(depth, "depth", least=1)
    opened = _share(gate, "gate")

    def edges() -> Iterator[Edge]:
        for block in range(1, depth + 1):
            tail, head = f"h{block - 1}", f"h{block}"
            yield Edge(tail, head, weight=exact_weight(1 - opened))
            yield Edge(tail, head, f"block{block}", 1, opened)

    return Architecture.of(edges())


def stochastic_depth(
    depth: int, survival: Weight | float | str = Fraction(1, 2), decay: bool | str = True
) -> Architecture:
    r"""n residual blocks whose branch survives with probability p_l: Π(1 + p_l z).

    Follows Huang et al. 2016. Blocks survive independently, so that the coefficients are the
    expected numbers of paths of each order that are left; order 1 is the expected number of
    blocks.

    Parameters
    ----------
    depth : int
        n ≥ 1.
    survival : number
        p_n, the probability of the last block, between 0 and 1, exact.
    decay : bool
        Whether probabilities fall linearly, p_l = 1 − (l/n)(1 − p_n), or are all p_n.

    Examples
    --------
    >>> from expansion.growth.path_polynomials import path_polynomial
    >>> [str(count) for count in path_polynomial(stochastic_depth(2)).counts]
    ['1', '5/4', '3/8']
    """
    depth = check_count(depth, "depth", least=1)
    last = Fraction(_share(survival, "survival"))
    falling = check_flag(decay, "decay")

    def edges() -> Iterator[Edge]:
        for block in range(1, depth + 1):
            tail, head = f"h{block - 1}", f"h{block}"
            share = 1 - Fraction(block, depth) * (1 - last) if falling else last
            yield Edge(tail, head)
            yield Edge(tail, head, f"block{block}", 1, exact_weight(share))

    return Architecture.of(edges())


def _share(value: object, name: str) -> Weight:
    share = exact_weight(value)
    if not 0 <= share <= 1:
        raise InputError(f"{name} must be between 0 and 1", value, "give e.g. 1/2")
    return share
