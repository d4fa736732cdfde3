r"""The Residual Expansion Theorem, all orders (claims E1, E2, E3).

**Theorem.** For analytic branches and scales near zero,

.. math::

   H_n(x) = x + \sum_t \frac{\prod_{v \in t} \lambda_{\ell(v)}}{\sigma(t)}\, F_t(x)

over all labelled trees t with labels in 1..n, every child's label strictly smaller than its
parent's. *Proof.* Induction on n: Taylor-expand the last branch at x,

.. math::

   \lambda_{n+1} f_{n+1}(H_n(x))
   = \lambda_{n+1} \sum_m \tfrac{1}{m!} f_{n+1}^{(m)}(x)[H_n(x) - x, \ldots],

insert the expansion of :math:`H_n(x) - x`, and collect the m! / Π (multiplicity)! orderings of
each multiset of trees: they are the trees with root label n + 1, each with 1/σ. ∎

*Encoder and decoder.* :math:`D(H_n(E(x)))` is the sum over forests with the derivatives of D at
the root, at the point E(x). *Tied branches.* If all branches are f, the labelled trees of one
shape τ add up to :math:`\lambda^{|\tau|}\, \Omega^\circ(\tau; n) / \sigma(\tau)\, F_\tau`, where
Ω° is the strict order polynomial: an expansion for every depth at once.

Source: orders ≤ 2 with one scale, Dherin & Munn 2025 (arXiv 2510.03470); all orders and
per-block scales, derived for this project.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.series.differentials import Differentials
from expansion.series.lazy_terms import LabelledTerms
from expansion.series.notation import (
    LATEX,
    UNICODE,
    Style,
    Written,
    shortened,
    write_coefficient,
    write_term,
)
from expansion.series.size import DEFAULT_BUDGET, refuse_above
from expansion.series.tied import polynomial_coefficient, tied_coefficients, tied_terms
from expansion.towers.arrays import Array
from expansion.towers.tower import Tower
from expansion.trees.labelled import Forest, Term
from expansion.trees.tree import Tree

if TYPE_CHECKING:
    import sympy

__all__ = ["Expansion", "expand"]


class Expansion(Written, Mapping[Term, Any]):
    """A tower as a sum of elementary differentials: a mapping from term to coefficient.

    Made by :func:`expand`. Keys are labelled trees; trees if the branches are tied; forests of
    these if there is a decoder. The order-0 term x itself is not a key (with a decoder, its
    value D(x) is: the empty forest ``D[]``).

    Parameters
    ----------
    terms : mapping
        Term to exact coefficient, Π λ / σ.
    max_order : int
        The order that the expansion was computed to.
    tower : Tower, optional
        What was expanded; None for a symbolic depth.
    start : exact number
        Coefficient of x itself: 1 for a tower, 0 with a decoder, other numbers after arithmetic.

    Examples
    --------
    >>> from expansion import LabelledTree
    >>> expansion = expand(3, 2)
    >>> expansion[LabelledTree.parse("3[1]")], len(expansion)
    (Fraction(1, 1), 6)
    >>> print(expansion)
    H₃(x) = x
      + λ [ f₁ + f₂ + f₃ ]
      + λ² [ f₂′f₁ + f₃′f₁ + f₃′f₂ ]
      + O(λ³)
    """

    def __init__(
        self, terms: Mapping[Term, Any], max_order: int, tower: Tower | None, start: Any = None
    ) -> None:
        listed_later = isinstance(terms, LabelledTerms)
        self._terms = terms if listed_later else MappingProxyType(dict(terms))
        self.max_order = max_order
        self.tower = tower
        self.start = (0 if self._has_decoder() else 1) if start is None else start

    def __getitem__(self, term: Term) -> Any:
        return self._terms[term]

    def __iter__(self) -> Iterator[Term]:
        return iter(self._terms)

    def __len__(self) -> int:
        return len(self._terms)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Expansion):
            return self.start == other.start and self._terms == other._terms
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Expansion) -> Expansion:
        """The sum, to the lower of the two orders; the branches must be the same."""
        if not isinstance(other, Expansion):
            return NotImplemented
        order = min(self.max_order, other.max_order)
        total: dict[Term, Any] = {}
        for expansion in (self, other):
            for term, value in expansion.items():
                if term.order <= order:
                    total[term] = total.get(term, 0) + value
        return Expansion(total, order, self.tower, self.start + other.start)

    def __mul__(self, factor: Any) -> Expansion:
        """Every coefficient, that of x included, multiplied by an exact number."""
        terms = {term: value * factor for term, value in self.items()}
        return Expansion(terms, self.max_order, self.tower, self.start * factor)

    __rmul__ = __mul__

    def __neg__(self) -> Expansion:
        return self * -1

    def __sub__(self, other: Expansion) -> Expansion:
        return self + -other

    def __repr__(self) -> str:
        what = "symbolic depth" if self.tower is None else f"depth {self.tower.depth}"
        return f"<Expansion of {what} to order {self.max_order}: {len(self)} terms>"

    def order(self, k: int) -> dict[Term, Any]:
        """The ensemble of order k: its terms with their coefficients."""
        k = check_count(k, "order", least=0)
        return {term: value for term, value in self.items() if term.order == k}

    def by_shape(self) -> dict[Tree | Forest[Tree], dict[Term, Any]]:
        """The terms grouped by their shape, the tree without its labels."""
        groups: dict[Tree | Forest[Tree], dict[Term, Any]] = {}
        for term, value in self.items():
            shape = term if isinstance(term, Tree) else term.shape
            groups.setdefault(shape, {})[term] = value
        return groups

    def orders(self, x: Any) -> Array:
        """The numeric order-0..K parts at x, summed term by term.

        Returns
        -------
        array, shape (K + 1, ..., outputs)
            Exact for exact x; the same as :func:`expansion.series.jets.jet_orders`.

        Raises
        ------
        InputError
            When the branches have no values, or the depth is symbolic.
        """
        differentials = Differentials(self._concrete(), x)
        parts = self._empty_orders(differentials)
        for term, coefficient in self.items():
            value = differentials.value(term)
            weight = coefficient if value.dtype == object else float(coefficient)
            parts[term.order] = parts[term.order] + weight * value
        return parts

    def partial_sum(self, x: Any, order: int | None = None) -> Array:
        """Orders 0..``order`` of the expansion at x (all computed ones by default)."""
        last = self.max_order if order is None else check_count(order, "order", least=0)
        if last > self.max_order:
            required = f"an order of at most {self.max_order}, to which this was expanded"
            raise InputError(required, last, "expand to a higher order")
        return np.asarray(sum(self.orders(x)[: last + 1]))

    def remainder(self, x: Any) -> Array:
        """The tower's output minus the partial sum at x; for an expansion as it was made."""
        return self._concrete()(x) - self.partial_sum(x)

    def to_sympy(self) -> Any:
        """The partial sum as a sympy expression in λ, the bookkeeping scale.

        Returns
        -------
        sympy.Expr or sympy.Matrix
            For formulas, the column of coordinates in the branches' own variables; otherwise a
            sum of symbols named like the terms. At λ = 1 the tower's own scales apply.
        """
        import sympy

        from expansion.towers.branches.symbolic import SymbolicBranch

        scale = sympy.Symbol("lambda")
        first = None if self.tower is None else self.tower.branches[0]
        if self.tower is None or not isinstance(first, SymbolicBranch):
            return _to_sympy(self.start) * sympy.Symbol("x") + sum(
                _to_sympy(value) * scale**term.order * sympy.Symbol(write_term(term, LATEX))
                for term, value in self.items()
            )
        if self.tower.encoder is not None:
            mend = "expand the tower without its encoder, then substitute"
            raise InputError("a tower whose input is the branches' variables", "an encoder", mend)
        rows = self.orders(first.variables)
        return sympy.Matrix(
            [sum(scale**k * _to_sympy(v) for k, v in enumerate(column)) for column in rows.T]
        )

    def to_dicts(self) -> list[dict[str, Any]]:
        """The terms as JSON-ready values; exact coefficients are text."""
        return [
            {
                "order": term.order,
                "tree": str(term),
                "coefficient": str(coefficient),
                "latex": write_term(term, LATEX),
            }
            for term, coefficient in self.items()
        ]

    def _write(self, style: Style, limit: int | None) -> str:
        orders = {
            k: [
                write_coefficient(value, style) + write_term(term, style)
                for term, value in self.order(k).items()
                if value != 0
            ]
            for k in range(self.max_order + 1)
        }
        return self.write_orders(orders, style, limit)

    def write_orders(
        self, orders: Mapping[int, Sequence[str]], style: Style, limit: int | None
    ) -> str:
        """Written terms of each order as one formula, at most ``limit`` of an order."""
        depth = "n" if self.tower is None else str(self.tower.depth)
        tower = style.branch("H", depth)
        name = f"D({tower}(x))" if self._has_decoder() else f"{tower}(x)"
        lines = [] if self.start == 0 else [write_coefficient(self.start, style) + "x"]
        unit = self.tower is None or self.tower.rule.text == "1"
        opening, closing = ("[ ", " ]") if style is UNICODE else (r"\left[", r"\right]")
        for k, terms in orders.items():
            if not terms:
                continue
            inside = " + ".join(shortened(terms, limit, style))
            power = style.power(style.scale, k) if unit and k else ""
            lines.append(f"{power} {opening}{inside}{closing}" if power else inside)
        lines.append(f"O({style.power(style.scale, self.max_order + 1)})")
        written = (" + " if style is LATEX else "\n  + ").join(lines)
        return f"{name} = {written}".replace("+ -", "- ")

    def _has_decoder(self) -> bool:
        if isinstance(self._terms, LabelledTerms):
            return self._terms.decoder
        return any(isinstance(term, Forest) for term in self)

    def _concrete(self) -> Tower:
        if self.tower is None:
            raise InputError("an expansion of a definite depth", "depth n", "give a number")
        return self.tower

    def _empty_orders(self, differentials: Differentials) -> Array:
        start = differentials.value(Forest(()))
        parts = np.stack([start * 0] * (self.max_order + 1))
        if self.start != 0:
            parts[0] = start * (self.start if start.dtype == object else float(self.start))
        return parts


def expand(
    tower: Tower | int | str,
    order: int,
    *,
    tied: bool = False,
    decoder: bool = False,
    budget: int = DEFAULT_BUDGET,
) -> Expansion:
    """Expand a tower into all its terms of order ≤ K.

    Parameters
    ----------
    tower : Tower, int or "n"
        What to expand; a depth stands for abstract branches with scale 1, and ``"n"`` (with
        ``tied=True``) for every depth at once: coefficients are then polynomials in n.
    order : int
        Largest order K ≥ 0.
    tied : bool
        Whether all blocks share their branch: terms are then trees without labels (claim E3).
    decoder : bool
        Whether an abstract tower has a decoder (claim E2); a Tower knows by itself.
    budget : int
        Largest number of terms to enumerate.

    Returns
    -------
    Expansion

    Raises
    ------
    TooManyTermsError
        At once, when the number of terms is over the budget.
    InputError
        For a bad depth or order, or ``tied`` with branches that differ.

    Examples
    --------
    >>> expand("n", 3, tied=True)[Tree.chain(3)]
    n*(n - 2)*(n - 1)/6
    >>> expand(50, 50)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    expansion.errors.TooManyTermsError: a request of at most 1,000,000 terms; got about 10^82...
    """
    order = check_count(order, "order", least=0)
    if isinstance(tower, Tower):
        decoder = decoder or tower.decoder is not None
    depth = _depth_of(tower, tied)
    refuse_above(budget, depth, order, tied=tied, decoder=decoder)
    if depth is None:
        shapes = tied_terms(order, decoder)
        return Expansion({s: polynomial_coefficient(s) for s in shapes}, order, None)
    built = tower if isinstance(tower, Tower) else Tower.abstract(depth, tied=tied)
    if tied:
        if not built.is_tied:
            raise InputError("one branch shared by all blocks", "branches that differ", "untie")
        return Expansion(tied_coefficients(built.scales, order, decoder), order, built)
    return Expansion(LabelledTerms(built.scales, order, decoder=decoder), order, built)


def _depth_of(tower: Tower | int | str, tied: bool) -> int | None:
    if isinstance(tower, Tower):
        return tower.depth
    if tower == "n":
        if not tied:
            mend = "add tied=True (--tied), or give a number"
            raise InputError("a number as the depth of an untied tower", "n", mend)
        return None
    return check_count(tower, "depth", least=1)


def _to_sympy(value: Any) -> sympy.Expr:
    import sympy

    if isinstance(value, Fraction):
        return sympy.Rational(value.numerator, value.denominator)
    return sympy.sympify(value)
