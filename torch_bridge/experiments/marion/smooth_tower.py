r"""Towers whose weights vary smoothly in depth (Marion 2023, arXiv 2305.06648).

.. math:: H_0 = A x, \qquad H_k = H_{k-1} + \tfrac1L W_k\, \sigma(H_{k-1}), \qquad
          F(x) = B H_L, \qquad \sigma = \mathrm{relu} .

**Start.** Every entry of W is a Gaussian process in depth, :math:`\sqrt d\, W_{k,ij} = g(k/L)`
with the kernel :math:`e^{-(s-t)^2 / 2b^2}` of bandwidth b = 0.1. So neighbouring layers differ by
about 1/(bL√d), and the tower is near a neural ODE. A and B are N(0, 1/fan-in).

**Tied towers** have one W for all k; it starts where the first layer of an untied tower would.

**Penalty.** :math:`\mu \big(\sum_k \|W_{k+1} - W_k\|_F^2\big)^{1/2}`, the norm itself and not its
square. It has a kink where all layers are equal; the gradient taken there is 0, one of its
subgradients. As μ → ∞ the layers become equal: the tied tower stands for μ = ∞.

**Sizes.** :math:`\sup_k \|W_{k+1} - W_k\|_\infty` is the largest *absolute* difference of
neighbouring entries; L times it is the K of claim B3. :math:`\|W\|_{1,1,\infty} = \max_k \sum_{ij}
|W_{k,ij}|` is its R.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.tower import Tower
from torch_bridge.networks.models import linear

__all__ = [
    "MOST_LAYERS",
    "SmoothTower",
    "build_smooth_tower",
    "depth_kernel",
    "largest_step",
    "largest_sum",
    "smooth_weights",
    "tower_of",
    "variation",
]

MOST_LAYERS = 4000  # of a start: its covariance is a dense L×L matrix
_LEAST_EIGENVALUE = 1e-14  # of the kernel's largest; what is below is its rounding


class SmoothTower(nn.Module):
    """x ↦ B H_L, without biases.

    Parameters
    ----------
    weights : Tensor, shape (L, d, d), or (1, d, d) for a tied tower
        W_1 … W_L, or the one that all layers share.
    depth : int
        L.
    encoder, decoder : nn.Linear
        A and B.

    Raises
    ------
    InputError
        When the shapes do not fit.
    """

    def __init__(self, weights: Tensor, depth: int, encoder: nn.Linear, decoder: nn.Linear) -> None:
        super().__init__()
        layers, rows, columns = weights.shape
        ends = encoder.out_features, decoder.in_features
        if layers not in (1, depth) or rows != columns or ends != (rows, rows):
            came = f"weights {tuple(weights.shape)} between ends of {ends} at depth {depth}"
            raise InputError("weights (L, d, d) or (1, d, d)", came, "make the shapes fit")
        self.weights = nn.Parameter(weights)
        self.depth = depth
        self.encoder = encoder
        self.decoder = decoder

    @property
    def tied(self) -> bool:
        """Whether all layers share one matrix (a tower of one layer counts as untied)."""
        return self.weights.shape[0] == 1 and self.depth > 1

    def forward(self, x: Tensor) -> Tensor:
        """F(x), shape (samples, outputs)."""
        state = self.encoder(x)
        # unbind, not indexing: the gradient of an index would be a zero tensor of the whole stack.
        matrices = self.weights.mT.unbind()
        for matrix in matrices * self.depth if self.tied else matrices:
            state = torch.addmm(state, state.relu(), matrix, alpha=1 / self.depth)
        return self.decoder(state)


def variation(weights: Tensor) -> Tensor:
    """(Σ ‖W_{k+1} − W_k‖_F²)^{1/2}, a scalar; its gradient where it is 0 is 0.

    Examples
    --------
    >>> layers = torch.tensor([[[0.0]], [[3.0]], [[7.0]]])
    >>> variation(layers).item()
    5.0
    """
    return torch.linalg.vector_norm(weights.diff(dim=0))


def largest_step(weights: Tensor) -> float:
    """sup_k ‖W_{k+1} − W_k‖_∞, the largest absolute difference; 0 for one layer.

    Examples
    --------
    >>> largest_step(torch.tensor([[[0.0]], [[-3.0]], [[-2.0]]]))
    3.0
    """
    steps = weights.detach().diff(dim=0).abs()
    return steps.max().item() if steps.numel() else 0.0


def largest_sum(weights: Tensor) -> float:
    """‖W‖_{1,1,∞} = max_k Σ_ij |W_k,ij|.

    Examples
    --------
    >>> largest_sum(torch.tensor([[[1.0, -2.0], [0.0, 0.0]], [[1.0, 1.0], [-1.0, 1.0]]]))
    4.0
    """
    return weights.detach().abs().sum(dim=(1, 2)).max().item()


def depth_kernel(depth: int, bandwidth: float) -> Tensor:
    """The covariance e^{−(s−t)²/2b²} at the times k/L, float64, shape (L, L).

    Raises
    ------
    InputError
        For L < 1 or b ≤ 0.

    Examples
    --------
    >>> [round(entry, 4) for entry in depth_kernel(2, 0.5)[0].tolist()]
    [1.0, 0.6065]
    """
    layers = check_count(depth, "depth", least=1)
    if check_finite(bandwidth, "bandwidth") <= 0:
        raise InputError("a bandwidth above 0", bandwidth, "give e.g. 0.1")
    times = torch.arange(1, layers + 1, dtype=torch.float64) / layers
    return torch.exp(-((times[:, None] - times) ** 2) / (2 * bandwidth**2))


def smooth_weights(depth: int, width: int, bandwidth: float, generator: torch.Generator) -> Tensor:
    """W_1 … W_L as they start, float64, shape (L, d, d).

    Parameters
    ----------
    depth, width : int
        L and d.
    bandwidth : float
        b > 0.
    generator : torch.Generator
        Of the draws.

    Examples
    --------
    >>> drawn = smooth_weights(100, 3, 0.1, torch.Generator().manual_seed(0))
    >>> tuple(drawn.shape), largest_step(drawn) < 0.3
    ((100, 3, 3), True)
    """
    # Close times make the kernel singular to rounding, so that it has no Cholesky factor.
    values, vectors = torch.linalg.eigh(depth_kernel(depth, bandwidth))
    kept = values > _LEAST_EIGENVALUE * values[-1]
    factor = vectors[:, kept] * values[kept].sqrt()
    entries = check_count(width, "width", least=1) ** 2
    drawn = torch.randn(factor.shape[1], entries, dtype=torch.float64, generator=generator)
    return (factor @ drawn / math.sqrt(width)).reshape(depth, width, width)


def build_smooth_tower(
    *,
    inputs: int,
    width: int,
    classes: int,
    depth: int,
    tied: bool = False,
    bandwidth: float = 0.1,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> SmoothTower:
    """A tower at its start; the same seed gives the same ends whatever the depth.

    Parameters
    ----------
    inputs, width, classes, depth : int
        Sizes of A, W and B, and L.
    tied : bool
        Whether all layers share one W.
    bandwidth : float
        b.
    seed : int
        Of all weights.
    dtype : torch.dtype
        Of the weights; they are drawn in float64.

    Examples
    --------
    >>> tower = build_smooth_tower(inputs=4, width=3, classes=2, depth=5, tied=True)
    >>> tuple(tower.weights.shape), tuple(tower(torch.ones(7, 4)).shape)
    ((1, 3, 3), (7, 2))
    """
    generator = torch.Generator().manual_seed(seed)
    ends = [
        torch.randn(rows, columns, dtype=torch.float64, generator=generator) / math.sqrt(columns)
        for rows, columns in ((width, inputs), (classes, width))
    ]
    weights = smooth_weights(depth, width, bandwidth, generator)
    encoder, decoder = (linear(end.to(dtype)) for end in ends)
    return SmoothTower((weights[:1] if tied else weights).to(dtype), depth, encoder, decoder)


def tower_of(network: SmoothTower) -> Tower:
    """The tower that ``expansion`` computes with, every weight without rounding.

    Examples
    --------
    >>> network = build_smooth_tower(inputs=4, width=3, classes=2, depth=5)
    >>> tower_of(network).depth
    5
    """
    stack = network.weights.detach().cpu().double().numpy()
    branches = [MLPBranch(outer=np.array(matrix), activation="relu") for matrix in stack]
    if network.tied:
        branches *= network.depth
    encoder, decoder = (
        AffineBranch(end.weight.detach().cpu().double().numpy())
        for end in (network.encoder, network.decoder)
    )
    return Tower(tuple(branches), "1/n", encoder=encoder, decoder=decoder)
