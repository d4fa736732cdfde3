r"""Formulas for all branches of a kind, judged term by term (claims E1, E2, E3).

Elementary differentials of different terms are independent maps (:mod:`.witness` has a tower for
each), so a formula is right for all branches exactly if every coefficient is. Those are compared
with the engine's as exact numbers, or polynomials in n.

*Every depth, untied*: sums over letters claim the same for renumbered terms (:mod:`.meaning`), and
so do the true coefficients; a term of order ≤ K uses at most K blocks, and one that is claimed no
more than its sum has letters, so that the larger of the two depths has them all. *Every depth,
tied*: equal polynomials in n. *Branches of degree d*: a term with a vertex of
more than d children vanishes, and the others are still independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from expansion.errors import InputError
from expansion.series.expansion import expand
from expansion.towers.tower import Tower
from expansion.trees.labelled import Forest
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.formula.candidate import Candidate, TowerKind
from proofs_check.formula.meaning import DEPTH, START, Claims, Reader, most_letters
from proofs_check.formula.parsing import Formula
from proofs_check.formula.witness import counterexample

__all__ = ["judge_terms", "read_claims", "true_terms"]

_BUDGET = 60_000
_MOST_TRIED = 40
_PRIMES = tuple(map(Fraction, (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)))
_KINDS = {None: "every analytic branch", 1: "every affine branch", 2: "every quadratic branch"}


def judge_terms(candidate: Candidate) -> Evidence:
    """Compare every coefficient that is claimed with the true one.

    Examples
    --------
    >>> from proofs_check.formula.candidate import candidate_of
    >>> judge_terms(candidate_of({"orders": {"2": "Σ_{i<j} f_j'f_i"}})).verdict.name
    'PROVED'
    """
    tower = candidate.tower
    claims, orders = read_claims(candidate)
    true = true_terms(tower, max(orders), _blocks(candidate, max(orders)))

    def cases() -> Iterator[str | None]:
        for k in orders:
            claimed = {t: c for t, c in claims.get(k, {}).items() if _fits(t, tower)}
            held = true.get(k, {})
            yield None  # an order without a term is a case too
            for term in sorted({*claimed, *held} - {START}):
                gap = claimed.get(term, 0) - held.get(term, 0)
                yield _shown(term, k, gap, claimed, held, tower) if gap != 0 else None
            if START in {*claimed, *held}:
                given = {"term": START, "order": k}
                yield difference(claimed.get(START, 0), held.get(START, 0), **given)

    return exhaust(cases(), Verdict.PROVED, reach_of(tower, orders))


def reach_of(tower: TowerKind, orders: list[int]) -> str:
    """What a verdict covers."""
    kind = _KINDS.get(tower.degree, f"every branch of degree ≤ {tower.degree}")
    if tower.branches:
        kind = "the given branches, every input"
    depth = "every depth n" if tower.depth is None else f"depth {tower.depth}"
    scales = "every scale" if tower.rule.symbolic else f"scales {tower.rule.text}"
    ends = ", every decoder" if tower.decoder else ""
    all_of_them = orders[0] <= 1 < len(orders) and orders == list(range(orders[0], orders[-1] + 1))
    listed = ", ".join(map(str, orders))
    shown = f"orders ≤ {orders[-1]}" if all_of_them else f"order {listed}"
    return f"{depth}, {'tied, ' * tower.tied}{kind}{ends}, {scales}, {shown}"


# --- what is claimed --------------------------------------------------------------------------


def counts_powers(tower: TowerKind) -> bool:
    """Whether λ stands in the formula as the scale, or as the mark of an order (scale 1)."""
    return tower.rule.symbolic == "one" or tower.rule.text == "1"


def read_claims(candidate: Candidate) -> tuple[Claims, list[int]]:
    """The claimed coefficients by order, and the orders that are judged."""
    tower = candidate.tower
    if candidate.whole is None:
        claims: Claims = {}
        for k, formula in sorted(candidate.orders.items()):
            blocks = _blocks(candidate, max(candidate.orders))
            found = _reader(tower, blocks).claims(formula.root, f"order {k}")
            if set(found) - {0}:
                mend = f"give what stands in front of λ^{k}"
                raise InputError(f"order {k}: the coefficient of λ^{k}", "λ in it", mend)
            claims[k] = found.get(0, {})
        return claims, sorted(claims)
    last = _last_order(candidate, candidate.whole)
    blocks = _blocks(candidate, last)
    found = _reader(tower, blocks).claims(candidate.whole.root, "formula")
    if candidate.whole.beyond is None and candidate.order is None:
        last = max([last, *found])
    if not counts_powers(tower):
        if set(found) - {0}:
            came = f"λ in the formula for scales {tower.rule.text}"
            raise InputError("formula: the scales as numbers", came, "leave λ out")
        terms = found.get(0, {})
        found = {}
        for term, coefficient in terms.items():
            found.setdefault(0 if term == START else term.order, {})[term] = coefficient
    return found, list(range(last + 1))


def _last_order(candidate: Candidate, whole: Formula) -> int:
    tower = candidate.tower
    if candidate.order is not None:
        return candidate.order
    if whole.beyond is not None:
        if not 1 <= whole.beyond <= 9:
            came = f"O(λ^{whole.beyond})"
            raise InputError("formula: a remainder from O(λ) to O(λ^9)", came, "lower the order")
        return whole.beyond - 1
    if tower.degree == 1 and tower.depth is not None and not tower.decoder:
        return tower.depth  # the series of affine branches stops there
    raise InputError("formula: where it stops", "no O(λ^k)", "end it with e.g. + O(λ^3)")


def _blocks(candidate: Candidate, order: int) -> int:
    """How many blocks decide every depth of untied towers: no term has more, claimed or true."""
    formulas = [candidate.whole, *candidate.orders.values()]
    return max(1, order, *(most_letters(one.root) for one in formulas if one is not None))


def _reader(tower: TowerKind, blocks: int) -> Reader:
    depth = blocks if tower.depth is None and not tower.tied else tower.depth
    each = tower.rule.scales(depth) if tower.rule.symbolic == "each" and depth else None
    return Reader(
        depth,
        symbolic=tower.depth is None,
        tied=tower.tied,
        decoder=tower.decoder,
        scales=each,
    )


# --- what holds -------------------------------------------------------------------------------


def true_terms(tower: TowerKind, order: int, blocks: int) -> Claims:
    """The engine's coefficients by order; ``blocks`` stand for every depth of untied towers."""
    depth = tower.depth
    options: dict[str, Any] = {"tied": tower.tied, "decoder": tower.decoder, "budget": _BUDGET}
    built: Any
    if depth is None:
        built = "n" if tower.tied else blocks
    else:
        built = Tower.abstract(depth, "1" if counts_powers(tower) else tower.rule, tied=tower.tied)
    found: Claims = {} if tower.decoder else {0: {START: Fraction(1)}}
    for term, coefficient in expand(built, order, **options).items():
        if _fits(term, tower):
            value = coefficient.expand() if hasattr(coefficient, "expand") else coefficient
            found.setdefault(term.order, {})[term] = value
    return found


def _branching(term: Any) -> int:
    """The highest derivative of a branch in a term."""
    own = 0 if isinstance(term, Forest) else len(term.children)
    return max([own, *map(_branching, term.children)])


# --- what does not ----------------------------------------------------------------------------


def _shown(
    term: Any,
    order: int,
    gap: Any,
    claimed: Mapping[Any, Any],
    held: Mapping[Any, Any],
    tower: TowerKind,
) -> str | None:
    """The smallest tower of the term for which the claim is wrong, as Python."""
    least = max(getattr(term, "labels", ()) or (1,))
    depths = [tower.depth] if tower.depth is not None else range(least, least + _MOST_TRIED)
    for depth in depths:
        scales = _scales(gap, tower, depth)
        if _at(gap, depth, scales) == 0:
            continue
        numbers = {t: _at(c, depth, scales) for t, c in claimed.items()}
        if tower.depth is None and not tower.tied:
            numbers = {t: c for t, c in numbers.items() if _within(t, depth)}
        if found := counterexample(term, order, numbers, depth, scales):
            return found
    values = claimed.get(term, Fraction(0)), held.get(term, Fraction(0))
    return difference(*values, term=term, order=order)


def _fits(term: Any, tower: TowerKind) -> bool:
    """Whether a term need not vanish for these branches."""
    return term == START or tower.degree is None or _branching(term) <= tower.degree


def _within(term: Any, depth: int) -> bool:
    return term == START or max(getattr(term, "labels", ()) or (1,)) <= depth


def _scales(gap: Any, tower: TowerKind, depth: int) -> list[Fraction]:
    """Scales for which the gap is not zero."""
    if tower.rule.symbolic != "each":
        return list(tower.rule.scales(depth)) if not counts_powers(tower) else [Fraction(1)] * depth
    ones = [Fraction(1)] * depth
    if _at(gap, depth, ones) != 0:
        return ones
    return [_PRIMES[i % len(_PRIMES)] for i in range(depth)]


def _at(value: Any, depth: int, scales: list[Fraction]) -> Fraction:
    """A coefficient as a number."""
    if isinstance(value, (int, Fraction)):
        return Fraction(value)
    names = {f"lambda_{block}": scale for block, scale in enumerate(scales, 1)}
    chosen = {
        s: depth if s == DEPTH else names[s.name]
        for s in value.free_symbols
        if s == DEPTH or s.name in names
    }
    number = value.subs(chosen)
    return Fraction(int(number.p), int(number.q))
