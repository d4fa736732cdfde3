"""Counterexamples as Python: what is printed can be pasted back and looked at.

:func:`source` writes one value, :func:`program` a few lines that import what they need and
assign every value to a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import singledispatch
from math import isfinite
from typing import Any

import numpy as np
import sympy
from flint import fmpq, fmpq_poly
from sympy.printing.str import StrPrinter

from expansion.bounds.neural_ode_class import TowerClass
from expansion.errors import InputError
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge
from expansion.towers.branches.abstract import AbstractBranch
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from expansion.trees.labelled import Forest, LabelledTree
from expansion.trees.tree import Tree

__all__ = ["program", "source"]

_HOMES = {
    "fractions": ("Fraction",),
    "flint": ("fmpq", "fmpq_poly"),
    "sympy": ("Integer", "Rational", "cos", "exp", "pi", "sin", "sqrt", "symbols", "tanh"),
    "expansion": (
        "AbstractBranch",
        "AffineBranch",
        "Forest",
        "LabelledTree",
        "MLPBranch",
        "ScalingRule",
        "SymbolicBranch",
        "Tower",
        "TowerClass",
        "Tree",
    ),
    "expansion.towers.architectures.architecture": ("Architecture",),
    "expansion.towers.architectures.edge": ("Edge",),
}


def program(values: Mapping[str, Any]) -> str:
    """Lines of Python that assign the values to their names.

    Parameters
    ----------
    values : mapping
        Name to value, of the kinds that :func:`source` writes.

    Examples
    --------
    >>> print(program({"tree": Tree(), "claimed": Fraction(1, 2)}))
    from fractions import Fraction
    from expansion import Tree
    <BLANKLINE>
    tree = Tree.parse('[]')
    claimed = Fraction(1, 2)
    """
    lines = [f"{name} = {source(value)}" for name, value in values.items()]
    if symbols := sorted({str(s) for value in values.values() for s in _variables(value)}):
        lines.insert(0, f'{", ".join(symbols)} = symbols("{" ".join(symbols)}")')
    outside = re.sub(r"'[^'\n]*'", "", "\n".join(lines))  # what stands in text is no name
    words = set(re.findall(r"[A-Za-z_]\w*", outside))
    imports = [
        f"from {home} import {', '.join(sorted(words & set(names)))}"
        for home, names in _HOMES.items()
        if words & set(names)
    ]
    return "\n".join([*imports, "", *lines] if imports else lines)


@singledispatch
def source(value: Any) -> str:
    """An expression that evaluates to ``value``.

    Numbers, text, lists, mappings, arrays, trees, polynomials, rules, branches, towers and
    architectures; whole Fractions become integers and arrays become lists, which everything here
    takes in their place.

    Raises
    ------
    InputError
        For a value of another kind.

    Examples
    --------
    >>> source([Fraction(1, 2), Fraction(2)])
    '[Fraction(1, 2), 2]'
    >>> source(Tower.abstract(2, [1, Fraction(1, 3)]))
    "Tower([AbstractBranch('f'), AbstractBranch('f')], [1, Fraction(1, 3)])"
    """
    mend = "register a printer for it by source.register"
    raise InputError("a value that can be written as Python", type(value).__name__, mend)


@source.register(type(None))
@source.register(bool)
@source.register(int)
@source.register(str)
@source.register(Tree)
@source.register(TowerClass)
def _as_repr(value: object) -> str:
    return repr(value)


@source.register
def _float(value: float) -> str:
    # Of NumPy too, whose own form is no name in the program.
    return repr(float(value)) if isfinite(value) else f"float('{value}')"


@source.register
def _labelled(value: LabelledTree) -> str:
    if _is_strict(value):
        return repr(value)
    # A wrong expansion may have terms that the validating constructors refuse.
    children = "".join(f"{source(child)}, " for child in value.children)
    return f"LabelledTree.from_sorted({value.label}, ({children.rstrip()}))"


def _is_strict(tree: LabelledTree) -> bool:
    return all(child.label < tree.label and _is_strict(child) for child in tree.children)


@source.register
def _forest(value: Forest) -> str:  # type: ignore[type-arg]
    return f"Forest({source(value.trees)})"


@source.register
def _fraction(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else repr(value)


@source.register(list)
@source.register(tuple)
def _list(values: Any) -> str:
    return f"[{', '.join(source(value) for value in values)}]"


@source.register
def _mapping(values: dict) -> str:  # type: ignore[type-arg]
    return "{" + ", ".join(f"{source(k)}: {source(v)}" for k, v in values.items()) + "}"


@source.register
def _array(values: np.ndarray) -> str:
    return source(values.tolist())


@source.register
def _rational(value: fmpq) -> str:
    return str(value) if value.q == 1 else f"fmpq({value.p}, {value.q})"


@source.register
def _polynomial(value: fmpq_poly) -> str:
    return f"fmpq_poly({source(value.coeffs())})"


class _Formula(StrPrinter):  # type: ignore[misc]
    """Formulas whose numbers stay exact: 1/2 alone would be a float in Python."""

    def _print_Rational(self, value: sympy.Rational) -> str:  # noqa: N802
        return f"Rational({value.p}, {value.q})"


@source.register
def _formula(value: sympy.Basic) -> str:
    return str(_Formula().doprint(value))


@source.register
def _rule(value: ScalingRule) -> str:
    return source(value.listed) if value.listed is not None else repr(value.text)


@source.register
def _abstract(value: AbstractBranch) -> str:
    return f"AbstractBranch({value.symbol!r})"


@source.register
def _symbolic(value: SymbolicBranch) -> str:
    return f"SymbolicBranch({source(value.variables)}, {source(value.formulas)})"


@source.register
def _affine(value: AffineBranch) -> str:
    bias = "" if value.bias is None else f", {source(value.bias)}"
    return f"AffineBranch({source(value.matrix)}{bias})"


@source.register
def _mlp(value: MLPBranch) -> str:
    names = ("outer", "inner", "inner_bias", "outer_bias")
    given = [(name, getattr(value, name)) for name in names]
    parts = [f"{name}={source(array)}" for name, array in given if array is not None]
    return f"MLPBranch({', '.join(parts)}, activation={value.activation.name!r})"


@source.register
def _tower(value: Tower) -> str:
    ends = "".join(
        f", {name}={source(end)}"
        for name, end in (("encoder", value.encoder), ("decoder", value.decoder))
        if end is not None
    )
    if value.is_tied and value.depth > 1:
        return f"Tower.tied({source(value.branches[0])}, {value.depth}, {source(value.rule)}{ends})"
    return f"Tower({source(value.branches)}, {source(value.rule)}{ends})"


@source.register
def _edge(value: Edge) -> str:
    weight = "" if value.weight == 1 else f", {source(Fraction(value.weight))}"
    return f"Edge({value.tail!r}, {value.head!r}, {value.block!r}, {value.order}{weight})"


@source.register
def _architecture(value: Architecture) -> str:
    return f"Architecture({source(value.edges)})"


def _variables(value: Any) -> Iterator[sympy.Symbol]:
    """The symbols that the value's formulas are written in."""
    if isinstance(value, SymbolicBranch):
        yield from value.variables
    elif isinstance(value, Tower):
        for part in (*value.branches, value.encoder, value.decoder):
            yield from _variables(part)
    elif isinstance(value, sympy.Basic):
        yield from value.free_symbols
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _variables(part)
