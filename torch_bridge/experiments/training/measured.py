r"""What is measured on a real network, before and after training.

* *Growth*: log10 of mean ‖x_n‖²/‖x_0‖² over probes.
* *Gradient*: log10 of mean ‖∂ℓ/∂x_0‖²/‖∂ℓ/∂x_n‖², ℓ the cross-entropy.
* *Order spectrum*, of the frozen-gate ensemble (claim E7b), exact at the network's own scales:
  the parts P_k of x_n through k branches, P_0 + … + P_n = x_n. Reported are ‖P_k‖²/‖x_n‖², the
  mean order Σ k‖P_k‖²/Σ‖P_k‖², and the *alignment* ‖x_n‖²/Σ‖P_k‖²: 1 for uncorrelated orders, as
  claim G2 has them at initialisation, more where orders point the same way.
* *Geometric complexity*: mean over probes of ‖∇_x f(x)‖_F², f the logits (Dherin et al. 2022,
  arXiv 2209.13083), exact, from one backward pass over a copy of the probes for each class.

All in evaluation mode and float64, with batch normalisation's statistics settled on the training
part. ``order_parts`` is the one place that knows where order spectra come from.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from expansion.series.gated_paths import gated_orders
from torch_bridge.experiments.training.descent import settle
from torch_bridge.networks.export import to_tower
from torch_bridge.networks.models import ResidualBranch, ResidualNetwork
from torch_bridge.orders.memory import TooLargeError
from torch_bridge.tower import trace

__all__ = [
    "SHOWN",
    "TRACED",
    "Orders",
    "Stream",
    "geometric_complexity",
    "gradient_growth",
    "growth",
    "order_parts",
    "orders_of",
    "probe_of",
]

SHOWN = 16  # orders whose sizes are reported one by one
TRACED = 128  # blocks beyond which a model is not traced through its graph: minutes per network

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Orders:
    """The order spectrum of a network, as numbers.

    Parameters
    ----------
    sizes : tuple of float
        ‖P_k‖²/‖x_n‖², k = 0, 1, …, at most :data:`SHOWN` of them.
    mean_order : float
        Of the energy.
    alignment : float
        ‖x_n‖²/Σ‖P_k‖².
    sum_error : float
        ‖Σ P_k − x_n‖ relative to the largest ‖P_k‖ or ‖x_n‖: rounding, if all is right.
    """

    sizes: tuple[float, ...]
    mean_order: float
    alignment: float
    sum_error: float


class Stream(nn.Module):
    """A network without its readout: from inputs to x_n.

    Parameters
    ----------
    network : ResidualNetwork
        Stays live: what trains it changes this.
    """

    def __init__(self, network: ResidualNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """x_n."""
        return self.network.states(x)[-1]


def probe_of(network: ResidualNetwork, train_inputs: Tensor) -> ResidualNetwork:
    """A copy to measure on: float64, evaluation mode, normalisation settled on ``train_inputs``.

    The network itself is left as it is.
    """
    probe = copy.deepcopy(network).double()
    settle(probe, train_inputs.double())
    return probe.eval()


def growth(probe: ResidualNetwork, inputs: Tensor) -> float:
    """log10 of mean ‖x_n‖²/‖x_0‖²; −∞ where the signal vanished."""
    with torch.no_grad():
        states = probe.states(inputs)
    first, last = (states[place].square().sum().item() for place in (0, -1))
    return math.log10(last / first) if last > 0 else -math.inf


def gradient_growth(probe: ResidualNetwork, inputs: Tensor, labels: Tensor) -> float:
    """log10 of ‖∂ℓ/∂x_0‖²/‖∂ℓ/∂x_n‖², summed over probes; nan where the gradient vanishes."""
    states = probe.states(inputs)
    logits = states[-1] if probe.decoder is None else probe.decoder(states[-1])
    loss = nn.functional.cross_entropy(logits, labels)
    first, last = torch.autograd.grad(loss, [states[0], states[-1]])
    sizes = first.square().sum().item(), last.square().sum().item()
    return math.log10(sizes[0] / sizes[1]) if min(sizes) > 0 else math.nan


def geometric_complexity(probe: nn.Module, inputs: Tensor, classes: int) -> float:
    """Mean over probes of ‖∇_x f(x)‖_F², f from inputs to ``classes`` logits.

    Examples
    --------
    >>> layer = nn.Linear(3, 2, bias=False)
    >>> x = torch.randn(5, 3)
    >>> complexity = geometric_complexity(layer, x, 2)
    >>> abs(complexity - layer.weight.square().sum().item()) < 1e-5
    True
    """
    copies = inputs.repeat(classes, 1).requires_grad_()
    chosen = torch.arange(classes, device=inputs.device).repeat_interleave(len(inputs))
    logits = probe(copies).gather(1, chosen[:, None]).sum()
    (gradient,) = torch.autograd.grad(logits, [copies])
    return gradient.square().sum().item() / len(inputs)


def order_parts(probe: ResidualNetwork, inputs: Tensor) -> _Floats | None:
    """P_0..P_n of x_n, shape (n + 1, samples, entries); None where nothing cheap gives them.

    Dense branches go to the tower of ``expansion``; everything else is traced through its graph,
    up to :data:`TRACED` blocks.
    """
    plain = _plain(probe)
    if plain is not None:
        tower = to_tower(plain).tower
        found = gated_orders(tower, inputs.detach().cpu().numpy())
        return np.asarray(found * probe.block_factor**probe.depth)
    if probe.depth > TRACED:
        return None
    try:
        parts = trace(Stream(probe), (inputs,)).orders(probe.depth, method="frozen")
    except TooLargeError:  # a run goes on without its spectrum
        return None
    return np.stack([part.detach().cpu().flatten(1).numpy() for part in parts])


def orders_of(probe: ResidualNetwork, inputs: Tensor) -> Orders | None:
    """The order spectrum of x_n over ``inputs``; None where it is not to be had.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> network = build(Architecture("de-smith", depth=3, dimension=4), seed=1)
    >>> found = orders_of(network, torch.randn(5, 4, dtype=torch.float64))
    >>> len(found.sizes), found.sum_error < 1e-14
    (4, True)
    """
    parts = order_parts(probe, inputs)
    if parts is None:
        return None
    with torch.no_grad():
        whole = Stream(probe)(inputs).flatten(1).cpu().numpy()
    energies = np.square(parts).sum(axis=(1, 2))
    total, size = energies.sum(), np.square(whole).sum()
    if not (0 < total < math.inf and 0 < size < math.inf):
        return None
    miss = np.sqrt(np.square(parts.sum(axis=0) - whole).sum() / max(energies.max(), size))
    return Orders(
        tuple((energies[: SHOWN + 1] / size).tolist()),
        float(energies @ np.arange(len(energies)) / total),
        float(size / total),
        float(miss),
    )


def _plain(probe: ResidualNetwork) -> ResidualNetwork | None:
    """The same stack as a tower can be made of it, blocks undivided; None where it cannot.

    Dividing every block by √2 commutes with branches without biases and normalisation, so the
    division is left to the end.
    """
    branches = [branch for branch in probe.branches if isinstance(branch, ResidualBranch)]
    kinds = {type(branch.normalisation) for branch in branches}
    dense = probe.encoder is None or isinstance(probe.encoder, nn.Linear)
    if len(branches) < probe.depth or not dense or not kinds <= {type(None), nn.BatchNorm1d}:
        return None
    if probe.block_factor != 1 and not all(map(_homogeneous, branches)):
        return None
    plain = ResidualNetwork(branches, "1", encoder=probe.encoder).eval()
    plain.scales = probe.scales.detach().clone()
    return plain


def _homogeneous(branch: ResidualBranch) -> bool:
    layers = [layer for layer in (branch.inner, branch.outer) if layer is not None]
    return branch.normalisation is None and all(layer.bias is None for layer in layers)
