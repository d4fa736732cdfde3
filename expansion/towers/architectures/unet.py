"""U-Nets: down, across at every level, and up again."""

from __future__ import annotations

from collections.abc import Iterator

from expansion.checking import check_count
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge
from expansion.towers.architectures.residual import branch_edges

__all__ = ["unet"]


def unet(levels: int = 4, convolutions: int = 2) -> Architecture:
    """A U-Net: P₀ = zᶜ, P_l = z²ᶜ(1 + z P_{l−1}), and z·P_L; it has L + 1 paths.

    Follows Ronneberger, Fischer & Brox 2015 for 4 levels of 2 convolutions: the longest path
    passes all 23 convolutional layers, up-convolutions and the last 1×1 convolution among them.
    Pooling has order 0, and concatenation is a node like any sum.

    Parameters
    ----------
    levels : int
        L ≥ 1, how often the resolution is halved.
    convolutions : int
        c ≥ 1 at every level and on either side, named ``down1.conv1``, ``bottom.conv1``,
        ``up1.conv1``; up-convolutions are ``up1.upsample``, the skips ``across1``, the last
        convolution ``output``.

    Examples
    --------
    >>> from expansion.growth.path_polynomials import path_polynomial
    >>> polynomial = path_polynomial(unet())
    >>> [k for k, count in enumerate(polynomial.counts) if count]
    [5, 10, 15, 20, 23]
    >>> polynomial.total
    5
    """
    levels = check_count(levels, "levels", least=1)
    convolutions = check_count(convolutions, "convolutions", least=1)

    def convolve(tail: str, head: str, side: str) -> Iterator[Edge]:
        parts = [f"{side}.conv{number}" for number in range(1, convolutions + 1)]
        yield from branch_edges(tail, head, parts)

    def edges() -> Iterator[Edge]:
        for level in range(1, levels + 1):
            encoded, below = f"encoded{level}", f"x{level}"
            yield from convolve(f"x{level - 1}", encoded, f"down{level}")
            yield Edge(encoded, below, f"down{level}.pool")
            yield Edge(encoded, f"joined{level}", f"across{level}")
        yield from convolve(f"x{levels}", f"y{levels}", "bottom")
        for level in range(levels, 0, -1):
            yield Edge(f"y{level}", f"joined{level}", f"up{level}.upsample", 1)
            yield from convolve(f"joined{level}", f"y{level - 1}", f"up{level}")
        yield Edge("y0", "segmented", "output", 1)

    return Architecture.of(edges())
