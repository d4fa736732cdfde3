r"""Simulated growth: the twins of the predictions, at finite width, with standard errors.

Three estimators, each of which has the predicted number as its expectation or its limit:

* *Product of mean gains.* Over weight draws the energy of unnormalised towers is log-normal: a
  plain mean over draws misses the rare large ones (at n = 1000 and λ = 1 it would be off by many
  orders of magnitude). When a branch multiplied in scale with its input and begins and ends with
  a matrix, block l multiplies the energy by a gain whose mean does not depend on the signal, so
  that the expected energy is the product of the mean gains, and each is well estimated.
* *Plain mean*, where the expected energy is an identity at every width but gains depend on the
  signal (normalised branches, biases): there the energy hardly fluctuates.
* *Mean of the logarithm*, where the prediction is a limit of infinite width. In the limit the
  energy does not fluctuate, so that the mean of ln q has the limit ln q as well, without the
  heavy tail. At finite width it is off by a number proportional to 1/width;
  ``extrapolate=True`` measures it: the same towers are simulated at half the width, and
  2·(full) − (half) cancels it, its standard error added in quadrature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.growth.kernels import tower_gains
from expansion.growth.setting import Setting
from expansion.growth.units import CODES
from expansion.towers.scaling import ScalingRule

__all__ = ["Simulation", "inputs_of", "simulate", "simulate_spectrum"]

_CHUNK = 4096  # blocks whose gains are held at a time


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated energy q_n/q_0 with its standard error, as natural logarithms.

    Parameters
    ----------
    log_energy : float
        ln of the estimate.
    standard_error : float
        Of ln q_n, that is the relative standard error of q_n.
    trials : int
        Independent draws of all weights.
    correlation, correlation_error : float, optional
        c_n of two inputs, and its standard error.
    log_deviation, log_deviation_error : float, optional
        Standard deviation of ln ‖x_n‖² over the draws, and its standard error.
    log_gradient, log_gradient_error : float, optional
        ln ‖g_0‖²/‖g_n‖², from towers whose matrices were drawn whole.
    mean_order, mean_order_error : float, optional
        Σ k ⟨P_k, x_n⟩/‖x_n‖² over the frozen-gate orders of the same towers.
    """

    log_energy: float
    standard_error: float
    trials: int
    correlation: float | None = None
    correlation_error: float | None = None
    log_deviation: float | None = None
    log_deviation_error: float | None = None
    log_gradient: float | None = None
    log_gradient_error: float | None = None
    mean_order: float | None = None
    mean_order_error: float | None = None


def simulate(
    rule: ScalingRule | str,
    depth: int,
    *,
    branch: str = "relu",
    setting: Setting | None = None,
    correlation: float | None = None,
    dimension: int = 64,
    width: int = 64,
    trials: int = 100,
    seed: int | Sequence[int] = 0,
    extrapolate: bool = False,
) -> Simulation:
    """Draw towers at initialisation and measure their energy.

    Parameters
    ----------
    rule : ScalingRule or str
        The scales.
    depth : int
        n ≥ 1.
    branch : str
        The activation, in the default setting.
    setting : Setting, optional
        What a block is, instead of ``branch``.
    correlation : float, optional
        c_0 of two inputs, to measure c_n too.
    dimension, width : int
        Of the signal (at least 4), and of the hidden layers.
    trials : int
        Independent draws, at least 2.
    seed : int or sequence of int
        The same seed gives the same result, on any number of cores.
    extrapolate : bool
        Whether to cancel the 1/width part by a second run at half the dimension and width.

    Returns
    -------
    Simulation

    Notes
    -----
    Source: claims G1, G4–G7. Standard errors of a product of mean gains are those of the mean
    gains, added in quadrature.

    Examples
    --------
    >>> result = simulate("1/sqrt(n)", 20, trials=200)
    >>> bool(abs(result.log_energy - 20 * np.log1p(1 / 20)) < 4 * result.standard_error)
    True
    """
    chosen = ScalingRule.of(rule)
    block = Setting(branch) if setting is None else setting
    trials = check_count(trials, "trials", least=2)
    dimension = check_count(dimension, "dimension", least=8 if extrapolate else 4)
    width = check_count(width, "width", least=2 if extrapolate else 1)
    words = [seed] if isinstance(seed, int) else list(seed)
    whole = _run(block, chosen, depth, correlation, (dimension, width, trials), words)
    if not extrapolate:
        return whole
    sizes = (dimension // 2, width // 2, trials)
    half = _run(block, chosen, depth, correlation, sizes, [*words, 1])
    both = _extrapolated(whole.correlation, half.correlation)
    return Simulation(
        2 * whole.log_energy - half.log_energy,
        float(np.hypot(2 * whole.standard_error, half.standard_error)),
        trials,
        both,
        None if both is None else _error(whole.correlation_error, half.correlation_error),
        whole.log_deviation,
        whole.log_deviation_error,
    )


def _extrapolated(whole: float | None, half: float | None) -> float | None:
    return None if whole is None or half is None else 2 * whole - half


def _error(whole: float | None, half: float | None) -> float:
    return float(np.hypot(2 * (whole or 0.0), half or 0.0))


def inputs_of(
    setting: Setting, correlation: float | None, trials: int, dimension: int, seed: Sequence[int]
) -> NDArray[np.float64]:
    """Random inputs of energy 1 with exactly this overlap and correlation.

    Returns
    -------
    array, shape (trials, 1 or 2, dimension)
        Normal coordinates, shifted and rotated so that means, squares and products are exact.
    """
    generator = np.random.default_rng([*seed, 2])
    free = generator.normal(size=(trials, 2, dimension))
    free -= free.mean(axis=2, keepdims=True)
    free[:, 0] *= np.sqrt(dimension / (free[:, 0] ** 2).sum(axis=1))[:, None]
    free[:, 1] -= (free[:, 1] * free[:, 0]).mean(axis=1)[:, None] * free[:, 0]
    free[:, 1] *= np.sqrt(dimension / (free[:, 1] ** 2).sum(axis=1))[:, None]
    along = setting.overlap
    across = np.sqrt(1 - along**2)
    first = along + across * free[:, 0]
    if correlation is None:
        return np.asarray(first[:, None])
    turn = 1.0 if across == 0 else (correlation - along**2) / across**2
    second = along + across * (turn * free[:, 0] + np.sqrt(max(0.0, 1 - turn**2)) * free[:, 1])
    return np.stack([first, second], axis=1)


def _run(
    setting: Setting,
    rule: ScalingRule,
    depth: int,
    correlation: float | None,
    sizes: tuple[int, int, int],
    seed: Sequence[int],
) -> Simulation:
    dimension, width, trials = sizes
    scales = np.ones(depth) if rule.normalised else rule.floats(depth)
    normalises_input = setting.normalises_input or rule.normalised
    normalises_output = setting.block == "post-norm"
    shape = np.array(
        [
            CODES[setting.branch],
            setting.activations,
            setting.opens,
            setting.closes,
            setting.unit_closing,
            normalises_input,
            normalises_output,
            width,
        ],
        dtype=np.int64,
    )
    variance = float(setting.weight_variance or 0.0)
    numbers = np.array([variance, setting.bias_variance, rule.log_block_factor])
    signals = inputs_of(setting, correlation, trials, dimension, seed)
    start = 0.5 * float(np.log(setting.input_energy))
    log_scales = np.full(trials, start)
    log_means = relative_variance = 0.0
    chunks = np.split(scales, range(_CHUNK, len(scales), _CHUNK))
    for part, source in zip(
        chunks, np.random.SeedSequence([*seed, 3]).spawn(len(chunks)), strict=True
    ):
        words = source.generate_state(trials).astype(np.int64)
        gains = tower_gains(signals, log_scales, part, shape, numbers, words)
        means = gains.mean(axis=0)
        log_means += float(np.log(means).sum())
        relative_variance += float((gains.var(axis=0, ddof=1) / means**2).sum()) / trials
    logs = 2 * (log_scales - start)
    if normalises_output:
        logs = np.zeros(trials) - 2 * start
    deviation = float(logs.std(ddof=1))
    normalised = normalises_input or normalises_output
    if setting.homogeneous and setting.opens and setting.closes and not normalised:
        log_mean = log_means + 2 * depth * rule.log_block_factor
        error = relative_variance**0.5
    elif setting.exact_at_every_width:
        most = logs.max()
        energies = np.exp(logs - most)
        log_mean = float(most + np.log(energies.mean()))
        error = float(energies.std(ddof=1) / energies.mean()) / trials**0.5
    else:
        log_mean, error = float(logs.mean()), deviation / trials**0.5
    cosine = cosine_error = None
    if correlation is not None:
        sizes_squared = (signals**2).sum(axis=2)
        cosines = (signals[:, 0] * signals[:, 1]).sum(axis=1) / np.sqrt(sizes_squared.prod(axis=1))
        cosine, cosine_error = float(cosines.mean()), float(cosines.std(ddof=1)) / trials**0.5
    fourth = float(((logs - logs.mean()) ** 4).mean())
    spread = max(0.0, fourth - deviation**4) / trials  # the variance of the sample variance
    deviation_error = spread**0.5 / (2 * deviation) if deviation > 0 else 0.0
    return Simulation(log_mean, error, trials, cosine, cosine_error, deviation, deviation_error)


def simulate_spectrum(
    rule: ScalingRule | str,
    depth: int,
    *,
    dimension: int = 8,
    width: int = 4,
    trials: int = 1000,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies of all orders of random ReLU towers, every weight matrix drawn (claim G2).

    Returns
    -------
    mean, standard_error : arrays, shape (n + 1,)
        Of ‖P_k‖² over the trials, for an input of energy 1 and gates frozen at its pass.

    Examples
    --------
    >>> mean, error = simulate_spectrum("1/n", 3, trials=400)
    >>> bool(abs(mean[1] - 1 / 3) < 4 * error[1])
    True
    """
    chosen = ScalingRule.of(rule)
    generator = np.random.default_rng(seed)
    scales = chosen.floats(depth)
    orders = np.zeros((trials, len(scales) + 1, dimension))
    orders[:, 0, 0] = 1.0
    for scale in scales:
        inner = generator.normal(scale=np.sqrt(2 / width), size=(trials, width, dimension))
        outer = generator.normal(scale=np.sqrt(1 / dimension), size=(trials, dimension, width))
        pre_activation = np.einsum("twd,tkd->tkw", inner, orders)
        gate = pre_activation.sum(axis=1, keepdims=True) > 0  # the orders sum to the signal
        moved = np.einsum("tdw,tkw->tkd", outer, pre_activation * gate)
        orders[:, 1:] += scale * moved[:, :-1]
        orders *= np.exp(chosen.log_block_factor)
    energies = (orders**2).sum(axis=2)
    return energies.mean(axis=0), energies.std(axis=0, ddof=1) / np.sqrt(trials)
