"""Towers that are sums of paths: affine ones, and ReLU ones with frozen gates (claim E7).

Random exact towers. The true values come from the tower itself and from products of matrices
along every subset of blocks, written out here.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import strategies as st

from expansion.series.expansion import Expansion, expand
from expansion.series.gated_paths import enumerated_paths, gated_orders
from expansion.towers.arrays import Array
from expansion.towers.branches.layered import AffineBranch
from expansion.towers.tower import Tower
from expansion.trees.labelled import LabelledTree
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, difference
from proofs_check.mistakes import (
    Coefficients,
    PathOrders,
    block_feeds_itself,
    blocks_reversed,
    gates_of_the_input,
    scales_forgotten,
    terms,
    without_gates,
)
from proofs_check.sampling import sample
from proofs_check.strategies import affine_towers, points, relu_towers

__all__ = ["CHECKS"]


def _affine(subject: Coefficients, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        order = tower.depth + 1  # where the series has stopped
        claimed = Expansion(subject(tower, order), order, tower).orders(point)
        true = np.stack([*_subset_orders(tower, point), point * 0])
        given = {"tower": tower, "point": point, "order": order}
        return difference(claimed, true, **given) or difference(sum(true), tower(point), **given)

    places = st.tuples(affine_towers(), points(2))
    reach = "affine towers, depths ≤ 4, all orders"
    return sample(places, counterexample, effort, name="affine", number=60, reach=reach)


def _subset_orders(tower: Tower, point: Array) -> list[Array]:
    """Σ over sets S of k blocks of λ_S A_{i_k} ⋯ A_{i_2} (A_{i_1} x + b_{i_1}), for every k."""
    orders = [point * 0 for _ in range(tower.depth + 1)]
    for k in range(tower.depth + 1):
        for blocks in combinations(range(tower.depth), k):
            vector = point
            for place, block in enumerate(blocks):
                branch = tower.branches[block]
                assert isinstance(branch, AffineBranch)
                moved = branch.matrix @ vector + (branch.bias if place == 0 else 0)
                vector = tower.scales[block] * moved
            orders[k] = orders[k] + vector
    return orders


def _neighbours(tower: Tower, order: int) -> dict[Any, Any]:
    """Only paths through blocks in a row."""
    return {
        term: c
        for term, c in expand(tower, order).items()
        if isinstance(term, LabelledTree) and term.label - min(term.labels) < term.order
    }


def _relu(subject: PathOrders, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        claimed = subject(tower, point)
        true = np.stack([point * 0] * (tower.depth + 1))
        for blocks, vector in enumerated_paths(tower, point):
            true[len(blocks)] = true[len(blocks)] + vector
        given = {"tower": tower, "point": point}
        whole = difference(sum(claimed), tower(point), **given)
        return whole or difference(claimed, true, **given)

    places = st.tuples(relu_towers(), points(2))
    reach = "ReLU towers, depths ≤ 4, all orders, any scale"
    return sample(places, counterexample, effort, name="gated", number=90, reach=reach)


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "E7",
        "affine towers against sums over subsets",
        _affine,
        terms,
        {
            "labels ≤ instead of <": block_feeds_itself,
            "only paths through blocks in a row": _neighbours,
        },
    ),
    Check(
        "E7",
        "gated paths against the tower, and one by one",
        _relu,
        gated_orders,
        {
            "gates of the input instead of the forward pass": gates_of_the_input,
            "no gates": without_gates,
            "blocks composed in reverse": blocks_reversed,
            "λ forgotten": scales_forgotten,
        },
    ),
)
