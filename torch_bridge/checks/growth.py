r"""Growth predicted for random initialisations against fresh networks, with standard errors.

Every draw builds a new network and runs its real forward pass. A mean of ‖x_n‖² over draws is a
poor measurement where the growth fluctuates: its law is nearly log-normal and rare large draws
carry the mean. Where the law of block l's gain does not depend on the signal that enters it,

.. math:: E\Big[\frac{\|x_l\|^2}{\|x_{l-1}\|^2} \,\Big|\, x_{l-1}\Big] = 1 + \lambda_l^2
          \quad\text{for every } x_{l-1},

the product over blocks of the *mean gains* has the expectation Π(1 + λ_l²) exactly (gains of
different blocks are uncorrelated, even within a draw) and a far smaller error: G1 uses it. For
G4 and G6 the gain depends on the signal, and the energy itself is averaged; it hardly fluctuates
there. G4 and G6 are limits of infinite width: what a finite width leaves was seen to be below the
standard error of 100 draws from width 64 on, and no further tolerance is given for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from expansion.checking import check_count
from expansion.growth.energy import energy
from expansion.towers.scaling import ScalingRule
from torch_bridge.checks.comparison import Comparison, compare_mean
from torch_bridge.networks.architecture import Architecture
from torch_bridge.networks.models import build

__all__ = [
    "incoherent_growth",
    "measured_energies",
    "normalised_growth",
    "positive_branch_energies",
    "positive_growth",
]

_Floats = NDArray[np.float64]


def incoherent_growth(
    rule: ScalingRule | str,
    *,
    depth: int = 16,
    dimension: int = 64,
    width: int = 64,
    draws: int = 100,
    seed: int = 0,
) -> Comparison:
    """Claim G1: q_n = Π(1 + λ_l²) for branches V relu(U x), at any width.

    Parameters
    ----------
    rule : ScalingRule or str
        The scales.
    depth, dimension, width : int
        n, d and the hidden units.
    draws : int
        Independent networks, at least 2; each sees one fixed batch of 8 inputs.
    seed : int
        Of the weights and of the inputs.

    Notes
    -----
    Source: De & Smith 2020 for λ = 1; the product: derived (claim G1).

    Examples
    --------
    >>> result = incoherent_growth("1/n", depth=4, dimension=8, width=8)
    >>> round(result.prediction, 3), result.within
    (1.274, True)
    """
    architecture = Architecture("mlp", depth, dimension, width, "relu", rule)
    inputs = torch.randn(8, dimension, generator=torch.Generator().manual_seed(seed))
    energies = measured_energies(architecture, draws, seed, lambda _: inputs)
    gains = (energies[:, 1:] / energies[:, :-1]).mean(axis=2)
    means = gains.mean(axis=0)
    relative = math.sqrt(float((gains.var(axis=0, ddof=1) / means**2).sum()) / draws)
    measured = float(means.prod())
    subject = f"energy at depth {depth}, rule {architecture.rule}"
    predicted = energy(architecture.rule, depth)
    return compare_mean("G1", subject, predicted, measured, measured * relative)


def normalised_growth(
    blocks: Sequence[int] = (1, 4, 16),
    *,
    dimension: int = 512,
    batch: int = 16,
    draws: int = 100,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Claim G4: behind batch normalisation and ReLU every branch adds the same energy, q_l = l + 1.

    Parameters
    ----------
    blocks : sequence of int
        After which blocks l the energy is compared.
    dimension : int
        d; the claim is the limit of large d, for any batch.
    batch : int
        Inputs per network, at least 2, drawn from N(0, 1) so that q_0 = 1.
    draws, seed : int
        As for :func:`incoherent_growth`.

    Notes
    -----
    Source: De & Smith 2020 (claim G4). Normalised over the batch, a channel has mean square 1 and,
    in a wide network, a symmetric law: relu keeps half of it and W ~ N(0, 2/d) restores it.

    Examples
    --------
    >>> [round(c.prediction, 6) for c in normalised_growth((1, 2), dimension=64, draws=4)]
    [2.0, 3.0]
    """
    depth = max(check_count(block, "block", least=1) for block in blocks)
    architecture = Architecture("de-smith", depth, dimension, rule="1", normalised=True)
    batch = check_count(batch, "batch", least=2)

    def inputs(generator: torch.Generator) -> Tensor:
        return torch.randn(batch, dimension, generator=generator)

    energies = measured_energies(architecture, draws, seed, inputs).mean(axis=2) / dimension
    rule = ScalingRule.parse("batchnorm")
    return tuple(
        _mean("G4", f"energy after block {b}, batch norm", energy(rule, b), energies[:, b])
        for b in blocks
    )


def positive_growth(
    blocks: Sequence[int] = (1, 4, 16),
    *,
    rule: ScalingRule | str = "1/sqrt(n)",
    dimension: int = 512,
    draws: int = 100,
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Claim G6: branches relu(W x) have a mean, and it adds up coherently.

    Parameters
    ----------
    blocks : sequence of int
        After which blocks l the energy is compared; the last one is the depth.
    rule : ScalingRule or str
        The scales θ.
    dimension, draws, seed : int
        As for :func:`normalised_growth`; the claim is the limit of large m = d.

    Notes
    -----
    Source: the block order is Frei, Cao & Gu's; the recursion: derived (claim G6).

    Examples
    --------
    >>> [round(c.prediction, 3) for c in positive_growth((1, 2), dimension=64, draws=4)]
    [1.5, 2.64]
    """
    depth = max(check_count(block, "block", least=1) for block in blocks)
    architecture = Architecture("frei", depth, dimension, rule=rule)

    def inputs(generator: torch.Generator) -> Tensor:
        x = torch.randn(1, dimension, generator=generator)
        x = x - x.mean()  # ⟨x, 1⟩ = 0 exactly, as the prediction starts from
        return x / x.norm()

    energies = measured_energies(architecture, draws, seed, inputs).mean(axis=2)
    predicted = positive_branch_energies(architecture.rule.floats(depth))
    shown = f"rule {architecture.rule}, depth {depth}, branch relu(W x)"
    return tuple(
        _mean("G6", f"energy after block {b}, {shown}", predicted[b], energies[:, b])
        for b in blocks
    )


def positive_branch_energies(scales: Sequence[float] | _Floats) -> list[float]:
    r"""q_0..q_n of ``x + θ_l relu(W_l x)`` at infinite width, from q_0 = 1 and ⟨x_0, 1⟩ = 0.

    .. math:: s \leftarrow s + \theta\sqrt{q/\pi}, \qquad
              q \leftarrow q + 2\theta s\sqrt{q/\pi} + \theta^2 q

    with s = ⟨x, 1⟩/√m, both from the old s and q.

    Notes
    -----
    Source: derived (claim G6).

    Examples
    --------
    >>> [round(q, 3) for q in positive_branch_energies([0.5, 0.5])]
    [1.0, 1.25, 1.74]
    """
    s, q = 0.0, 1.0
    energies = [q]
    for theta in map(float, scales):
        mean = math.sqrt(q / math.pi)
        s, q = s + theta * mean, q + 2 * theta * s * mean + theta**2 * q
        energies.append(q)
    return energies


def measured_energies(architecture: Architecture, draws: int, seed: int, inputs: Any) -> _Floats:
    """‖x_l‖² in freshly drawn networks, in single precision.

    Parameters
    ----------
    architecture : Architecture
        Without encoder; batch normalisation uses the statistics of the batch.
    draws : int
        Independent networks, at least 2: a standard error needs two.
    seed : int
        Of the whole experiment; every draw has its own stream.
    inputs : callable
        From a torch.Generator to a Tensor of shape (samples, dimension).

    Returns
    -------
    array, shape (draws, n + 1, samples)
    """
    draws = check_count(draws, "draws", least=2)
    return np.stack(list(_draws(architecture, draws, check_count(seed, "seed", least=0), inputs)))


def _draws(architecture: Architecture, draws: int, seed: int, inputs: Any) -> Iterator[_Floats]:
    seeds = np.random.SeedSequence(seed).generate_state(2 * draws, np.uint64).reshape(draws, 2)
    for of_weights, of_inputs in seeds.tolist():
        network = build(architecture, seed=of_weights, dtype=torch.float32)
        x = inputs(torch.Generator().manual_seed(of_inputs))
        with torch.no_grad():
            states = torch.stack(network.states(x))
        yield states.double().square().sum(dim=2).numpy()


def _mean(claim: str, subject: str, prediction: float, energies: _Floats) -> Comparison:
    error = float(energies.std(ddof=1)) / math.sqrt(len(energies))
    return compare_mean(claim, subject, prediction, float(energies.mean()), error)
