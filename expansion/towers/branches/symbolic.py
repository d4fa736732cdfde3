"""Branches given by formulas: exact values, derivatives and power series.

A formula is walked, never printed and evaluated as code: sums, products, whole powers and the
elementary functions of :mod:`expansion.towers.power_series` are applied to whatever number the
variables stand for, so that one walk serves fractions, floats, symbols and truncated series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from itertools import product as index_tuples
from operator import add, mul
from typing import Any

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from expansion.errors import InputError
from expansion.towers.arrays import Array, is_exact, zeros_like
from expansion.towers.branches.branch import Branch
from expansion.towers.power_series import FUNCTIONS, Series, apply_function

__all__ = ["SymbolicBranch", "evaluate"]


def evaluate(expression: sympy.Expr, values: Mapping[sympy.Symbol, Any]) -> Any:
    """The formula at ``values``: numbers, arrays, symbols or truncated series.

    Raises
    ------
    InputError
        For a symbol without value or a function without a rule.

    Examples
    --------
    >>> x = sympy.Symbol("x")
    >>> evaluate(x**2 / 3 + 1, {x: Fraction(1, 2)})
    Fraction(13, 12)
    """
    if expression in values:
        return values[expression]
    if expression.is_Rational:
        return Fraction(int(expression.p), int(expression.q))
    if expression.is_Float:
        return float(expression)
    if expression.is_number:
        return expression
    if _is_abstract_function(expression):
        arguments: list[Any] = []
    else:
        arguments = [evaluate(argument, values) for argument in expression.args]
    if expression.is_Add:
        return reduce(add, arguments)
    if expression.is_Mul:
        return reduce(mul, arguments)
    if expression.is_Pow and expression.exp.is_Integer:
        return arguments[0] ** int(expression.exp)
    name = "exp" if expression.func is sympy.exp else expression.func.__name__
    if name in FUNCTIONS and len(arguments) == 1:
        return apply_function(name, arguments[0])
    if _is_abstract_function(expression) and all(map(_is_symbolic, values.values())):
        return expression.subs(values)
    known = ", ".join(FUNCTIONS)
    mend = f"use sums, products, whole powers and {known} of the branch's variables"
    raise InputError("a formula with known values and power series", expression, mend)


def _is_abstract_function(expression: sympy.Expr) -> bool:
    """Whether this is f(x) for an unknown f, or one of its derivatives."""
    kinds = (AppliedUndef, sympy.Derivative, sympy.Subs)
    return isinstance(expression, kinds) and expression.has(AppliedUndef)


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, sympy.Expr)


@dataclass(frozen=True, slots=True, eq=False)
class SymbolicBranch(Branch):
    """A branch given by one formula per output coordinate.

    Parameters
    ----------
    variables : sequence of sympy.Symbol, length inputs
        The coordinates of x.
    formulas : sequence of sympy.Expr, length outputs
        The coordinates of f(x).

    Raises
    ------
    InputError
        When a formula uses another symbol, or a function without a rule.

    Notes
    -----
    User text never becomes a formula here: the expressions are built by the caller in sympy.
    Unknown functions, ``Function("f")(x)``, stay symbols: they are expanded and differentiated,
    at symbols only.

    Examples
    --------
    >>> x, y = sympy.symbols("x y")
    >>> f = SymbolicBranch([x, y], [x * y, y**2 / 2])
    >>> [str(v) for v in f(np.array([Fraction(2), Fraction(3)], dtype=object))]
    ['6', '9/2']
    """

    variables: tuple[sympy.Symbol, ...]
    formulas: tuple[sympy.Expr, ...]
    _partials: dict[tuple[int, ...], tuple[sympy.Expr, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        variables = tuple(self.variables)
        formulas = tuple(map(_formula, self.formulas))
        if len(set(variables)) < len(variables):
            raise InputError("different variables", variables, "name each coordinate once")
        if not variables or not all(isinstance(v, sympy.Symbol) for v in variables):
            raise InputError("sympy symbols as variables", variables, "make them by sympy.symbols")
        if not formulas:
            raise InputError("at least one formula", "none", "give one per output coordinate")
        for formula in formulas:
            if unknown := formula.free_symbols - set(variables):
                came = f"{formula}, with {', '.join(sorted(map(str, unknown)))}"
                mend = "replace the other symbols by numbers"
                raise InputError("formulas in the branch's variables only", came, mend)
            evaluate(formula, {v: sympy.Dummy() for v in variables})  # every rule is known
        object.__setattr__(self, "variables", variables)
        object.__setattr__(self, "formulas", formulas)
        object.__setattr__(self, "_partials", {(): formulas})

    @property
    def inputs(self) -> int:
        """Number of variables."""
        return len(self.variables)

    @property
    def outputs(self) -> int:
        """Number of formulas."""
        return len(self.formulas)

    @property
    def is_exact(self) -> bool:
        """Whether no formula has a floating-point number in it."""
        return not any(formula.has(sympy.Float) for formula in self.formulas)

    def __call__(self, x: Array) -> Array:
        """The formulas at x."""
        return self._evaluate(self.formulas, x)

    def derivative(self, x: Array, directions: Sequence[Array]) -> Array:
        """Σ over coordinates of ∂^m f/∂x_{a_1}…∂x_{a_m} · v_{1,a_1} … v_{m,a_m}."""
        total = zeros_like(x, self.outputs)
        for indices in index_tuples(range(self.inputs), repeat=len(directions)):
            partial = self._partial(tuple(sorted(indices)))
            if not any(partial):
                continue
            pairs = zip(directions, indices, strict=True)
            weight = reduce(mul, (direction[..., a] for direction, a in pairs))
            total = total + self._evaluate(partial, x) * np.asarray(weight)[..., None]
        return total

    def jet(self, series: Array) -> Array:
        """The formulas applied to truncated power series."""
        coordinates = [Series(list(series[..., a])) for a in range(self.inputs)]
        values = dict(zip(self.variables, coordinates, strict=True))
        result = np.stack([zeros_like(u, self.outputs) for u in series])
        for row, formula in enumerate(self.formulas):
            image = evaluate(formula, values)
            if isinstance(image, Series):
                for k, coefficient in enumerate(image.coefficients):
                    result[k, ..., row] = coefficient
            else:
                result[0, ..., row] = image
        return result

    def _partial(self, indices: tuple[int, ...]) -> tuple[sympy.Expr, ...]:
        if indices not in self._partials:
            variable = self.variables[indices[-1]]
            before = self._partial(indices[:-1])
            self._partials[indices] = tuple(sympy.diff(g, variable) for g in before)
        return self._partials[indices]

    def _evaluate(self, formulas: Sequence[sympy.Expr], x: Array) -> Array:
        coordinates = [x[..., a] for a in range(self.inputs)]
        if is_exact(x) and x.ndim == 1:
            coordinates = list(x)  # the numbers themselves, which an abstract function may need
        values = dict(zip(self.variables, coordinates, strict=True))
        result = zeros_like(x, len(formulas))
        for row, formula in enumerate(formulas):
            result[..., row] = evaluate(formula, values)
        return result if self.is_exact or not is_exact(x) else result.astype(np.float64)


def _formula(formula: Any) -> sympy.Expr:
    if isinstance(formula, str):  # text would be evaluated as code
        raise InputError("a formula built in sympy", repr(formula), "build it from sympy symbols")
    try:
        return sympy.sympify(formula, strict=True)
    except sympy.SympifyError:
        mend = "build it from sympy symbols"
        raise InputError("a formula built in sympy", repr(formula), mend) from None
