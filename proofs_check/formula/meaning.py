r"""What a formula says about every term: the coefficients that it claims.

A formula is a sum of scalars times elementary differentials. A sum over block numbers,
:math:`\sum_{i<j} f_j' f_i`, stands for one term for each choice of numbers that satisfies its
conditions; its letters must all occur in every one of its terms. Then a formula with letters only
claims the same for two terms that an increasing renumbering of the blocks carries into one
another, and what it claims at depth K tells what it claims at every depth of every term with at
most K different blocks. A sum over r letters is empty at depths below r, so K is at least that.

The power of λ is kept apart from the term: λ f′f is a claim about order 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import reduce
from math import factorial
from typing import Any

import sympy

from expansion.errors import InputError
from expansion.series.notation import write_term
from expansion.trees.labelled import Forest, LabelledTree, Term
from expansion.trees.tree import Tree
from proofs_check.formula.syntax import (
    Choose,
    Depth,
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

__all__ = ["DEPTH", "START", "Claims", "Reader", "most_letters"]

DEPTH = sympy.Symbol("n")
START = "x"
"""Stands for the term x itself, which is no tree."""

Claims = dict[int, dict[Any, Any]]
"""Power of λ to term to coefficient; the coefficients are Fractions, or polynomials in sympy."""

_Value = dict[tuple[int, Any], Any]  # (power of λ, term or None for a scalar) to coefficient
_MOST_TERMS = 60_000  # as the true terms are limited to
_MOST_TRIED = 200_000  # choices of blocks, most of which no condition may leave
_MOST_DEGREE = 64
_MOST_BITS = 1000


class Reader:
    """Reads formulas about one kind of tower.

    Parameters
    ----------
    depth : int or None
        Number of blocks that sums run over; None for tied branches at symbolic depth.
    symbolic : bool
        Whether the depth is the letter n, so that single block numbers have no meaning.
    tied : bool
        Whether branches carry no numbers.
    decoder : bool
        Whether terms stand below D.
    scales : tuple, optional
        λ_1, …, λ_n where the formula may name them; None where there is one λ.

    Examples
    --------
    >>> from proofs_check.formula.parsing import parse_formula
    >>> reader = Reader(3, symbolic=False, tied=False, decoder=False)
    >>> claims = reader.claims(parse_formula("λ² Σ_{i<j} f_j' f_i", "order 2").root, "order 2")
    >>> [str(term) for term in claims[2]]
    ['2[1]', '3[1]', '3[2]']
    """

    def __init__(
        self,
        depth: int | None,
        *,
        symbolic: bool,
        tied: bool,
        decoder: bool,
        scales: tuple[Any, ...] | None = None,
    ) -> None:
        self.depth = depth
        self.symbolic = symbolic
        self.tied = tied
        self.decoder = decoder
        self.scales = scales
        self._terms = self._tried = 0

    def claims(self, root: Node, where: str) -> Claims:
        """What the formula claims.

        Raises
        ------
        InputError
            Where it has no meaning for this tower.
        """
        self._terms = self._tried = 0
        try:
            value = self._value(root, {})
        except InputError as error:
            raise InputError(f"{where}: {error.required}", error.came, error.mend) from None
        except RecursionError:
            raise InputError(f"{where}: a formula not nested so deep", "…", "shorten it") from None
        claims: Claims = {}
        for (power, term), coefficient in value.items():
            if term is None and coefficient != 0:
                came = f"the number {coefficient} alone"
                raise InputError(f"{where}: a term such as f_1 or x", came, "write what it counts")
            if term is not None:
                claims.setdefault(power, {})[term] = coefficient
        return claims

    # --- values -------------------------------------------------------------------------------

    def _value(self, node: Node, letters: Mapping[str, int]) -> _Value:
        match node:
            case Number(number):
                return {(0, None): number}
            case Depth():
                known = DEPTH if self.symbolic else Fraction(self.depth or 0)
                return {(0, None): known}
            case Scale(index):
                return self._scale(index, letters)
            case Start():
                if self.decoder:
                    raise InputError("D for the decoder's value", "x", "write D")
                return {(0, START): Fraction(1)}
            case Vertex():
                return {(0, self._term(node, letters)): Fraction(1)}
            case Sum(parts):
                return _added(self._value(part, letters) for part in parts)
            case Product(left, right):
                return self._product(self._value(left, letters), self._value(right, letters))
            case Quotient(left, right):
                return self._quotient(self._value(left, letters), self._value(right, letters))
            case Power(base, exponent):
                one: _Value = {(0, None): Fraction(1)}
                return reduce(self._product, [self._value(base, letters)] * exponent, one)
            case Choose(top, bottom):
                return self._choose(self._value(top, letters), bottom)
            case Total():
                return self._total(node, letters)

    def _scale(self, index: Any, letters: Mapping[str, int]) -> _Value:
        if index is None:
            return {(1, None): Fraction(1)}
        if self.scales is None:
            came = f"λ_{index}"
            raise InputError("λ, the one scale of this tower", came, 'set scales = "lambda_l"')
        return {(0, None): self.scales[self._block(index, letters) - 1]}

    def _product(self, left: _Value, right: _Value) -> _Value:
        product: _Value = {}
        for (p, s), a in left.items():
            for (q, t), b in right.items():
                if s is not None and t is not None:
                    came = f"{_written(s)} times {_written(t)}"
                    raise InputError("a number times a term", came, "apply it with a prime: f'f")
                key = (p + q, t if s is None else s)
                product[key] = _plain(product.get(key, 0) + a * b)
        return product

    def _quotient(self, left: _Value, right: _Value) -> _Value:
        divisor = right.get((0, None), 0)
        if set(right) != {(0, None)} or not isinstance(divisor, Fraction) or divisor == 0:
            raise InputError("a division by a number", "something else", "write e.g. n(n-1)/2")
        return {key: _plain(value / divisor) for key, value in left.items()}

    def _choose(self, top: _Value, bottom: int) -> _Value:
        if set(top) != {(0, None)}:
            raise InputError("a number to choose from", "something else", "write e.g. C(n, 3)")
        value: Any = Fraction(1)
        for step in range(bottom):
            value = _plain(value * (top[0, None] - step))
        return {(0, None): _plain(value * Fraction(1, factorial(bottom)))}

    # --- terms --------------------------------------------------------------------------------

    def _term(self, vertex: Vertex, letters: Mapping[str, int]) -> Term:
        if vertex.symbol == "D":
            if not self.decoder:
                raise InputError("f for the branches", "D", "set decoder = true")
            if vertex.index is not None:
                raise InputError("one decoder D", f"D_{vertex.index}", "leave its index out")
            return Forest(tuple(self._tree(child, letters) for child in vertex.children))
        if self.decoder:
            came = vertex.symbol
            raise InputError("terms below the decoder", came, "write D'f for f")
        return self._tree(vertex, letters)

    def _tree(self, vertex: Vertex, letters: Mapping[str, int]) -> Any:
        if vertex.symbol == "D":
            raise InputError("the decoder D only at the root", "D below a branch", "write f")
        below = [self._tree(child, letters) for child in vertex.children]
        if self.tied:
            if vertex.index is not None:
                came = f"f_{vertex.index}"
                raise InputError("f, the one branch of all blocks", came, "leave its index out")
            return Tree(tuple(below))
        if vertex.index is None:
            raise InputError("f with a block's number or letter", "f", "write f_1, or Σ_{i} f_i")
        block = self._block(vertex.index, letters)
        # Not every formula is right: labels need not decrease.
        ordered = sorted(below, key=lambda tree: tree.key, reverse=True)
        return LabelledTree.from_sorted(block, tuple(ordered))

    def _block(self, index: Any, letters: Mapping[str, int]) -> int:
        if isinstance(index, str):
            if index not in letters:
                mend = f"put it under a sum: Σ_{{{index}}}"
                raise InputError("letters that a sum runs over", index, mend)
            return letters[index]
        if self.symbolic:
            raise InputError("letters for blocks, the depth being n", index, "write Σ_{i} f_i")
        if index > (self.depth or 0):
            raise InputError(f"blocks 1 to {self.depth}", index, "raise the depth")
        return int(index)

    # --- sums ---------------------------------------------------------------------------------

    def _total(self, node: Total, letters: Mapping[str, int]) -> _Value:
        if self.tied:
            came = f"a sum over {', '.join(node.letters)}"
            raise InputError("polynomials in n, the branch being shared", came, "write C(n,2) f'f")
        if again := set(node.letters) & set(letters):
            raise InputError("a new letter for every sum", min(again), "rename it")
        if unused := set(node.letters) - _used(node.body):
            mend = "let it number a branch in each term"
            raise InputError("every letter of a sum in each of its terms", min(unused), mend)
        return _added(self._value(node.body, chosen) for chosen in self._choices(node, letters))

    def _choices(self, node: Total, letters: Mapping[str, int]) -> Iterator[Mapping[str, int]]:
        def extended(chosen: dict[str, int], left: tuple[str, ...]) -> Iterator[Mapping[str, int]]:
            if not left:
                self._terms += 1
                if self._terms > _MOST_TERMS:
                    mend = "lower the depth or the order"
                    raise InputError(f"at most {_MOST_TERMS:,} terms", "more", mend)
                yield {**letters, **chosen}
                return
            for block in range(1, (self.depth or 0) + 1):
                self._tried += 1
                if self._tried > _MOST_TRIED:
                    mend = "lower the depth, or sum over fewer letters"
                    raise InputError(f"at most {_MOST_TRIED:,} choices of blocks", "more", mend)
                trial = {**chosen, left[0]: block}
                if all(_holds(relation, {**letters, **trial}) for relation in node.relations):
                    yield from extended(trial, left[1:])

        return extended({}, node.letters)


def _holds(relation: tuple[str, str, str], blocks: Mapping[str, int]) -> bool:
    """Whether a condition holds, or its letters are not all chosen yet."""
    left, sign, right = relation
    if left not in blocks or right not in blocks:
        return True
    a, b = blocks[left], blocks[right]
    return {"<": a < b, "≤": a <= b, "≠": a != b}[sign]


def _used(node: Node) -> set[str]:
    """The letters that number a branch in every term of a formula."""
    match node:
        case Vertex(_, index, children):
            own = {index} if isinstance(index, str) else set()
            return own.union(*map(_used, children))
        case Sum(parts):
            return set.intersection(*map(_used, parts))
        case Product(left, right):
            return _used(left) | _used(right)
        case Quotient(left, _):
            return _used(left)
        case Total(_, _, body):
            return _used(body)
    return set()


def most_letters(node: Node) -> int:
    """The largest number of letters that a term of the formula is summed over.

    Examples
    --------
    >>> from proofs_check.formula.parsing import parse_formula
    >>> most_letters(parse_formula("Σ_{i} f_i + ½ Σ_{i<j} f_j' f_i", "order 2").root)
    2
    """
    match node:
        case Sum(parts):
            return max(map(most_letters, parts))
        case Product(left, right) | Quotient(left, right):
            return max(most_letters(left), most_letters(right))
        case Power(inner, _) | Choose(inner, _):
            return most_letters(inner)
        case Total(letters, _, body):
            return len(letters) + most_letters(body)
    return 0


def _added(values: Iterator[_Value]) -> _Value:
    total: _Value = {}
    for value in values:
        for key, coefficient in value.items():
            total[key] = total.get(key, 0) + coefficient
    return {key: _plain(coefficient) for key, coefficient in total.items()}


def _plain(value: Any) -> Any:
    """Polynomials multiplied out, so that equal ones are the same."""
    if isinstance(value, (int, Fraction)):
        number = Fraction(value)
        if max(abs(number.numerator), number.denominator).bit_length() > _MOST_BITS:
            raise InputError("numbers below 10^300", "a larger one", "lower the powers")
        return number
    expanded = sympy.expand(value)
    if not expanded.is_number and sympy.Poly(expanded).total_degree() > _MOST_DEGREE:
        came = "a higher power"
        raise InputError(f"polynomials of degree ≤ {_MOST_DEGREE}", came, "lower the powers")
    return Fraction(int(expanded.p), int(expanded.q)) if expanded.is_Rational else expanded


def _written(term: Any) -> str:
    return START if term == START else write_term(term)
