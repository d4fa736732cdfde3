r"""Running a captured graph with a scale on every residual addition.

At addition i the value is :math:`\text{skip} + \lambda_i \sum \text{branches}`. Everything else is
executed as captured, so scales of 1 give the model's own output to rounding.

A scale that is the number 1 is not multiplied with, and a branch with the number 0 is not computed
unless somebody observes it. Scales in a tensor are multiplied in, so the output can be
differentiated in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from torch_bridge.tracing.captured import Addition, CapturedModel

__all__ = ["Observer", "run", "run_flat"]

#: Called at every addition with its index, skip, scaled branch and sum; a tensor that it returns
#: goes on instead of the sum.
Observer = Callable[[int, Tensor, Tensor, Tensor], Tensor | None]

aten = torch.ops.aten


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.native_batch_norm(x, weight, bias, mean, variance, False, momentum, eps)


# The same kernel by an operation that torch.vmap knows.
_RUN_AS = {aten._native_batch_norm_legit_no_training.default: _batch_norm}


def run(
    captured: CapturedModel,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    *,
    scales: Sequence[float] | Tensor | None = None,
    observe: Observer | None = None,
) -> Any:
    """The model's output, in the model's own structure, at any scales.

    Parameters
    ----------
    captured : CapturedModel
        Captured for inputs of these shapes.
    args, kwargs : tuple and mapping
        The inputs.
    scales : sequence of n floats or Tensor of shape (n,), optional
        λ_1..λ_n; 1 by default. The caller has checked their number.
    observe : callable, optional
        Called at addition i with ``(i, skip, λ_i Σ branches, sum)``; a tensor that it returns goes
        on instead of the sum.

    Examples
    --------
    >>> from torch import nn
    >>> from torch_bridge.tracing.capture import capture
    >>> class Double(nn.Linear):
    ...     def forward(self, x):
    ...         return x + super().forward(x)
    >>> model = Double(1, 1, bias=False)
    >>> with torch.no_grad():
    ...     _ = model.weight.fill_(1.0)
    ...     run(capture(model, (torch.ones(1, 1),)), (torch.ones(1, 1),), scales=[0.5]).item()
    1.5
    """
    return captured.restore(run_flat(captured, args, kwargs, scales=scales, observe=observe))


def run_flat(
    captured: CapturedModel,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    *,
    scales: Sequence[float] | Tensor | None = None,
    observe: Observer | None = None,
) -> list[Any]:
    """The same as a flat list, in which constants such as None keep their places."""
    inputs = captured.bind(args, dict(kwargs or {}))
    at = {addition.sum: index for index, addition in enumerate(captured.additions)}
    plain = scales is None and observe is None
    if plain:
        at = {}
    factors: Any = [1.0] * len(captured.additions) if scales is None else scales
    sources = {
        node: _operands(captured.additions[at[node]], factors[at[node]], observe)
        if node in at
        else node.all_input_nodes
        for node in captured.graph.nodes
    }
    needed = _needed(captured.graph, sources)
    uses = dict.fromkeys(needed, 0)
    for node in needed:
        for source in sources[node]:
            uses[source] += 1
    values: dict[fx.Node, Any] = {}
    for node in captured.graph.nodes:
        if node not in needed:
            continue
        if node.op == "placeholder":
            known = inputs if node.name in inputs else captured.state
            values[node] = known[node.name]
        elif node.op == "output":
            return list(fx.map_arg(node.args[0], values.__getitem__))
        elif node in at:
            index = at[node]
            values[node] = _add(index, captured.additions[index], factors[index], values, observe)
        else:
            arguments, keywords = fx.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = _RUN_AS.get(node.target, node.target)(*arguments, **keywords)
        for source in sources[node]:
            uses[source] -= 1
            if not uses[source]:
                del values[source]
    raise AssertionError("a graph without an output")


def _operands(addition: Addition, factor: Any, observe: Observer | None) -> list[fx.Node]:
    """What an addition reads."""
    dropped = observe is None and _is(factor, 0)
    return [addition.skip] if dropped else [addition.skip, *addition.branches]


def _is(factor: Any, number: float) -> bool:
    return not isinstance(factor, Tensor) and factor == number


def _needed(graph: fx.Graph, sources: Mapping[fx.Node, Sequence[fx.Node]]) -> set[fx.Node]:
    """The nodes that the output is computed from."""
    needed: set[fx.Node] = set()
    waiting = [graph.output_node()]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += sources[node]
    return needed


def _add(
    index: int,
    addition: Addition,
    factor: Any,
    values: Mapping[fx.Node, Any],
    observe: Observer | None,
) -> Tensor:
    """skip + λ Σ branches."""
    skip: Tensor = values[addition.skip]
    if observe is None and _is(factor, 0):
        example = addition.sum.meta["val"]
        return skip.to(example.dtype).expand(example.shape)
    branch: Tensor = values[addition.branches[0]]
    for other in addition.branches[1:]:
        branch = branch + values[other]
    if not _is(factor, 1):
        branch = factor * branch
    total = skip + branch
    changed = None if observe is None else observe(index, skip, branch, total)
    return total if changed is None else changed
