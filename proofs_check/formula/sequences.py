r"""Exact equality of sequences such as :math:`(1+\lambda^2)^n` and :math:`1 + n\lambda^2`.

A formula is brought to the form :math:`\sum_j c_j b_j^n` with different bases, bases and
coefficients in the field of rational functions of λ, 𝓛 and r, where :math:`n = r^m` for the whole
number m that clears roots. Two formulas with the same form are equal for every n (and every λ and
𝓛 at which they are defined): that is an identity, proved. Formulas of different form may still be
equal; that proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy

__all__ = ["N", "NoFormError", "normal_form", "same_sequence"]

N = sympy.Symbol("n")
_ROOT = sympy.Symbol("r", positive=True)
_Form = Mapping[Any, Any]  # base to coefficient


class NoFormError(ArithmeticError):
    """A formula that is no sum of powers with rational bases."""


def same_sequence(left: sympy.Expr, right: sympy.Expr) -> bool:
    """Whether two formulas in n have the same form, so that they agree at every n.

    Raises
    ------
    NoFormError
        When one of them has none.

    Examples
    --------
    >>> s = sympy.Symbol("s")
    >>> same_sequence((1 + s) ** (2 * N), (1 + 2 * s + s**2) ** N)
    True
    >>> same_sequence(2**N, 1 + N)
    False
    """
    return not normal_form(left - right)


def normal_form(formula: sympy.Expr) -> dict[Any, Any]:
    """Base to coefficient, without zeros.

    Examples
    --------
    >>> normal_form(2 ** (N + 1) * 3**N)
    {6: 2}
    """
    roots = [power.exp for power in formula.atoms(sympy.Pow) if power.base == N]
    whole = [e for e in roots if e.is_Rational]
    m = sympy.ilcm(1, *(e.q for e in whole)) if whole else 1
    return _form(sympy.sympify(formula), int(m))


def _form(formula: sympy.Expr, m: int) -> dict[Any, Any]:
    if not formula.has(N) or (not _depends_in_exponent(formula)):
        return _clean({sympy.Integer(1): _rational(formula, m)})
    if formula.is_Add:
        total: dict[Any, Any] = {}
        for part in formula.args:
            for base, c in _form(part, m).items():
                total[base] = total.get(base, 0) + c
        return _clean(total)
    if formula.is_Mul:
        product: dict[Any, Any] = {sympy.Integer(1): sympy.Integer(1)}
        for part in formula.args:
            product = _times(product, _form(part, m))
        return product
    if formula.is_Pow:
        return _power(formula, m)
    raise NoFormError(str(formula))


def _power(formula: sympy.Expr, m: int) -> dict[Any, Any]:
    base, exponent = formula.args
    if exponent.is_Integer:
        inner = _form(base, m)
        if exponent < 0:
            if len(inner) != 1:
                raise NoFormError(str(formula))
            inner = {1 / b: 1 / c for b, c in inner.items()}
        power: dict[Any, Any] = {sympy.Integer(1): sympy.Integer(1)}
        for _ in range(abs(int(exponent))):
            power = _times(power, inner)
        return power
    slope = exponent.coeff(N, 1)
    rest = sympy.expand(exponent - slope * N)
    if _depends_in_exponent(base) or not (slope.is_Integer and rest.is_Integer):
        raise NoFormError(str(formula))
    field = _rational(base, m)
    return _clean({_canonical(field**slope): _canonical(field**rest)})


def _times(left: _Form, right: _Form) -> dict[Any, Any]:
    product: dict[Any, Any] = {}
    for a, c in left.items():
        for b, d in right.items():
            base = _canonical(a * b)
            product[base] = product.get(base, 0) + c * d
    return _clean(product)


def _clean(form: _Form) -> dict[Any, Any]:
    kept = {base: _canonical(c) for base, c in form.items()}
    return {base: c for base, c in kept.items() if c != 0}


def _depends_in_exponent(formula: sympy.Expr) -> bool:
    return any(power.exp.has(N) for power in formula.atoms(sympy.Pow))


def _rational(formula: sympy.Expr, m: int) -> Any:
    """An element of the field, or an error."""
    found = formula.subs(N, _ROOT**m)
    if not found.is_rational_function():
        raise NoFormError(str(formula))
    return _canonical(found)


def _canonical(value: Any) -> Any:
    return sympy.factor(sympy.cancel(sympy.together(value)))
