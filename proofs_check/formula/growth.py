r"""Claimed laws of growth, in n and the scale (claims G1 to G5).

================ ============================================================================
``energy``       :math:`\prod_l s^2(1 + \lambda_l^2)`, independent branches (G1, G4, G5)
``amplitude``    :math:`\prod_l s(1 + \lambda_l \mathcal{L})`, aligned ones of gain L (G3)
``mean_order``   :math:`\sum_l \lambda_l^2/(1 + \lambda_l^2)` (G2)
``spectrum``     :math:`e_k(\lambda_1^2, \ldots, \lambda_n^2)\, s^{2n}`, for each k (G2)
``limit``        of the energy as n grows, or of the amplitude if that is claimed too
================ ============================================================================

Where every block has the same scale the truth is a formula in n, and a claim of the same form
(:mod:`.sequences`) is proved for every n. Where the scale depends on the block's own number,
:math:`\lambda_l = c\,l^p`, it is proved by induction: the value at n = 1, and the step from n to
n + 1. Before that, the claim is held against the engine's exact values at the first depths, which
gives the smallest counterexample. *Limits*: :math:`n\ln(1 + a_n)` has the limit of :math:`n a_n`
when :math:`a_n \to 0`, because :math:`a - a^2/2 \le \ln(1+a) \le a`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import sympy

from expansion.errors import InputError
from expansion.growth.energy import exact_energy
from expansion.growth.spectrum import exact_spectrum
from expansion.towers.scaling import ScalingRule
from proofs_check.evidence import Evidence, Verdict, difference
from proofs_check.formula.candidate import Candidate, TowerKind
from proofs_check.formula.sequences import N, NoFormError, same_sequence

__all__ = ["judge_law"]

_SCALE, _GAIN, _ORDER = sympy.symbols("lambda L k")
_DEPTHS = range(1, 9)
_MORE_DEPTHS = range(9, 41)  # where a formula that cannot be proved may still go wrong
_VALUES = (Fraction(1), Fraction(2), Fraction(1, 2), Fraction(3))
_SPECTRUM_ORDER = 5
_VISIBLE = sympy.Float("1e-25")


def judge_law(candidate: Candidate, name: str) -> Evidence:
    """Judge one law of a candidate.

    Examples
    --------
    >>> from proofs_check.formula.candidate import candidate_of
    >>> law = {"tower": {"rule": "1/sqrt(n)"}, "growth": {"energy": "(1 + 1/n)^n"}}
    >>> judge_law(candidate_of(law), "energy").verdict.name
    'PROVED'
    """
    tower = candidate.tower
    if tower.rule.symbolic == "each":
        raise InputError("one λ, or a rule, for a law", tower.rule.text, 'write rule = "lambda"')
    if tower.depth is None and tower.rule.listed is not None:
        raise InputError("a rule for every depth", tower.rule.text, "give the depth")
    if "amplitude" in candidate.laws and _has_negative_scale(tower):
        raise InputError("scales of at least 0 for an amplitude", tower.rule.text, "turn the sign")
    if name == "limit":
        return _judge_limit(candidate)
    if name == "spectrum":
        last = _SPECTRUM_ORDER if candidate.order is None else candidate.order
        claims = [(k, candidate.laws[name].subs(_ORDER, k).doit()) for k in range(last + 1)]
        # C(n, k) is written out, so that it is a polynomial in n.
        claims = [(k, sympy.expand_func(law)) for k, law in claims]
        reach = f"{_about(tower)}, orders ≤ {last}"
    else:
        claims = [(0, candidate.laws[name])]
        reach = _about(tower)
    seen, why = 0, "is not of the same form"
    for depths in (_DEPTHS, _MORE_DEPTHS):
        for k, law in claims:
            for counterexample in _trials(law, name, k, tower, depths):
                seen += 1
                if counterexample is not None:
                    return Evidence(Verdict.REFUTED, reach, seen, counterexample=counterexample)
        try:
            if all(_identical(law, name, k, tower) for k, law in claims):
                return Evidence(Verdict.PROVED, reach, seen)
        except NoFormError as error:
            why = f"{error} has no form to prove it by"
        if tower.depth is not None:
            break
    return Evidence(Verdict.INCONCLUSIVE, f"{reach}: true wherever it was tried, but {why}", seen)


def _has_negative_scale(tower: TowerKind) -> bool:
    rule = tower.rule
    if rule.symbolic:
        return False
    return any(scale < 0 for scale in (rule.listed or (rule.coefficient,)))


def _about(tower: TowerKind) -> str:
    depth = "every depth n" if tower.depth is None else f"depth {tower.depth}"
    scale = "every scale" if tower.rule.symbolic else f"scales {tower.rule.text}"
    return f"{depth}, {scale}"


# --- the first depths -------------------------------------------------------------------------


def _trials(
    law: sympy.Expr, name: str, order: int, tower: TowerKind, some: Iterable[int]
) -> Iterator[str | None]:
    """Each small case: None, or the counterexample."""
    depths = some if tower.depth is None else [tower.depth]
    scales = _VALUES if law.has(_SCALE) or tower.rule.symbolic else (None,)
    gains = _VALUES if name == "amplitude" else (None,)
    for depth, scale, gain in product(depths, scales, gains):
        rule = tower.rule if not tower.rule.symbolic else ScalingRule.of(scale or Fraction(1))
        values = {N: depth, _GAIN: sympy.sympify(gain or 0)}
        if law.has(_SCALE):
            if not tower.rule.symbolic:
                raise InputError(f"{name}: n alone, the rule being {rule.text}", "λ", "insert it")
            values[_SCALE] = sympy.sympify(scale)
        claimed = law.subs(values)
        true = _engine(name, rule, depth, order, gain)
        given: dict[str, Any] = {"rule": rule, "depth": depth}
        if name == "spectrum":
            given["order"] = order
        if gain is not None:
            given["gain"] = gain
        yield None if _agree(claimed, true) else difference(_shown(claimed), _shown(true), **given)


def _engine(name: str, rule: ScalingRule, depth: int, order: int, gain: Fraction | None) -> Any:
    """The exact value that the engine gives, or the definition where it has floats only."""
    if name == "energy":
        return sympy.sympify(exact_energy(rule, depth))
    if name == "spectrum":
        found = exact_spectrum(rule, depth, order)
        return sympy.sympify(found[order]) if order < len(found) else sympy.Integer(0)
    if name == "mean_order":
        return sum((sympy.sympify(s / (1 + s)) for s in rule.squares(depth)), sympy.Integer(0))
    factor = sympy.sqrt(sympy.sympify(rule.block_factor_squared))
    return prod(
        (factor * (1 + sympy.sympify(s) * sympy.sympify(gain)) for s in rule.scales(depth)),
        start=sympy.Integer(1),
    )


def _agree(claimed: Any, true: Any) -> bool:
    gap = sympy.expand(claimed - true)
    if gap == 0:
        return True
    if gap.is_Rational:
        return False
    value = sympy.N(gap, 50)
    return bool(value.is_comparable and abs(value) < _VISIBLE * (1 + abs(sympy.N(true, 50))))


def _shown(value: Any) -> Any:
    if value.is_Rational:
        return Fraction(int(value.p), int(value.q))
    return float(value) if value.is_real and value.is_finite else str(value)


# --- every depth ------------------------------------------------------------------------------


def _identical(law: sympy.Expr, name: str, order: int, tower: TowerKind) -> bool:
    rule = tower.rule
    factor = sympy.sympify(rule.block_factor_squared)
    if tower.depth is not None:
        true = _definition(name, rule, tower.depth, order)
        return bool(sympy.cancel(sympy.expand(law.subs(N, tower.depth) - true)) == 0)
    if rule.symbolic or rule.base == "depth":
        scale = _SCALE if rule.symbolic else _power_of(N, rule)
        laws: dict[str, Callable[[], Any]] = {
            "energy": lambda: (factor * (1 + scale**2)) ** N,
            "amplitude": lambda: (sympy.sqrt(factor) * (1 + scale * _GAIN)) ** N,
            "mean_order": lambda: N * scale**2 / (1 + scale**2),
            "spectrum": lambda: factor**N * _choose(order) * scale ** (2 * order),
        }
        return same_sequence(law, laws[name]())
    return _by_induction(law, name, order, rule)


def _power_of(base: Any, rule: ScalingRule) -> Any:
    c, p = (sympy.Rational(v.numerator, v.denominator) for v in (rule.coefficient, rule.exponent))
    return abs(c) * base**p


def _choose(order: int) -> Any:
    return prod((N - i for i in range(order)), start=sympy.Integer(1)) / sympy.factorial(order)


def _definition(name: str, rule: ScalingRule, depth: int, order: int) -> Any:
    """The law's truth at one depth, with λ and 𝓛 as symbols."""
    scales = [sympy.sympify(s) for s in rule.scales(depth)]
    factor = sympy.sympify(rule.block_factor_squared)
    if name == "energy":
        return sympy.expand(prod((factor * (1 + s**2) for s in scales), start=sympy.Integer(1)))
    if name == "amplitude":
        return prod((sympy.sqrt(factor) * (1 + s * _GAIN) for s in scales), start=sympy.Integer(1))
    if name == "mean_order":
        return sum((s**2 / (1 + s**2) for s in scales), sympy.Integer(0))
    energies = [sympy.Integer(1)] + [sympy.Integer(0)] * order
    for s in scales:
        energies = [
            factor * (e + s**2 * below)
            for e, below in zip(energies, [sympy.Integer(0), *energies[:-1]], strict=True)
        ]
    return energies[order]


def _by_induction(law: sympy.Expr, name: str, order: int, rule: ScalingRule) -> bool:
    """The step from n to n + 1, and the start, exactly."""
    if sympy.cancel(sympy.expand(law.subs(N, 1) - _definition(name, rule, 1, order))) != 0:
        return False
    scale = _power_of(N + 1, rule)
    factor = sympy.sympify(rule.block_factor_squared)
    following = law.subs(N, N + 1)
    if name == "energy":
        return same_sequence(following, factor * (1 + scale**2) * law)
    if name == "amplitude":
        return same_sequence(following, sympy.sqrt(factor) * (1 + scale * _GAIN) * law)
    if name == "mean_order":
        return same_sequence(following, law + scale**2 / (1 + scale**2))
    raise NoFormError(f"a spectrum of order {order} with scales of each block's own number")


# --- limits -----------------------------------------------------------------------------------


def _judge_limit(candidate: Candidate) -> Evidence:
    tower = candidate.tower
    rule = tower.rule
    coherent = "amplitude" in candidate.laws
    if tower.depth is not None or rule.symbolic:
        raise InputError("a rule, and depth n, for a limit", rule.text, 'write e.g. rule = "1/n"')
    claimed = candidate.laws["limit"]
    what = "amplitude" if coherent else "energy"
    reach = f"the limit of the {what} as n grows, scales {rule.text}{', L > 0' * coherent}"
    true = _limit(rule, coherent=coherent)
    if true is None:
        why = f"{reach}: no closed form that holds {'for every L' if coherent else 'here'}"
        return Evidence(Verdict.INCONCLUSIVE, why, 0)
    if claimed.free_symbols - true.free_symbols:
        raise InputError("limit: a number", claimed, "write e.g. exp(1), 1 or infinity")
    if not (claimed.free_symbols or claimed.is_extended_real):
        raise InputError("limit: a real number", claimed, "write e.g. exp(1), 1 or infinity")
    if claimed == true or (claimed.is_finite and sympy.expand(claimed - true) == 0):
        return Evidence(Verdict.PROVED, reach, 1)
    for gain in (1, 2) if coherent else (1,):
        shown = [float(value.subs(_GAIN, gain)) for value in (claimed, true)]
        found = difference(*shown, rule=rule, **({"gain": gain} if coherent else {}))
        if found is not None:
            return Evidence(Verdict.REFUTED, reach, 1, counterexample=found)
    return Evidence(Verdict.INCONCLUSIVE, f"{reach}: equal to the last digit only", 0)


def _limit(rule: ScalingRule, *, coherent: bool) -> Any:
    """Of Π s²(1 + λ_l²), or of Π s(1 + λ_l 𝓛) for every 𝓛 > 0; None where it is not known here."""
    factor = sympy.sympify(rule.block_factor_squared)
    power = rule.exponent if coherent else 2 * rule.exponent
    c = sympy.sympify(abs(rule.coefficient))
    added = c * _GAIN if coherent else c**2
    if c == 0:
        power, added = Fraction(0), sympy.Integer(0)
    if power == 0 or factor != 1:
        if power != 0:
            return None
        block = sympy.sqrt(factor) * (1 + added) if coherent else factor * (1 + added)
        if not block.is_number:
            return sympy.oo if factor >= 1 else None  # a large gain outweighs the factor
        if block == 1:
            return sympy.Integer(1)
        return sympy.oo if block > 1 else sympy.Integer(0)
    if power > -1 or (power == -1 and rule.base == "block"):
        return sympy.oo
    if rule.base == "block":
        return None
    return sympy.exp(added) if power == -1 else sympy.Integer(1)
