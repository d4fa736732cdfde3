r"""Direct composition: the orders of a tower read off the composed map itself.

No theorem is used. For formulas the blocks are substituted into one another with λ replaced by
zλ, the result is a polynomial in z, and its coefficients are the orders, exactly. For
floating-point branches that are analytic the same coefficients are Cauchy integrals,

.. math:: P_k = \frac{1}{m} \sum_{j<m} H_n(z_j \lambda)(x)\, z_j^{-k}, \quad z_j = r e^{2\pi i j/m}.

These are the routes that the theorem (:mod:`expansion.series.expansion`) and the jets are
checked against.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy

from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from expansion.towers.arrays import Array, as_array, is_exact
from expansion.towers.branches.branch import Branch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower

__all__ = ["cauchy_orders", "composed_orders"]


def composed_orders(tower: Tower, x: Any, order: int) -> Array:
    """The order-0..K parts of a tower of polynomial formulas, by substitution in exact numbers.

    Parameters
    ----------
    tower : Tower
        Of :class:`~expansion.towers.branches.symbolic.SymbolicBranch`, all polynomial.
    x : array_like, shape (inputs,)
        Exact numbers.
    order : int
        Largest order K ≥ 0.

    Returns
    -------
    array, shape (K + 1, outputs)
        Exact.

    Raises
    ------
    InputError
        For another kind of branch, a formula that is not a polynomial, or floats.

    Examples
    --------
    >>> u = sympy.Symbol("u")
    >>> tower = Tower.tied(SymbolicBranch([u], [u**2]), depth=2)
    >>> [str(row[0]) for row in composed_orders(tower, [1], 3)]
    ['1', '2', '2', '1']
    """
    order = check_count(order, "order", least=0)
    vector = as_array(x, "the input", dimensions=1)
    if not is_exact(vector):
        raise InputError("exact numbers for direct composition", x, "give Fractions or integers")
    wanted = next(part.inputs for part in (tower.encoder, *tower.branches) if part is not None)
    if wanted not in (None, len(vector)):
        came = f"shape {vector.shape}"
        raise InputError(f"an input of dimension {wanted}", came, "give that many coordinates")
    z = sympy.Symbol("z")
    state: list[Any] = [sympy.sympify(value) for value in vector]
    if tower.encoder is not None:
        state = _substitute(tower.encoder, state)
    for scale, branch in zip(tower.scales, tower.branches, strict=True):
        moved = _substitute(branch, state)
        weight = z * sympy.sympify(scale)
        state = [sympy.expand(h + weight * f) for h, f in zip(state, moved, strict=True)]
    if tower.decoder is not None:
        state = [sympy.expand(value) for value in _substitute(tower.decoder, state)]
    columns = []
    for value in state:
        if not value.is_polynomial(z):
            raise InputError("polynomial formulas", value, "use jets for other functions")
        powers = sympy.Poly(value, z).all_coeffs()[::-1]
        columns.append([*powers, *[sympy.Integer(0)] * (order + 1)][: order + 1])
    return as_array(np.array(columns, dtype=object).T, "the orders")


def _substitute(branch: Branch, state: Sequence[Any]) -> list[Any]:
    if not isinstance(branch, SymbolicBranch):
        kind = type(branch).__name__
        raise InputError("a tower of formulas", kind, "use SymbolicBranch, or cauchy_orders")
    replaced = dict(zip(branch.variables, state, strict=True))
    return [formula.subs(replaced, simultaneous=True) for formula in branch.formulas]


def cauchy_orders(
    tower: Tower, x: Any, order: int, *, radius: float = 0.5, samples: int = 64
) -> Array:
    """The order-0..K parts of a tower of analytic branches, by Cauchy's formula.

    Parameters
    ----------
    tower : Tower
        With branches that accept complex vectors and are analytic (not ReLU).
    x : array_like, shape (..., inputs)
        Floats.
    order : int
        Largest order K ≥ 0, below ``samples``.
    radius : float
        Radius of the circle in z; inside the radius of convergence.
    samples : int
        Points on the circle; the error falls like (radius / radius of convergence)^samples.

    Returns
    -------
    array, shape (K + 1, ..., outputs)

    Notes
    -----
    Source: Cauchy's integral formula with the trapezoidal rule; rounding in order k is amplified
    by radius^(−k).

    Examples
    --------
    >>> from expansion.towers.branches.layered import MLPBranch
    >>> tower = Tower.tied(MLPBranch([[1.0]], activation="sin"), depth=2)
    >>> bool(abs(cauchy_orders(tower, [0.5], 1)[1, 0] - 2 * np.sin(0.5)) < 1e-12)
    True
    """
    order = check_count(order, "order", least=0)
    if check_finite(radius, "the radius") <= 0:
        raise InputError("a radius above zero", radius, "give e.g. 0.5")
    samples = check_count(samples, "samples", least=order + 1)
    angles = 2j * np.pi * np.arange(samples) / samples
    values = np.stack([_at(tower, x, radius * np.exp(angle)) for angle in angles])
    orders = np.fft.fft(values, axis=0)[: order + 1] / samples
    powers = radius ** np.arange(order + 1, dtype=float)
    return np.asarray(orders.real / powers.reshape(-1, *[1] * (orders.ndim - 1)))


def _at(tower: Tower, x: Any, factor: complex) -> Array:
    """The tower with every λ multiplied by ``factor``."""
    state = tower.encode(x).astype(np.complex128)
    for scale, branch in zip(tower.scales_for(state), tower.branches, strict=True):
        state = state + factor * scale * branch(state)
    return state if tower.decoder is None else tower.decoder(state)
