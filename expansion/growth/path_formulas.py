r"""Path counts of fixed order as polynomials in the depth (claims C1, C4).

A tower of n equal blocks with path polynomial B has :math:`P_n = B^n`. Write
:math:`B = b\,(1 + z(\cdots))` with b = B(0) ≠ 0. Then :math:`(B/b)^n = \exp(n \log(B/b))`, and the
coefficient of zᵏ in it is a polynomial in n of degree at most k, because log(B/b) begins with z.
So :math:`c_k(n) = b^n q_k(n)`, with n a variable: no interpolation, and any depth at once. The
coefficients follow from :math:`B\,P_n' = n\,B'\,P_n`. Source: derived.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import fmpq, fmpq_poly

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.growth.path_polynomials import PathPolynomial
from expansion.towers.architectures.edge import Weight
from expansion.trees.order_polynomials import to_fraction

__all__ = ["DepthFormula", "depth_formula"]


@dataclass(frozen=True, slots=True, eq=False)
class DepthFormula:
    """The counts :math:`c_k(n) = b^n q_k(n)` of a tower of n equal blocks.

    Parameters
    ----------
    base : int or Fraction
        b, the weight of the paths that pass a block without a branch; 1 for one skip.
    polynomials : tuple of fmpq_poly
        q_0..q_K in the variable n.

    Examples
    --------
    >>> two_branches = depth_formula(PathPolynomial((1, 2)), 3)
    >>> two_branches.counts(10)
    (1, 20, 180, 960)
    >>> two_branches.polynomials[2]
    2*x^2 + (-2)*x
    """

    base: Weight
    polynomials: tuple[Any, ...]

    def counts(self, depth: int) -> tuple[Weight, ...]:
        """The numbers of paths of orders 0..K at any depth n ≥ 0."""
        depth = check_count(depth, "depth", least=0)
        factor = Fraction(self.base) ** depth
        numbers = (factor * to_fraction(fmpq(q(fmpq(depth)))) for q in self.polynomials)
        return tuple(n.numerator if n.denominator == 1 else n for n in numbers)


def depth_formula(block: PathPolynomial, order: int) -> DepthFormula:
    """The counts of orders 0..``order`` for towers of this block, as formulas in the depth.

    Parameters
    ----------
    block : PathPolynomial
        B, of one block.
    order : int
        K ≥ 0.

    Raises
    ------
    InputError
        When no path passes the block without a branch: its towers have no low orders.

    Examples
    --------
    >>> [str(q) for q in depth_formula(PathPolynomial((1, 1)), 2).polynomials]
    ['1', 'x', '1/2*x^2 + (-1/2)*x']
    """
    order = check_count(order, "order", least=0)
    base = block.at(0)
    if not base:
        came = f"the path polynomial {block}"
        raise InputError("a block that some path passes without a branch", came, "give it a skip")
    ratios = [Fraction(count) / base for count in block.counts]
    steps = {k: fmpq(r.numerator, r.denominator) for k, r in enumerate(ratios) if k and r}
    n = fmpq_poly([0, 1])
    found = [fmpq_poly([1])]
    for k in range(1, order + 1):
        # Coefficient of z^(k−1) in B P′ = n B′ P, solved for P_k.
        terms = ((n * j - (k - j)) * found[k - j] * b for j, b in steps.items() if j <= k)
        found.append(sum(terms, fmpq_poly([0])) / k)
    return DepthFormula(base, tuple(found))
