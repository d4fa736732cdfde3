r"""A block's Jacobian, known up to the slopes of its activation (claim B2).

The Jacobian of :math:`f(x) = V \varphi(U x + b) + c` is V D U with a diagonal D of slopes, each
in an interval with centre c_i and radius r_i. So the block's Jacobian is, for any positive
diagonal S,

.. math::

   I + \lambda V D U = M + X T Y, \quad M = I + \lambda V \mathrm{diag}(c) U, \quad
   X = \lambda V S \sqrt{r}, \quad Y = \sqrt{r} S^{-1} U, \quad T \text{ diagonal}, \|T\| \le 1 .

**Balancing.** :math:`\|V D U\| \le \|V S\| \|S^{-1} U\| \max_i |D_{ii}|` for every S. With
:math:`S = e^{\sigma}` the logarithm of the right side is convex in σ: :math:`\|V e^\sigma\|^2 =
\sup_x \sum_i e^{2 \sigma_i} (V^\top x)_i^2` is a supremum of sums of exponentials. Its
subgradient is p² − q², the squares of the top right singular vector of V S and of the top left one
of S^-1 U; a few steps along it from the start that makes column and row norms equal give most of
what there is to gain. Whatever S comes out, the bound holds.

Encoder and decoder are factors too, without the identity. Source: derived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.bounds.rounded import Rounded, rounded_matrix
from expansion.bounds.slopes import slope_range
from expansion.errors import InputError
from expansion.towers.activations import Activation, activation
from expansion.towers.arrays import Array, as_array
from expansion.towers.branches.branch import Branch
from expansion.towers.branches.layered import AffineBranch, MLPBranch

__all__ = ["Factor", "Layers", "layers_of"]

_Array = NDArray[np.float64]
_STEPS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """The matrices of a branch and the range of its slopes: all that its bounds are made of.

    Parameters
    ----------
    outer, inner : Rounded, shapes (outputs, width) and (width, inputs)
        V and U; the identity where the branch has none.
    low, high : float
        Every slope φ' lies between them.
    activation : Activation
        φ.
    outer_bias, inner_bias : array, optional
        c and b.
    balance : array, shape (width,)
        The diagonal of S.
    """

    outer: Rounded
    inner: Rounded
    low: float
    high: float
    activation: Activation
    outer_bias: Array | None
    inner_bias: Array | None
    balance: _Array

    @property
    def steepest(self) -> float:
        """s, the largest absolute slope."""
        return max(abs(self.low), abs(self.high))

    def balanced(self) -> tuple[Rounded, Rounded]:
        """V S and S^-1 U."""
        return self.outer.columns_times(self.balance), self.inner.rows_times(1 / self.balance)

    def factor(self, scale: float | None, low: Any = None, high: Any = None) -> Factor:
        """The Jacobian of x + λ f(x), or of f alone where the scale is None.

        Parameters
        ----------
        scale : float or None
            λ.
        low, high : arrays, shape (..., width), optional
            The slopes of each unit, for a stack of places; by default anywhere.
        """
        least = np.full(len(self.balance), self.low) if low is None else low
        most = np.full(len(self.balance), self.high) if high is None else high
        centre, radius = (least + most) / 2, (most - least) / 2 * (1 + 2.0**-40)
        middle = self.outer.columns_times(centre) @ self.inner
        if scale is not None:
            middle = middle.times(scale).plus_identity()
        if not radius.any():
            return Factor(middle, None, None)
        outer, inner = self.balanced()
        root = np.sqrt(radius) * (1 + 2.0**-40)
        left = outer.columns_times(root)
        return Factor(middle, left if scale is None else left.times(scale), inner.rows_times(root))


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """The matrices M + X T Y with T diagonal and ‖T‖ ≤ 1.

    Parameters
    ----------
    middle : Rounded
        M.
    left, right : Rounded or None
        X and Y; None where M is all.
    """

    middle: Rounded
    left: Rounded | None
    right: Rounded | None


def layers_of(branch: Branch) -> Layers:
    """A branch's matrices and slopes.

    Raises
    ------
    InputError
        For a branch whose Lipschitz constant is not known: anything but an affine map or a
        network with one hidden layer.

    Examples
    --------
    >>> layers_of(AffineBranch([[2.0]])).steepest
    1.0
    """
    if isinstance(branch, AffineBranch):
        outer, inner, unit = branch.matrix, np.eye(branch.inputs), activation("linear")
        shifts: tuple[Array | None, Array | None] = (branch.bias, None)
    elif isinstance(branch, MLPBranch):
        outer = np.eye(branch.outputs) if branch.outer is None else branch.outer
        inner = np.eye(branch.inputs) if branch.inner is None else branch.inner
        unit, shifts = branch.activation, (branch.outer_bias, branch.inner_bias)
    else:
        required = "branches with a Lipschitz constant: affine, or V φ(U x + b) + c"
        mend = "polynomials and other formulas have none on the whole space; use a layered branch"
        raise InputError(required, type(branch).__name__, mend)
    low, high = slope_range(unit)
    # A weight may have been changed in place since the branch was made.
    first = rounded_matrix(as_array(outer, "outer weights", dimensions=2))
    second = rounded_matrix(as_array(inner, "inner weights", dimensions=2))
    if isinstance(branch, AffineBranch):
        balance = np.ones(branch.inputs)  # nothing is between A and the identity
    else:
        balance = _balance(first.centre, second.centre)
    return Layers(first, second, low, high, unit, *shifts, balance)


def _balance(outer: _Array, inner: _Array) -> _Array:
    """S that makes ‖V S‖‖S^-1 U‖ small."""
    columns, rows = np.linalg.norm(outer, axis=0), np.linalg.norm(inner, axis=1)
    alive = (columns > 0) & (rows > 0) & np.isfinite(columns * rows)
    scales = np.ones(len(columns))
    if not alive.any():
        return scales
    # Units that do nothing stay as they are.
    outer, inner = outer[:, alive], inner[alive]
    logs = np.log(rows[alive] / columns[alive]) / 2
    best, found = np.inf, np.zeros(len(logs))
    for trial in (np.zeros(len(logs)), logs):  # S = I is one of the candidates
        size, _ = _product(outer, inner, trial)
        if size < best:
            best, found = size, trial
    sigma = found
    for step in range(_STEPS):
        size, slope = _product(outer, inner, sigma)
        if size < best:
            best, found = size, sigma
        if abs(slope).max() < 1e-9:
            break  # the best there is
        sigma = sigma - slope * (2.0 / (2 + step))
    scales[alive] = np.exp(found)
    return np.clip(scales, 1e-100, 1e100)


def _product(outer: _Array, inner: _Array, sigma: _Array) -> tuple[float, _Array]:
    """‖V S‖‖S^-1 U‖ and the subgradient of its logarithm."""
    scales = np.exp(np.clip(sigma, -200, 200))
    _, left_values, right = np.linalg.svd(outer * scales, full_matrices=False)
    left, right_values, _ = np.linalg.svd(inner / scales[:, None], full_matrices=False)
    return float(left_values[0] * right_values[0]), right[0] ** 2 - left[:, 0] ** 2
