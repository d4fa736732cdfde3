r"""Residual networks in PyTorch, with an explicit scale on every block.

.. math:: x_l = s\,(x_{l-1} + \lambda_l f_l(x_{l-1})), \qquad \mathrm{output} = D(x_n),\; x_0 = E(x)

with s = 1 except under the rule ``half``. The scales are an argument of the forward pass, so
that the network can be differentiated in them: that is what the expansion in λ is about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from expansion.errors import InputError
from expansion.towers.scaling import ScalingRule
from torch_bridge.networks.architecture import ORDERS, Architecture

__all__ = ["ACTIVATIONS", "ResidualBranch", "ResidualNetwork", "build", "linear"]

# The names of expansion.towers.activations; gelu is the exact one, with the error function.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda a: a,
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sin": torch.sin,
}


class ResidualBranch(nn.Module):
    """x ↦ V φ(U x + b) + c; each layer may be missing, and the input may be normalised.

    Parameters
    ----------
    activation : str
        φ, a key of :data:`ACTIVATIONS`.
    inner, outer : nn.Linear, optional
        (U, b) and (V, c).
    normalisation : nn.Module, optional
        Applied to x first; an nn.BatchNorm1d, where the network is to be exported.
    """

    def __init__(
        self,
        activation: str,
        *,
        inner: nn.Linear | None = None,
        outer: nn.Linear | None = None,
        normalisation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.normalisation = normalisation
        self.inner = inner
        self.outer = outer

    def forward(self, x: Tensor) -> Tensor:
        """f(x), shape (..., dimension)."""
        hidden: Tensor = x if self.normalisation is None else self.normalisation(x)
        hidden = hidden if self.inner is None else self.inner(hidden)
        hidden = ACTIVATIONS[self.activation](hidden)
        return hidden if self.outer is None else self.outer(hidden)


class ResidualNetwork(nn.Module):
    """D ∘ H_n ∘ E with explicit scales.

    Parameters
    ----------
    branches : sequence of nn.Module, length n ≥ 1
        f_1..f_n, each from dimension d to d; f_1 acts first.
    rule : ScalingRule, str, number or sequence
        Where the scales λ_1..λ_n come from.
    encoder, decoder : nn.Module, optional
        E and D; matrices, where the network is to be exported.

    Attributes
    ----------
    scales : Tensor, shape (n,)
        λ_1..λ_n, a buffer: it follows the network's dtype and device and is not trained.

    Examples
    --------
    >>> network = build(Architecture("mlp", depth=3, dimension=4), seed=1)
    >>> network(torch.ones(2, 4, dtype=torch.float64)).shape
    torch.Size([2, 4])
    >>> [len(network.states(torch.ones(4, dtype=torch.float64))), network.depth]
    [4, 3]
    """

    scales: Tensor

    def __init__(
        self,
        branches: Sequence[nn.Module],
        rule: Any = "1",
        *,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.rule = ScalingRule.of(rule)
        self.encoder = encoder
        self.branches = nn.ModuleList(branches)
        self.decoder = decoder
        like = next(self.parameters(), torch.empty(0))
        scales = torch.from_numpy(self.rule.floats(len(branches))).to(like)
        self.register_buffer("scales", scales, persistent=False)
        self.block_factor = math.exp(self.rule.log_block_factor)

    @property
    def depth(self) -> int:
        """n, the number of blocks."""
        return len(self.branches)

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the weights."""
        return self.scales.dtype

    def states(self, x: Tensor, scales: Tensor | None = None) -> list[Tensor]:
        """x_0 = E(x), x_1, …, x_n: the signal before the first and after every block.

        Parameters
        ----------
        x : Tensor, shape (..., inputs)
            The network's input.
        scales : Tensor, shape (n,), optional
            Other scales than the network's own.
        """
        scales = self.scales if scales is None else scales
        if scales.shape != (self.depth,):
            required = f"one scale for each of {self.depth} blocks"
            raise InputError(required, f"shape {tuple(scales.shape)}", "give a vector of scales")
        states = [x if self.encoder is None else self.encoder(x)]
        for scale, branch in zip(scales, self.branches, strict=True):
            states.append(self.block_factor * (states[-1] + scale * branch(states[-1])))
        return states

    def forward(self, x: Tensor, scales: Tensor | None = None) -> Tensor:
        """D(H_n(E(x))), shape (..., outputs)."""
        state = self.states(x, scales)[-1]
        return state if self.decoder is None else self.decoder(state)


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """The layer x ↦ W x + b with these very tensors as its parameters.

    Parameters
    ----------
    weight : Tensor, shape (outputs, inputs)
        W.
    bias : Tensor, shape (outputs,), optional
        b.

    Examples
    --------
    >>> linear(torch.tensor([[2.0]]))(torch.tensor([3.0])).item()
    6.0
    """
    outputs, inputs = weight.shape
    # On the meta device torch draws no weights of its own, which would be thrown away.
    layer = nn.Linear(inputs, outputs, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer


def build(
    architecture: Architecture, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> ResidualNetwork:
    """A freshly initialised network: the same weights for the same seed and ``dtype``.

    Parameters
    ----------
    architecture : Architecture
        What to build. Encoder and decoder are drawn from N(0, 1/fan-in); biases start at zero.
    seed : int
        Of the weights; torch's global generator is neither read nor advanced.
    dtype : torch.dtype
        Floating-point type of the weights.

    Examples
    --------
    >>> frei = build(Architecture("frei", depth=2, dimension=3, rule=0.5))
    >>> frei.scales.tolist(), frei.branches[0].outer is None
    ([0.5, 0.5], True)
    """
    generator = torch.Generator().manual_seed(seed)
    order, d, hidden = ORDERS[architecture.order], architecture.dimension, architecture.hidden

    def layer(inputs: int, outputs: int, variance: float, bias: bool) -> nn.Linear:
        normal = torch.randn((outputs, inputs), generator=generator, dtype=dtype)
        return linear(
            normal * math.sqrt(variance), torch.zeros(outputs, dtype=dtype) if bias else None
        )

    def branch() -> ResidualBranch:
        inner = outer = None
        if order.inner_gain is not None:
            inner = layer(d, hidden, order.inner_gain / hidden, order.biases)
        if order.outer_gain is not None:
            outer = layer(hidden, d, order.outer_gain / d, order.biases)
        normalisation = nn.BatchNorm1d(d, dtype=dtype) if architecture.normalised else None
        return ResidualBranch(
            architecture.activation, inner=inner, outer=outer, normalisation=normalisation
        )

    inputs, classes = architecture.inputs, architecture.classes
    encoder = None if inputs is None else layer(inputs, d, 1 / inputs, True)
    branches = [branch() for _ in range(architecture.depth)]
    decoder = None if classes is None else layer(d, classes, 1 / d, True)
    return ResidualNetwork(branches, architecture.rule, encoder=encoder, decoder=decoder)
