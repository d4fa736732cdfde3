"""Expansions of scalar towers as they are written: products, isomeric trees collapsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from expansion.series.expansion import Expansion
from expansion.series.notation import LATEX, UNICODE, Style, Written, write_coefficient
from expansion.series.one_dimension import Factors, collapse

__all__ = ["ScalarExpansion", "one_dimensional", "write_factors"]


def write_factors(factors: Factors, style: Style = UNICODE, *, tied: bool = False) -> str:
    """A product of branches and their derivatives, equal factors as a power.

    Examples
    --------
    >>> write_factors(((3, 2), (1, 0), (1, 0)))
    'f₃″ f₁²'
    >>> write_factors(((3, 1), (3, 1), (1, 0)))
    '(f₃′)² f₁'
    """
    pieces = []
    for (block, primes), equal in groupby(factors):
        count = sum(1 for _ in equal)
        name = style.branch("f", "" if tied else str(block)) if block else "D"
        factor = name + style.primes(primes)
        if count > 1:
            factor = style.power(factor if not primes else f"({factor})", count)
        pieces.append(factor)
    return " ".join(pieces)


@dataclass(frozen=True, slots=True, eq=False)
class ScalarExpansion(Written):
    """The terms of a scalar tower: products of factors with exact coefficients.

    Parameters
    ----------
    terms : mapping
        Factors, (block, order of derivative) largest first, to coefficient.
    expansion : Expansion
        What was collapsed.

    Examples
    --------
    >>> from expansion import expand
    >>> print(one_dimensional(expand(2, 4)))
    H₂(x) = x
      + λ [ f₁ + f₂ ]
      + λ² [ f₂′ f₁ ]
      + λ³ [ ½ f₂″ f₁² ]
      + λ⁴ [ ⅙ f₂‴ f₁³ ]
      + O(λ⁵)
    """

    terms: Mapping[Factors, Any]
    expansion: Expansion

    def __len__(self) -> int:
        return len(self.terms)

    def order(self, k: int) -> dict[Factors, Any]:
        """The terms of order k."""
        return {f: value for f, value in self.terms.items() if _order(f) == k}

    def to_dicts(self) -> list[dict[str, Any]]:
        """The terms as JSON-ready values; exact coefficients are text."""
        tied = self._is_tied()
        return [
            {
                "order": _order(factors),
                "factors": [list(factor) for factor in factors],
                "coefficient": str(value),
                "latex": write_factors(factors, LATEX, tied=tied),
            }
            for factors, value in self.terms.items()
        ]

    def _is_tied(self) -> bool:
        return any(not hasattr(term, "labels") for term in self.expansion)

    def _write(self, style: Style, limit: int | None) -> str:
        tied = self._is_tied()
        orders = {
            k: [
                write_coefficient(value, style) + write_factors(factors, style, tied=tied)
                for factors, value in self.order(k).items()
                if value != 0
            ]
            for k in range(self.expansion.max_order + 1)
        }
        return self.expansion.write_orders(orders, style, limit)


def one_dimensional(expansion: Expansion) -> ScalarExpansion:
    """Collapse the isomeric trees of an expansion, for a scalar tower.

    Parameters
    ----------
    expansion : Expansion
        Of any tower, tied or not, with or without decoder.

    Examples
    --------
    >>> from expansion import expand
    >>> len(expand(4, 4).order(4)), len(one_dimensional(expand(4, 4)).order(4))
    (32, 31)
    """
    return ScalarExpansion(collapse(expansion), expansion)


def _order(factors: Factors) -> int:
    return sum(1 for block, _ in factors if block)
