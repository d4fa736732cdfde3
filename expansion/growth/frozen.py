r"""The order spectrum of any activation, gates frozen at the network's own pass (claims G2, G7).

A frozen gate replaces φ by the diagonal matrix φ(u)/u of the pass, so that orders P_0…P_n add up
to the signal. At infinite width the pre-activations u_j of the orders are jointly normal with
their sum u, and :math:`E\,(\phi(u)/u)^2 u_j u_k` splits into the part along u and the part across:

.. math:: \beta\,C_{jk} + (\alpha - \beta)\,r_j r_k / h, \qquad
   \alpha = E\phi(u)^2/h,\; \beta = E(\phi(u)/u)^2,\; r_j = \sum_k C_{jk},

C their covariance, h = Σ r_j. The Gram matrix G of the orders follows: block l shifts the branch's
matrix by one in both indices, times λ². Only when α = β, as for ReLU, leaky ReLU and linear
branches, do orders stay uncorrelated, and their energies are then e_k of λ_l² times the branch's
gain. For others the orders are correlated and their energies alone do not add up to the energy:
the Gram matrix does.

A bias adds its variance to C_00: it belongs to the branch's own order, wherever the input came
from.
A branch that ends in an activation has a mean, r_j E φ(u)/h for order j, so that its orders
correlate with the skip's through s_j = ⟨P_j, 1⟩/d, which is carried too.

All of this is carried relative to the largest order and not to the signal, whose energy may be out
of any float's reach of the orders that are asked for.

Source: derived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.compiling import compiled
from expansion.errors import InputError
from expansion.growth.mean_field import kernel_arguments, log_moments
from expansion.growth.mean_field_kernel import beside_skip, log_moment, log_sum
from expansion.growth.setting import Setting
from expansion.towers.scaling import ScalingRule

__all__ = ["FrozenSpectrum", "frozen_spectrum", "order_grams"]


@dataclass(frozen=True, slots=True, eq=False)
class FrozenSpectrum:
    """Gram matrix of the orders, relative to the energy of the output.

    Parameters
    ----------
    grams : array, shape (K + 1, K + 1)
        E⟨P_j, P_k⟩ / E‖x_n‖² of the orders 0..K.
    along : array, shape (K + 1,)
        E⟨P_j, x_n⟩ / E‖x_n‖², over all orders of x_n: shares that add up to 1 when K = n.
    log_energy : float
        ln E‖x_n‖²/‖x_0‖².
    log_energies : array, shape (K + 1,)
        ln E‖P_k‖²/‖x_0‖² of each order, also where that is nothing beside E‖x_n‖²; −∞ for an
        order without energy, or with less than 10^-290 of the largest order's.
    """

    grams: NDArray[np.float64]
    along: NDArray[np.float64]
    log_energy: float
    log_energies: NDArray[np.float64]


@compiled()
def order_grams(
    scales: NDArray[np.float64],
    shape: NDArray[np.int64],
    numbers: NDArray[np.float64],
    table: NDArray[np.float64],
    grams: NDArray[np.float64],
    along: NDArray[np.float64],
) -> tuple[float, float]:
    """Carry the orders' Gram matrix through all blocks.

    Parameters
    ----------
    scales, shape, numbers, table : arrays
        As in :func:`~expansion.growth.mean_field_kernel.propagate`.
    grams, along : arrays
        As in :class:`FrozenSpectrum`, times e^D and e^(D/2); overwritten.

    Returns
    -------
    float
        ln of the energy.
    float
        D, such that the largest order asked for has 1 on the diagonal; NaN where order 0, which
        all others come from, has been lost beside it.
    """
    activations, opens, closes, unit_closing = shape[1], shape[2] == 1, shape[3] == 1, shape[4] == 1
    log_weight, log_bias, log_q, overlap = numbers[0], numbers[1], numbers[2], numbers[4]
    size = along.size
    moved, crossing = np.empty((size, size)), np.empty(size)
    across = np.zeros(size)  # s_j/√q
    across[0] = overlap
    lift = 0.0  # D
    for block in range(scales.size):
        log_h, log_mean = (0.0 if shape[5] == 1 else log_q), -math.inf
        moved[:], crossing[:] = grams, along
        for layer in range(activations + 1):
            last = layer == activations
            matrix = layer > 0 or opens
            if last:
                matrix = closes and not unit_closing and (activations > 0 or opens)
            if matrix:
                before = log_weight + log_h
                log_h = log_sum(before, log_bias)
                kept = math.exp(before - log_h) if log_h > -math.inf else 0.0
                moved *= kept
                crossing *= kept
                moved[0, 0] += math.exp(min(log_bias - log_h + lift, 700.0))
                crossing[0] += math.exp(min(log_bias - log_h + 0.5 * lift, 700.0))
            if last or log_h == -math.inf:
                break
            # Relative to the energy behind: what passes across u, and what along it.
            log_energy = log_moment(table, 0, log_h)
            passed = math.exp(log_moment(table, 3, log_h) - log_energy)
            for j in range(size):
                for k in range(size):
                    bent = (1.0 - passed) * crossing[j] * crossing[k]
                    moved[j, k] = passed * moved[j, k] + bent
            if layer == activations - 1 and not closes:
                log_mean = log_moment(table, 1, log_h) + 0.5 * log_h
            log_h += log_energy
        log_gain, skip, share, mean = beside_skip(scales[block], log_h, log_mean, log_q, overlap)
        crossed = math.sqrt(skip) * mean
        for j in range(size - 1, -1, -1):
            for k in range(size - 1, -1, -1):
                grams[j, k] *= skip
                if k > 0:
                    grams[j, k] += crossed * across[j] * crossing[k - 1]
                if j > 0:
                    grams[j, k] += crossed * crossing[j - 1] * across[k]
                if j > 0 and k > 0:
                    grams[j, k] += share * moved[j - 1, k - 1]
        for j in range(size - 1, -1, -1):
            along[j] = skip * along[j] + crossed * across[j]
            across[j] *= math.sqrt(skip)
            if j > 0:
                along[j] += (share + crossed * overlap) * crossing[j - 1]
                across[j] += mean * crossing[j - 1]
        overlap = math.sqrt(skip) * overlap + mean
        log_q = 0.0 if shape[6] == 1 else log_q + log_gain + 2.0 * numbers[5]
        top = 0.0
        for j in range(size):
            top = max(top, grams[j, j])
        if not grams[0, 0] >= 1e-290 * top:
            return log_q, math.nan
        for j in range(size):
            along[j] /= math.sqrt(top)
            across[j] /= math.sqrt(top)
            for k in range(size):
                grams[j, k] /= top
                if abs(grams[j, k]) < 1e-290:
                    grams[j, k] = 0.0
        lift -= math.log(top)
    return log_q, lift


def frozen_spectrum(
    setting: Setting, rule: ScalingRule | str, depth: int, order: int
) -> FrozenSpectrum:
    """The orders' expected Gram matrix at infinite width; n·K² steps of a compiled loop.

    Parameters
    ----------
    setting : Setting
        What a block is.
    rule : ScalingRule or str
        The scales.
    depth : int
        n ≥ 1.
    order : int
        Largest order K ≥ 0.

    Raises
    ------
    InputError
        Where the largest of these orders is more than 10^290 times order 0.

    Examples
    --------
    >>> found = frozen_spectrum(Setting("relu"), "1", 3, 3)
    >>> (np.diag(found.grams) * 8).round(12)
    array([1., 3., 3., 1.])
    """
    size = check_count(order, "order", least=0) + 1
    scales, shape, numbers = kernel_arguments(setting, ScalingRule.of(rule), depth)
    grams, along = np.zeros((size, size)), np.zeros(size)
    grams[0, 0] = along[0] = 1.0
    log_q, lift = order_grams(scales, shape, numbers, log_moments(setting.branch), grams, along)
    if math.isnan(lift):
        required = "orders that a float can hold beside order 0"
        raise InputError(required, f"orders up to {order}", "lower --order or the depth")
    log_energy = float(log_q - numbers[2])
    with np.errstate(divide="ignore"):
        log_energies = np.log(np.maximum(np.diag(grams), 0.0)) - lift + log_energy
    # Where floats cannot hold this it is 0 beside the signal.
    beside = math.exp(-0.5 * lift)
    return FrozenSpectrum(grams * beside * beside, along * beside, log_energy, log_energies)
