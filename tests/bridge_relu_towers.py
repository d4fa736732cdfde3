"""Small ReLU towers as they are drawn, traced, and vectors of a given correlation."""

import math

import numpy as np
import torch
from torch import nn

from torch_bridge.tower import trace


def matrix(d, variance, generator):
    layer = nn.Linear(d, d, bias=False)
    with torch.no_grad():
        layer.weight.normal_(0, math.sqrt(variance / d), generator=generator)
    return layer


class Tower(nn.Module):
    """x + λ V relu(U norm(x)), or x + λ relu(U x): blocks of De & Smith and of Frei et al."""

    def __init__(self, depth, d, scale=1.0, norm=None, positive=False, tied=False, seed=0):
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        made = [(matrix(d, 2, g), matrix(d, 1, g)) for _ in range(1 if tied else depth)]
        pairs = made * depth if tied else made
        self.inner = nn.ModuleList(u for u, _ in pairs)
        self.outer = nn.ModuleList(v for _, v in pairs)
        self.norms = nn.ModuleList(nn.Identity() if norm is None else norm(d) for _ in pairs)
        self.scale, self.positive = scale, positive

    def forward(self, x):
        for u, v, norm in zip(self.inner, self.outer, self.norms, strict=True):
            y = torch.relu(u(norm(x)))
            x = x + self.scale * (y if self.positive else v(y))
        return x


def inputs(samples, d, seed=0):
    return torch.randn(samples, d, generator=torch.Generator().manual_seed(100 + seed))


def traced(*args, samples=32, seed=0, **kwargs):
    return trace(Tower(*args, seed=seed, **kwargs), inputs(samples, args[1], seed))


def correlated_vectors(count, d, hurst):
    """Rows with the covariance of fractional Gaussian noise in depth."""
    lags = np.abs(np.subtract.outer(np.arange(count), np.arange(count))).astype(float)
    power = 2 * hurst
    rho = 0.5 * ((lags + 1) ** power + np.abs(lags - 1) ** power - 2 * lags**power)
    normal = np.random.default_rng(0).normal(size=(count, d))
    return torch.from_numpy(np.linalg.cholesky(rho) @ normal)
