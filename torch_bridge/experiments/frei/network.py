r"""Frei, Cao & Gu's network (2019, arXiv 1910.02934) in PyTorch, and what to look at in it.

The network is that of :mod:`expansion.bounds.overparameterized`, which also draws it:

.. math:: x_1 = \sigma(W_1^\top x), \quad x_l = x_{l-1} + \theta\, \sigma(W_l^\top x_{l-1}), \quad
          x_{L+1} = \sigma(W_{L+1}^\top x_L), \quad f_W(x) = v^\top x_{L+1}

with v = ±1 in equal numbers, fixed. Everything is float64: at θ = 1 signals grow by many orders of
magnitude before they overflow, and that is to be seen.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from expansion.bounds.overparameterized import ResidualClassifier
from expansion.errors import InputError

__all__ = [
    "FreiNetwork",
    "linearisation_error",
    "log_growth",
    "log_interlayer_norm",
]


class FreiNetwork(nn.Module):
    """The network, with weights to train.

    Parameters
    ----------
    classifier : ResidualClassifier
        Where it starts; its weights are copied.

    Raises
    ------
    InputError
        For a network without residual layers.

    Examples
    --------
    >>> from expansion.bounds.overparameterized import draw_classifier
    >>> start = draw_classifier(3, 4, 5, 0.2)
    >>> network = FreiNetwork(start)
    >>> tuple(network.residual.shape), network.classifier().depth
    ((4, 4, 4), 5)
    """

    readout: Tensor

    def __init__(self, classifier: ResidualClassifier) -> None:
        super().__init__()
        if classifier.depth < 2:
            raise InputError("a depth of at least 2", classifier.depth, "give a residual layer")
        first, *residual, last = classifier.weights
        self.theta = float(classifier.theta)
        self.first = nn.Parameter(torch.tensor(first))
        self.residual = nn.Parameter(torch.tensor(np.stack(residual)))
        self.last = nn.Parameter(torch.tensor(last))
        self.register_buffer("readout", torch.tensor(classifier.readout))

    def states(self, x: Tensor) -> list[Tensor]:
        """x_1 … x_L, each of shape (samples, m)."""
        found = [(x @ self.first).relu()]
        for matrix in self.residual.unbind():
            branch = (found[-1] @ matrix).relu()
            found.append(torch.add(found[-1], branch, alpha=self.theta))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """f_W(x), shape (samples,)."""
        return (self.states(x)[-1] @ self.last).relu() @ self.readout

    def classifier(self) -> ResidualClassifier:
        """The network as ``expansion`` computes with it, every weight as it is.

        Raises
        ------
        InputError
            For weights that are not finite.
        """
        weights = [part.detach().cpu().numpy().copy() for part in _matrices(self)]
        return ResidualClassifier(weights, self.theta, self.readout.cpu().numpy().copy())


@torch.no_grad()
def log_growth(network: FreiNetwork, x: Tensor) -> float:
    """Mean over inputs of ln ‖x_L‖/‖x_1‖; an input that no unit sees has no growth, and no part."""
    states = network.states(x)
    first, last = (states[place].norm(dim=1) for place in (0, -1))
    seen = first > 0
    return float((last[seen] / first[seen]).log().mean())


@torch.no_grad()
def log_interlayer_norm(network: FreiNetwork, x: Tensor) -> float:
    r"""ln of the largest ‖Π (I + θ D_l W_l^T)‖₂ over inputs, D_l the pattern of each input.

    The product is carried with its logarithm, so that no depth overflows.

    Examples
    --------
    >>> network = FreiNetwork(ResidualClassifier([np.eye(2)] * 4, 0.5, [1.0, -1.0]))
    >>> x = torch.tensor([[1.0, 0.0], [1.0, 2.0]], dtype=torch.float64)
    >>> round(log_interlayer_norm(network, x) / float(np.log(1.5)), 9)  # two layers of norm 3/2
    2.0
    """
    states = network.states(x)
    width = network.last.shape[0]
    jacobian = torch.eye(width, dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
    log_size = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for state, matrix in zip(states, network.residual.unbind(), strict=False):
        pattern = (state @ matrix > 0).to(x.dtype)
        moved = matrix.T @ jacobian
        jacobian = jacobian + network.theta * pattern[:, :, None] * moved
        size = torch.linalg.matrix_norm(jacobian)
        jacobian, log_size = jacobian / size[:, None, None], log_size + size.log()
    return float((log_size + torch.linalg.matrix_norm(jacobian, 2).log()).max())


@torch.no_grad()
def linearisation_error(start: FreiNetwork, network: FreiNetwork, x: Tensor) -> float:
    """Mean over inputs of |f_Ŵ − f_W − ⟨∇f_W, Ŵ − W⟩| from W (``start``) to Ŵ.

    Examples
    --------
    >>> network = FreiNetwork(ResidualClassifier([np.eye(2)] * 3, 0.5, [1.0, -1.0]))
    >>> linearisation_error(network, network, torch.eye(2, dtype=torch.float64))
    0.0
    """
    value, slope = _value_and_slope(start, network, x)
    return float((network(x) - value - slope).abs().mean())


def _value_and_slope(start: FreiNetwork, network: FreiNetwork, x: Tensor) -> tuple[Tensor, Tensor]:
    """f_W and ⟨∇f_W, Ŵ − W⟩ for each input: signals carry their derivative along Ŵ − W."""
    pairs = [
        (before.detach(), after.detach() - before.detach())
        for before, after in zip(_matrices(start), _matrices(network), strict=True)
    ]
    signal, slope = x, torch.zeros_like(x)
    for number, (matrix, step) in enumerate(pairs):
        reached = signal @ matrix
        moved = (slope @ matrix + signal @ step) * (reached > 0)
        if number in (0, len(pairs) - 1):
            signal, slope = reached.relu(), moved
        else:
            signal = torch.add(signal, reached.relu(), alpha=start.theta)
            slope = slope + start.theta * moved
    return signal @ start.readout, slope @ start.readout


def _matrices(network: FreiNetwork) -> list[Tensor]:
    """W_1 … W_{L+1}."""
    return [network.first, *network.residual.unbind(), network.last]
