r"""A small pre-norm transformer on the patches of an image, as a tower of branches.

Block l is ``x ↦ x + λ_l f_l(LN(x))``: attention where l is odd, an MLP with GELU and 2d hidden
units where it is even, so that the depth n counts the residual additions. Every matrix is drawn
from N(0, 1/fan-in). A position embedding, which starts at zero, is added to the patches; the
readout is LN and a matrix on all patches.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from expansion.errors import InputError
from torch_bridge.experiments.training.resnets import (
    Draw,
    Readout,
    assembled,
    drawn_from,
    positions,
)
from torch_bridge.experiments.training.schemes import Scheme
from torch_bridge.networks.models import ResidualNetwork, linear

__all__ = ["AttentionBranch", "MLPBranch", "Tokens", "build_transformer"]

_HEADS = 2


class AttentionBranch(nn.Module):
    """x ↦ O softmax(QK'/√(d/heads)) V on LN(x), written out so that every step can be seen.

    Parameters
    ----------
    queries, keys, values, outputs : nn.Linear
        From d to d.
    heads : int
        A divisor of d.
    """

    def __init__(
        self,
        queries: nn.Linear,
        keys: nn.Linear,
        values: nn.Linear,
        outputs: nn.Linear,
        heads: int = _HEADS,
    ) -> None:
        super().__init__()
        self.normalisation = nn.LayerNorm(outputs.out_features)
        self.queries, self.keys, self.values, self.outputs = queries, keys, values, outputs
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        """f(x), shape (samples, tokens, d)."""
        samples, tokens, d = x.shape
        normal = self.normalisation(x)

        def split(layer: nn.Linear) -> Tensor:
            rows: Tensor = layer(normal)
            return rows.reshape(samples, tokens, self.heads, d // self.heads).transpose(1, 2)

        q, k, v = split(self.queries), split(self.keys), split(self.values)
        pattern = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(d // self.heads), dim=-1)
        mixed = (pattern @ v).transpose(1, 2).reshape(samples, tokens, d)
        out: Tensor = self.outputs(mixed)
        return out


class MLPBranch(nn.Module):
    """x ↦ V gelu(U LN(x) + b) + c, token by token.

    Parameters
    ----------
    inner, outer : nn.Linear
        (U, b) and (V, c).
    """

    def __init__(self, inner: nn.Linear, outer: nn.Linear) -> None:
        super().__init__()
        self.normalisation = nn.LayerNorm(outer.out_features)
        self.inner, self.outer = inner, outer

    def forward(self, x: Tensor) -> Tensor:
        """f(x), shape (samples, tokens, d)."""
        out: Tensor = self.outer(nn.functional.gelu(self.inner(self.normalisation(x))))
        return out


class Tokens(nn.Module):
    """Rows to tokens: the patches of the image, a matrix, and an embedding of the position.

    Parameters
    ----------
    matrix : nn.Linear
        From a patch to d numbers.
    shape : tuple of int
        (channels, height, width) of the image in a row.
    patch : int
        Side of a patch.
    """

    def __init__(self, matrix: nn.Linear, shape: tuple[int, int, int], patch: int) -> None:
        super().__init__()
        tokens = positions(shape, patch)
        self.matrix = matrix
        self.shape, self.patch = shape, patch
        self.positions = nn.Parameter(torch.zeros(tokens, matrix.out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (samples, tokens, d)."""
        c, h, w = self.shape
        p = self.patch
        grid = x.reshape(-1, c, h // p, p, w // p, p).permute(0, 2, 4, 1, 3, 5)
        tokens: Tensor = self.matrix(grid.reshape(len(x), -1, c * p * p))
        return tokens + self.positions


def build_transformer(
    scheme: Scheme,
    *,
    depth: int,
    width: int,
    shape: tuple[int, int, int],
    classes: int,
    patch: int = 2,
    seed: int = 0,
) -> ResidualNetwork:
    """A freshly initialised transformer in float32: the same weights for the same seed.

    Parameters
    ----------
    scheme : Scheme
        A scaling rule, ``half`` or SkipInit; the normalisation is the transformer's own.
    depth, width : int
        n branches; d coordinates of a token.
    shape, classes, patch, seed
        As for :func:`~torch_bridge.experiments.training.resnets.build_resnet`.

    Raises
    ------
    InputError
        For a scheme with a normalisation of its own, Fixup, or a width that two heads cannot
        share.

    Examples
    --------
    >>> built = build_transformer(
    ...     Scheme.parse("1"), depth=2, width=8, shape=(1, 8, 8), classes=10
    ... )
    >>> built(torch.ones(3, 64)).shape, built.states(torch.ones(3, 64))[-1].shape
    (torch.Size([3, 10]), torch.Size([3, 16, 8]))
    """
    if scheme.normalisation or scheme.fixup:
        required = "a scheme without a normalisation of its own, for a pre-norm transformer"
        raise InputError(required, scheme.text, "give a scaling rule or skipinit")
    if width % _HEADS:
        raise InputError(f"a width that {_HEADS} heads share", width, "give an even one")
    draw = drawn_from(seed)
    entries = shape[0] * patch**2
    encoder = Tokens(_layer(draw, entries, width), shape, patch)
    branches = [_block(number, width, draw) for number in range(1, depth + 1)]
    entries = width * positions(shape, patch)
    readout = Readout(_layer(draw, entries, classes), nn.LayerNorm(width))
    return assembled(branches, scheme, encoder, readout)


def _block(number: int, d: int, draw: Draw) -> nn.Module:
    if number % 2:
        queries, keys, values, outputs = (_layer(draw, d, d) for _ in range(4))
        return AttentionBranch(queries, keys, values, outputs)
    return MLPBranch(_layer(draw, d, 2 * d), _layer(draw, 2 * d, d))


def _layer(draw: Draw, inputs: int, outputs: int) -> nn.Linear:
    return linear(draw((outputs, inputs), 1 / inputs), torch.zeros(outputs))
