r"""Formulas for definite branches, judged as maps of x.

Each order of the claim is written out in the coordinates x1, x2, … and compared with the same
order of power series carried through the tower (claim E5), or of Butcher's series where the depth
is the letter n (claim E3). A difference that is the zero polynomial is zero for every input, and
every n; for one that is not zero a small point is looked for where it shows. A difference that does
not vanish identically, nor can be seen at any point tried, decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import sympy

from expansion.series.jets import jet_orders
from expansion.towers.tower import Tower
from proofs_check.evidence import Evidence, Verdict, difference
from proofs_check.formula.candidate import Candidate, TowerKind
from proofs_check.formula.meaning import DEPTH
from proofs_check.formula.terms import counts_powers, reach_of, read_claims, true_terms
from proofs_check.formula.witness import claimed_part

__all__ = ["judge_values"]

_PLACES = tuple(Fraction(text) for text in ("0", "1", "-1", "2", "1/2", "3"))
_DEPTHS = range(1, 13)
_VISIBLE = sympy.Float("1e-20")


def judge_values(candidate: Candidate) -> Evidence:
    """Compare every order, as a map of x, with the true one.

    Examples
    --------
    >>> from proofs_check.formula.candidate import candidate_of
    >>> table = {"tower": {"tied": True}, "branch": [{"polynomial": ["x1^2"]}]}
    >>> evidence = judge_values(candidate_of({**table, "orders": {"2": "n f'f"}}))
    >>> evidence.verdict.name, evidence.counterexample.splitlines()[-2:]
    ('REFUTED', ['claimed = [2]', 'true = [0]'])
    """
    tower = candidate.tower
    claims, orders = read_claims(candidate)
    reach = reach_of(tower, orders)
    variables = tower.branches[0].variables
    held = _true_parts(tower, max(orders))
    small = _built(tower, tower.depth or 1)
    undecided = 0
    for seen, k in enumerate(orders, 1):
        claimed = [sympy.sympify(v) for v in claimed_part(claims.get(k, {}), small, variables)]
        pairs = list(zip(claimed, held[k], strict=True))
        if all(_is_zero(a - b) for a, b in pairs):
            continue
        found = _where(pairs, k, tower, variables)
        if found is not None:
            return Evidence(Verdict.REFUTED, reach, seen, counterexample=found)
        undecided += 1
    if undecided:
        why = f"{reach}: neither an identity nor a counterexample was found"
        return Evidence(Verdict.INCONCLUSIVE, why, len(orders))
    return Evidence(Verdict.PROVED, reach, len(orders))


def _built(tower: TowerKind, depth: int) -> Tower:
    rule = "1" if counts_powers(tower) else tower.rule
    if tower.tied:
        return Tower.tied(tower.branches[0], depth, rule)
    return Tower(tower.branches, rule)


def _true_parts(tower: TowerKind, order: int) -> list[list[Any]]:
    """Every order as formulas in the coordinates, and in n."""
    variables = tower.branches[0].variables
    if tower.depth is not None:
        parts = list(jet_orders(_built(tower, tower.depth), variables, order))
    else:
        terms = true_terms(tower, order, blocks=1)
        one = _built(tower, 1)
        parts = [claimed_part(terms.get(k, {}), one, variables) for k in range(order + 1)]
    return [[sympy.sympify(value) for value in part] for part in parts]


def _is_zero(gap: sympy.Expr) -> bool:
    """Whether a formula is identically zero, as far as rewriting it shows."""
    if sympy.expand(gap) == 0:
        return True
    if not gap.atoms(sympy.Function):
        return False
    return bool(sympy.cancel(sympy.together(sympy.expand(gap.rewrite(sympy.exp)))) == 0)


def _where(
    pairs: list[tuple[Any, Any]], order: int, tower: TowerKind, variables: Any
) -> str | None:
    """The simplest depth and point where claim and truth differ, as Python."""
    for depth, place in _places(tower, len(variables)):
        values = {DEPTH: depth, **dict(zip(variables, map(sympy.sympify, place), strict=True))}
        at = [(_number(a.subs(values)), _number(b.subs(values))) for a, b in pairs]
        if all(_same(a, b) for a, b in at):
            continue
        claimed, true = ([_plain(one) for one in column] for column in zip(*at, strict=True))
        built = _built(tower, depth)
        return difference(claimed, true, tower=built, point=list(place), order=order)
    return None


def _places(tower: TowerKind, size: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
    depths = _DEPTHS if tower.depth is None else [tower.depth]
    points = sorted(product(_PLACES, repeat=size), key=lambda p: max(map(_PLACES.index, p)))
    for depth in depths:
        for place in points:
            yield depth, place


def _number(value: sympy.Expr) -> Any:
    return value if value.is_Rational else sympy.N(value, 40)


def _same(a: Any, b: Any) -> bool:
    if a.is_Rational and b.is_Rational:
        return bool(a == b)
    return bool(abs(a - b) < _VISIBLE * (1 + abs(a)))


def _plain(value: Any) -> Any:
    return Fraction(int(value.p), int(value.q)) if value.is_Rational else float(value)
