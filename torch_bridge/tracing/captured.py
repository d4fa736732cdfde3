"""What tracing a model gives: its graph in ATen operations, and its residual additions, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, fx

__all__ = ["Addition", "CapturedModel"]


@dataclass(frozen=True, slots=True, eq=False)
class Addition:
    """One residual addition, the sum ``skip + Σ branches`` of a graph (THEORY M1).

    Its block is ``sum = skip + λ Σ branches``, with λ = 1 in the model as it is.

    Parameters
    ----------
    name : str
        The module that the addition was found in, made unique: ``transformer.h.0.attn``.
    sum : fx.Node
        Where the sum is computed. Inner adds of a sum of three terms have no Addition of their own.
    skip : fx.Node
        The term that is carried over, or the parametrised shortcut.
    branches : tuple of fx.Node
        The terms that λ scales: one, or several that run in parallel.
    shortcut : {"identity", "moved", "parametrised"}
        What the skip is: the value that the branches start from, that value reshaped, pooled or
        multiplied by a number, or its image under a convolution, matrix or normalisation.
    """

    name: str
    sum: fx.Node
    skip: fx.Node
    branches: tuple[fx.Node, ...]
    shortcut: Literal["identity", "moved", "parametrised"] = "identity"


@dataclass(frozen=True, slots=True, eq=False)
class CapturedModel:
    """A model as one flat graph of ATen operations without side effects.

    Parameters
    ----------
    graph : fx.Graph
        Placeholders, ``call_function`` nodes of ``torch.ops.aten`` overloads (fused attention and
        other composite operations are decomposed), one output.
    state : mapping from placeholder name to Tensor
        The model's own parameters, buffers and constants: changing the model changes these.
    bind : callable
        ``bind(args, kwargs)`` names the inputs: placeholder name to value.
    restore : callable
        ``restore(values)`` gives the flat outputs of the graph the model's own structure.
    additions : tuple of Addition
        In the order of execution; the tower's depth is their number.
    """

    graph: fx.Graph
    state: Mapping[str, Tensor]
    bind: Callable[[tuple[Any, ...], Mapping[str, Any]], dict[str, Any]]
    restore: Callable[[list[Any]], Any]
    additions: tuple[Addition, ...]
