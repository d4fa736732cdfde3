r"""What normalisation hides: a model whose branches lose their normalisation layers.

A normalisation layer gives :math:`\gamma\,(u - \mu)/\sqrt{\sigma^2 + \epsilon} + \beta`, by the
statistics of the batch, of the layer, or, for batch normalisation in evaluation mode, by running
averages. Taken out, it gives :math:`\gamma u + \beta`: what was learned stays, what normalises
goes. How the signal then grows is what it was hiding (De & Smith 2020: without batch
normalisation the energy doubles in every block).

Only layers inside a branch are taken out, and only those that PyTorch itself has as operations:
batch, layer and group normalisation. One written out by hand stays.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx

from expansion.errors import InputError
from torch_bridge.measuring.rescale import Source, copied
from torch_bridge.tracing.captured import Addition, CapturedModel
from torch_bridge.tracing.dependence import name_of
from torch_bridge.tracing.interpreter import Observer, run

__all__ = ["BareBlocks", "without_normalisation"]

# Positions of input, weight and bias; whether these go with the last dimensions, or dimension 1.
_LAYERS = {
    "_native_batch_norm_legit": (0, 1, 2, False),
    "_native_batch_norm_legit_functional": (0, 1, 2, False),
    "_native_batch_norm_legit_no_training": (0, 1, 2, False),
    "native_batch_norm": (0, 1, 2, False),
    "native_group_norm": (0, 1, 2, False),
    "native_layer_norm": (0, 2, 3, True),
}
aten = torch.ops.aten


class BareBlocks:
    """A traced model's blocks without the normalisation layers inside them.

    It can be measured and predicted as the tower itself.

    Parameters
    ----------
    tower : Source
        The traced model.

    Attributes
    ----------
    removed : int
        How many normalisation layers were taken out.

    Raises
    ------
    InputError
        For a model whose branches have none.
    """

    def __init__(self, tower: Source) -> None:
        self.names: Sequence[str] = tower.names
        self.example = tower.example
        self._captured, self.removed = without_normalisation(tower.captured())
        if not self.removed:
            came, mend = "none that PyTorch knows", "it has nothing that could be hidden"
            raise InputError("normalisation layers inside the branches", came, mend)

    def run(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        scales: Any = None,
        observe: Observer | None = None,
    ) -> Any:
        """See :class:`~torch_bridge.measuring.stream.Blocks`."""
        return run(self._captured, args, kwargs, scales=scales, observe=observe)


def without_normalisation(captured: CapturedModel) -> tuple[CapturedModel, int]:
    """A copy of a captured model without normalisation in its branches, and how many there were.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> from torch_bridge.tracing.capture import capture
    >>> model = build(Architecture("de-smith", 3, 4, normalised=True)).eval()
    >>> without_normalisation(capture(model, (torch.ones(2, 4, dtype=torch.float64),)))[1]
    3
    """
    graph, copies = copied(captured.graph)
    inside: set[fx.Node] = set()
    for addition in captured.additions:
        inside |= _inside(addition)
    removed = 0
    for node in captured.graph.nodes:
        if node not in inside or node.op != "call_function" or name_of(node) not in _LAYERS:
            continue
        layer = copies[node]
        results = [u for u in layer.users if u.target is operator.getitem and u.args[1] == 0]
        with graph.inserting_after(layer):
            bare = _affine(graph, layer)
        for result in results:
            result.replace_all_uses_with(bare)
            for key, copy in copies.items():
                if copy is result:
                    copies[key] = bare
        removed += 1
    graph.eliminate_dead_code()
    additions = tuple(
        Addition(
            one.name,
            copies[one.sum],
            copies[one.skip],
            tuple(copies[branch] for branch in one.branches),
            one.shortcut,
        )
        for one in captured.additions
    )
    bare_model = CapturedModel(graph, captured.state, captured.bind, captured.restore, additions)
    return bare_model, removed


def _inside(addition: Addition) -> set[fx.Node]:
    """What a block's branches compute on their own: not the skip, nor what that comes from."""
    outside: set[fx.Node] = set()
    waiting = [addition.skip]
    while waiting:
        node = waiting.pop()
        if node not in outside:
            outside.add(node)
            waiting += node.all_input_nodes
    found: set[fx.Node] = set()
    waiting = [branch for branch in addition.branches if branch not in outside]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [source for source in node.all_input_nodes if source not in outside]
    return found


def _affine(graph: fx.Graph, layer: fx.Node) -> fx.Node:
    """γ u + β after a layer, shaped to fit u."""
    signal, weight, bias, last = _LAYERS[name_of(layer)]
    value = layer.args[signal]
    assert isinstance(value, fx.Node)
    dimensions = value.meta["val"].ndim
    after = layer
    for place, operation in ((weight, aten.mul.Tensor), (bias, aten.add.Tensor)):
        parameter = layer.args[place] if place < len(layer.args) else None
        if not isinstance(parameter, fx.Node):
            continue
        if not last and dimensions > 2:
            shape = [1, -1] + [1] * (dimensions - 2)
            with graph.inserting_after(after):
                parameter = graph.call_function(aten.reshape.default, (parameter, shape))
            after = parameter
        with graph.inserting_after(after):
            value = graph.call_function(operation, (value, parameter))
        after = value
    return value
