r"""Mean field: energy, correlation and gradient of any block kind, block by block (claim G7).

At initialisation and infinite width the pre-activations of one or two inputs are normal, and a
branch is a map of their energy and correlation (:mod:`~expansion.growth.moments`,
:mod:`~expansion.growth.pairs`). With q = ‖x‖²/d, s = ⟨x, 1⟩/d, p = ⟨x, y⟩/d for two inputs of
equal energy and overlap, branch energy κ, cross moment γ and mean μ, independent weights give

.. math::

   q \leftarrow q + 2\lambda s\mu + \lambda^2\kappa, \quad
   p \leftarrow p + 2\lambda s\mu + \lambda^2\gamma, \quad
   s \leftarrow s + \lambda\mu, \quad
   \|g\|^2 \leftarrow \|g\|^2 (1 + \lambda^2\chi),

χ the branch's mean squared slope. A branch that ends in a matrix has μ = 0, whatever its
activation; φ(W x) has not, and adds coherently: for ReLU, G6. The gradient is that of a readout
that does not know the weights; for ``post-activation`` it must not point along the mean either
(along it the backward pass explodes as the forward pass does).

The energy is exact at every width when the branch opens and closes with a matrix and φ is
linear, ReLU or leaky ReLU, biases or not, normalised or not (``Setting.exact_at_every_width``);
else it is the limit of infinite width. For ``activation-first`` the input's coordinates are
taken to be normal.

*Orders.* The mean order is Σ k⟨P_k, x⟩/‖x‖² over the frozen-gate orders P_k of the signal x (claim
E7b): the mean number of branches that its energy went through. What a bias starts has order one;
where branches have a mean, skip and branch are not orthogonal, and an order may count negatively.
The fluctuation at finite width is told in :mod:`~expansion.growth.fluctuation`.

Source: variance and correlation maps: Poole et al. 2016, Schoenholz et al. 2017, for residual
networks Yang & Schoenholz 2017; G6, shares, orders and fluctuation: derived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from expansion.growth.fluctuation import fluctuation, mode_table
from expansion.growth.mean_field_kernel import propagate
from expansion.growth.moments import homogeneous_moments, moment_table
from expansion.growth.pairs import mixture
from expansion.growth.setting import Setting
from expansion.growth.units import CODES, HOMOGENEOUS
from expansion.towers.scaling import ScalingRule

__all__ = ["MeanField", "kernel_arguments", "log_moments", "mean_field"]


@dataclass(frozen=True, slots=True, eq=False)
class MeanField:
    """A tower's predicted growth, block by block; place 0 is the input.

    Parameters
    ----------
    setting : Setting
        The block.
    rule : ScalingRule
        The scales.
    log_energies : array, shape (n + 1,)
        ln q_l/q_0.
    correlations : array, shape (n + 1,), optional
        c_l of two inputs of equal energy.
    overlaps : array, shape (n + 1,)
        ⟨x_l, 1⟩/(√d ‖x_l‖).
    log_gradients : array, shape (n + 1,)
        ln E‖g_l‖²/E‖g_n‖², g_l the gradient with respect to x_l.
    shares : array, shape (n,)
        Block l's part of the energy that leaves it.
    orders : array, shape (n + 1,)
        Mean order behind block l.
    variances : array, shape (n + 1,)
        Of ln ‖x_l‖² over draws of the weights, to first order in 1/width.
    """

    setting: Setting
    rule: ScalingRule
    log_energies: NDArray[np.float64]
    correlations: NDArray[np.float64] | None
    overlaps: NDArray[np.float64]
    log_gradients: NDArray[np.float64]
    shares: NDArray[np.float64]
    orders: NDArray[np.float64]
    variances: NDArray[np.float64]

    @property
    def log_energy(self) -> float:
        """ln q_n/q_0."""
        return float(self.log_energies[-1])

    @property
    def log_gradient(self) -> float:
        """ln E‖g_0‖²/E‖g_n‖²."""
        return float(self.log_gradients[0])

    @property
    def correlation(self) -> float | None:
        """c_n."""
        return None if self.correlations is None else float(self.correlations[-1])

    @property
    def mean_order(self) -> float:
        """Mean number of branches that the energy went through."""
        return float(self.orders[-1])

    @property
    def log_deviation(self) -> float:
        """Standard deviation of ln ‖x_n‖² over draws."""
        return math.sqrt(max(0.0, float(self.variances[-1])))


def mean_field(
    setting: Setting,
    rule: ScalingRule | str,
    depth: int,
    *,
    correlation: float | None = None,
    width: int = 64,
    dimension: int | None = None,
) -> MeanField:
    """Predict a tower's growth.

    Parameters
    ----------
    setting : Setting
        What a block is.
    rule : ScalingRule or str
        The scales; a rule for normalised branches (``batchnorm``) is taken as what it stands
        for: λ = 1 on a normalised input.
    depth : int
        n ≥ 1.
    correlation : float, optional
        c_0 of two inputs, to follow their correlation too.
    width, dimension : int
        Hidden units of a branch, and coordinates of the signal (by default as many); only the
        fluctuation depends on them.

    Raises
    ------
    InputError
        For a correlation that no two inputs with this overlap can have, or a bad number.

    Examples
    --------
    >>> found = mean_field(Setting("relu"), "1/sqrt(n)", 100, correlation=0.5)
    >>> round(float(np.exp(found.log_energy)), 4)
    2.7048
    >>> found.correlation > 0.5
    True
    """
    chosen = ScalingRule.of(rule)
    width = check_count(width, "width", least=1)
    dimension = width if dimension is None else check_count(dimension, "dimension", least=1)
    if correlation is not None:
        least = 2 * setting.overlap**2 - 1
        if not least - 1e-12 <= check_finite(correlation, "correlation") <= 1:
            required = f"a correlation from {least:.3g} to 1, for overlaps of {setting.overlap:g}"
            raise InputError(required, correlation, "it is a cosine")
    scales, codes, values = kernel_arguments(
        setting, chosen, depth, correlation=correlation, width=width, dimension=dimension
    )
    table, pairs = log_moments(setting.branch), mixture(setting.branch)
    rows = propagate(scales, codes, values, table, *pairs)
    modes = np.zeros((1, 1, 1)) if setting.opens else mode_table(setting.branch)
    backward = np.concatenate([np.cumsum(rows[4, :0:-1])[::-1], [0.0]])
    return MeanField(
        setting,
        chosen,
        rows[0] - rows[0, 0],
        None if correlation is None else rows[1],
        rows[2],
        backward,
        rows[5, 1:],
        rows[3],
        fluctuation(rows, scales, codes, values, table, modes),
    )


def kernel_arguments(
    setting: Setting,
    rule: ScalingRule,
    depth: int,
    *,
    correlation: float | None = None,
    width: int = 64,
    dimension: int = 64,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Scales, shape and numbers, as the compiled kernels read them."""
    scales = np.ones(depth) if rule.normalised else rule.floats(depth)
    shape = [
        CODES[setting.branch],
        setting.activations,
        setting.opens,
        setting.closes,
        setting.unit_closing,
        setting.normalises_input or rule.normalised,
        setting.block == "post-norm",
        correlation is not None,
    ]
    numbers = [
        _log(float(setting.weight_variance or 0.0)),
        _log(setting.bias_variance),
        math.log(setting.input_energy),
        0.0 if correlation is None else correlation,
        setting.overlap,
        rule.log_block_factor,
        1 / width,
        1 / dimension,
    ]
    return scales, np.array(shape, dtype=np.int64), np.array(numbers)


def log_moments(branch: str) -> NDArray[np.float64]:
    """What the compiled recursion reads: a table, or a piece of degree 0 for constants."""
    if branch not in HOMOGENEOUS:
        return moment_table(branch)
    return np.array([_log(value) for value in homogeneous_moments(branch)]).reshape(-1, 1, 1)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
