"""DenseNets: every layer reads all earlier ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from expansion.checking import check_count
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge
from expansion.towers.architectures.residual import check_counts

__all__ = ["densenet"]


def densenet(layers: int | str | Sequence[int] = (6, 12, 24, 16), growth: int = 1) -> Architecture:
    """Dense blocks whose layers read the input and all layers before; (1 + g z)ᴸ each.

    Follows Huang et al. 2017; (6, 12, 24, 16) is DenseNet-121 with its two convolutions per
    layer taken as one. Between dense blocks stands a transition, one branch that all paths pass.
    All L(L+1)/2 connections are edges of their own, and still the paths of a dense block are
    those of a residual tower.

    Parameters
    ----------
    layers : int or sequence of int
        Layers in each dense block, named ``dense1.layer1``, …; transitions ``transition1``, ….
    growth : int
        Weight of every layer: 1 counts paths by layer. The growth rate, the number of feature
        maps that a layer adds, counts them by feature map inside dense blocks.

    Examples
    --------
    >>> from expansion.growth.path_polynomials import path_polynomial
    >>> path_polynomial(densenet(3)).counts
    (1, 3, 3, 1)
    >>> path_polynomial(densenet((2, 1), growth=3)).counts
    (0, 1, 9, 27, 27)
    """
    counts = check_counts(layers, "layers")
    weight = check_count(growth, "growth", least=1)

    def edges() -> Iterator[Edge]:
        start = "x"
        for number, size in enumerate(counts, 1):
            if number > 1:
                reached, start = start, f"dense{number} x0"
                yield Edge(reached, start, f"transition{number - 1}", 1)
            signals = [start]
            for layer in range(1, size + 1):
                gathered = f"dense{number} in{layer}"
                for signal in signals:
                    yield Edge(signal, gathered)
                signals.append(f"dense{number} x{layer}")
                yield Edge(gathered, signals[-1], f"dense{number}.layer{layer}", 1, weight)
            start = f"dense{number} all"
            for signal in signals:
                yield Edge(signal, start)

    return Architecture.of(edges())
