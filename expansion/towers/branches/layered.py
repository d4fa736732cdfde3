r"""Branches made of layers: affine maps, and one-hidden-layer networks.

.. math:: f(x) = V\,\varphi(U x + b) + c

With the inner or the outer matrix left out this is De & Smith's :math:`W\,\varphi(x)` (Marion's,
with the scale 1/L) or Frei, Cao and Gu's :math:`\varphi(W x)`. Frozen gates
:math:`g = \varphi(a)/a` at :math:`a = U x + b` turn it into the affine map
:math:`V\,\mathrm{diag}(g)(U v + b) + c`, equal to the branch at x (claims E7, E7b).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from expansion.errors import InputError
from expansion.towers.activations import Activation, activation
from expansion.towers.arrays import Array, as_array, is_exact, product
from expansion.towers.branches.branch import Branch, FrozenMap
from expansion.towers.power_series import Series

__all__ = ["AffineBranch", "MLPBranch", "relu_branch", "sigmoid_branch"]


@dataclass(frozen=True, slots=True, eq=False)
class _Affine:
    """x ↦ A x + b; either part may be missing."""

    matrix: Array | None
    bias: Array | None

    def __call__(self, x: Array) -> Array:
        return self.shift(self.linear(x))

    def linear(self, x: Array) -> Array:
        return x if self.matrix is None else product(x, self.matrix)

    def shift(self, x: Array) -> Array:
        if self.bias is None:
            return x
        exact_meets_float = is_exact(self.bias) and not is_exact(x)
        return np.asarray(x + (self.bias.astype(np.float64) if exact_meets_float else self.bias))

    def jet(self, series: Array) -> Array:
        moved = self.linear(series)
        if self.bias is None:
            return moved
        return np.concatenate([self.shift(moved[:1]), moved[1:]])


def _affine(matrix: Any, bias: Any, name: str) -> _Affine:
    checked = None if matrix is None else as_array(matrix, f"{name} matrix", dimensions=2)
    shift = None if bias is None else as_array(bias, f"{name} bias", dimensions=1)
    if checked is not None and shift is not None and len(shift) != checked.shape[0]:
        came = f"{len(shift)} entries beside a matrix of {checked.shape[0]} rows"
        raise InputError(f"the {name} bias must fit its matrix", came, "make the lengths equal")
    return _Affine(checked, shift)


def _all_exact(*layers: _Affine) -> bool:
    arrays = (array for layer in layers for array in (layer.matrix, layer.bias))
    return all(is_exact(array) for array in arrays if array is not None)


@dataclass(frozen=True, slots=True, eq=False)
class AffineBranch(Branch):
    """x ↦ A x + b.

    Parameters
    ----------
    matrix : array_like, shape (outputs, inputs)
        A, exact or floating.
    bias : array_like, shape (outputs,), optional
        b.

    Raises
    ------
    InputError
        When shapes do not fit or an entry is not a finite number.

    Examples
    --------
    >>> f = AffineBranch([[0, 1], [1, 0]], [1, 0])
    >>> [str(value) for value in f(as_array([2, 3], "x"))]
    ['4', '2']
    """

    matrix: Any  # arrays, once constructed
    bias: Any = None
    _map: _Affine = field(init=False, repr=False)

    def __post_init__(self) -> None:
        checked = _affine(self.matrix, self.bias, "affine branch")
        object.__setattr__(self, "_map", checked)
        object.__setattr__(self, "matrix", checked.matrix)
        object.__setattr__(self, "bias", checked.bias)

    @property
    def inputs(self) -> int:
        """Number of columns of A."""
        return int(self.matrix.shape[1])

    @property
    def outputs(self) -> int:
        """Number of rows of A."""
        return int(self.matrix.shape[0])

    @property
    def is_exact(self) -> bool:
        """Whether A and b are exact."""
        return _all_exact(self._map)

    def __call__(self, x: Array) -> Array:
        """A x + b."""
        return self._map(x)

    def derivative(self, x: Array, directions: Sequence[Array]) -> Array:
        """A v for one direction, zero for more."""
        moved = self._map.linear(directions[0])
        return moved if len(directions) == 1 else moved * 0

    def jet(self, series: Array) -> Array:
        """A u_k for every coefficient, and b on the first."""
        return self._map.jet(series)

    def frozen(self, x: Array) -> FrozenMap:
        """The branch itself."""
        return FrozenMap(self._map.linear, self._map.shift(self._map.linear(x * 0)))


@dataclass(frozen=True, slots=True, eq=False)
class MLPBranch(Branch):
    """x ↦ V φ(U x + b) + c, with one hidden layer.

    Parameters
    ----------
    outer : array_like, shape (outputs, width), optional
        V; without it the branch ends with the activation (Frei, Cao and Gu's order).
    inner : array_like, shape (width, inputs), optional
        U; without it the activation comes first (De & Smith's and Marion's order).
    inner_bias : array_like, shape (width,), optional
        b.
    outer_bias : array_like, shape (outputs,), optional
        c.
    activation : str or Activation
        φ: one of linear, relu, tanh, gelu, erf, sin.

    Raises
    ------
    InputError
        When both matrices are missing, shapes do not fit, or an entry is not finite.

    Examples
    --------
    >>> f = MLPBranch(outer=[[1.0, 1.0]], inner=[[1.0], [-1.0]], activation="relu")
    >>> f(np.array([-2.0]))
    array([2.])
    """

    outer: Any = None  # arrays, once constructed
    inner: Any = None
    inner_bias: Any = None
    outer_bias: Any = None
    activation: Any = "tanh"  # an Activation, once constructed
    _before: _Affine = field(init=False, repr=False)
    _after: _Affine = field(init=False, repr=False)

    def __post_init__(self) -> None:
        before = _affine(self.inner, self.inner_bias, "inner")
        after = _affine(self.outer, self.outer_bias, "outer")
        if before.matrix is None and after.matrix is None:
            raise InputError("an inner or an outer matrix", "neither", "give outer=, inner=")
        if before.matrix is not None and after.matrix is not None:
            width, wanted = before.matrix.shape[0], after.matrix.shape[1]
            if width != wanted:
                came = f"{width} hidden units into {wanted}"
                mend = "make inner's rows as many as outer's columns"
                raise InputError("layers whose widths fit", came, mend)
        for bias, other, name in ((before.bias, after, "inner"), (after.bias, before, "outer")):
            own = before if name == "inner" else after
            if bias is None or own.matrix is not None or other.matrix is None:
                continue
            wanted = other.matrix.shape[1 if name == "inner" else 0]
            if len(bias) != wanted:
                came = f"{len(bias)} entries for {wanted} units"
                raise InputError(f"the {name} bias must fit its layer", came, "change its length")
        chosen = self.activation
        if not isinstance(chosen, Activation):
            chosen = activation(chosen)
        for name, value in (
            ("outer", after.matrix),
            ("inner", before.matrix),
            ("inner_bias", before.bias),
            ("outer_bias", after.bias),
            ("activation", chosen),
            ("_before", before),
            ("_after", after),
        ):
            object.__setattr__(self, name, value)

    @property
    def inputs(self) -> int:
        """Dimension of x."""
        first = self.outer if self.inner is None else self.inner
        assert first is not None
        return int(first.shape[1])

    @property
    def outputs(self) -> int:
        """Dimension of f(x)."""
        last = self.inner if self.outer is None else self.outer
        assert last is not None
        return int(last.shape[0])

    @property
    def is_exact(self) -> bool:
        """Whether all weights are exact."""
        return _all_exact(self._before, self._after)

    def __call__(self, x: Array) -> Array:
        """V φ(U x + b) + c."""
        return self._after(self.activation.value(self._before(x)))

    def derivative(self, x: Array, directions: Sequence[Array]) -> Array:
        """V (φ^(m)(U x + b) ⊙ U v_1 ⊙ … ⊙ U v_m)."""
        hidden = self.activation.derivative(self._before(x), len(directions))
        for direction in directions:
            hidden = hidden * self._before.linear(direction)
        return self._after.linear(hidden)

    def jet(self, series: Array) -> Array:
        """One product with each matrix for all coefficients together."""
        hidden = self.activation.series(Series(list(self._before.jet(series))))
        return self._after.jet(np.stack(hidden.coefficients))

    def frozen(self, x: Array) -> FrozenMap:
        """v ↦ V diag(g) U v with the gates g of the forward pass at x."""
        pre_activation = self._before(x)
        gate = self.activation.gate(pre_activation)

        def linear(v: Array) -> Array:
            return self._after.linear(gate * self._before.linear(v))

        shifted = gate * self._before.shift(pre_activation * 0)
        return FrozenMap(linear, self._after(shifted))


def relu_branch(outer: Any, inner: Any = None) -> MLPBranch:
    """The bias-free ReLU branch V relu(U x), or V relu(x): gated paths exactly (claim E7).

    Parameters
    ----------
    outer : array_like, shape (outputs, width)
        V.
    inner : array_like, shape (width, inputs), optional
        U.

    Examples
    --------
    >>> relu_branch([[1, -1]], [[1], [2]])(as_array([3], "x"))
    array([Fraction(-3, 1)], dtype=object)
    """
    return MLPBranch(outer=outer, inner=inner, activation="relu")


def sigmoid_branch(
    outer: Any, inner: Any, inner_bias: Any = None, outer_bias: Any = None
) -> MLPBranch:
    r"""The branch V σ(U x + b) + c with :math:`\sigma(a) = (1 + \tanh(a/2))/2`.

    As tanh units, whose gates can be frozen (claim E7b): V/2, U/2, b/2, and c + V·1/2.

    Parameters
    ----------
    outer : array_like, shape (outputs, width)
        V.
    inner : array_like, shape (width, inputs)
        U.
    inner_bias : array_like, shape (width,), optional
        b.
    outer_bias : array_like, shape (outputs,), optional
        c.

    Examples
    --------
    >>> sigmoid_branch([[1.0]], [[1.0]])(np.array([0.0]))
    array([0.5])
    """
    after, before = _affine(outer, outer_bias, "outer"), _affine(inner, inner_bias, "inner")
    if after.matrix is None or before.matrix is None:
        raise InputError("an inner and an outer matrix", "one of them", "give both")
    v, u = _half(after.matrix), _half(before.matrix)
    bias = None if before.bias is None else _half(before.bias)
    return MLPBranch(v, u, bias, after.shift(v.sum(axis=1)), "tanh")


def _half(array: Array) -> Array:
    return np.asarray(array * (Fraction(1, 2) if is_exact(array) else 0.5))
