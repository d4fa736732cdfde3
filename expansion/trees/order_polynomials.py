r"""Strict order polynomials: how often a tree occurs in a tied tower, for every depth at once.

:math:`\Omega^\circ(\tau; n)` counts the labellings of :math:`\tau` by 1..n in which every child's
label is smaller than its parent's:

.. math::

   \Omega^\circ(\bullet; n) = n, \qquad
   \Omega^\circ([\tau_1 \ldots \tau_m]; n) = \sum_{j=0}^{n-1} \prod_i \Omega^\circ(\tau_i; j).

It is a polynomial in n of degree :math:`|\tau|` with leading coefficient :math:`1/\tau!`; its
coefficient of :math:`n^1` is :math:`\omega(\tau)`, the tree's weight in the modified equation of
Euler's method (claim E6). For the chain it is the binomial coefficient C(n, k).

Two routes: :func:`labelling_count` runs the recursion on integers at one n;
:func:`order_polynomial` sums polynomials over the rationals, through Faulhaber's formula.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from flint import fmpq, fmpq_poly, fmpz_poly

from expansion.checking import check_count
from expansion.trees.tree import Tree

if TYPE_CHECKING:
    import sympy

__all__ = ["factored", "labelling_count", "modified_weight", "order_polynomial", "to_fraction"]


def labelling_count(tree: Tree, depth: int) -> int:
    r"""Number of strict labellings of ``tree`` by 1..``depth``: :math:`\Omega^\circ(\tau; n)`.

    Parameters
    ----------
    tree : Tree
        The tree τ.
    depth : int
        The number of blocks n ≥ 0.

    Notes
    -----
    Source: Stanley's strict order polynomial of a rooted forest; claim E3.

    Examples
    --------
    >>> labelling_count(Tree.parse("[[],[]]"), 4)
    14
    """
    depth = check_count(depth, "depth", least=0)
    return _prefix_values(tree, depth)[depth]


def _prefix_values(tree: Tree, depth: int) -> list[int]:
    """Ω°(τ; j) for j = 0..depth, walking the vertices from the last to the first."""
    finished: list[list[int]] = []
    for count in reversed(tree.key):
        products = [1] * depth
        for _ in range(count):
            products = [a * b for a, b in zip(products, finished.pop(), strict=False)]
        finished.append([0, *accumulate(products)])
    return finished.pop()


@lru_cache(maxsize=65536)
def order_polynomial(tree: Tree) -> fmpq_poly:
    r"""The polynomial n ↦ :math:`\Omega^\circ(\tau; n)`, exact.

    Returns
    -------
    flint.fmpq_poly
        Of degree ``tree.order``.

    Notes
    -----
    Source: claim E3; the leading coefficient is 1/τ!.

    Examples
    --------
    >>> order_polynomial(Tree.chain(2))
    1/2*x^2 + (-1/2)*x
    """
    product = fmpq_poly([1])
    for child in tree.children:
        product *= order_polynomial(child)
    return _sum_below(product)


def _sum_below(polynomial: fmpq_poly) -> fmpq_poly:
    """The polynomial S with S(n) = Σ_{j=0}^{n−1} p(j)."""
    total = fmpq_poly([0])
    for power, coefficient in enumerate(polynomial.coeffs()):
        total += coefficient * _power_sum(power)
    return total


@lru_cache(maxsize=1024)
def _power_sum(power: int) -> fmpq_poly:
    """Σ_{j=0}^{n−1} j^p = (B_{p+1}(n) − B_{p+1}(0)) / (p + 1)."""
    bernoulli = fmpq_poly.bernoulli_poly(power + 1)
    return (bernoulli - bernoulli(0)) / (power + 1)


def factored(polynomial: fmpq_poly) -> sympy.Expr:
    """A polynomial in n as people read it: factored, in the sympy symbol n.

    Examples
    --------
    >>> factored(order_polynomial(Tree.chain(3)))
    n*(n - 2)*(n - 1)/6
    """
    import sympy  # nothing else here needs it

    n = sympy.Symbol("n")
    # FLINT factors integer polynomials in microseconds; sympy.factor takes some 30 ms for each.
    constant, factors = polynomial.numer().factor()
    powers = [_in_symbol(factor, n) ** multiplicity for factor, multiplicity in factors]
    coefficient = sympy.Rational(int(constant), int(polynomial.denom()))
    whole = sympy.Mul(*powers)
    # An evaluated product would multiply a single sum out: (n + 1)/2 to n/2 + 1/2.
    return sympy.Mul(coefficient, whole, evaluate=not whole.is_Add or coefficient == 1)


def _in_symbol(polynomial: fmpz_poly, symbol: sympy.Symbol) -> sympy.Expr:
    import sympy

    coefficients = enumerate(polynomial.coeffs())
    return sympy.Add(*(int(c) * symbol**power for power, c in coefficients))


def modified_weight(tree: Tree) -> Fraction:
    r""":math:`\omega(\tau)`, the coefficient of n¹ in the order polynomial (claim E6).

    Chains give (−1)^{k−1}/k, bushes Bernoulli numbers.

    Examples
    --------
    >>> modified_weight(Tree.chain(4))
    Fraction(-1, 4)
    """
    return to_fraction(order_polynomial(tree)[1])


def to_fraction(value: fmpq) -> Fraction:
    """A FLINT rational as a Fraction.

    Examples
    --------
    >>> to_fraction(fmpq(2, 6))
    Fraction(1, 3)
    """
    return Fraction(int(value.p), int(value.q))
