"""The file: what is claimed of which towers, as TOML.

::

    [tower]
    depth = "n"              # or a number
    branches = "abstract"    # or "affine", "quadratic", "cubic"; or [[branch]] tables
    tied = true              # all blocks share one branch
    decoder = false          # whether D∘H_n is expanded
    rule = "lambda"          # the scales: one symbol λ, "lambda_l", "1/n", [1, "1/2"], …

    [orders]                 # the coefficient of λ^k, for some orders k
    2 = "C(n,2) f'f"

    [growth]                 # or a law in n and λ
    energy = "(1 + λ^2)^n"

Instead of ``[orders]``, ``formula`` may hold a whole expansion, as ``expansion expand`` prints it.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import sympy

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.scaling import ScalingRule
from proofs_check.formula.arithmetic import parse_arithmetic
from proofs_check.formula.parsing import Formula, parse_formula

__all__ = ["LAWS", "Candidate", "TowerKind", "read_candidate"]

LAWS = ("energy", "amplitude", "mean_order", "spectrum", "limit")
_KINDS = {"abstract": None, "affine": 1, "quadratic": 2, "cubic": 3}
_MOST_BLOCKS = 64
_MOST_ORDER = 8
_DIMENSIONS = 4
_MOST_TERMS = 500  # of a branch's polynomial


@dataclass(frozen=True, slots=True)
class TowerKind:
    """The towers that a claim is about.

    Parameters
    ----------
    depth : int or None
        n; None for every depth.
    tied, decoder : bool
        Whether all blocks share one branch, and whether D∘H_n is expanded.
    degree : int or None
        Branches are polynomials of at most this degree; None for any analytic branches.
    rule : ScalingRule
        The scales; the symbol λ by default.
    branches : tuple of SymbolicBranch
        Definite branches, one for each block, or a single shared one; empty for all branches.
    """

    depth: int | None
    tied: bool
    decoder: bool
    degree: int | None
    rule: ScalingRule
    branches: tuple[SymbolicBranch, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A claim to be judged.

    Parameters
    ----------
    tower : TowerKind
        About which towers.
    orders : mapping
        Order to the formula of its part.
    whole : Formula, optional
        A formula of the whole expansion instead.
    laws : mapping
        Name among :data:`LAWS` to the law; then the others are empty.
    order : int or None
        To which order ``whole`` or a spectrum is judged; None where the formula tells.
    """

    tower: TowerKind
    orders: Mapping[int, Formula]
    whole: Formula | None
    laws: Mapping[str, sympy.Expr]
    order: int | None


def read_candidate(path: str | os.PathLike[str]) -> Candidate:
    """Read a candidate from its file.

    Raises
    ------
    InputError
        For a file that cannot be read, an unknown key, or a formula without meaning: one line
        that names the place.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        came = f"{path} ({getattr(error, 'strerror', None) or 'not a text file'})"
        raise InputError("a TOML file", came, "check the path") from None
    try:
        table = tomllib.loads(text)
    except ValueError as error:  # numbers of thousands of digits are not TOMLDecodeErrors
        raise InputError(f"TOML in {path}", str(error), "mend that place") from None
    except RecursionError:
        raise InputError(f"TOML in {path}", "tables nested too deep", "flatten it") from None
    return candidate_of(table)


def candidate_of(table: Mapping[str, Any]) -> Candidate:
    """The candidate that a table of a file stands for."""
    _only(table, ("tower", "branch", "orders", "formula", "order", "growth"), "the file")
    asked = [name for name in ("orders", "formula", "growth") if name in table]
    if len(asked) != 1:
        required = "one of [orders], formula and [growth]"
        raise InputError(required, ", ".join(asked) or "none", "claim one thing in a file")
    order = None if "order" not in table else _count(table["order"], "order", _MOST_ORDER)
    if "growth" in table:
        laws = _laws(_table(table["growth"], "growth"))
        return Candidate(_tower(table, 0, growth=True), {}, None, laws, order)
    whole = None
    orders: dict[int, Formula] = {}
    if "formula" in table:
        whole = parse_formula(table["formula"], "formula")
    for key, formula in _table(table.get("orders", {}), "orders").items():
        number = _count(key, "an order", _MOST_ORDER)
        if number in orders:
            raise InputError(f"order {number} once", f"{key!r} as well", "leave one of them out")
        orders[number] = parse_formula(formula, f"order {number}")
        if orders[number].beyond is not None:
            raise InputError(f"order {number}: its own part only", "O(λ^k)", "leave it out")
    if whole is None and not orders:
        raise InputError("at least one order", "an empty [orders]", 'write e.g. 1 = "n f"')
    return Candidate(_tower(table, max(orders, default=0), growth=False), orders, whole, {}, order)


# --- towers -----------------------------------------------------------------------------------


def _tower(table: Mapping[str, Any], order: int, *, growth: bool) -> TowerKind:
    given = _table(table.get("tower", {}), "tower")
    _only(given, ("depth", "branches", "tied", "decoder", "rule"), "[tower]")
    depth = given.get("depth", "n")
    known = None if depth == "n" else _count(depth, "depth", _MOST_BLOCKS, least=1)
    tied, decoder = (_flag(given.get(name, False), name) for name in ("tied", "decoder"))
    kind = given.get("branches", "abstract")
    if not isinstance(kind, str) or kind not in _KINDS:
        mend = "give definite ones as [[branch]] tables"
        raise InputError(f"branches among {', '.join(_KINDS)}", kind, mend)
    rule = _rule(given.get("rule", "lambda"))
    branches = tuple(_branch(one, i) for i, one in enumerate(_tables(table.get("branch", [])), 1))
    if growth:
        if branches or tied or decoder or kind != "abstract":
            required = "only depth and rule in [tower], for [growth]"
            raise InputError(required, "branches, tied or decoder", "leave them out")
        return TowerKind(known, False, False, None, rule)
    if branches:
        if "branches" in given or decoder:
            raise InputError("[[branch]] tables alone", "branches or decoder too", "drop one")
        wanted = 1 if tied else known
        if wanted is None:
            raise InputError("a number as the depth of untied branches", "n", "count the tables")
        if len(branches) != wanted:
            required = f"{wanted} [[branch]] table{'s' * (wanted > 1)}"
            raise InputError(required, len(branches), "give one for each block, one if tied")
        if len({b.inputs for b in branches}) > 1:
            sizes = ", ".join(str(b.inputs) for b in branches)
            raise InputError("branches of one dimension", sizes, "make them equal")
    if known is None and rule.symbolic != "one":
        raise InputError('rule = "lambda" for depth "n"', rule.text, "give a number as the depth")
    if known is not None:
        scales = rule.scales(known)
        if not rule.symbolic and not all(isinstance(s, Fraction) for s in scales):
            raise InputError("rational scales", rule.text, 'give e.g. "1/n" or "lambda"')
        if branches and rule.symbolic == "each":
            raise InputError("scales with values, or one λ", rule.text, "list numbers")
        if tied and rule.symbolic == "each":
            raise InputError("one λ for tied branches", rule.text, 'write rule = "lambda"')
    return TowerKind(known, tied, decoder, _KINDS[kind], rule, branches)


def _rule(value: Any) -> ScalingRule:
    if isinstance(value, str) and value.strip().startswith("@"):
        raise InputError("a rule, or a list of scales", value, "write the scales into the file")
    if isinstance(value, (str, int, float, list)) and not isinstance(value, bool):
        return ScalingRule.of(value)
    raise InputError("a rule as text, or a list of scales", repr(value), 'write e.g. rule = "1/n"')


def _branch(given: Mapping[str, Any], number: int) -> SymbolicBranch:
    where = f"branch {number}"
    _only(given, ("affine", "bias", "polynomial", "elementwise", "dimension"), f"[[{where}]]")
    kinds = [one for one in ("affine", "polynomial", "elementwise") if one in given]
    if len(kinds) != 1:
        mend = 'write e.g. polynomial = ["x1 x2", "x1^2"]'
        came = ", ".join(kinds) or "none"
        raise InputError(f"{where}: one of affine, polynomial and elementwise", came, mend)
    if "bias" in given and kinds != ["affine"]:
        raise InputError(f"{where}: a bias of affine branches only", kinds[0], "leave it out")
    if kinds == ["elementwise"]:
        size = _count(given.get("dimension", 2), f"{where}: dimension", _DIMENSIONS, least=1)
        u = sympy.Symbol("u")
        formula = parse_arithmetic(given["elementwise"], {"u": u}, f"{where}: elementwise")
        _check_smooth(formula, where, functions=True)
        variables = _coordinates(size)
        return SymbolicBranch(variables, tuple(formula.subs(u, x) for x in variables))
    if kinds == ["polynomial"]:
        texts = given["polynomial"]
        size = _size(texts, where)
        variables = _coordinates(size)
        names = {str(x): x for x in variables}
        formulas = [parse_arithmetic(text, names, f"{where}: polynomial") for text in texts]
        for formula in formulas:
            _check_smooth(formula, where, functions=False)
            if _most_terms(formula) > _MOST_TERMS:
                required = f"{where}: polynomials of at most {_MOST_TERMS:,} terms, multiplied out"
                raise InputError(required, formula, "lower its powers")
        return SymbolicBranch(variables, tuple(map(sympy.expand, formulas)))
    matrix = given["affine"]
    size = _size(matrix, where)
    rows = [[_number(entry, where) for entry in _row(row, size, where)] for row in matrix]
    bias = [_number(b, where) for b in _row(given.get("bias", [0] * size), size, where)]
    variables = _coordinates(size)
    formulas = [
        sum((a * x for a, x in zip(row, variables, strict=True)), start=b)
        for row, b in zip(rows, bias, strict=True)
    ]
    return SymbolicBranch(variables, tuple(formulas))


def _coordinates(size: int) -> tuple[sympy.Symbol, ...]:
    return tuple(sympy.symbols(f"x1:{size + 1}"))


def _size(rows: Any, where: str) -> int:
    if not isinstance(rows, list) or not 1 <= len(rows) <= _DIMENSIONS:
        required = f"{where}: a list of 1 to {_DIMENSIONS} rows or formulas"
        raise InputError(required, repr(rows), "one for each coordinate")
    return len(rows)


def _row(row: Any, size: int, where: str) -> list[Any]:
    if not isinstance(row, list) or len(row) != size:
        raise InputError(f"{where}: rows of {size} numbers", repr(row), "the matrix is square")
    return row


def _number(value: Any, where: str) -> sympy.Expr:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InputError(f"{where}: numbers", repr(value), 'write e.g. 2 or "1/3"')
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: finite numbers", value, 'write e.g. 2 or "1/3"')
    if isinstance(value, (int, float)):
        return sympy.Rational(str(value))  # as it is written: 0.1 is 1/10
    return parse_arithmetic(value, {}, where)


def _most_terms(formula: sympy.Expr) -> int:
    """How many terms a formula may have when it is multiplied out."""
    if formula.is_Add:
        return sum(map(_most_terms, formula.args))
    if formula.is_Mul:
        return math.prod(map(_most_terms, formula.args))
    if formula.is_Pow and formula.exp.is_Integer and formula.exp > 0:
        power = int(formula.exp)
        return math.comb(_most_terms(formula.base) + power - 1, power)
    return 1


def _check_smooth(formula: sympy.Expr, where: str, *, functions: bool) -> None:
    found = formula.atoms(sympy.Function)
    body = formula.subs({one: sympy.Dummy() for one in found}) if functions else formula
    if not body.is_polynomial():
        mend = "use sums, products and whole powers"
        required = f"{where}: a polynomial" + (", or tanh, sin, cos, exp" if functions else "")
        raise InputError(required, formula, mend)


# --- laws -------------------------------------------------------------------------------------


def _laws(given: Mapping[str, Any]) -> dict[str, sympy.Expr]:
    _only(given, LAWS, "[growth]")
    if not given:
        raise InputError("a law in [growth]", "none", 'write e.g. energy = "(1+λ^2)^n"')
    if "limit" in given and "amplitude" in given and "energy" in given:
        raise InputError("the limit of one law", "energy and amplitude", "use two files")
    own = {"amplitude": ["L"], "spectrum": ["k"]}
    laws = {}
    for name, text in given.items():
        names = {letter: sympy.Symbol(letter) for letter in ("n", "lambda", *own.get(name, []))}
        if name == "limit":
            names = {"infinity": sympy.oo, "L": sympy.Symbol("L")}
        laws[name] = parse_arithmetic(text, names, name)
    return laws


# --- small values -----------------------------------------------------------------------------


def _only(given: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    if unknown := [key for key in given if key not in allowed]:
        raise InputError(f"keys among {', '.join(allowed)} in {where}", unknown[0], "rename it")


def _table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"a table [{name}]", repr(value), f"write [{name}]")
    return value


def _tables(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InputError("[[branch]] tables", repr(value), "write [[branch]]")
    return value


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{name} = true or false", repr(value), "write it without quotes")
    return value


def _count(value: Any, name: str, most: int, least: int = 0) -> int:
    number = check_count(value, name, least=least)
    if number > most:
        raise InputError(f"{name} of at most {most}", number, "lower it")
    return number
