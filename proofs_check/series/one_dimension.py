r"""One dimension: isomeric trees collapsed, against Taylor's formula with symbols (claim E1).

In one dimension every derivative :math:`f_l^{(m)}(x)` is a number; here it is a variable of its
own. The tower is composed with the series :math:`\sum_m f_l^{(m)}(x)\, v^m / m!` for every branch,
without trees: every monomial is a product of derivatives with its coefficient, and those are the
collapsed terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import factorial
from typing import Any

from expansion.series.expansion import expand
from expansion.series.one_dimension import Factors, collapse, collapsed_order
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust

__all__ = ["CHECKS"]

Terms = Callable[[int, int], Mapping[Factors, Any]]
_Polynomial = dict[Factors, Fraction]  # products of (block, derivative), largest first


def _collapsed(subject: Terms, effort: Effort) -> Evidence:
    depth, order = effort.pick(quick=(4, 5), deep=(5, 7))

    def cases() -> Iterator[str | None]:
        for n in range(1, depth + 1):
            true = _composed(n, order)
            for k in range(1, order + 1):
                claimed = subject(n, k)
                for factors in sorted({*claimed, *true[k]}):
                    pair = (claimed.get(factors, Fraction(0)), true[k].get(factors, Fraction(0)))
                    yield difference(*pair, depth=n, factors=list(map(list, factors)))

    reach = f"every scalar branch, depths ≤ {depth}, orders ≤ {order}"
    return exhaust(cases(), Verdict.EXHAUSTED, reach)


def _composed(depth: int, order: int) -> list[_Polynomial]:
    """The orders of u ← u + z Σ_m f_l^(m) (u − x)^m / m!, less x."""
    state: list[_Polynomial] = [{} for _ in range(order + 1)]
    for block in range(1, depth + 1):
        power: list[_Polynomial] = [{(): Fraction(1)}, *({} for _ in range(order))]
        moved = [dict(one) for one in state]
        for m in range(order):
            for k in range(order):
                for factors, c in power[k].items():
                    product = tuple(sorted((*factors, (block, m)), reverse=True))
                    added = moved[k + 1].get(product, Fraction(0)) + c / factorial(m)
                    moved[k + 1][product] = added
            power = _times(power, state, order)
        state = moved
    return state


def _times(left: list[_Polynomial], right: list[_Polynomial], order: int) -> list[_Polynomial]:
    product: list[_Polynomial] = [{} for _ in range(order + 1)]
    for i, one in enumerate(left):
        for j, other in enumerate(right[: order + 1 - i]):
            for a, c in one.items():
                for b, d in other.items():
                    key = tuple(sorted(a + b, reverse=True))
                    product[i + j][key] = product[i + j].get(key, Fraction(0)) + c * d
    return product


def _from_terms(depth: int, order: int) -> Mapping[Factors, Any]:
    return collapse(expand(depth, order).order(order))


def _from_arrays(depth: int, order: int) -> Mapping[Factors, Any]:
    return collapsed_order(depth, order).as_dict()


_WRONG: dict[str, Terms] = {
    "one tree of each kind": lambda n, k: {
        factors: min(c, Fraction(1)) for factors, c in _from_terms(n, k).items()
    },
    "1/σ dropped": lambda n, k: collapse(
        {tree: c * tree.symmetry for tree, c in expand(n, k).order(k).items()}
    ),
    "one block more": lambda n, k: _from_terms(n + 1, k),
}

CHECKS: tuple[Check[Any], ...] = (
    Check("E1", "one dimension, from the terms", _collapsed, _from_terms, _WRONG),
    Check("E1", "one dimension, from arrays of trees", _collapsed, _from_arrays, _WRONG),
)
