r"""What every labelled tree contributes on a real network.

The value of a labelled tree at an input is its coefficient times its elementary differential.
Trees are built order by order on the values of their subtrees, all trees with one root label and
one number of children in a single vectorised derivative, so that a common subtree is computed
once. Chains are Veit et al.'s paths; the other trees are what nonlinear branches add to them.

Source: claim E1, derived.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.series.size import DEFAULT_BUDGET, refuse_above
from expansion.towers.arrays import Array, as_array
from expansion.towers.tower import Tower
from expansion.trees.generate import labelled_trees
from expansion.trees.labelled import LabelledTree

__all__ = ["TreeValues", "tree_values"]


@dataclass(frozen=True, slots=True, eq=False)
class TreeValues:
    """Contributions of all labelled trees up to an order, at one input.

    Parameters
    ----------
    trees : tuple of LabelledTree
        By order.
    values : array, shape (trees, dimension)
        Π λ / σ(t) · F_t(E(x)), before the decoder.
    """

    trees: tuple[LabelledTree, ...]
    values: NDArray[np.float64]

    @property
    def norms(self) -> NDArray[np.float64]:
        """Euclidean norm of every contribution."""
        return np.asarray(np.linalg.norm(self.values, axis=1))

    def order(self, k: int) -> Array:
        """The order-k part: the sum over its trees, shape (dimension,)."""
        return np.asarray(self.values[self._of_order(k)].sum(axis=0))

    def largest(self, k: int, count: int = 10) -> list[tuple[LabelledTree, float]]:
        """The trees of order k with the largest norms, largest first."""
        rows = np.flatnonzero(self._of_order(k))
        norms = self.norms[rows]
        chosen = rows[np.argsort(-norms, kind="stable")[: check_count(count, "count", least=0)]]
        return [(self.trees[row], float(self.norms[row])) for row in chosen]

    def chain_share(self, k: int) -> float:
        """Share of the chains in Σ_t ‖value‖ over the trees of order k; NaN if all vanish."""
        chosen = self._of_order(k)
        chains = np.array([tree.is_path for tree in self.trees])
        total = self.norms[chosen].sum()
        return float(self.norms[chosen & chains].sum() / total) if total else float("nan")

    def chain_part(self, k: int) -> Array:
        """What the chains of order k add up to; the order minus this is the branched trees'."""
        chains = np.array([tree.is_path for tree in self.trees])
        return np.asarray(self.values[self._of_order(k) & chains].sum(axis=0))

    def _of_order(self, k: int) -> NDArray[np.bool_]:
        check_count(k, "order", least=1)
        return np.array([tree.order == k for tree in self.trees])


def tree_values(tower: Tower, x: Any, order: int, *, budget: int = DEFAULT_BUDGET) -> TreeValues:
    """Evaluate every labelled tree of order ≤ K of a tower with numeric branches.

    Parameters
    ----------
    tower : Tower
        With branches that have values (MLP, ReLU, affine, formulas).
    x : array_like, shape (inputs,)
        One input, in floats.
    order : int
        Largest order K ≥ 1.
    budget : int
        Largest number of trees.

    Raises
    ------
    TooManyTermsError
        At once, when there are more trees than the budget.

    Examples
    --------
    >>> from expansion.towers.branches.layered import MLPBranch
    >>> tower = Tower.tied(MLPBranch([[0.5]], activation="sin"), depth=3)
    >>> found = tree_values(tower, [0.3], 3)
    >>> [str(tree) for tree, _ in found.largest(3, 2)], round(found.chain_share(3), 3)
    (['3[2[1]]', '3[2,1]'], 0.807)
    """
    order = check_count(order, "order", least=1)
    refuse_above(budget, tower.depth, order, tied=False, decoder=False)
    start = tower.encode(as_array(x, "the input", dimensions=1)).astype(np.float64)
    if start.ndim != 1:
        raise InputError("one input at a time", f"shape {start.shape}", "loop over the inputs")
    trees = tuple(labelled_trees(tower.depth, order))
    row = {tree: number for number, tree in enumerate(trees)}
    # Differentials are kept without coefficients: those of subtrees enter through σ of the whole.
    differentials = np.empty((len(trees), len(start)))
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for number, tree in enumerate(trees):
        groups[tree.order, tree.label, len(tree.children)].append(number)
    for (_, label, arity), members in sorted(groups.items()):
        branch = tower.branches[label - 1]
        if arity == 0:
            differentials[members] = branch(start)
            continue
        children = np.array([[row[child] for child in trees[m].children] for m in members])
        directions = [differentials[children[:, slot]] for slot in range(arity)]
        differentials[members] = branch.derivative(start, directions)
    scales = tower.rule.floats(tower.depth)
    weights = [np.prod([scales[label - 1] for label in t.labels]) / t.symmetry for t in trees]
    return TreeValues(trees, differentials * np.array(weights)[:, None])
