r"""The order spectrum: how the energy is shared among the orders (claims G2, G4, G5).

For independent energy-preserving branches with frozen gates the orders are uncorrelated and

.. math:: E\|P_k\|^2 = e_k(\lambda_1^2, \ldots, \lambda_n^2)\,\|x\|^2,

exactly at every width, e_k the elementary symmetric polynomials. Scale 1 gives C(n, k);
:math:`1/\sqrt n` gives about 1/k!; normalised branches (:math:`\lambda_l = 1/\sqrt l`) give
c(n+1, k+1)/n! with the unsigned Stirling numbers of the first kind. Source: derived.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.growth.kernels import log_elementary_symmetric
from expansion.growth.tilted import tilted_symmetric
from expansion.towers.scaling import Exact, ScalingRule
from expansion.trees.counting import weighted_path_counts

__all__ = ["Spectrum", "exact_spectrum", "spectrum"]

_SMALL = 200_000
_MOST_STEPS = 10**10  # a minute
_LARGEST = 10**8  # depth or order: a gigabyte


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Expected energies of the orders 0..K, for an input of energy 1.

    Parameters
    ----------
    rule : ScalingRule
        The scales.
    depth : int
        n.
    log_energy : array, shape (K + 1,)
        ln E‖P_k‖²; −∞ for an order without energy.
    """

    rule: ScalingRule
    depth: int
    log_energy: NDArray[np.float64]

    @property
    def energy(self) -> NDArray[np.float64]:
        """E‖P_k‖²; infinite where a float cannot hold it."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.log_energy))

    @property
    def log10_energy(self) -> NDArray[np.float64]:
        """log10 E‖P_k‖²."""
        return np.asarray(self.log_energy / np.log(10))


def spectrum(depth: int, rule: ScalingRule | str, order: int) -> Spectrum:
    """The order spectrum in floats, at any depth and without overflow.

    Parameters
    ----------
    depth : int
        n ≥ 1.
    rule : ScalingRule or str
        The scales.
    order : int
        Largest order K ≥ 0.

    Returns
    -------
    Spectrum

    Raises
    ------
    InputError
        At once for a depth and an order that would fill the memory or take minutes.

    Notes
    -----
    Source: claim G2, derived. Takes n·K steps of a compiled recurrence, in log space where they
    are few and under a tilt (:mod:`~expansion.growth.tilted`) where they are many.

    Examples
    --------
    >>> spectrum(10, "1", 3).energy.round(6)
    array([  1.,  10.,  45., 120.])
    """
    chosen = ScalingRule.of(rule)
    depth, order = check_count(depth, "depth", least=1), check_count(order, "order", least=0)
    if depth * order > _MOST_STEPS or max(depth, order) > _LARGEST:
        required = "depth and order of at most 10^8, and of a product of at most 10^10"
        raise InputError(required, f"depth {depth} and order {order}", "lower one of them")
    with np.errstate(divide="ignore"):  # a scale of zero has weight −∞
        log_weights = 2 * np.log(np.abs(chosen.floats(depth)))
    # The plain recurrence in logarithms where it takes some milliseconds, as the reference.
    small = len(log_weights) * order <= _SMALL
    log_energy = (log_elementary_symmetric if small else tilted_symmetric)(log_weights, order)
    return Spectrum(chosen, len(log_weights), log_energy + 2 * depth * chosen.log_block_factor)


def exact_spectrum(rule: ScalingRule, depth: int, order: int) -> list[Exact]:
    """e_0..e_K of the squared scales, times s^(2n), exactly.

    Examples
    --------
    >>> [str(e) for e in exact_spectrum(ScalingRule.parse("batchnorm"), 3, 3)]
    ['1', '11/6', '1', '1/6']
    """
    factor = rule.block_factor_squared**depth
    return [factor * e for e in weighted_path_counts(rule.squares(depth), order)]
