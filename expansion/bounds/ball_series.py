r"""Towers in ball arithmetic: the truth that every bound answers to.

The output :math:`H_n(x)` and every order's part :math:`P_k(x)` (claim E5) as vectors of balls:
power series in z are carried through the blocks, matrices in FLINT's ball arithmetic and
activations in its power series. What the balls hold is exact, with the scales of the rule and the
weights as they are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy
from flint import arb, arb_mat, arb_series, ctx

from expansion.bounds.balls import ball, ball_matrix, cut_at
from expansion.bounds.complex_range import function_series
from expansion.errors import InputError
from expansion.towers.activations import ACTIVATIONS
from expansion.towers.arrays import as_array
from expansion.towers.branches.branch import Branch
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower

__all__ = [
    "analytic_name",
    "branch_series",
    "composed",
    "encoded",
    "orders_in_balls",
    "series_of",
    "walk",
]

_SMOOTH = ("linear", "tanh", "sin", "erf", "gelu")
_FORMULAS = ("exp", "log", "sin", "cos", "tanh", "erf")


def orders_in_balls(tower: Tower, x: Any, order: int) -> list[list[arb]]:
    """Balls about the order-0..K parts of D(H_n(E(x))), and last about the output itself.

    Parameters
    ----------
    tower : Tower
        Of branches with an analytic bound.
    x : array_like, shape (inputs,)
        Real.
    order : int
        K ≥ 0.

    Returns
    -------
    list of K + 2 lists of arb, each of length outputs

    Raises
    ------
    InputError
        For a branch without a power series in balls, such as ReLU.

    Examples
    --------
    >>> double = Tower.tied(AffineBranch([[1]]), depth=3)
    >>> [float(row[0]) for row in orders_in_balls(double, [1], 1)]
    [1.0, 3.0, 8.0]
    """
    start = encoded(tower, x)
    scales = [ball(scale) for scale in tower.scales]
    rows = []
    for largest in (order, None):
        state = arb_mat([[entry] + [arb(0)] * (largest or 0) for entry in start])
        for number, (scale, branch) in enumerate(zip(scales, tower.branches, strict=True), 1):
            moved = branch_series(branch, state, f"block {number}")
            state = state + (moved if largest is None else _times_z(moved)) * scale
        if tower.decoder is not None:
            state = branch_series(tower.decoder, state, "the decoder")
        rows += state.transpose().tolist()
    return rows


def encoded(tower: Tower, x: Any) -> list[arb]:
    """Balls about E(x).

    Raises
    ------
    InputError
        When x is not a real vector of the tower's dimension.
    """
    vector = as_array(x, "the input", dimensions=1)
    tower.encode(vector)  # checks the dimension
    if vector.dtype.kind == "c":
        raise InputError("a real input", "complex numbers", "give real coordinates")
    state = arb_mat([[ball(entry)] for entry in vector.tolist()])
    if tower.encoder is not None:
        state = branch_series(tower.encoder, state, "the encoder")
    return list(state.entries())


def branch_series(branch: Branch, series: arb_mat, name: str) -> arb_mat:
    """The branch of a power series: coefficients in columns, coordinates in rows.

    Raises
    ------
    InputError
        For a branch that is not analytic, or unknown: ``name`` says which.

    Examples
    --------
    >>> branch_series(AffineBranch([[2]], [1]), arb_mat([[arb(3), arb(1)]]), "f")
    [7.00000000000000, 2.00000000000000]
    """
    try:
        return _image(branch, series, name)
    except InputError:
        raise
    except (ValueError, ZeroDivisionError):  # divided by a series without a constant term
        came = f"{name}, singular at the input"
        mend = "choose an input where its formulas are analytic"
        raise InputError("a branch with an analytic bound", came, mend) from None


def _image(branch: Branch, series: arb_mat, name: str) -> arb_mat:
    # Exactly these types: a subclass may be another map.
    if type(branch) is AffineBranch:
        return _affine(branch.matrix, branch.bias, series)
    if type(branch) is MLPBranch:
        kind = analytic_name(branch, name)
        hidden = _affine(branch.inner, branch.inner_bias, series)
        with cut_at(series.ncols()):
            image = [function_series(kind, row) for row in series_of(hidden)]
        return _affine(branch.outer, branch.outer_bias, _coefficients(image, series.ncols()))
    if type(branch) is SymbolicBranch:
        values = dict(zip(branch.variables, series_of(series), strict=True))
        with cut_at(series.ncols()):
            image = [
                walk(formula, values, _constant_series, function_series, name)
                for formula in branch.formulas
            ]
        return _coefficients(image, series.ncols())
    came = f"{type(branch).__name__} in {name}"
    mend = "use affine, symbolic or one-hidden-layer branches"
    raise InputError("a branch with an analytic bound", came, mend)


def analytic_name(branch: MLPBranch, name: str) -> str:
    """The activation's name, if it is one with an analytic bound."""
    kind = branch.activation.name
    if kind in _SMOOTH and ACTIVATIONS.get(kind) is branch.activation:
        return kind
    why = "which has a kink" if kind == "relu" else "of which no bound is known"
    came = f"{kind} in {name}, {why}"
    mend = f"use {', '.join(_SMOOTH)} or sigmoid_branch; for ReLU, gated paths are exact (claim E7)"
    raise InputError("a branch with an analytic bound", came, mend)


def walk(
    formula: sympy.Expr,
    values: dict[sympy.Symbol, Any],
    constant: Callable[[arb], Any],
    apply: Callable[[str, Any], Any],
    name: str,
) -> Any:
    """A formula of whatever the variables stand for, walked and never printed.

    Parameters
    ----------
    formula : sympy.Expr
        Sums, products, whole powers, elementary functions.
    values : dict
        What the variables stand for; supports + and *.
    constant : callable
        A number's ball in that arithmetic.
    apply : callable
        (function name, argument); ``inverse`` for 1/u.
    name : str
        Which branch, for the error.
    """
    if formula in values:
        return values[formula]
    if formula.is_number:
        return constant(ball(formula))
    if formula.is_Pow and formula.exp.is_Integer:
        base = walk(formula.base, values, constant, apply, name)
        exponent = int(formula.exp)
        return _power(base if exponent > 0 else apply("inverse", base), abs(exponent))
    parts = [walk(part, values, constant, apply, name) for part in formula.args]
    if formula.is_Add or formula.is_Mul:
        total = parts[0]
        for part in parts[1:]:
            total = total + part if formula.is_Add else total * part
        return total
    function = "exp" if formula.func is sympy.exp else formula.func.__name__
    if function in _FORMULAS and len(parts) == 1:
        return apply(function, parts[0])
    came = f"{function} in {name}"
    mend = f"use sums, products, whole powers, {', '.join(_FORMULAS)}"
    raise InputError("a branch with an analytic bound", came, mend)


def composed(coefficients: Sequence[arb], series: arb_series) -> arb_series:
    """Σ c_m u^m for a power series u without constant term, inside ``cut_at``.

    Examples
    --------
    >>> composed([arb(1), arb(0), arb(2)], arb_series([0, 3], prec=3)).coeffs()[2]
    18.0000000000000
    """
    if all(c.is_zero() for c in series.coeffs()):
        return arb_series([coefficients[0]], prec=ctx.cap)
    return arb_series(list(coefficients), prec=ctx.cap)(series)


def series_of(matrix: arb_mat) -> list[arb_series]:
    """The rows as power series, cut after as many terms as there are columns."""
    return [arb_series(row, prec=matrix.ncols()) for row in matrix.tolist()]


def _power(base: Any, exponent: int) -> Any:
    power = base
    for _ in range(exponent - 1):
        power = power * base
    return power


def _constant_series(value: arb) -> arb_series:
    return arb_series([value], prec=ctx.cap)


def _affine(matrix: Any, bias: Any, series: arb_mat) -> arb_mat:
    moved = series if matrix is None else ball_matrix(matrix) * series
    if bias is None:
        return moved
    rest = [arb(0)] * (series.ncols() - 1)
    return moved + arb_mat([[ball(entry), *rest] for entry in bias.tolist()])


def _coefficients(rows: Sequence[arb_series], length: int) -> arb_mat:
    table = []
    for row in rows:
        found = row.coeffs()[:length]
        table.append(found + [arb(0)] * (length - len(found)))
    return arb_mat(table)


def _times_z(series: arb_mat) -> arb_mat:
    return arb_mat([[arb(0), *row[:-1]] for row in series.tolist()])
