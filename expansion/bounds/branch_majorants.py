r"""Majorants of branches: how large every Taylor term of a branch can be, in one variable.

A majorant of f at x is a power series :math:`b(s) = \sum_m b_m s^m` with

.. math:: \Big\| \tfrac{1}{m!} f^{(m)}(x)[h_1, \ldots, h_m] \Big\| \le b_m \|h_1\| \cdots \|h_m\|

in the Euclidean norm of complex vectors. Hence :math:`\|f\| \le b(s)` on the complex ball of
radius s about x: what claim B1 asks for, for every radius at once.

**Affine** A x + b: :math:`\|f(x)\| + \|A\| s`.

**One hidden layer** V φ(U x + b) + c with :math:`a = Ux + b` and the Taylor coefficients
:math:`c_{jm}` of φ at :math:`a_j`: the m-th term is :math:`V (c_{jm} \prod_i (U h_i)_j)_j`, so

.. math::

   b_0 = \|f(x)\|, \quad b_1 = \|V \mathrm{diag}(\varphi'(a))\, U\|, \quad
   b_m = \min\Big( \|V\| \|U\| \max_j |c_{jm}| \|U_j\|^{m-1},\;
   \sum_j \|V_{\cdot j}\| |c_{jm}| \|U_j\|^m,\; \|\mathrm{diag}(\sqrt{w_m})\, U\|^2 \Big),

with :math:`w_{jm} = \|V_{\cdot j}\| |c_{jm}| \|U_j\|^{m-2}`; the third for the first few m only.

*Proof.* In the first form m − 1 of the factors are at most :math:`\|U_j\| \|h_i\|` and the last is
kept: :math:`\sum_j |(U h_m)_j|^2 \le \|U\|^2 \|h_m\|^2`. The second is the triangle inequality, and
the third too, with two factors kept and the inequality of Cauchy and Schwarz over j. ∎
Beyond the computed orders :math:`|c_{jm}| \le S_j R_j^{-m}` (:mod:`expansion.bounds.complex_range`)
gives a geometric series, with :math:`\tau = \max_j \|U_j\| / R_j`.

**Formulas**, polynomials and compositions: a value a and a majorant α of what is beyond it go
through sums, products :math:`(ab,\; |a| \beta + |b| \alpha + \alpha \beta)` and functions
:math:`(\varphi(a),\; \sum_{m \ge 1} |c_m| \alpha^m)`, starting from :math:`(x_i,\; s)`; coordinates
join by :math:`b_m = (\sum_i \alpha_{im}^2)^{1/2}`. Polynomials end; otherwise the value at a radius
:math:`s_0` where all converges bounds the rest by :math:`C s_0^{-m}`.
Source: derived (claim B1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
from flint import arb, arb_mat, arb_series, ctx

from expansion.bounds.ball_series import (
    analytic_name,
    branch_series,
    composed,
    walk,
)
from expansion.bounds.balls import ball_matrix, cut_at, norm
from expansion.bounds.complex_range import Majorant, function_value, majorant, range_bound, slope
from expansion.bounds.norms import spectral_norm
from expansion.errors import InputError
from expansion.towers.branches.branch import Branch
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.branches.symbolic import SymbolicBranch

__all__ = ["branch_majorant", "direct_bound"]

_MOVE = "choose an input where its formulas are analytic"
_PAIRED = 4  # terms for which a third form is worth a norm of its own
_RADII = [arb(2) ** (-k) for k in range(-20, 60)]  # for formulas, from 2^20 down


def branch_majorant(branch: Branch, x: list[arb], order: int, name: str = "the branch") -> Majorant:
    """A majorant of the branch at x, term by term up to ``order`` and geometric beyond.

    Parameters
    ----------
    branch : Branch
        Affine, one hidden layer with an analytic activation, or formulas.
    x : list of arb
        The centre.
    order : int
        M ≥ 2.
    name : str
        Which branch, for the error.

    Raises
    ------
    InputError
        For a branch with no analytic bound: which, and why.

    Examples
    --------
    >>> square = sympy.Symbol("x")
    >>> found = branch_majorant(SymbolicBranch([square], [square**2]), [arb(-3)], 4)
    >>> [float(c) for c in found.coefficients]
    [9.0, 6.0, 1.0, 0.0, 0.0]
    """
    value = branch_series(branch, arb_mat([[entry] for entry in x]), name)
    size = norm(value.entries())
    if not size.is_finite():
        raise InputError("a branch with an analytic bound", f"{name}, singular at the input", _MOVE)
    if isinstance(branch, AffineBranch):
        rest = (arb(0),) * (order - 1)
        return Majorant((size, spectral_norm(ball_matrix(branch.matrix)), *rest), arb(0), arb(0))
    if isinstance(branch, MLPBranch):
        return _layered(branch, x, order, size, name)
    assert isinstance(branch, SymbolicBranch)  # branch_series knows no other
    return _formulas(branch, x, order, size, name)


def direct_bound(
    branch: Branch, x: list[arb], name: str = "the branch"
) -> Callable[[arb], arb] | None:
    r"""Radius to a bound of ‖f‖ on the complex ball, by the range of each unit on its disc.

    .. math:: \|f\| \le \|c\| + \min\Big(\|V\| \big(\sum_j S_j^2\big)^{1/2},\;
       \sum_j \|V_{\cdot j}\| S_j\Big), \quad
       S_j \ge \max |\varphi(w)|,\; |w - a_j| \le \|U_j\| \rho .

    Sharper than the majorant where units are saturated; None for other kinds of branch.

    Examples
    --------
    >>> bound = direct_bound(MLPBranch([[1.0]], [[1.0]]), [arb(0)])
    >>> round(float(bound(arb(1) / 2)), 6)  # tanh stays below 1 there
    1.0
    """
    if not isinstance(branch, MLPBranch):
        return None
    kind = analytic_name(branch, name)
    rows, columns, _, outer = _sizes(branch, len(x))
    centres = _pre_activations(branch, x)
    bias = branch.outer_bias
    shift = arb(0) if bias is None else norm(ball_matrix(bias.reshape(-1, 1)).entries())

    def bound(radius: arb) -> arb:
        ranges = [range_bound(kind, a, row * radius) for a, row in zip(centres, rows, strict=True)]
        summed = sum((c * s for c, s in zip(columns, ranges, strict=True)), arb(0))
        return shift + (outer * norm(ranges)).min(summed)

    return bound


def _pre_activations(branch: MLPBranch, x: list[arb]) -> list[arb]:
    state = arb_mat([[entry] for entry in x])
    hidden = state if branch.inner is None else ball_matrix(branch.inner) * state
    if branch.inner_bias is not None:
        hidden = hidden + ball_matrix(branch.inner_bias.reshape(-1, 1))
    return list(hidden.entries())


def _sizes(branch: MLPBranch, dimension: int) -> tuple[list[arb], list[arb], arb, arb]:
    """‖U_j‖ of every row, ‖V_·j‖ of every column, ‖U‖ and ‖V‖."""
    if branch.inner is None:
        rows, inner = [arb(1)] * dimension, arb(1)
    else:
        matrix = ball_matrix(branch.inner)
        rows, inner = [norm(row) for row in matrix.tolist()], spectral_norm(matrix)
    if branch.outer is None:
        return rows, [arb(1)] * len(rows), inner, arb(1)
    matrix = ball_matrix(branch.outer)
    columns = [norm(column) for column in matrix.transpose().tolist()]
    return rows, columns, inner, spectral_norm(matrix)


def _layered(branch: MLPBranch, x: list[arb], order: int, size: arb, name: str) -> Majorant:
    kind = analytic_name(branch, name)
    rows, columns, inner, outer = _sizes(branch, len(x))
    centres = _pre_activations(branch, x)
    units = [majorant(kind, a, order) for a in centres]
    found = [size, _layered_jacobian_norm(branch, [slope(kind, a) for a in centres])]
    powers = list(rows)
    for m in range(2, order + 1):
        terms = [unit.coefficients[m] * power for unit, power in zip(units, powers, strict=True)]
        together = inner * outer * _largest(terms)
        apart = sum(
            (term * row * c for term, row, c in zip(terms, rows, columns, strict=True)), arb(0)
        )
        least = together.min(apart)
        if m <= _PAIRED and branch.inner is not None:
            pairs = zip(units, columns, rows, strict=True)
            weights = [unit.coefficients[m] * c * row ** (m - 2) for unit, c, row in pairs]
            least = least.min(spectral_norm(_scaled_rows(weights, branch.inner)) ** 2)
        found.append(least)
        powers = [power * row for power, row in zip(powers, rows, strict=True)]
    rate = _largest([unit.rate * row for unit, row in zip(units, rows, strict=True)])
    if rate.is_zero():
        return Majorant(tuple(found), arb(0), arb(0))
    # ‖V‖‖U‖ S_j R_j^-m ‖U_j‖^(m−1) ≤ ‖V‖‖U‖ (S_j/R_j) τ^(m−1)
    tail = inner * outer * _largest([unit.size * unit.rate for unit in units]) / rate
    return Majorant(tuple(found), tail, rate)


def _layered_jacobian_norm(branch: MLPBranch, slopes: list[arb]) -> arb:
    """‖V diag(φ'(a)) U‖."""
    width = len(slopes)
    gates = arb_mat(width, width, 1)
    for unit, slope_there in enumerate(slopes):
        gates[unit, unit] = slope_there
    jacobian = gates if branch.inner is None else gates * ball_matrix(branch.inner)
    return spectral_norm(jacobian if branch.outer is None else ball_matrix(branch.outer) * jacobian)


def _scaled_rows(weights: list[arb], matrix: Any) -> arb_mat:
    """diag(√w) U."""
    roots = [weight.nonnegative_part().sqrt() for weight in weights]
    rows = ball_matrix(matrix).tolist()
    return arb_mat([[root * a for a in row] for root, row in zip(roots, rows, strict=True)])


def _jacobian_norm(branch: Branch, x: list[arb], name: str) -> arb:
    """‖f'(x)‖, the derivative from a power series along every coordinate."""
    derivative = []
    for place in range(len(x)):
        series = arb_mat([[a, arb(int(place == row))] for row, a in enumerate(x)])
        derivative.append([row[1] for row in branch_series(branch, series, name).tolist()])
    return spectral_norm(arb_mat(derivative))  # of the transpose: the same norm


def _largest(values: list[arb]) -> arb:
    largest = values[0]
    for value in values[1:]:
        largest = largest.max(value)
    return largest


# --- formulas ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rise:
    """A value, and a majorant of what is beyond it: a series, or its sum at one radius."""

    value: arb
    rise: Any

    def __add__(self, other: _Rise) -> _Rise:
        return _Rise(self.value + other.value, self.rise + other.rise)

    def __mul__(self, other: _Rise) -> _Rise:
        crossed = other.rise * abs(self.value) + self.rise * abs(other.value)
        return _Rise(self.value * other.value, crossed + self.rise * other.rise)


def _formulas(branch: SymbolicBranch, x: list[arb], order: int, size: arb, name: str) -> Majorant:
    with cut_at(order + 1):
        variable = arb_series([0, 1], prec=order + 1)
        rows = [_rise(branch, f, x, variable, order, name).rise for f in branch.formulas]
    listed = [[*row.coeffs(), *[arb(0)] * (order + 1)][: order + 1] for row in rows]
    found = [size, _jacobian_norm(branch, x, name)]
    found += [norm(row[m] for row in listed) for m in range(2, order + 1)]
    if all(_is_polynomial(f, branch.variables, order) for f in branch.formulas):
        return Majorant(tuple(found), arb(0), arb(0))
    for radius in _RADII:
        sums = [_rise(branch, f, x, radius, order, name).rise for f in branch.formulas]
        if norm(sums).is_finite():
            return Majorant(tuple(found), norm(sums), 1 / radius)
    raise InputError("a branch with an analytic bound", f"{name}, singular at the input", _MOVE)


def _is_polynomial(formula: sympy.Expr, variables: tuple[sympy.Symbol, ...], order: int) -> bool:
    if not formula.is_polynomial(*variables):
        return False
    return int(sympy.Poly(formula, *variables).total_degree()) <= order


def _rise(
    branch: SymbolicBranch, formula: sympy.Expr, x: list[arb], s: Any, order: int, name: str
) -> _Rise:
    values = {v: _Rise(a, s) for v, a in zip(branch.variables, x, strict=True)}
    exact = isinstance(s, arb_series)

    def constant(value: arb) -> _Rise:
        return _Rise(value, arb_series([0], prec=ctx.cap) if exact else arb(0))

    def apply(function: str, node: _Rise) -> _Rise:
        series = majorant(function, node.value, order)
        beyond = Majorant((arb(0), *series.coefficients[1:]), series.size, series.rate)
        value = function_value(function, node.value)
        if exact:
            return _Rise(value, composed(beyond.coefficients, node.rise))
        return _Rise(value, beyond(node.rise))

    return walk(formula, values, constant, apply, name)
