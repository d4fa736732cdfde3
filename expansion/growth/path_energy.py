r"""The order spectrum of any architecture: energies of paths add up (claims C4, G2).

Let every branch be independent of the others, symmetric in sign and energy-preserving, gates
frozen, and let edges of order 0 be multiples of the identity. Two paths that pass different sets
of branches are then uncorrelated, so that the energy of order k is the path polynomial's
coefficient with all weights squared, exactly at every width, as in claim G2 for towers.

Paths that pass the same branches add coherently, (1 + 1)² = 4 and not 2. There are such paths
exactly where two routes of order 0 join the same two signals, or one branch stands on several
edges; such architectures are refused. Source: derived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from expansion.errors import InputError
from expansion.growth.path_polynomials import PathPolynomial, path_polynomial
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.scaling import ScalingRule

__all__ = ["energy_polynomial"]


def energy_polynomial(
    architecture: Architecture, rule: ScalingRule | str | float | Sequence[object] = "1"
) -> PathPolynomial:
    """Expected energies of the orders 0..K for an input of energy 1, exactly.

    Parameters
    ----------
    architecture : Architecture
        Its weights multiply the signal, not the energy. Sums, not concatenations: every node adds
        what reaches it.
    rule : ScalingRule, str, number or sequence
        The scales λ_1..λ_N of the N branches, in the order of ``architecture.branches``; their
        squares have to be rational.

    Raises
    ------
    InputError
        When paths add coherently, or a squared scale is irrational.

    Examples
    --------
    >>> from expansion.towers.architectures.residual import parallel_tower
    >>> [str(e) for e in energy_polynomial(parallel_tower(2), "1/sqrt(n)").counts]
    ['1', '1', '1/4']
    """
    branches = architecture.branches
    _refuse_coherent_paths(architecture)
    squares = dict(zip(branches, _squares(rule, len(branches)), strict=True))
    edges = (replace(e, weight=e.weight**2 * squares.get(e.block, 1)) for e in architecture.edges)
    return path_polynomial(Architecture.of(edges))


def _squares(rule: Any, count: int) -> Sequence[Any]:
    if not count:
        return ()
    chosen = ScalingRule.of(rule)
    if chosen.block_factor_squared != 1:
        mend = "scale the branches only"
        raise InputError("a rule that leaves the skips alone", chosen, mend)
    return chosen.squares(count)


def _refuse_coherent_paths(architecture: Architecture) -> None:
    several = [
        b for b, n in Counter(e.block for e in architecture.edges if e.order).items() if n > 1
    ]
    if several:
        raise InputError("branches of one edge each", several[0], "give every edge its own name")
    heads: list[list[int]] = [[] for _ in architecture.nodes]
    entered: Counter[int] = Counter()
    for (tail, head), edge in zip(architecture.ends, architecture.edges, strict=True):
        if not edge.order and edge.weight:
            heads[tail].append(head)
            entered[head] += 1
    if max(entered.values(), default=0) < 2:
        return  # a forest: one route at most
    for start in range(len(heads)):
        found, waiting = {start}, [start]
        while waiting:
            for head in heads[waiting.pop()]:
                if head in found:
                    came = f"two from {architecture.nodes[start]} to {architecture.nodes[head]}"
                    mend = "join them into one edge of their summed weight"
                    raise InputError("at most one skip route between signals", came, mend)
                found.add(head)
                waiting.append(head)
