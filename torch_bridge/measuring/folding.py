r"""Scales inside the weights: where a branch ends in a linear layer, λ f has other weights only.

A branch is followed backwards from the addition through everything that commutes with a factor
(reshaping, sums, averages, a ReLU for λ ≥ 0) to the parameters that it is linear in: the weight and
bias of a matrix, a convolution or a normalisation, or a learned factor such as layer scale:

.. math:: \lambda\,(W x + b) = (\lambda W)\,x + \lambda b.

That holds for a parameter that is used in this one place only.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping

from torch import Tensor, fx

from torch_bridge.tracing.captured import Addition, CapturedModel
from torch_bridge.tracing.dependence import name_of

__all__ = ["final_parameters"]

# λ g(x) = g(λ x) in the first argument.
_LINEAR = {
    "_adaptive_avg_pool2d",
    "_to_copy",
    "avg_pool2d",
    "clone",
    "expand",
    "flip",
    "index",
    "index_select",
    "mean",
    "neg",
    "permute",
    "reshape",
    "select",
    "slice",
    "squeeze",
    "sum",
    "t",
    "transpose",
    "unsqueeze",
    "view",
}
_POSITIVE = {"relu", "leaky_relu"}  # for λ ≥ 0
# Operations that are linear in parameters, by the positions of these in their arguments.
_LAYERS = {
    "addmm": (0, 2),
    "convolution": (1, 2),
    "_native_batch_norm_legit": (1, 2),
    "_native_batch_norm_legit_functional": (1, 2),
    "_native_batch_norm_legit_no_training": (1, 2),
    "native_batch_norm": (1, 2),
    "native_group_norm": (1, 2),
    "native_layer_norm": (2, 3),
}


def final_parameters(
    captured: CapturedModel, addition: Addition, *, positive: bool = True
) -> frozenset[str] | None:
    """The placeholders of the parameters that an addition's branches are linear in.

    Parameters
    ----------
    captured : CapturedModel
        The model.
    addition : Addition
        One of its blocks.
    positive : bool
        Whether λ ≥ 0, so that it may pass a ReLU.

    Returns
    -------
    frozenset of str, or None
        None where a branch does not end in such parameters, or shares them with something else.
    """
    found: set[fx.Node] = set()
    for branch in addition.branches:
        ends = _ends(branch, positive)
        if ends is None or not ends.isdisjoint(found):
            return None
        found |= ends
    shared = _shared(captured.state)
    if any(node.name not in captured.state or node.name in shared for node in found):
        return None
    return frozenset(node.name for node in found)


def _ends(node: fx.Node, positive: bool) -> set[fx.Node] | None:
    """What has to be multiplied by λ, for this node to be."""
    if len(node.users) != 1:
        return None
    if node.op == "placeholder":
        return {node}
    if node.op != "call_function":
        return None
    name, args = name_of(node), node.args
    if node.target is operator.getitem:  # the first result of a normalisation
        inner = args[0]
        own = isinstance(inner, fx.Node) and name_of(inner) in _LAYERS and args[1] == 0
        return _parts(inner, positive) if own and isinstance(inner, fx.Node) else None
    if name in _LAYERS:
        return _parts(node, positive)
    first = args[0] if args and isinstance(args[0], fx.Node) else None
    if first is None:
        return None
    if name in _LINEAR or (name in _POSITIVE and positive):
        return _ends(first, positive)
    second = args[1] if len(args) > 1 else None
    if name in ("add", "sub"):
        if not isinstance(second, fx.Node):
            return None
        left, right = _ends(first, positive), _ends(second, positive)
        return None if left is None or right is None else left | right
    if name in ("mul", "mm", "bmm", "matmul"):
        # Either factor will do; the one that is a parameter comes first.
        factors = [f for f in (first, second) if isinstance(f, fx.Node)]
        for factor in sorted(factors, key=lambda f: not _is_parameter(f)):
            ends = _ends(factor, positive)
            if ends is not None:
                return ends
        return None
    return _ends(first, positive) if name == "div" else None


def _parts(layer: fx.Node, positive: bool) -> set[fx.Node] | None:
    """The parameters of a layer; None where one is missing that would be needed."""
    weight, bias = (layer.args[i] if i < len(layer.args) else None for i in _LAYERS[name_of(layer)])
    found: set[fx.Node] = set()
    for part, needed in ((weight, True), (bias, name_of(layer) == "addmm")):
        if isinstance(part, fx.Node):
            ends = _ends(part, positive)
            if ends is None:
                return None
            found |= ends
        elif needed:
            return None
    return found


def _is_parameter(node: fx.Node) -> bool:
    while node.op != "placeholder":
        if name_of(node) not in _LINEAR or not isinstance(node.args[0], fx.Node):
            return False
        node = node.args[0]
    return True


def _shared(state: Mapping[str, Tensor]) -> set[str]:
    """Placeholders whose tensor another placeholder stands for, too."""
    places: dict[int, list[str]] = {}
    for name in state:
        if state[name].numel():
            places.setdefault(state[name].data_ptr(), []).append(name)
    return {name for names in places.values() if len(names) > 1 for name in names}
