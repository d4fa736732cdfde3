"""Numbers that depend on n and λ, and polynomials in coordinates: from text to sympy.

The grammar is ``arithmetic.lark``. The expression is built node by node; sympy is never given
text. Powers are kept small, so that no formula can ask for an enormous number.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import factorial
from typing import Any

import sympy
from lark import Token, Transformer, v_args

from expansion.errors import InputError
from proofs_check.formula.parsing import VULGAR, parsed, plain_digits, transformed

__all__ = ["parse_arithmetic"]

_LARGEST_POWER = 64
_LARGEST_NUMBER = 10**30
_ANY = sympy.Symbol("n")
_LARGEST_VALUE = 10**300
_FUNCTIONS = {
    "sqrt": sympy.sqrt,
    "√": sympy.sqrt,
    "exp": sympy.exp,
    "tanh": sympy.tanh,
    "sin": sympy.sin,
    "cos": sympy.cos,
}
_SPELLINGS = {"λ": "lambda", "∞": "infinity"}


def parse_arithmetic(text: str, names: Mapping[str, Any], where: str) -> sympy.Expr:
    """Read a number or formula in the given names.

    Parameters
    ----------
    text : str
        Sums, products, quotients, powers, ``C(n,k)``, and functions: sqrt, exp, tanh, sin, cos.
    names : mapping
        Name to what it stands for; λ goes by the name ``lambda``.
    where : str
        What to call the text in an error.

    Raises
    ------
    InputError
        With line and column where the text cannot be read; for an unknown name or a huge power.

    Examples
    --------
    >>> n, scale = sympy.symbols("n lambda")
    >>> parse_arithmetic("(1 + λ²)^n", {"n": n, "lambda": scale}, "energy")
    (lambda**2 + 1)**n
    >>> parse_arithmetic("(1 + m)^n", {"n": n}, "energy")
    Traceback (most recent call last):
    expansion.errors.InputError: energy: names among n; got m; write numbers for others
    """
    mend = "write e.g. (1+λ^2)^n, C(n,k), sqrt(n) or exp(1)"
    tree = parsed("arithmetic.lark", text, where, mend)
    return transformed(_Builder(dict(names)), tree, where)


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """The parse tree as an expression."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        super().__init__()
        self.names = names

    def number(self, text: Token) -> Any:
        value = Fraction(str(text)) if len(text) <= 40 else Fraction(_LARGEST_NUMBER + 1)
        if value > _LARGEST_NUMBER:
            raise InputError("numbers up to 10^30", str(text), "write a smaller one")
        return sympy.Rational(value.numerator, value.denominator)

    def vulgar(self, text: Token) -> Any:
        return sympy.Rational(VULGAR[str(text)].numerator, VULGAR[str(text)].denominator)

    def name(self, text: Token) -> Any:
        word = _SPELLINGS.get(str(text), str(text))
        if word not in self.names:
            known = ", ".join(self.names)
            raise InputError(f"names among {known}", text, "write numbers for others")
        return self.names[word]

    def plus(self, a: Any, b: Any) -> Any:
        return a + b

    def minus(self, a: Any, b: Any) -> Any:
        return a - b

    def times(self, a: Any, b: Any) -> Any:
        return a * b

    def over(self, a: Any, b: Any) -> Any:
        if b == 0:
            raise InputError("a divisor that is not 0", "0", "divide by something else")
        return a / b

    def negative(self, a: Any) -> Any:
        return -a

    def power(self, base: Any, exponent: Any) -> Any:
        if not _is_small(exponent) or (base == 0 and not exponent.is_positive):
            came = f"the exponent {exponent}"
            required = f"exponents up to {_LARGEST_POWER}, times n or k at most"
            raise InputError(required, came, "lower it")
        inside = [power.exp for power in base.atoms(sympy.Pow)]
        repeated = max(map(_size, inside), default=1) * _size(exponent)
        if repeated > _LARGEST_POWER or not (
            exponent.is_number or all(one.is_number for one in inside)
        ):
            raise InputError("powers of powers only while they are small", base, "simplify it")
        value = base**exponent
        if value.is_Rational and max(abs(value.p), value.q) > _LARGEST_VALUE:
            raise InputError("powers below 10^300", f"({base})^{exponent}", "lower the exponent")
        return value

    def raised(self, base: Any, digits: Token) -> Any:
        return self.power(base, sympy.Integer(int(plain_digits(digits)[:9])))

    def choose(self, top: Any, bottom: Any) -> Any:
        if bottom.is_Integer and 0 <= bottom <= _LARGEST_POWER:
            steps = [top - i for i in range(int(bottom))]
            return sympy.Mul(*steps) / factorial(int(bottom))
        if bottom.is_Symbol and (top.is_Symbol or top.is_Integer):
            return sympy.binomial(top, bottom)
        raise InputError("C(n, k) with a letter or number k", f"C({top}, {bottom})", "simplify it")

    def call(self, name: Token, argument: Any) -> Any:
        if argument.has(sympy.exp) or any(not p.exp.is_number for p in argument.atoms(sympy.Pow)):
            raise InputError("functions of sums and roots", f"{name}{argument})", "simplify it")
        return _FUNCTIONS[str(name).rstrip("(")](argument)


def _size(exponent: Any) -> Any:
    """The largest number in an exponent."""
    return max([abs(c) for c in sympy.Poly(exponent, *exponent.free_symbols or [_ANY]).coeffs()])


def _is_small(exponent: Any) -> bool:
    """Whether an exponent is a small number, or small numbers times single names."""
    if exponent.is_number:
        return bool(exponent.is_Rational) and abs(exponent) <= _LARGEST_POWER
    if not exponent.is_polynomial():
        return False
    polynomial = sympy.Poly(exponent)
    numbers = [abs(c) for c in polynomial.coeffs()]
    return polynomial.total_degree() <= 1 and max(numbers) <= _LARGEST_POWER
