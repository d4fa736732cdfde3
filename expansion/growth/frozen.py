r"""The order spectrum of any activation, gates frozen at the network's own pass (claims G2, G7).

A frozen gate replaces φ by the diagonal matrix φ(u)/u of the pass, so that orders P_0…P_n add up
to the signal. At infinite width the pre-activations u_j of the orders are jointly normal with
their sum u, and :math:`E\,(\phi(u)/u)^2 u_j u_k` splits into the part along u and the part across:

.. math:: \beta\,C_{jk} + (\alpha - \beta)\,r_j r_k / h, \qquad
   \alpha = E\phi(u)^2/h,\; \beta = E(\phi(u)/u)^2,\; r_j = \sum_k C_{jk},

C their covariance, h = Σ r_j. The Gram matrix of the orders follows: block l shifts it by one in
both indices, times λ². Only when α = β, as for ReLU, leaky ReLU and linear branches, do orders
stay uncorrelated, and their energies are then e_k of λ_l² times the branch's gain. For others the
orders are correlated and their energies alone do not add up to the energy: the Gram matrix does.

Defined for branches without bias that end in a matrix. A bias starts paths of its own, and a
branch with a mean has orders that are not centred: both are refused. Source: derived.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.compiling import compiled
from expansion.errors import InputError
from expansion.growth.mean_field import log_moments
from expansion.growth.mean_field_kernel import log_moment
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
    """

    grams: NDArray[np.float64]
    along: NDArray[np.float64]
    log_energy: float


@compiled()
def order_grams(
    scales: NDArray[np.float64],
    shape: NDArray[np.int64],
    numbers: NDArray[np.float64],
    table: NDArray[np.float64],
    grams: NDArray[np.float64],
    along: NDArray[np.float64],
) -> float:
    """Carry the orders' Gram matrix through all blocks; returns ln of the energy.

    Parameters
    ----------
    scales : array, shape (n,)
        λ_l.
    shape : array of int
        Activations, weight matrices with σ_w², normalises input, normalises output, opens.
    numbers : array
        σ_w², ln q_0, ln s.
    table : array
        Of the activation's moments.
    grams, along : arrays
        As in :class:`FrozenSpectrum`; overwritten.
    """
    activations, matrices, opens = shape[0], shape[1], shape[4] == 1
    weight, log_q, log_factor = numbers
    size = along.size
    moved = np.empty((size, size))
    for block in range(scales.size):
        log_h = 0.0 if shape[2] == 1 else log_q
        base = log_h
        # The branch's Gram matrix is across·G + bent·r rᵀ, relative to its input's energy.
        across, bent, passed = 1.0, 0.0, 1.0
        left = matrices
        if opens:
            log_h += np.log(weight)
            left -= 1
        for layer in range(activations):
            if layer > 0:
                log_h += np.log(weight)
                left -= 1
            alpha = np.exp(log_moment(table, 0, log_h))
            beta = np.exp(log_moment(table, 3, log_h))
            # r_j is passed·r_j so far; relative to the whole, which is passed too.
            bent = beta * bent + (alpha - beta) * passed
            across *= beta
            passed *= alpha
            log_h += np.log(alpha)
        common = weight**matrices
        if left > 0:
            log_h += left * np.log(weight)
        added = scales[block] ** 2 * np.exp(base - log_q) * common
        gain = 1.0 + added * passed
        moved[:] = grams
        for j in range(1, size):
            for k in range(1, size):
                moved[j, k] += added * (
                    across * grams[j - 1, k - 1] + bent * along[j - 1] * along[k - 1]
                )
        grams[:] = moved / gain
        for j in range(size - 1, 0, -1):
            along[j] += added * passed * along[j - 1]
        along /= gain
        log_q += np.log(gain) + 2.0 * log_factor
        if shape[3] == 1:
            log_q = 0.0
    return log_q


def frozen_spectrum(
    setting: Setting, rule: ScalingRule | str, depth: int, order: int
) -> FrozenSpectrum:
    """The orders' expected Gram matrix at infinite width; n·K² steps of a compiled loop.

    Parameters
    ----------
    setting : Setting
        Without bias, with branches that end in a matrix.
    rule : ScalingRule or str
        The scales.
    depth : int
        n ≥ 1.
    order : int
        Largest order K ≥ 0.

    Raises
    ------
    InputError
        Where the spectrum is not defined.

    Examples
    --------
    >>> found = frozen_spectrum(Setting("relu"), "1", 3, 3)
    >>> (np.diag(found.grams) * 8).round(12)
    array([1., 3., 3., 1.])
    """
    if setting.bias_variance or not setting.closes:
        came = f"{setting.block} with bias variance {setting.bias_variance:g}"
        raise InputError("branches without bias that end in a matrix", came, "drop the bias")
    chosen = ScalingRule.of(rule)
    size = check_count(order, "order", least=0) + 1
    scales = np.ones(depth) if chosen.normalised else chosen.floats(depth)
    matrices = (setting.layers or 1) - (1 if setting.unit_closing else 0)
    shape = np.array(
        [
            setting.activations,
            matrices,
            setting.normalises_input or chosen.normalised,
            setting.block == "post-norm",
            setting.opens,
        ],
        dtype=np.int64,
    )
    start = float(np.log(setting.input_energy))
    numbers = np.array([float(setting.weight_variance or 0.0), start, chosen.log_block_factor])
    grams, along = np.zeros((size, size)), np.zeros(size)
    grams[0, 0] = along[0] = 1.0
    if numbers[0] == 0:
        return FrozenSpectrum(grams, along, 2 * depth * chosen.log_block_factor)
    log_q = order_grams(scales, shape, numbers, log_moments(setting.branch), grams, along)
    return FrozenSpectrum(grams, along, float(log_q) - start)
