r"""Simulated growth: the twins of the predictions, at finite width, with standard errors.

Over weight draws the energy is log-normal: a plain mean over draws misses the rare large ones
(at n = 1000 and λ = 1 it would be off by many orders of magnitude). The estimator used here
follows from the law itself: given everything below, block l multiplies the energy by a gain
whose mean does not depend on the signal, so that the expected energy is the product of the mean
gains, and each mean gain is well estimated. With a normalised branch the gain does depend on the
signal, but the energy hardly fluctuates: there the plain mean is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.growth.kernels import block_gains
from expansion.towers.scaling import ScalingRule

__all__ = ["BRANCHES", "Simulation", "simulate", "simulate_spectrum"]

BRANCHES = ("relu", "linear")
_CHUNK = 4096  # blocks whose gains are held at a time


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated energy q_n with its standard error, as natural logarithms.

    Parameters
    ----------
    log_energy : float
        ln of the estimate.
    standard_error : float
        Of ln q_n, that is the relative standard error of q_n.
    trials : int
        Independent draws of all weights.
    """

    log_energy: float
    standard_error: float
    trials: int


def simulate(
    rule: ScalingRule | str,
    depth: int,
    *,
    branch: str = "relu",
    dimension: int = 64,
    width: int = 64,
    trials: int = 100,
    seed: int | Sequence[int] = 0,
) -> Simulation:
    """Draw towers at initialisation and measure their energy.

    Parameters
    ----------
    rule : ScalingRule or str
        The scales.
    depth : int
        n ≥ 1.
    branch : {"relu", "linear"}
        ``V relu(U x)`` with U ~ N(0, 2/width), V ~ N(0, 1/dimension); or ``A x`` with
        A ~ N(0, 1/dimension).
    dimension, width : int
        Of the signal, and of the hidden layer.
    trials : int
        Independent draws, at least 2.
    seed : int or sequence of int
        The same seed gives the same result, on any number of cores.

    Returns
    -------
    Simulation

    Notes
    -----
    Source: claims G1, G4, G5. Standard errors are those of the mean gains, added in quadrature.

    Examples
    --------
    >>> result = simulate("1/sqrt(n)", 20, trials=200)
    >>> bool(abs(result.log_energy - 20 * np.log1p(1 / 20)) < 4 * result.standard_error)
    True
    """
    chosen = ScalingRule.of(rule)
    trials = check_count(trials, "trials", least=2)
    dimension = check_count(dimension, "dimension", least=1)
    hidden = 0 if check_branch(branch) == "linear" else check_count(width, "width", least=1)
    scales = chosen.floats(depth)
    directions = np.zeros((trials, dimension))
    directions[:, 0] = 1.0  # the law is the same for every direction
    log_norms = np.zeros(trials)
    log_mean = variance = 0.0
    chunks = np.split(scales, range(_CHUNK, len(scales), _CHUNK))
    seeds = np.random.SeedSequence(seed).spawn(len(chunks))
    for part, source in zip(chunks, seeds, strict=True):
        numbers = source.generate_state(trials).astype(np.int64)
        gains = block_gains(directions, log_norms, part, hidden, chosen.normalised, numbers)
        means = gains.mean(axis=0)
        log_mean += float(np.log(means).sum())
        variance += float((gains.var(axis=0, ddof=1) / means**2).sum()) / trials
    if chosen.normalised:
        energies = np.exp(2 * log_norms)
        log_mean = float(np.log(energies.mean()))
        variance = float(energies.var(ddof=1) / energies.mean() ** 2) / trials
    return Simulation(log_mean + 2 * depth * chosen.log_block_factor, variance**0.5, trials)


def check_branch(branch: str) -> str:
    """The branch's name, or an error that lists the known ones."""
    if branch not in BRANCHES:
        raise InputError(f"a branch among {', '.join(BRANCHES)}", branch, "choose one of these")
    return branch


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
