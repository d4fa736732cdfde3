r"""The numbers of all trees at once: σ, τ!, order polynomials, weights of the modified equation.

With τ = r ∘ c as in :mod:`expansion.trees.bulk`, and :math:`P_\tau(j)` the product of
:math:`\Omega^\circ(\cdot\,; j)` over the root's subtrees (claim E3),

.. math::

   P_{r \circ c}(j) = P_r(j)\, \Omega^\circ(c; j), \qquad
   \Omega^\circ(\tau; n) = \sum_{j<n} P_\tau(j).

Subtrees are shared by all trees that contain them: one multiplication and one running sum for
each tree and each n ≤ K. The polynomial follows from these values by differences,
:math:`\Omega^\circ(\tau; n) = \sum_k s_k \binom{n}{k}`, and :math:`s_k \ge 0` counts the
labellings that use every number 1..k.

**No overflow.** A labelling sends the root above its |τ| − 1 other vertices, so
:math:`\Omega^\circ(\tau; n) \le \sum_{i<n} i^{|\tau|-1}`. For |τ|, n ≤ 16 that is below
2⁶³, and everything else held in machine words is smaller: the s_k and their differences are
non-negative and bounded by :math:`\Omega^\circ(\tau; K)`. Larger n is reached by exact
arithmetic on limbs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import comb, factorial, lcm
from typing import Any

import numpy as np
from flint import fmpq_poly, fmpz_mat
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.trees.bulk import Integers, TreeTable

__all__ = [
    "exact_products",
    "factorials",
    "labelling_counts",
    "labelling_values",
    "modified_weights",
    "order_polynomials",
    "surjective_counts",
    "symmetries",
]

LARGEST_ORDER = 16


def symmetries(table: TreeTable) -> Integers:
    """σ of every tree: at most (K − 1)!, which fits to order 18.

    Examples
    --------
    >>> from expansion.trees.bulk import tree_table
    >>> symmetries(tree_table(4)).tolist()
    [1, 1, 2, 1, 6, 1, 2, 1]
    """
    result = np.ones(len(table), np.int64)
    equal = np.ones(len(table), np.int64)  # how many of the root's subtrees equal the largest
    for _, here, rest, largest in _by_order(table):
        equal[here] += np.where(table.largest[rest] == largest, equal[rest], 0)
        result[here] = result[rest] * result[largest] * equal[here]
    return result


def factorials(table: TreeTable) -> Integers:
    """τ! of every tree: at most K!, which fits to order 18.

    Examples
    --------
    >>> from expansion.trees.bulk import tree_table
    >>> factorials(tree_table(4)).tolist()
    [1, 2, 3, 6, 4, 8, 12, 24]
    """
    result = np.ones(len(table), np.int64)
    for k, here, rest, largest in _by_order(table):
        sizes = np.searchsorted(table.starts, rest, side="right") - 1
        # The root's factor |r| becomes |τ|; it divides exactly.
        result[here] = result[rest] // sizes * k * result[largest]
    return result


def labelling_values(table: TreeTable) -> Integers:
    r""":math:`\Omega^\circ(\tau; n)` for n = 0..K, shape (trees, K + 1).

    Raises
    ------
    InputError
        For a table beyond order 16, whose values do not fit into machine words.

    Examples
    --------
    >>> from expansion.trees.bulk import tree_table
    >>> labelling_values(tree_table(3)).tolist()
    [[0, 1, 2, 3], [0, 0, 1, 3], [0, 0, 1, 5], [0, 0, 0, 1]]
    """
    if table.order > LARGEST_ORDER:
        mend = "use order_polynomial tree by tree, or a smaller table"
        raise InputError(f"a table to order {LARGEST_ORDER} at most", table.order, mend)
    points = table.order + 1
    # Column by column is the way NumPy's running sum is fastest.
    products = np.ones((points, len(table)), np.int64)
    values = np.zeros((points, len(table)), np.int64)
    values[:, 0] = np.arange(points)
    for _, here, rest, largest in _by_order(table):
        np.multiply(products[:, rest], values[:, largest], out=products[:, here])
        np.cumsum(products[:-1, here], axis=0, out=values[1:, here])
    return values.T


def surjective_counts(table: TreeTable) -> Integers:
    r"""s_k for k = 0..K, shape (trees, K + 1): :math:`\Omega^\circ(\tau; n) = \sum s_k \binom nk`.

    Examples
    --------
    >>> from expansion.trees.bulk import tree_table
    >>> surjective_counts(tree_table(3))[2].tolist()  # the cherry: C(n, 2) + 2 C(n, 3)
    [0, 0, 1, 2]
    """
    differences = labelling_values(table).T.copy()
    for k in range(1, table.order + 1):
        # Newton's forward differences, in place: row k ends as the k-th one at 0.
        differences[k:] -= differences[k - 1 : -1].copy()
    return differences.T


def labelling_counts(table: TreeTable, depth: int) -> list[int]:
    r""":math:`\Omega^\circ(\tau; n)` of every tree at any depth n, exact.

    Parameters
    ----------
    table : TreeTable
        To order 16 at most.
    depth : int
        n ≥ 0.

    Notes
    -----
    Source: claim E3. The same as :func:`~expansion.trees.order_polynomials.labelling_count` of
    each tree.

    Examples
    --------
    >>> from expansion.trees.bulk import tree_table
    >>> sum(labelling_counts(tree_table(12), 100))
    1197846201347941539923395
    """
    depth = check_count(depth, "depth", least=0)
    return exact_products(
        surjective_counts(table), [comb(depth, k) for k in range(table.order + 1)]
    )


def modified_weights(table: TreeTable) -> list[Fraction]:
    r"""ω of every tree, the coefficient of n¹: :math:`\sum_k s_k (-1)^{k-1}/k` (claim E6).

    Examples
    --------
    >>> from expansion.trees.bulk import tree_table
    >>> [str(weight) for weight in modified_weights(tree_table(3))]
    ['1', '-1/2', '1/6', '1/3']
    """
    common = lcm(*range(1, table.order + 1))
    weights = [0] + [-((-1) ** k) * (common // k) for k in range(1, table.order + 1)]
    return [Fraction(total, common) for total in exact_products(surjective_counts(table), weights)]


def order_polynomials(table: TreeTable) -> list[fmpq_poly]:
    r"""The polynomial n ↦ :math:`\Omega^\circ(\tau; n)` of every tree, exact.

    Returns
    -------
    list of flint.fmpq_poly
        In the table's numbering; the same as
        :func:`~expansion.trees.order_polynomials.order_polynomial` of each tree.

    Examples
    --------
    >>> from expansion.trees.bulk import tree_table
    >>> order_polynomials(tree_table(3))[3]
    1/6*x^3 + (-1/2)*x^2 + 1/3*x
    """
    order = table.order
    common = factorial(order)
    binomial = fmpq_poly([1])  # C(n, k) as a polynomial in n
    binomials = []
    for k in range(order + 1):
        binomials.append([int(c.p) * (common // int(c.q)) for c in _padded(binomial, order + 1)])
        binomial = binomial * fmpq_poly([-k, 1]) / (k + 1)
    rows = fmpz_mat(surjective_counts(table).tolist()) * fmpz_mat(binomials)
    return [fmpq_poly(row, common) for row in rows.table()]


def exact_products(matrix: Integers, weights: Sequence[int]) -> list[int]:
    """The product of a matrix of non-negative machine words with integers of any size, exact.

    The weights are cut into limbs so narrow that no partial sum can reach 2⁶³.

    Examples
    --------
    >>> exact_products(np.array([[2, 3], [0, 1]]), [10**30, -1])
    [1999999999999999999999999999997, -1]
    """
    largest = int(matrix.max(initial=1))
    width = 63 - largest.bit_length() - len(weights).bit_length()
    if width < 1:
        raise InputError("entries that leave room for a limb", largest, "use exact matrices")
    longest = max((abs(weight).bit_length() for weight in weights), default=0)
    total: NDArray[np.object_] = np.zeros(len(matrix), object)
    for sign in (1, -1):
        parts = [max(sign * weight, 0) for weight in weights]
        if not any(parts):
            continue
        for shift in range(0, longest, width):
            limb = [part >> shift & ((1 << width) - 1) for part in parts]
            total += sign * (1 << shift) * (matrix @ np.array(limb, np.int64)).astype(object)
    return total.tolist()


def _by_order(table: TreeTable) -> Iterator[tuple[int, slice, Integers, Integers]]:
    """Order k, its numbers as a slice, and the numbers of r and c, for k = 2..K."""
    for k in range(2, table.order + 1):
        here = slice(int(table.starts[k]), int(table.starts[k + 1]))
        yield k, here, table.rest[here], table.largest[here]


def _padded(polynomial: fmpq_poly, length: int) -> list[Any]:
    return [polynomial[power] for power in range(length)]
