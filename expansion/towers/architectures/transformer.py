"""Transformers: attention and MLP as residual branches, norms inside them or on the trunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from expansion.checking import check_count
from expansion.errors import InputError
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.edge import Edge
from expansion.towers.architectures.residual import branch_edges

__all__ = ["transformer"]


def transformer(layers: int, norm: Literal["pre", "post"] = "pre") -> Architecture:
    """L layers of attention and MLP, each a residual branch; path polynomial (1 + z)²ᴸ.

    Post-norm as in Vaswani et al. 2017: ``h ↦ Norm(h + f(h))``, so that every path passes all 2L
    norms. Pre-norm as compared by Xiong et al. 2020: ``h ↦ h + f(Norm(h))`` and one norm at the
    end, so that a path passes one norm for each of its branches, and one more.

    Parameters
    ----------
    layers : int
        L ≥ 1. Branches are named ``layer1.attention`` and ``layer1.mlp``.
    norm : {"pre", "post"}
        Norms have order 0; those inside a branch are named ``layer1.attention.norm``, those on
        the trunk ``trunk.layer1.attention.norm`` and ``trunk.norm``.

    Examples
    --------
    >>> from expansion.growth.path_polynomials import path_polynomial
    >>> path_polynomial(transformer(2)).counts
    (1, 4, 6, 4, 1)
    >>> path_polynomial(transformer(2).counting("norm")).counts
    (0, 1, 4, 6, 4, 1)
    >>> path_polynomial(transformer(2, norm="post").counting("norm")).counts
    (0, 0, 0, 0, 16)
    """
    layers = check_count(layers, "layers", least=1)
    if norm not in ("pre", "post"):
        raise InputError("norm must be pre or post", norm, "choose one of the two")
    names = [f"layer{n}.{kind}" for n in range(1, layers + 1) for kind in ("attention", "mlp")]

    def edges() -> Iterator[Edge]:
        for number, name in enumerate(names, 1):
            tail, head = f"h{number - 1}", f"h{number}"
            if norm == "pre":
                yield Edge(tail, head)
                yield from branch_edges(tail, head, [f"{name}.norm", name], orders=(0, 1))
            else:
                total = f"{name} sum"
                yield Edge(tail, total)
                yield Edge(tail, total, name, 1)
                yield Edge(total, head, f"trunk.{name}.norm")
        if norm == "pre":
            yield Edge(f"h{len(names)}", "output", "trunk.norm")

    return Architecture.of(edges())
