r"""Signal energy by depth: what each scaling rule does to the forward pass (claims G1, G3, G4, G5).

Energies are :math:`q_l = E\|x_l\|^2 / E\|x_0\|^2` over independent zero-mean initialisations with
branches that preserve energy, :math:`E\|f_l(x)\|^2 = \|x\|^2`.

*Incoherent* blocks add energies (G1), whatever the width:

.. math:: q_n = \prod_l (1 + \lambda_l^2).

Scale 1 gives :math:`2^n`, :math:`1/\sqrt n` tends to e, :math:`1/n` to 1. A *normalised* branch
(G4) adds the same energy in every block, :math:`q_l = q_0 + l`, which is the same as
:math:`\lambda_l = 1/\sqrt l`: :math:`\prod (1 + 1/l) = n + 1`. Dividing every block by √2 (G5)
keeps :math:`q = 1`. *Coherent* blocks, aligned or tied, add amplitudes instead (G3):
:math:`\prod (1 + \lambda_l \mathcal{L})`, e for 1/n and :math:`e^{\sqrt n}` for :math:`1/\sqrt n`.

In the energy's product, block l is passed through its branch with the share
:math:`\lambda_l^2/(1+\lambda_l^2)`; the shares add up to the mean order.

Source: λ = 1, batch normalisation, SkipInit and ÷√2: De & Smith 2020 (arXiv 2002.10444); the
general product and the coherent case: derived.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_finite
from expansion.errors import InputError
from expansion.towers.scaling import Exact, ScalingRule

__all__ = [
    "energy",
    "exact_energy",
    "log_coherent_amplitude",
    "log_energy",
    "mean_order",
    "residual_shares",
]


def exact_energy(rule: ScalingRule, depth: int) -> Exact:
    """q_n = s^(2n) Π(1 + λ_l²), exactly.

    Parameters
    ----------
    rule : ScalingRule
        The scales; s² is its ``block_factor_squared``.
    depth : int
        n ≥ 1.

    Returns
    -------
    Fraction or sympy.Expr
        A Fraction wherever the squared scales are rational.

    Notes
    -----
    Source: claims G1, G4, G5.

    Examples
    --------
    >>> exact_energy(ScalingRule.parse("1/sqrt(n)"), 4)
    Fraction(625, 256)
    >>> exact_energy(ScalingRule.parse("batchnorm"), 9)
    Fraction(10, 1)
    """
    factors = (1 + square for square in rule.squares(depth))
    return prod(factors, start=rule.block_factor_squared**depth)


def energy(rule: ScalingRule, depth: int) -> float:
    """q_n in floats; infinite where a float cannot hold it.

    Examples
    --------
    >>> energy(ScalingRule.parse("1"), 10)
    1024.0
    """
    with np.errstate(over="ignore"):
        factors = (1 + _squared(rule, depth)) * float(rule.block_factor_squared)
        return float(np.prod(factors))


def log_energy(rule: ScalingRule, depth: int) -> float:
    """ln q_n in floats: any depth, no overflow.

    Examples
    --------
    >>> round(log_energy(ScalingRule.parse("1"), 10**6) / np.log(2))
    1000000
    """
    squares = _squared(rule, depth)
    return float((np.log1p(squares) + 2 * rule.log_block_factor).sum())


def log_coherent_amplitude(rule: ScalingRule, depth: int, lipschitz: float = 1.0) -> float:
    """ln Π s(1 + |λ_l| 𝓛): aligned branches, and the worst case over all branches (G3, G8).

    Parameters
    ----------
    rule : ScalingRule
        The scales.
    depth : int
        n ≥ 1.
    lipschitz : float
        𝓛, the gain of every branch (G3) or its Lipschitz constant (worst case).

    Examples
    --------
    >>> round(float(np.exp(log_coherent_amplitude(ScalingRule.parse("1/n"), 10**5))), 3)
    2.718
    """
    if check_finite(lipschitz, "the Lipschitz constant") < 0:
        raise InputError("a Lipschitz constant of at least 0", lipschitz, "give its size")
    gains = np.log1p(np.abs(rule.floats(depth)) * lipschitz)
    return float((gains + rule.log_block_factor).sum())


def residual_shares(rule: ScalingRule, depth: int) -> NDArray[np.float64]:
    """λ_l²/(1 + λ_l²), each block's residual share of the energy; shape (n,).

    Examples
    --------
    >>> residual_shares(ScalingRule.parse("batchnorm"), 3)
    array([0.5       , 0.33333333, 0.25      ])
    """
    squares = _squared(rule, depth)
    return np.asarray(squares / (1 + squares))


def mean_order(rule: ScalingRule, depth: int) -> float:
    """Mean number of branches that the energy went through: the effective depth.

    Examples
    --------
    >>> round(mean_order(ScalingRule.parse("batchnorm"), 100), 2)
    4.2
    """
    return float(residual_shares(rule, depth).sum())


def _squared(rule: ScalingRule, depth: int) -> Any:
    return rule.floats(depth) ** 2
