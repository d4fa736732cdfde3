r"""The flow behind a tied tower: its ODE limit, its 1/n corrections, its modified equation (E6).

A tied tower with scale λ is n steps of Euler's method for :math:`x' = f(x)` with step λ. In the
expansion :math:`\sum_\tau \lambda^{|\tau|}\,\Omega^\circ(\tau; n)/\sigma(\tau)\,F_\tau`,

- with :math:`\lambda = t/n` each weight tends to that of the exact flow at time t,
  :math:`\Omega^\circ(\tau; n)/n^{|\tau|} \to 1/\tau!`, and its other coefficients are the
  corrections in every power of 1/n;
- the tower is the exact time-n flow of the *modified* field

  .. math:: \tilde f = \sum_\tau \lambda^{|\tau|}\,\frac{\omega(\tau)}{\sigma(\tau)}\,F_\tau
     = \lambda \big( f - \tfrac{\lambda}{2} f'f + \lambda^2 (\tfrac13 f'f'f
     + \tfrac1{12} f''(f, f)) - \ldots \big),

  where :math:`\omega(\tau)` is the coefficient of n in the order polynomial: n steps compose as
  a flow does, so :math:`\Omega^\circ` is the flow's polynomial in time and :math:`\omega` its
  derivative at 0.

Source: the flow's weights are Butcher's; the modified equation agrees with backward error
analysis (Hairer, Lubich & Wanner, Geometric Numerical Integration, IX.9); ω as a coefficient of
the strict order polynomial: derived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import factorial
from typing import Any

from expansion.checking import check_count
from expansion.errors import InputError, TooManyTermsError
from expansion.series.differentials import Differentials
from expansion.series.notation import Style, Written, shortened, write_coefficient, write_term
from expansion.towers.arrays import Array, is_exact
from expansion.towers.tower import Tower
from expansion.trees.counting import rooted_tree_counts
from expansion.trees.generate import rooted_trees
from expansion.trees.order_polynomials import modified_weight, order_polynomial, to_fraction
from expansion.trees.tree import Tree

__all__ = [
    "ModifiedField",
    "depth_corrections",
    "euler_logarithm",
    "flow_weight",
    "modified_field",
    "predicted_gap",
]

_BUDGET = 20_000


def flow_weight(tree: Tree) -> Fraction:
    """1/τ!, the weight of τ in the flow at time 1 (to be divided by σ).

    Examples
    --------
    >>> flow_weight(Tree.chain(4))
    Fraction(1, 24)
    """
    return Fraction(1, tree.factorial)


def depth_corrections(tree: Tree) -> list[Fraction]:
    r"""Coefficients c_j of :math:`\Omega^\circ(\tau; n)/n^{|\tau|} = \sum_j c_j n^{-j}`.

    c_0 is the flow's weight 1/τ!; the rest is what finite depth changes, to every order in 1/n.

    Examples
    --------
    >>> [str(c) for c in depth_corrections(Tree.chain(3))]
    ['1/6', '-1/2', '1/3']
    """
    polynomial = order_polynomial(tree)
    return [to_fraction(polynomial[power]) for power in range(tree.order, 0, -1)]


@dataclass(frozen=True, slots=True)
class ModifiedField(Written):
    """The field whose exact flow a tied tower is, truncated at an order.

    Parameters
    ----------
    weights : tuple of (Tree, Fraction)
        ω(τ)/σ(τ) for every tree with a weight that is not zero, by order.
    order : int
        Largest order K.

    Examples
    --------
    >>> print(modified_field(3))
    λ f - ½ λ² f′f + ⅓ λ³ f′f′f + 1/12 λ³ f″(f, f) + O(λ⁴)
    """

    weights: tuple[tuple[Tree, Fraction], ...]
    order: int

    def __call__(self, tower: Tower, x: Any) -> Array:
        """The field at x, for the branch and the scale of a tied tower.

        Parameters
        ----------
        tower : Tower
            Tied, with one scale, without encoder and decoder.
        x : array_like, shape (..., dimension)
        """
        scale = _common_scale(tower)
        differentials = Differentials(tower, x)
        total = differentials.point * 0
        for tree, weight in self.weights:
            factor = weight * scale**tree.order
            value = differentials.value(tree)
            total = total + (factor if is_exact(value) else float(factor)) * value
        return total

    def _write(self, style: Style, limit: int | None) -> str:
        terms = [
            f"{write_coefficient(weight, style)}{style.power(style.scale, tree.order)} "
            f"{write_term(tree, style)}"
            for tree, weight in self.weights
        ]
        terms = shortened(terms, limit, style)
        end = f"O({style.power(style.scale, self.order + 1)})"
        return " + ".join([*terms, end]).replace("+ -", "- ")


def modified_field(order: int) -> ModifiedField:
    """The modified equation of Euler's method to order K: what vector field a tower integrates.

    Parameters
    ----------
    order : int
        K ≥ 1.

    Raises
    ------
    TooManyTermsError
        For more than 20,000 trees (K ≥ 13).
    """
    order = check_count(order, "order", least=1)
    terms = sum(rooted_tree_counts(order))
    if terms > _BUDGET:
        raise TooManyTermsError(terms, _BUDGET, "lower the order")
    trees = (tree for size in range(1, order + 1) for tree in rooted_trees(size))
    weights = ((tree, modified_weight(tree) / tree.symmetry) for tree in trees)
    return ModifiedField(tuple((tree, w) for tree, w in weights if w), order)


@lru_cache(maxsize=65536)
def euler_logarithm(tree: Tree) -> Fraction:
    r"""ω(τ) by the recursion of backward error analysis: the second route to it.

    With weights a of Euler's method (1 for one vertex, 0 otherwise),
    :math:`a(\tau) = \sum_{j \ge 1} \tfrac{1}{j!} (\partial_\omega^{j-1} \omega)(\tau)`, where
    :math:`(\partial_\omega c)(\tau)` sums, over the edges of τ, c of the part with the root
    times ω of the part cut off. Solved for ω(τ) by the smaller trees.

    Examples
    --------
    >>> [str(euler_logarithm(Tree.chain(k))) for k in range(1, 5)]
    ['1', '-1/2', '1/3', '-1/4']
    """
    euler = Fraction(1 if tree.order == 1 else 0)
    powers = (_derivative_power(tree, j - 1) / factorial(j) for j in range(2, tree.order + 1))
    return euler - sum(powers, Fraction(0))


@lru_cache(maxsize=65536)
def _derivative_power(tree: Tree, times: int) -> Fraction:
    """(∂_ω^times ω)(τ)."""
    if times == 0:
        return euler_logarithm(tree)
    if tree.order <= times:
        return Fraction(0)
    return sum(
        (
            _derivative_power(rooted, times - 1) * euler_logarithm(cut)
            for rooted, cut in _cuts(tree)
        ),
        Fraction(0),
    )


def _cuts(tree: Tree) -> list[tuple[Tree, Tree]]:
    """Both parts of τ for every edge: the one with the root, the one cut off."""
    cuts = []
    for index, child in enumerate(tree.children):
        others = tree.children[:index] + tree.children[index + 1 :]
        cuts.append((Tree(others), child))
        cuts += [(Tree((*others, rooted)), cut) for rooted, cut in _cuts(child)]
    return cuts


def predicted_gap(tower: Tower, x: Any, order: int) -> Sequence[Array]:
    r"""How a tied tower differs from its flow at time nλ, in powers of 1/n.

    Parameters
    ----------
    tower : Tower
        Tied, with one scale λ, without encoder and decoder.
    x : array_like, shape (dimension,)
        Exact numbers give exact answers.
    order : int
        Trees of order up to K are summed, so that powers of 1/n up to K − 1 appear.

    Returns
    -------
    sequence of arrays
        Entry j − 1 is the coefficient of :math:`n^{-j}` at time t = nλ held fixed, already
        divided by n^j: ``H_n(x) − φ_t(x) ≈ sum(entries)``, up to O(t^{K+1}).

    Notes
    -----
    Source: derived (claim E6).

    Examples
    --------
    >>> from expansion.towers.branches.layered import AffineBranch
    >>> tower = Tower.tied(AffineBranch([[1]]), depth=10, rule="1/n")
    >>> gap = float(sum(predicted_gap(tower, [1.0], 12))[0])
    >>> abs(gap - (1.1**10 - 2.718281828459045)) < 1e-8
    True
    """
    scale, order = _common_scale(tower), check_count(order, "order", least=1)
    differentials = Differentials(tower, x)
    time = scale * tower.depth
    gaps = [differentials.point * 0 for _ in range(order - 1)]
    for tree in (tree for size in range(2, order + 1) for tree in rooted_trees(size)):
        value = differentials.value(tree)
        for j, correction in enumerate(depth_corrections(tree)[1:], 1):
            weight = correction * time**tree.order / tree.symmetry / tower.depth**j
            gaps[j - 1] = gaps[j - 1] + (weight if is_exact(value) else float(weight)) * value
    return gaps


def _common_scale(tower: Tower) -> Any:
    scales = set(tower.scales)
    if not tower.is_tied or len(scales) != 1:
        raise InputError("a tied tower with one scale", tower.rule, "share the branch and λ")
    if tower.encoder is not None or tower.decoder is not None:
        raise InputError("a tower without encoder and decoder", "one with ends", "leave them out")
    return scales.pop()
