r"""What follows from the paths of an architecture: lengths, towers of blocks, energies (claim C4).

**Lengths.** Mean and variance of a path's order, from all paths of random graphs walked one by one.

**Towers of equal blocks** have :math:`P_n = B^n`. With b = B(0) the coefficient of z^k is b^n times
a polynomial of degree ≤ k in n, because :math:`(B/b)^n = \exp(n \log(B/b))`: k + 1 depths decide.

**Energies.** In a residual tower of independent branches they add up to e_k(λ_1², …, λ_n²).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from flint import fmpq_poly

from expansion.growth.path_energy import energy_polynomial
from expansion.growth.path_formulas import DepthFormula, depth_formula
from expansion.growth.path_lesions import mean_length
from expansion.growth.path_polynomials import PathPolynomial, path_polynomial
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Weight
from expansion.towers.architectures.residual import residual_tower
from expansion.trees.counting import weighted_path_counts
from proofs_check.check import Check, Effort
from proofs_check.counting.architectures import enumerated
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.sampling import sample
from proofs_check.strategies import architectures

__all__ = ["CHECKS"]

Lengths = Callable[[Architecture], Sequence[Fraction]]
Formulas = Callable[[PathPolynomial, int], DepthFormula]
Energies = Callable[[Architecture, Sequence[Fraction]], Sequence[Weight]]


# --- lengths ----------------------------------------------------------------------------------


def _lengths(subject: Lengths, effort: Effort) -> Evidence:
    def counterexample(graph: Architecture) -> str | None:
        counts = enumerated(graph)
        total = Fraction(sum(counts))
        mean, square = (
            sum((k**p * Fraction(c) for k, c in enumerate(counts)), Fraction(0)) / total
            for p in (1, 2)
        )
        true = [mean, mean, square - mean**2]
        return difference(list(subject(graph)), true, architecture=graph)

    reach = "graphs of at most 6 nodes with parallel edges"
    return sample(architectures(), counterexample, effort, name="lengths", number=60, reach=reach)


def _means(architecture: Architecture) -> Sequence[Fraction]:
    """The mean length by both routes, and the variance."""
    polynomial = path_polynomial(architecture)
    return [mean_length(architecture), polynomial.mean, polynomial.variance]


# --- towers of equal blocks -------------------------------------------------------------------


def _powers(subject: Formulas, effort: Effort) -> Evidence:
    """c_k(n)/b^n is a polynomial of degree ≤ k in n: k + 1 depths decide it."""
    order = effort.pick(quick=6, deep=20)
    half = Fraction(1, 2)
    blocks = [(1, 1), (1, 2), (2, 1), (1, 0, 1), (1, 1, 3), (half, 1), (-1, 2, 0, 1)]

    def cases() -> Iterator[str | None]:
        for block in blocks:
            formula = subject(PathPolynomial(block), order)
            given = {"block": list(block)}
            degrees = [q.degree() <= k for k, q in enumerate(formula.polynomials)]
            yield difference(degrees, [True] * (order + 1), **given)
            row: list[Any] = [1, *[0] * order]
            for depth in range(order + 1):
                yield difference(list(formula.counts(depth)), row, **given, depth=depth)
                row = [
                    sum(b * row[k - j] for j, b in enumerate(block) if j <= k)
                    for k in range(order + 1)
                ]

    reach = f"every depth n, orders ≤ {order}, seven blocks"
    return exhaust(cases(), Verdict.PROVED, reach)


def _shifted(block: PathPolynomial, order: int) -> DepthFormula:
    """The depth off by one."""
    found = depth_formula(block, order)
    shift = fmpq_poly([1, 1])
    return DepthFormula(found.base, tuple(q(shift) for q in found.polynomials))


# --- energies of paths ------------------------------------------------------------------------


def _energies(subject: Energies, effort: Effort) -> Evidence:
    depth = effort.pick(quick=5, deep=9)

    def cases() -> Iterator[str | None]:
        for n in range(1, depth + 1):
            scales = [Fraction(1, block + 1) for block in range(n)]
            scales[0] = Fraction(-2)
            true: list[Any] = [Fraction(1), *[Fraction(0)] * n]
            for scale in scales:
                pairs = zip(true, [Fraction(0), *true[:-1]], strict=True)
                true = [9 * same + scale**2 * below for same, below in pairs]
            edges = residual_tower(n).edges
            skips = (replace(e, weight=e.weight if e.order else -3) for e in edges)
            tower = Architecture(tuple(skips))
            yield difference(list(subject(tower, scales)), true, architecture=tower, scales=scales)

    return exhaust(
        cases(), Verdict.EXHAUSTED, f"residual towers with skips times −3, depths ≤ {depth}"
    )


def _path_energies(tower: Architecture, scales: Sequence[Fraction]) -> Sequence[Weight]:
    return energy_polynomial(tower, list(scales)).counts


CHECKS: tuple[Check[Any], ...] = (
    Check(
        "C4",
        "mean and variance of the order of paths",
        _lengths,
        _means,
        {
            "edges counted for their orders": lambda g: (
                [
                    mean_length(
                        Architecture(tuple(replace(e, order=min(e.order, 1)) for e in g.edges))
                    )
                ]
                * 2
                + [path_polynomial(g).variance]
            ),
            "the mean square for the variance": lambda g: [
                *_means(g)[:2],
                _means(g)[2] + _means(g)[0] ** 2,
            ],
            "all orders alike": lambda g: [
                Fraction(path_polynomial(g).order, 2),
                *_means(g)[1:],
            ],
        },
    ),
    Check(
        "C4",
        "towers of equal blocks, in n",
        _powers,
        depth_formula,
        {
            "depth off by one": _shifted,
            "branches of order 1 only": lambda block, order: depth_formula(
                PathPolynomial(block.counts[:2]), order
            ),
            "b for b^n": lambda block, order: DepthFormula(
                1, depth_formula(block, order).polynomials
            ),
        },
    ),
    Check(
        "C4",
        "energies of the paths of residual towers",
        _energies,
        _path_energies,
        {
            "λ for λ²": lambda tower, scales: weighted_path_counts(scales, len(scales)),
            "scales left out": lambda tower, scales: path_polynomial(tower).counts,
            "the first scale squared twice": lambda tower, scales: _path_energies(
                tower, [scales[0] ** 2, *scales[1:]]
            ),
        },
    ),
)
