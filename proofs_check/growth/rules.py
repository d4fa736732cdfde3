r"""What scaling rules do to energies and orders (claims G4, G5).

**Normalised branches.** A branch v symmetric in sign has :math:`E\|x+v\|^2 = \|x\|^2 + \|v\|^2`
whatever x, so energies of 1 add up to n + 1. As scales 1/√l they multiply by 1 + 1/(n+1) in block
n + 1: with the values q_n at a few depths, the identity :math:`(n+1)\,q(n+1) = (n+2)\,q(n)` of
polynomials in n proves q at every depth. The order n − j of the spectrum times n! is a
polynomial in n as well, :math:`S_j`, and the recursion of the Stirling numbers of the first kind
is :math:`S_j(n+1) - S_j(n) = (n+1)\,S_{j-1}(n)`.

**Mean orders** are P'(1)/P(1) of :math:`P(z) = \prod_l (1 + \lambda_l^2 z)`, multiplied out.

Floats are compared in ball arithmetic; a sum of n logarithms may be off by (n + 16)·2^-50 of its
size, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import permutations
from math import comb, factorial, log, prod
from typing import Any

import sympy
from flint import arb, fmpq, fmpq_poly
from hypothesis import strategies as st

from expansion.growth.energy import exact_energy, mean_order
from expansion.growth.spectrum import exact_spectrum
from expansion.towers.arrays import Array
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from expansion.trees.order_polynomials import to_fraction
from proofs_check.balls import ball, near
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.interpolation import polynomial_through
from proofs_check.sampling import sample
from proofs_check.strategies import points, relu_towers

__all__ = ["CHECKS", "squares"]

Energy = Callable[[ScalingRule, int], Any]
SpectrumOf = Callable[[ScalingRule, int, int], Sequence[Any]]
MeanOrder = Callable[[ScalingRule, int], float]
Final = Callable[[Tower, Array], Array]

_BATCHNORM = ScalingRule.parse("batchnorm")
_SHIFT = fmpq_poly([1, 1])
_N = fmpq_poly([0, 1])

# λ_l² of block l at depth n, written out.
_SQUARES: dict[str, Callable[[int, int], Fraction]] = {
    "1": lambda n, block: Fraction(1),
    "1/n": lambda n, block: Fraction(1, n**2),
    "1/sqrt(n)": lambda n, block: Fraction(1, n),
    "batchnorm": lambda n, block: Fraction(1, block),
    "half": lambda n, block: Fraction(1),
    "skipinit": lambda n, block: Fraction(0),
    "0.3": lambda n, block: Fraction(9, 100),
}


def squares(text: str, depth: int) -> list[Fraction]:
    """λ_1²..λ_n² of a named rule.

    Examples
    --------
    >>> [str(square) for square in squares("batchnorm", 3)]
    ['1', '1/2', '1/3']
    """
    return [_SQUARES[text](depth, block) for block in range(1, depth + 1)]


# --- G4: normalised branches ------------------------------------------------------------------


def _normalised(subject: Energy, effort: Effort) -> Evidence:
    values = effort.pick(quick=6, deep=60)

    def cases() -> Iterator[str | None]:
        x1, x2, v1, v2 = sympy.symbols("x1 x2 v1 v2")
        energies = [(x1 + s * v1) ** 2 + (x2 + s * v2) ** 2 for s in (-1, 1)]
        gained = sympy.expand(sum(energies) / 2 - x1**2 - x2**2)
        yield difference(gained, v1**2 + v2**2, block=1)
        # q at depth n = j + 1, as a polynomial in j.
        q = polynomial_through([subject(_BATCHNORM, n) for n in range(1, values + 1)])
        claimed = [(_N + 2) * q(_SHIFT), q(0)]
        yield difference(claimed, [(_N + 3) * q, 2], rule=_BATCHNORM)
        for depth in (values + 1, 60, 1000):
            true = to_fraction(q(fmpq(depth - 1)))
            yield difference(subject(_BATCHNORM, depth), true, rule=_BATCHNORM, depth=depth)

    reach = f"every depth n and state; the engine's values at depths ≤ {values + 1}, 60 and 1000"
    return exhaust(cases(), Verdict.PROVED, reach)


def _stirling(subject: SpectrumOf, effort: Effort) -> Evidence:
    highest, depth = effort.pick(quick=(5, 25), deep=(9, 250))

    def row(n: int) -> list[Any]:
        """n! e_k for k = 0..n."""
        return [factorial(n) * e for e in subject(_BATCHNORM, n, n)] if n else [1]

    def cases() -> Iterator[str | None]:
        for n in range(1, 6):
            yield difference(row(n), _cycles(n + 1)[1:], depth=n)
        stirling = [1]  # c(n + 1, k + 1) for k = 0..n
        for n in range(1, depth + 1):
            pairs = zip([0, *stirling], [*stirling, 0], strict=True)
            stirling = [below + n * same for below, same in pairs]
            yield difference(row(n), stirling, depth=n)
        rows = [row(n) for n in range(2 * highest + 3)]
        before = fmpq_poly([0])
        for j in range(highest + 1):
            values = [line[len(line) - 1 - j] if j < len(line) else 0 for line in rows]
            s = polynomial_through(values)
            claimed = [s(_SHIFT) - s, s(0), s.degree()]
            yield difference(claimed, [(_N + 1) * before, int(j == 0), 2 * j], j=j)
            before = s

    reach = f"every depth n for the orders n − {highest}..n, all orders for n ≤ {depth}"
    return exhaust(cases(), Verdict.PROVED, reach)


def _cycles(size: int) -> list[int]:
    """How many permutations of that many things have k cycles, k = 0..size."""
    counts = [0] * (size + 1)
    for permutation in permutations(range(size)):
        seen: set[int] = set()
        cycles = 0
        for start in range(size):
            cycles += start not in seen
            while start not in seen:
                seen.add(start)
                start = permutation[start]
        counts[cycles] += 1
    return counts


def _floats(rule: ScalingRule, depth: int) -> list[float]:
    return [float(scale) for scale in rule.floats(depth)]


# --- G5: energies, mean orders and the identity -----------------------------------------------


def _energies(subject: Energy, effort: Effort) -> Evidence:
    depth = effort.pick(quick=60, deep=600)
    e = arb(1).exp()

    def cases() -> Iterator[str | None]:
        for d in range(1, depth + 1):
            for text, true in (("half", Fraction(1)), ("skipinit", Fraction(1))):
                rule = ScalingRule.parse(text)
                yield difference(subject(rule, d), true, rule=rule, depth=d)
            rule = ScalingRule.parse("1/sqrt(n)")
            claimed = subject(rule, d)
            yield difference(claimed, Fraction(d + 1, d) ** d, rule=rule, depth=d)
            # e·d/(d + 1) < (1 + 1/d)^d < e
            inside = bool(e * d / (d + 1) < ball(claimed) < e)
            yield difference(inside, True, rule=rule, depth=d)

    return exhaust(cases(), Verdict.EXHAUSTED, f"depths ≤ {depth}")


def _mean_orders(
    closed: Mapping[str, Callable[[int], Fraction]], at_hundred: Mapping[str, str]
) -> Callable[[MeanOrder, Effort], Evidence]:
    def procedure(subject: MeanOrder, effort: Effort) -> Evidence:
        depth = effort.pick(quick=40, deep=400)

        def cases() -> Iterator[str | None]:
            for text, form in closed.items():
                rule = ScalingRule.parse(text)
                for n in (*range(1, depth + 1), 100):
                    factors = (
                        fmpq_poly([1, fmpq(s.numerator, s.denominator)]) for s in squares(text, n)
                    )
                    whole = prod(factors, start=fmpq_poly([1]))
                    true = to_fraction(whole.derivative()(fmpq(1)) / whole(fmpq(1)))
                    yield difference(form(n), true, rule=rule, depth=n)
                    allowance = arb(n + 16) * arb(2) ** -50 * ball(true)
                    given = {"rule": rule, "depth": n}
                    yield near(subject(rule, n), ball(true), allowance, **given)
                two_decimals = arb(at_hundred[text])
                yield near(subject(rule, 100), two_decimals, arb("0.005"), rule=rule, depth=100)

        return exhaust(cases(), Verdict.EXHAUSTED, f"depths ≤ {max(depth, 100)}, in balls")

    return procedure


def _identity(subject: Final, effort: Effort) -> Evidence:
    def counterexample(case: tuple[Tower, Array]) -> str | None:
        tower, point = case
        plain = Tower(tower.branches, "skipinit")
        return difference(subject(plain, point), point, tower=plain, point=point)

    places = st.tuples(relu_towers(), points(2))
    reach = "ReLU towers, depths ≤ 4"
    return sample(places, counterexample, effort, name="identity", number=45, reach=reach)


def _run(tower: Tower, point: Array) -> Array:
    return tower(point)


def _at(rule: str) -> Final:
    return lambda tower, point: Tower(tower.branches, rule)(point)


_ONE_OVER_L = ScalingRule.parse("1/l")

CHECKS: tuple[Check[Any], ...] = (
    Check(
        "G4",
        "one unit of energy per block",
        _normalised,
        exact_energy,
        {
            "1/l for 1/√l": lambda rule, n: exact_energy(_ONE_OVER_L, n),
            "1/√n for 1/√l": lambda rule, n: Fraction(n + 1, n) ** n,
            "2^n, as without normalisation": lambda rule, n: 2**n,
            "the last block left out": lambda rule, n: n,
            "the first block's scale twice": lambda rule, n: (
                2 * exact_energy(rule, n - 1) if n > 1 else 2
            ),
        },
    ),
    Check(
        "G4",
        "spectrum by Stirling numbers",
        _stirling,
        exact_spectrum,
        {
            "e_k(1, 1/4, 1/9, …)": lambda rule, n, k: exact_spectrum(_ONE_OVER_L, n, k),
            "C(n, k) for c(n+1, k+1)/n!": lambda rule, n, k: [
                Fraction(comb(n, i)) for i in range(k + 1)
            ],
            "c(n, k) for c(n+1, k+1)": lambda rule, n, k: [
                Fraction(c, factorial(n)) for c in _cycles(n)
            ],
            "Poisson with mean ln n: H^k/k!": lambda rule, n, k: [
                sum(Fraction(1, b) for b in range(1, n + 1)) ** i / factorial(i)
                for i in range(k + 1)
            ],
        },
    ),
    Check(
        "G4",
        "mean order",
        _mean_orders(
            {"batchnorm": lambda n: sum((Fraction(1, k) for k in range(2, n + 2)), Fraction(0))},
            {"batchnorm": "4.20"},
        ),
        mean_order,
        {
            "H_n for H_(n+1) − 1": lambda rule, n: sum(1 / b for b in range(1, n + 1)),
            "ln n": lambda rule, n: log(n),
            "n/2, as without normalisation": lambda rule, n: n / 2,
        },
    ),
    Check(
        "G5",
        "energies of ÷√2, 1/√d and 0",
        _energies,
        exact_energy,
        {
            "÷√2 on the branch only": lambda rule, n: (
                Fraction(3, 2) ** n if rule.text == "half" else exact_energy(rule, n)
            ),
            "÷2 for ÷√2": lambda rule, n: exact_energy(rule, n) * rule.block_factor_squared**n,
            "1/d for 1/√d": lambda rule, n: (
                Fraction(n**2 + 1, n**2) ** n if rule.text == "1/sqrt(n)" else exact_energy(rule, n)
            ),
            "coherent: Π(1 + λ)²": lambda rule, n: prod(
                ((1 + s) ** 2 for s in _floats(rule, n)), start=1.0
            ),
        },
    ),
    Check(
        "G5",
        "mean orders",
        _mean_orders(
            {
                "1": lambda n: Fraction(n, 2),
                "half": lambda n: Fraction(n, 2),
                "1/sqrt(n)": lambda n: Fraction(n, n + 1),
                "skipinit": lambda n: Fraction(0),
            },
            {"1": "50.00", "half": "50.00", "1/sqrt(n)": "0.99", "skipinit": "0.00"},
        ),
        mean_order,
        {
            "the depth itself": lambda rule, n: float(n),
            "d/2 whatever the rule": lambda rule, n: n / 2,
            "Σ λ² for Σ λ²/(1 + λ²)": lambda rule, n: sum(s * s for s in _floats(rule, n)),
        },
    ),
    Check(
        "G5",
        "scale 0 is the identity",
        _identity,
        _run,
        {
            "scale 1": _at("1"),
            "scale 1/d": _at("1/n"),
            "the branch without the skip": lambda tower, point: tower.branches[-1](point),
        },
    ),
)
