r"""Elementary differentials written the way people write them: f₃″(f₂′f₁, f₁).

Two styles, Unicode text and LaTeX, share one writer. A tree without labels can also be written
as the indexed sum that it stands for in a tower of any depth,
:math:`\tfrac12 \sum_{i,j<k} f_k''(f_i, f_j)`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from expansion.trees.labelled import Forest, LabelledTree, Term
from expansion.trees.tree import Tree, fold

__all__ = [
    "LATEX",
    "UNICODE",
    "Style",
    "Written",
    "indexed_sum",
    "shortened",
    "unicode_symbols",
    "write_coefficient",
    "write_indexed",
    "write_term",
]

_SUBSCRIPTS = str.maketrans("0123456789ijklmnprstuv", "₀₁₂₃₄₅₆₇₈₉ᵢⱼₖₗₘₙₚᵣₛₜᵤᵥ")
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LETTERS = "ijklmprstuv"


@dataclass(frozen=True, slots=True)
class Style:
    """How to write indices, primes, fractions and sums.

    Parameters
    ----------
    branch : callable
        (letter, index) to f with its index; the index may be empty.
    primes : callable
        Order of derivative to its mark.
    fraction : callable
        (numerator, denominator) to text.
    power : callable
        (symbol, exponent) to text.
    total : callable
        Condition to a sum sign with the condition under it.
    scale : str
        The symbol λ.
    """

    branch: Callable[[str, str], str]
    primes: Callable[[int], str]
    fraction: Callable[[int, int], str]
    power: Callable[[str, int], str]
    total: Callable[[str], str]
    scale: str


def _unicode_power(symbol: str, exponent: int) -> str:
    return symbol if exponent == 1 else symbol + str(exponent).translate(_SUPERSCRIPTS)


def _unicode_primes(m: int) -> str:
    return ("", "′", "″", "‴")[m] if m <= 3 else "⁽" + str(m).translate(_SUPERSCRIPTS) + "⁾"


def _unicode_fraction(numerator: int, denominator: int) -> str:
    short = {(1, 2): "½", (1, 3): "⅓", (2, 3): "⅔", (1, 4): "¼", (3, 4): "¾", (1, 6): "⅙"}
    return short.get((numerator, denominator), f"{numerator}/{denominator}")


UNICODE = Style(
    branch=lambda letter, index: letter + index.translate(_SUBSCRIPTS),
    primes=_unicode_primes,
    fraction=_unicode_fraction,
    power=_unicode_power,
    total=lambda condition: f"Σ_{{{condition}}} ",
    scale="λ",
)

LATEX = Style(
    branch=lambda letter, index: (
        f"{letter}_{{{index}}}" if len(index) > 1 else f"{letter}_{index}" if index else letter
    ),
    primes=lambda m: "'" * m if m <= 3 else f"^{{({m})}}",
    fraction=lambda a, b: rf"\frac{{{a}}}{{{b}}}",
    power=lambda symbol, exponent: symbol if exponent == 1 else f"{symbol}^{{{exponent}}}",
    total=lambda condition: rf"\sum_{{{condition}}} ",
    scale=r"\lambda",
)


class Written(ABC):
    """A formula that writes itself in either style: as text, in LaTeX, in notebooks."""

    __slots__ = ()

    @abstractmethod
    def _write(self, style: Style, limit: int | None) -> str:
        """The formula; ``limit`` caps the terms spelled out of an order, where there are many."""

    def text(self, *, limit: int | None = None) -> str:
        """The formula in Unicode, at most ``limit`` terms of each order spelled out."""
        return self._write(UNICODE, limit)

    def latex(self, *, limit: int | None = None) -> str:
        """The formula in LaTeX, for display mathematics."""
        return self._write(LATEX, limit)

    def __str__(self) -> str:
        return self.text(limit=12)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex(limit=24)}$"


def shortened(terms: Sequence[str], limit: int | None, style: Style) -> list[str]:
    """The first ``limit`` terms, and how many more there are.

    Examples
    --------
    >>> shortened(["f₁", "f₂", "f₃"], 1, UNICODE)
    ['f₁', '… 2 more']
    """
    shown = list(terms[:limit])
    if more := len(terms) - len(shown):
        shown.append(f"… {more:,} more" if style is UNICODE else rf"\cdots ({more})")
    return shown


def write_term(term: Term, style: Style = UNICODE, letter: str = "f") -> str:
    """The elementary differential F_t of a tree or forest.

    Parameters
    ----------
    term : LabelledTree, Tree or Forest
        Forests are written under the decoder D.
    style : Style
        :data:`UNICODE` or :data:`LATEX`.
    letter : str
        Symbol of the branches.

    Examples
    --------
    >>> write_term(LabelledTree.parse("3[2[1],1]"))
    'f₃″(f₂′f₁, f₁)'
    >>> print(write_term(LabelledTree.parse("12[3]"), LATEX))
    f_{12}' f_3
    """

    def write(vertex: Term, arguments: list[str]) -> str:
        if isinstance(vertex, Forest):
            return _write("D", arguments, style)
        index = str(vertex.label) if isinstance(vertex, LabelledTree) else ""
        return _write(style.branch(letter, index), arguments, style)

    return str(fold(term, write))


def _write(root: str, arguments: list[str], style: Style) -> str:
    if not arguments:
        return root
    root += style.primes(len(arguments))
    if len(arguments) == 1:
        return f"{root} {arguments[0]}" if style is LATEX else root + arguments[0]
    return f"{root}({', '.join(arguments)})"


def write_coefficient(coefficient: Any, style: Style = UNICODE) -> str:
    """A coefficient in front of a term; nothing for 1.

    Examples
    --------
    >>> write_coefficient(Fraction(1, 2)), write_coefficient(Fraction(1))
    ('½ ', '')
    """
    if coefficient == 1:
        return ""
    if isinstance(coefficient, (int, Fraction)):
        value = Fraction(coefficient)
        sign, value = ("-", -value) if value < 0 else ("", value)
        if value.denominator == 1:
            return sign if value == 1 else f"{sign}{value.numerator} "
        return sign + style.fraction(value.numerator, value.denominator) + " "
    if style is LATEX:
        from sympy import latex  # only symbolic coefficients need it

        text = latex(coefficient)
    else:
        text = unicode_symbols(str(coefficient))
    return f"({text}) " if getattr(coefficient, "is_Add", False) else f"{text} "


def write_indexed(
    pattern: LabelledTree | Forest[LabelledTree], style: Style = UNICODE, letter: str = "f"
) -> str:
    """A labelled tree or forest with letters for labels, summed over all increasing choices.

    Examples
    --------
    >>> write_indexed(LabelledTree.parse("2[1,1]"))
    'Σ_{i<j} fⱼ″(fᵢ, fᵢ)'
    """
    largest = max(pattern.labels, default=0)
    names = list(_LETTERS if largest <= len(_LETTERS) else _numbered(largest))[:largest]

    def write(vertex: Any, arguments: list[str]) -> str:
        label = getattr(vertex, "label", None)
        root = "D" if label is None else style.branch(letter, names[label - 1])
        return _write(root, arguments, style)

    written = str(fold(pattern, write))
    return style.total("<".join(names)) + written if names else written


def unicode_symbols(text: str) -> str:
    """A sympy expression's text as people write it.

    Examples
    --------
    >>> unicode_symbols("lambda_1*lambda_2**2/2"), unicode_symbols("n**2*(n - 1)")
    ('λ₁ λ₂²/2', 'n²*(n - 1)')
    """
    for pattern, alphabet in ((r"_(\d+)", _SUBSCRIPTS), (r"\*\*(\d+)", _SUPERSCRIPTS)):
        text = re.sub(pattern, lambda found, a=alphabet: found[1].translate(a), text)  # type: ignore[misc]
    return text.replace("lambda", "λ").replace("*λ", " λ")


def indexed_sum(tree: Tree, style: Style = UNICODE, letter: str = "f") -> str:
    r"""All labelled trees of one shape, as the sum over block numbers that holds for every depth.

    The sum runs over all labellings of the shape, each with 1/σ(shape), which is the same number
    as the labelled trees each with 1/σ(t) (claim E1).

    Examples
    --------
    >>> indexed_sum(Tree.parse("[[[]]]"))
    'Σ_{i<j<k} fₖ′fⱼ′fᵢ'
    >>> indexed_sum(Tree.parse("[[],[]]"))
    '½ Σ_{i,j<k} fₖ″(fᵢ, fⱼ)'
    >>> indexed_sum(Tree.parse("[[[]],[]]"))
    'Σ_{i<j<l, k<l} fₗ″(fⱼ′fᵢ, fₖ)'
    """
    indices = iter(_LETTERS if tree.order <= len(_LETTERS) else _numbered(tree.order))

    def name(_: Tree, below: list[Any]) -> tuple[str, str, list[str], str]:
        """Index, the chain of inequalities that ends with it, finished chains, and the text."""
        index = next(indices)
        text = _write(style.branch(letter, index), [named[3] for named in below], style)
        finished = [chain for named in below for chain in named[2]]
        chains = [chain for _, chain, _, _ in below if "<" in chain]
        leaves = ",".join(chain for _, chain, _, _ in below if "<" not in chain)
        smaller = chains + ([leaves] if leaves else [])
        if not smaller:
            return index, index, finished, text
        finished += [f"{chain}<{index}" for chain in smaller[1:]]
        return index, f"{smaller[0]}<{index}", finished, text

    _, chain, finished, text = fold(tree, name)
    weight = write_coefficient(Fraction(1, tree.symmetry), style)
    return weight + style.total(", ".join([chain, *finished])) + text


def _numbered(count: int) -> Iterator[str]:
    return (f"i{number}" for number in range(1, count + 1))
