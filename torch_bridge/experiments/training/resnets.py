r"""Residual networks to train: De & Smith's in dense and convolutional form, and a residual MLP.

========= =========================================== ====================================
network   branch f(x)                                 matrices at initialisation
========= =========================================== ====================================
``dense`` W relu(x)                                   W ~ N(0, 2/d)
``conv``  W ∗ relu(x), 3×3 on the torus               W ~ N(0, 2/(9d))
``mlp``   V relu(U x + b) + c                         U ~ N(0, 2/d), V ~ N(0, 1/d)
========= =========================================== ====================================

The encoder is a matrix (for ``conv``, one per patch) and the readout a matrix on the last signal
(on all its positions), both N(0, 1/fan-in), so that the signal starts with energy 1 per
coordinate on standardised inputs. All branches preserve energy (claim G1); convolutions do so at
every position because they wrap around instead of padding with zeros. Signals of ``dense`` and
``mlp`` are vectors of d coordinates, of ``conv`` images of d channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from expansion.checking import check_count
from expansion.errors import InputError
from torch_bridge.experiments.training.schemes import Scheme
from torch_bridge.networks.models import ResidualBranch, ResidualNetwork, linear

__all__ = [
    "ConvolutionBranch",
    "Draw",
    "Patches",
    "Readout",
    "assembled",
    "build_resnet",
    "drawn_from",
    "inverse_variances",
    "positions",
    "wrapped",
]

_KERNEL = 3

Draw = Callable[[tuple[int, ...], float], Tensor]


class ConvolutionBranch(nn.Module):
    """x ↦ W ∗ relu(norm(x)): De & Smith's branch with one convolution.

    Parameters
    ----------
    convolution : nn.Conv2d
        W.
    normalisation : nn.Module, optional
        Applied to x first.
    """

    def __init__(self, convolution: nn.Conv2d, normalisation: nn.Module | None = None) -> None:
        super().__init__()
        self.normalisation = normalisation
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        """f(x), shape (samples, channels, height, width)."""
        hidden: Tensor = x if self.normalisation is None else self.normalisation(x)
        convolved: Tensor = self.convolution(wrapped(torch.relu(hidden)))
        return convolved


def wrapped(image: Tensor) -> Tensor:
    """The image with a margin of one position, taken from the opposite side.

    Examples
    --------
    >>> wrapped(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))[0].tolist()
    [4.0, 3.0, 4.0, 3.0]
    """
    tall = torch.cat([image[..., -1:, :], image, image[..., :1, :]], dim=-2)
    return torch.cat([tall[..., -1:], tall, tall[..., :1]], dim=-1)


class Patches(nn.Module):
    """Rows to images of d channels: one matrix for every patch.

    Parameters
    ----------
    convolution : nn.Conv2d
        As wide as it steps.
    shape : tuple of int
        (channels, height, width) of the image in a row.
    """

    def __init__(self, convolution: nn.Conv2d, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        """Shape (samples, d, height/patch, width/patch)."""
        encoded: Tensor = self.convolution(x.reshape(-1, *self.shape))
        return encoded


class Readout(nn.Module):
    """From the last signal to the classes: a normalisation, where there is one, and a matrix.

    Parameters
    ----------
    matrix : nn.Linear
        From all coordinates at all positions.
    normalisation : nn.Module, optional
        Applied first.
    """

    def __init__(self, matrix: nn.Linear, normalisation: nn.Module | None = None) -> None:
        super().__init__()
        self.normalisation = normalisation
        self.matrix = matrix

    def forward(self, x: Tensor) -> Tensor:
        """Shape (samples, classes)."""
        hidden: Tensor = x if self.normalisation is None else self.normalisation(x)
        logits: Tensor = self.matrix(hidden.flatten(1))
        return logits


def build_resnet(
    network: str,
    scheme: Scheme,
    *,
    depth: int,
    width: int,
    shape: tuple[int, int, int],
    classes: int,
    patch: int = 2,
    seed: int = 0,
) -> ResidualNetwork:
    """A freshly initialised network in float32: the same weights for the same seed.

    Parameters
    ----------
    network : {"dense", "conv", "mlp"}
        Which.
    scheme : Scheme
        Scales, normalisation, what is learned.
    depth, width : int
        n blocks; d coordinates or channels.
    shape : tuple of int
        (channels, height, width) of the images in the rows of the data.
    classes : int
        Outputs.
    patch : int
        Side of a patch of ``conv``.
    seed : int
        Of the weights; torch's global generator is left alone.

    Examples
    --------
    >>> built = build_resnet(
    ...     "conv", Scheme.parse("half"), depth=3, width=4, shape=(1, 8, 8), classes=10
    ... )
    >>> [tuple(state.shape) for state in built.states(torch.ones(5, 64))][::3], built.block_factor
    ([(5, 4, 4, 4), (5, 4, 4, 4)], 0.7071067811865476)
    """
    draw = drawn_from(seed)
    inputs, image = math.prod(shape), network == "conv"
    encoder: nn.Module
    if image:
        kernel = draw((width, shape[0], patch, patch), 1 / (shape[0] * patch**2))
        step = _convolution(kernel, bias=True, stride=patch)
        encoder = Patches(step, shape)
    else:
        encoder = linear(draw((width, inputs), 1 / inputs), torch.zeros(width))
    branches = [_branch(network, scheme, depth, width, draw) for _ in range(depth)]
    entries = width * (positions(shape, patch) if image else 1)
    matrix = linear(draw((classes, entries), 1 / entries), torch.zeros(classes))
    if scheme.fixup:
        nn.init.zeros_(matrix.weight)
    readout = Readout(matrix, _normalisation(scheme, width, image=image))
    return assembled(branches, scheme, encoder, readout)


def drawn_from(seed: int) -> Draw:
    """Normal entries of a size and a variance, again and again from one generator of their own."""
    generator = torch.Generator().manual_seed(seed)

    def draw(size: tuple[int, ...], variance: float) -> Tensor:
        return torch.randn(size, generator=generator) * math.sqrt(variance)

    return draw


def assembled(
    branches: Sequence[nn.Module], scheme: Scheme, encoder: nn.Module, readout: nn.Module
) -> ResidualNetwork:
    """The network at a scheme's scales, which are parameters where training moves them."""
    built = ResidualNetwork(branches, scheme.rule, encoder=encoder, decoder=readout)
    if scheme.learned:
        start = built.scales
        del built.scales
        built.scales = nn.Parameter(start.clone())
    return built


def positions(shape: tuple[int, int, int], patch: int) -> int:
    """How many patches an image has.

    Raises
    ------
    InputError
        When the patches do not fill the image.
    """
    _, height, width = shape
    check_count(patch, "patch", least=1)
    if height % patch or width % patch:
        came = f"patches of {patch} on {height}×{width}"
        raise InputError("patches that fill the image", came, "give a divisor of both sides")
    return (height // patch) * (width // patch)


def inverse_variances(
    network: str, width: int, shape: tuple[int, int, int], patch: int
) -> tuple[float, float, float]:
    """1/variance of an entry of the encoder, of a branch's matrices together, of the readout.

    Examples
    --------
    >>> inverse_variances("mlp", 16, (1, 8, 8), 2), inverse_variances("conv", 8, (1, 8, 8), 2)
    ((64.0, 24.0, 16.0), (4.0, 36.0, 128.0))
    """
    branch = {
        "dense": width / 2,
        "conv": _KERNEL**2 * width / 2,
        "mlp": width / 2 + width,
        # Every other branch is attention, with four d×d matrices; between them MLPs of 2d units.
        "transformer": (4 * width + width + 2 * width) / 2,
    }[network]
    if network in ("dense", "mlp"):
        return float(math.prod(shape)), branch, float(width)
    return float(shape[0] * patch**2), branch, float(width * positions(shape, patch))


def _branch(network: str, scheme: Scheme, depth: int, d: int, draw: Draw) -> nn.Module:
    biases = scheme.fixup or network == "mlp"
    zeros = torch.zeros(d) if biases else None
    norm = _normalisation(scheme, d, image=network == "conv")
    if network == "conv":
        kernel = draw((d, d, _KERNEL, _KERNEL), 2 / (d * _KERNEL**2))
        kernel = kernel * 0 if scheme.fixup else kernel
        return ConvolutionBranch(_convolution(kernel, bias=biases), norm)
    inner = None
    if network == "mlp":
        others = depth**-0.5 if scheme.fixup else 1.0  # n^(−1/(2m−2)) with m = 2 matrices
        inner = linear(others * draw((d, d), 2 / d), torch.zeros(d))
    outer = draw((d, d), (1 if network == "mlp" else 2) / d)
    outer = outer * 0 if scheme.fixup else outer
    return ResidualBranch("relu", inner=inner, outer=linear(outer, zeros), normalisation=norm)


def _convolution(kernel: Tensor, *, bias: bool, stride: int = 1) -> nn.Conv2d:
    outputs, inputs, side, _ = kernel.shape
    layer = nn.Conv2d(
        inputs,
        outputs,
        side,
        stride=stride,
        bias=bias,
        device="meta",  # where torch draws no weights of its own
    )
    layer.weight = nn.Parameter(kernel)
    if bias:
        layer.bias = nn.Parameter(torch.zeros(outputs))
    return layer


def _normalisation(scheme: Scheme, width: int, *, image: bool) -> nn.Module | None:
    if not scheme.normalisation:
        return None
    if scheme.normalisation == "batch":
        return nn.BatchNorm2d(width) if image else nn.BatchNorm1d(width)
    return nn.GroupNorm(1, width) if image else nn.LayerNorm(width)
