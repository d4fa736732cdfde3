"""From text to the trees of :mod:`~proofs_check.formula.syntax`, with one-line errors.

The grammar is ``expansion.lark``, read by Lark's LALR parser. Nothing is evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, VisitError

from expansion.errors import InputError
from proofs_check.formula.syntax import (
    Choose,
    Depth,
    Index,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Scale,
    Start,
    Sum,
    Total,
    Vertex,
)

__all__ = ["VULGAR", "Formula", "parse_formula", "parsed", "plain_digits", "transformed"]

VULGAR = {
    "½": Fraction(1, 2),
    "⅓": Fraction(1, 3),
    "⅔": Fraction(2, 3),
    "¼": Fraction(1, 4),
    "¾": Fraction(3, 4),
    "⅙": Fraction(1, 6),
}
_LONGEST = 20_000  # characters
_LARGEST_POWER = 64
_LONGEST_NUMBER = 40  # digits
_PLAIN = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹ᵢⱼₖₗₘₙₚᵣₛₜᵤᵥ", "01234567890123456789ijklmnprstuv")


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula, and the order from which it says nothing.

    Parameters
    ----------
    root : Node
        What is written.
    beyond : int, optional
        K + 1 of a closing O(λ^(K+1)).
    """

    root: Node
    beyond: int | None = None


def plain_digits(text: str) -> str:
    """Subscripts and superscripts as ordinary letters and digits.

    Examples
    --------
    >>> plain_digits("f₁₂⁽⁴⁾")
    'f12⁽4⁾'
    """
    return text.translate(_PLAIN)


def parse_formula(text: str, where: str) -> Formula:
    """Read what ``expansion expand`` prints, or a part of it.

    Parameters
    ----------
    text : str
        Such as ``½ Σ_{i,j<k} f_k''(f_i, f_j)`` or ``n(n-1)/2 f'f``.
    where : str
        What to call it in an error.

    Raises
    ------
    InputError
        With line and column, and what was expected there.

    Examples
    --------
    >>> parse_formula("2 f_1", "order 1").root
    Product(left=Number(value=Fraction(2, 1)), right=Vertex(symbol='f', index=1, children=()))
    >>> parse_formula("f_2' +", "order 2")
    Traceback (most recent call last):
    expansion.errors.InputError: order 2: a branch with its argument at line 1, column 6; got +; \
write e.g. f_2'f_1, n(n-1)/2 f'f or ½ Σ_{i,j<k} f_k''(f_i, f_j)
    """
    mend = "write e.g. f_2'f_1, n(n-1)/2 f'f or ½ Σ_{i,j<k} f_k''(f_i, f_j)"
    tree = parsed("expansion.lark", text, where, mend)
    formula: Formula = transformed(_Builder(), tree, where)
    return formula


def parsed(grammar: str, text: str, where: str, mend: str) -> Any:
    """The parse tree of a text, or a one-line error with line and column."""
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{where}: a formula as text", repr(text), mend)
    if len(text) > _LONGEST:
        came = f"{len(text):,} characters"
        raise InputError(f"{where}: at most {_LONGEST:,} characters", came, "shorten it")
    try:
        return _parser(grammar).parse(text)
    except UnexpectedInput as error:
        token = getattr(error, "token", None)
        at_end = token is not None and token.type == "$END"
        came = "the end" if at_end else _word_at(text, error.pos_in_stream or 0)
        before = text.rstrip() if at_end else text[: error.pos_in_stream or 0]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        wanted = _wanted(getattr(error, "accepts", None) or getattr(error, "allowed", None) or ())
        raise InputError(f"{where}: {wanted} at line {line}, column {column}", came, mend) from None


def transformed(builder: Transformer[Token, Any], tree: Any, where: str) -> Any:
    """What a builder makes of a parse tree, its errors told with the place."""
    try:
        return builder.transform(tree)
    except VisitError as error:
        found = error.orig_exc
        if isinstance(found, InputError):
            raise InputError(f"{where}: {found.required}", found.came, found.mend) from None
        if not isinstance(found, RecursionError):
            raise
    except RecursionError:
        pass
    raise InputError(f"{where}: a formula not nested so deep", "…", "take brackets away") from None


@lru_cache(maxsize=2)
def _parser(grammar: str) -> Lark:
    text = files("proofs_check.formula").joinpath(grammar).read_text("utf-8")
    return Lark(text, parser="lalr", maybe_placeholders=False, propagate_positions=False)


def _word_at(text: str, place: int) -> str:
    found = re.match(r"\w+|\S", text[place:])
    return found[0] if found else text[place : place + 1]


def _wanted(names: Any) -> str:
    kinds = set(names)
    if "PRIMES" in kinds and "SIGN" in kinds:
        return "an operator or a further factor"
    if "BRANCH" in kinds and "INTEGER" not in kinds:
        return "a branch with its argument"
    if "RELATION" in kinds or kinds == {"INDEX"}:
        return "letters in order, such as i<j"
    if {"BRANCH", "NAME"} & kinds:
        return "a term or a number"
    if kinds & {"RPAR", "RSQB"}:
        return "a closing bracket or a further term"
    return "another sign"


@dataclass(frozen=True, slots=True)
class _Remainder:
    """O(λ^k)."""

    order: int


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """The parse tree as syntax; a sum that ends in O(λ^k) is a Formula, and nobody's part."""

    def start(self, *parts: Any) -> Formula:
        root = parts[-1]
        return root if isinstance(root, Formula) else Formula(root)

    def sum(self, *parts: Any) -> Node | Formula:
        if len(parts) == 1 and isinstance(parts[0], Formula):
            return parts[0]  # brackets around the whole
        terms: list[Node] = []
        sign, beyond = 1, None
        for part in parts:
            if isinstance(part, Token):
                sign = 1 if part == "+" else -1
            elif isinstance(part, _Remainder):
                if beyond is not None:
                    raise InputError("one O(λ^k)", f"O(λ^{part.order}) too", "leave one out")
                beyond, sign = part.order, 1
            else:
                given = self._given(part)
                terms.append(given if sign > 0 else Product(Number(Fraction(-1)), given))
                sign = 1
        if not terms:
            raise InputError("a term before O(λ^k)", "none", "write e.g. x + λ f_1 + O(λ²)")
        whole = terms[0] if len(terms) == 1 else Sum(tuple(terms))
        return whole if beyond is None else Formula(whole, beyond)

    def times(self, left: Node, right: Node) -> Node:
        return Product(self._given(left), self._given(right))

    def over(self, left: Node, right: Node) -> Node:
        return Quotient(self._given(left), self._given(right))

    def power(self, base: Node, exponent: Any) -> Node:
        return _raised(self._given(base), str(exponent))

    def raised(self, base: Node, exponent: Token) -> Node:
        return _raised(self._given(base), plain_digits(exponent).removeprefix("**"))

    def total(self, *parts: Any) -> Node:
        *conditions, body = parts
        waiting: list[str] = []  # letters before a comma belong to the next chain: i,j<k
        letters: list[str] = []
        relations: list[tuple[str, str, str]] = []
        for condition in conditions:
            letters += [one for one in condition[::2] if one not in letters]
            if len(condition) == 1:
                waiting += condition
                continue
            second, relation = condition[2], condition[1]
            chain = condition[::2]
            if len(set(chain)) < len(chain):
                came = "".join(condition)
                raise InputError("different letters in a condition", came, "write e.g. i<j")
            relations += [(one, relation, second) for one in waiting if one not in chain]
            relations += [
                (condition[i], condition[i + 1], condition[i + 2])
                for i in range(0, len(condition) - 2, 2)
            ]
            waiting = []
        return Total(tuple(letters), tuple(relations), self._given(body))

    def condition(self, *parts: Token) -> list[str]:
        alike = {"<=": "≤", "!=": "≠"}
        return [alike.get(str(part), str(part)) for part in parts]

    def number(self, value: Token) -> Node:
        if len(value) > _LONGEST_NUMBER:
            required = f"numbers of at most {_LONGEST_NUMBER} digits"
            raise InputError(required, str(value), "round it, or write a quotient")
        return Number(Fraction(str(value)))

    def vulgar(self, value: Token) -> Node:
        return Number(VULGAR[str(value)])

    def depth(self, _: Token) -> Node:
        return Depth()

    def scale(self, name: Token) -> Node:
        return Scale(_index(str(name).removeprefix("\\").removeprefix("lambda").removeprefix("λ")))

    def start_point(self) -> Node:
        return Start()

    def choose(self, top: Node, bottom: Token) -> Node:
        return Choose(self._given(top), _small(str(bottom)))

    def big_o(self, text: Token) -> _Remainder:
        digits = re.sub(r"\D", "", plain_digits(str(text)))
        return _Remainder(int(digits[:9] or 1))

    def rest(self, text: Token) -> Node:
        raise InputError("every term spelled out", str(text).strip(), "write the terms out")

    def leaf(self, name: Token) -> Vertex:
        return Vertex(name[0], _index(str(name)[1:]), ())

    def applied(self, name: Token, primes: Token, *below: Vertex) -> Vertex:
        wanted = _derivatives(str(primes))
        if wanted != len(below):
            written = f"{name}{primes} of {len(below)} at line {name.line}, column {name.column}"
            raise InputError("as many primes as arguments", written, "write e.g. f''(f, f)")
        return Vertex(name[0], _index(str(name)[1:]), below)

    def tree(self, text: Token) -> Vertex:
        return _tree(str(text), f"{text} at line {text.line}, column {text.column}")

    def INTEGER(self, text: Token) -> Token:  # noqa: N802
        return text

    @staticmethod
    def _given(part: Node | Formula | _Remainder) -> Node:
        if isinstance(part, (Formula, _Remainder)):
            came = "one inside a product or a bracket"
            raise InputError("O(λ^k) as a summand of the whole", came, "add it to the rest")
        return part


def _raised(base: Node, exponent: str) -> Node:
    return Power(base, _small(exponent))


def _small(text: str) -> int:
    if len(text) > 3 or int(text) > _LARGEST_POWER:
        raise InputError(f"whole numbers up to {_LARGEST_POWER} here", text, "lower it")
    return int(text)


def _index(text: str) -> Index:
    bare = plain_digits(text).strip("_{}")
    if not bare:
        return None
    return _block(bare) if bare.isdigit() else bare


def _block(text: str) -> int:
    if len(text) > 6 or int(text) < 1:
        raise InputError("block numbers from 1 to 999999", text, "number the blocks from 1")
    return int(text)


def _derivatives(primes: str) -> int:
    if digits := re.sub(r"\D", "", plain_digits(primes)):
        return _small(digits)
    return {"″": 2, "‴": 3, "⁗": 4}.get(primes, len(primes))


def _tree(text: str, written: str) -> Vertex:
    """A tree or forest in brackets: 3[2[1],1], [[],[]], D[2,1]."""
    wrong = partial(InputError, "a tree in brackets", written, "write e.g. 3[2[1],1] or [[],[]]")
    stack: list[tuple[str, list[Vertex]]] = []
    finished: Vertex | None = None
    expects = True  # a tree, after an opening bracket or a comma
    for word in re.findall(r"D\[|\d*\[|\d+|\]|,", text):
        if word == ",":
            if expects or not stack or finished is None:
                raise wrong()
            stack[-1][1].append(finished)
            finished, expects = None, True
        elif word == "]":
            if not stack or (expects and stack[-1][1]):
                raise wrong()
            name, below = stack.pop()
            below += [finished] if finished is not None else []
            finished, expects = _vertex(name, below), False
        elif not expects:
            raise wrong()
        elif word.endswith("["):
            stack.append((word[:-1], []))
        else:
            finished, expects = _vertex(word, []), False
    if stack or finished is None:
        raise wrong()
    return finished


def _vertex(name: str, below: list[Vertex]) -> Vertex:
    if name == "D":
        return Vertex("D", None, tuple(below))
    return Vertex("f", _block(name) if name else None, tuple(below))
