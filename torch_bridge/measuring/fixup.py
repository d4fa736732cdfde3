r"""Fixup: an initialisation for networks without normalisation (Zhang, Dauphin & Ma 2019).

As De & Smith (2020) list its parts, for a network of n branches with m layers in each: (1) the last
layer of every branch starts at zero; (2) the others are multiplied by :math:`n^{-1/(2m-2)}`;
(3) scalar multipliers and (4) scalar biases are added. They found that (1) or (2) alone is
enough to train deep networks. Here (1) and (2) are done, on a copy of the model: they change
weights only, so that the model's code stays as it is. (3) and (4) are new parameters, and the
zeros that the paper gives to the classifier are no part of a branch: both are left to the user.

The layers of a branch are its matrices and convolutions; m is the largest number of them that one
path from the skip to the addition meets, so that query, key and value count as one.
"""

from __future__ import annotations

import copy

import torch
from torch import fx, nn

from expansion.errors import InputError
from torch_bridge.measuring.folding import final_parameters
from torch_bridge.measuring.measure import scales_of
from torch_bridge.measuring.rescale import Source, placeholder_names
from torch_bridge.tracing.captured import Addition, CapturedModel
from torch_bridge.tracing.dependence import name_of

__all__ = ["fixup"]

# By the position of the weight in the arguments.
_WEIGHTS = {"addmm": 2, "mm": 1, "bmm": 1, "matmul": 1, "convolution": 1}
_MOVES = {"permute", "t", "transpose", "reshape", "view", "expand", "clone", "unsqueeze"}


def fixup(tower: Source) -> nn.Module:
    """A copy of the user's model with the weights that Fixup starts from.

    Parameters
    ----------
    tower : Source
        The traced model, freshly initialised.

    Raises
    ------
    InputError
        For a model without blocks, or a branch that does not end in a linear layer of its own.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> from torch_bridge.tower import trace
    >>> x = torch.ones(1, 3, dtype=torch.float64)
    >>> model = build(Architecture("mlp", depth=4, dimension=3, rule="1"))
    >>> start = fixup(trace(model, x))
    >>> ratio = start.branches[0].inner.weight / model.branches[0].inner.weight
    >>> bool(torch.allclose(ratio, torch.tensor(0.5).double())), bool(torch.equal(start(x), x))
    (True, True)
    """
    scales_of("1", tower)
    captured = tower.captured()
    names = placeholder_names(tower.model, captured)
    factors: dict[str, float] = {}
    depth = len(captured.additions)
    for addition in captured.additions:
        last = final_parameters(captured, addition)
        if last is None or not last <= names.keys():
            mend = "end every branch in a layer of its own"
            raise InputError("branches that end in a linear layer", addition.name, mend)
        layers, count = _layers(captured, addition)
        for placeholder in layers - last if count > 1 else ():
            factors[placeholder] = depth ** (-1 / (2 * count - 2))
        factors |= dict.fromkeys(last, 0.0)
    model = copy.deepcopy(tower.model)
    own = dict(model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for placeholder, factor in factors.items():
            if placeholder in names and names[placeholder] in own:
                own[names[placeholder]].mul_(factor)
    return model


def _layers(captured: CapturedModel, addition: Addition) -> tuple[set[str], int]:
    """The weights of an addition's branches, and how many layers a path meets."""
    weights: set[str] = set()
    counts: dict[fx.Node, int] = {}
    start = _upstream(addition.skip)
    inside = set().union(*map(_upstream, addition.branches))
    for node in captured.graph.nodes:
        above = [counts[source] for source in node.all_input_nodes if source in counts]
        if node is addition.skip or node in start or (not above and node.op == "placeholder"):
            counts[node] = 0
            continue
        own = _weight(node, captured)
        counts[node] = max(above, default=0) + (own is not None)
        if own is not None and node in inside:
            weights.add(own)
    return weights, max(counts[branch] for branch in addition.branches)


def _upstream(node: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += one.all_input_nodes
    return found


def _weight(node: fx.Node, captured: CapturedModel) -> str | None:
    """The placeholder of the weight that a layer multiplies with; None for other operations."""
    position = _WEIGHTS.get(name_of(node)) if node.op == "call_function" else None
    if position is None:
        return None
    source = node.args[position]
    while isinstance(source, fx.Node) and source.op == "call_function":
        if name_of(source) not in _MOVES:
            return None
        source = source.args[0]
    held = isinstance(source, fx.Node) and source.name in captured.state
    return source.name if held and isinstance(source, fx.Node) else None
