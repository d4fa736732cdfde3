"""Values of elementary differentials at a point, each common subtree computed once."""

from __future__ import annotations

from typing import Any

from expansion.towers.arrays import Array
from expansion.towers.tower import Tower
from expansion.trees.labelled import Forest, LabelledTree, Term
from expansion.trees.tree import Tree

__all__ = ["Differentials"]


class Differentials:
    """Elementary differentials F_t of a tower at one input.

    Parameters
    ----------
    tower : Tower
        With branches that have values; tied if trees without labels are asked for.
    x : array_like, shape (..., inputs)
        Exact numbers give exact values.

    Notes
    -----
    Source: claim E1, ``F_t = f_j^(m)(x)[F_{t_1}, …, F_{t_m}]`` at x = E(input), and E2 for
    forests. Values of subtrees are kept, so that a whole expansion costs one derivative per
    distinct labelled tree.

    Examples
    --------
    >>> from expansion.towers.branches.layered import AffineBranch
    >>> tower = Tower.tied(AffineBranch([[3]]), depth=2)
    >>> str(Differentials(tower, [1]).value(LabelledTree.parse("2[1]"))[0])
    '9'
    """

    def __init__(self, tower: Tower, x: Any) -> None:
        self.tower = tower
        self.point = tower.encode(x)
        self._known: dict[Tree | LabelledTree, Array] = {}

    def value(self, term: Term) -> Array:
        """F_t for a tree, D^(m)[F_{t_1}, …, F_{t_m}] for a forest; shape (..., outputs)."""
        if isinstance(term, Forest):
            arguments = [self.value(tree) for tree in term.trees]
            decoder = self.tower.decoder
            if decoder is None:  # the identity: D' = 1, D'' = 0
                return self.point if not arguments else arguments[0] * (len(arguments) == 1)
            return decoder.derivative(self.point, arguments) if arguments else decoder(self.point)
        if term not in self._known:
            arguments = [self.value(child) for child in term.children]
            number = term.label if isinstance(term, LabelledTree) else 1
            branch = self.tower.branches[number - 1]
            self._known[term] = (
                branch.derivative(self.point, arguments) if arguments else branch(self.point)
            )
        return self._known[term]
