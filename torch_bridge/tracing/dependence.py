"""Who feeds whom in a graph, through which kind of operation.

A node is *active* if it is a floating-point value that depends on the inputs. An active operation
is *parametrised* if it also takes a value that depends on the model's parameters and buffers
alone: a matrix or a convolution (``MIXES``), a normalisation (``NORMALISES``), or a product with a
learned factor (``SCALES``).
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from enum import IntEnum
from heapq import heappop, heappush

from torch import Tensor, fx

__all__ = ["Dependence", "Work", "name_of"]

_MIXING = {"addmm", "baddbmm", "bmm", "convolution", "einsum", "linear", "matmul", "mm", "mv"}
_NORMS = {
    "_fused_rms_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "_native_batch_norm_legit_no_training",
    "native_batch_norm",
    "native_group_norm",
    "native_layer_norm",
}
_PRODUCTS = {"mul", "div"}
_MOVES = {
    "_adaptive_avg_pool2d",
    "_to_copy",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "clone",
    "constant_pad_nd",
    "expand",
    "getitem",
    "max_pool2d_with_indices",
    "native_dropout",
    "permute",
    "reshape",
    "slice",
    "unsqueeze",
    "upsample_bilinear2d",
    "upsample_nearest2d",
}


class Work(IntEnum):
    """What an operation's parameters do to its active input; more is stronger."""

    NOTHING = 0
    SCALES = 1
    NORMALISES = 2
    MIXES = 3


def name_of(node: fx.Node) -> str:
    """The operation without its overload: ``add`` for ``aten.add.Tensor``."""
    packet = getattr(node.target, "overloadpacket", None)
    if packet is None:
        return getattr(node.target, "__name__", str(node.target))
    return str(packet.__name__)


class Dependence:
    """Answers for one graph; build it again when the graph changes.

    Parameters
    ----------
    graph : fx.Graph
        Of ATen operations in execution order, each with its example in ``meta["val"]``.
    state : set of fx.Node
        Placeholders of parameters, buffers and constants.
    parameters : set of fx.Node
        Those of them that are learned.
    """

    def __init__(self, graph: fx.Graph, state: Set[fx.Node], parameters: Set[fx.Node]) -> None:
        self._order = list(graph.nodes)
        self._places = {node: place for place, node in enumerate(self._order)}
        self._state = set(state)
        self._learned = set(parameters)
        for node in graph.nodes:
            sources = node.all_input_nodes
            if node.op == "call_function" and all(source in self._state for source in sources):
                self._state.add(node)
                if any(source in self._learned for source in sources):
                    self._learned.add(node)

    def active(self, node: fx.Node) -> bool:
        """Whether the node is a floating-point value that depends on the inputs."""
        if node in self._state:
            return False
        value = node.meta.get("val")
        values = value if isinstance(value, tuple | list) else [value]
        return any(isinstance(v, Tensor) and v.is_floating_point() for v in values)

    def sources(self, node: fx.Node) -> list[fx.Node]:
        """The active inputs of an operation."""
        return [source for source in node.all_input_nodes if self.active(source)]

    def work(self, node: fx.Node) -> Work:
        """What the operation's own parameters do."""
        held = [source for source in node.all_input_nodes if source in self._state]
        name = name_of(node)
        if held and name in _MIXING:
            return Work.MIXES
        if held and name in _NORMS:
            return Work.NORMALISES
        if name in _PRODUCTS and any(source in self._learned for source in held):
            return Work.SCALES
        return Work.NOTHING

    def moves(self, node: fx.Node) -> bool:
        """Whether the operation hands one value on, moved, thinned, pooled or times a constant."""
        name = name_of(node)
        if name == "slice":  # of an image's pixels: a slice of channels or of time is a part
            value = node.meta["val"]
            return value.ndim >= 4 and len(node.args) > 1 and node.args[1] % value.ndim >= 2
        return name in _MOVES or (name in _PRODUCTS and node.args[0] in self.sources(node))

    def linear(self, node: fx.Node) -> bool:
        """Whether the operation is affine in its one active input, statistics held fixed."""
        return len(self.sources(node)) == 1 and (
            self.moves(node) or self.work(node) is not Work.NOTHING
        )

    def line(self, node: fx.Node) -> list[fx.Node]:
        """The node, the one value that it was made of by an affine operation, and so on up."""
        found = [node]
        while self.linear(found[-1]):
            found += self.sources(found[-1])
        return found

    def ordered(self, nodes: Iterable[fx.Node]) -> list[fx.Node]:
        """The same in the order of execution."""
        return sorted(nodes, key=self._places.__getitem__)

    def upstream(self, node: fx.Node, since: fx.Node) -> dict[fx.Node, Work]:
        """Active ancestors, each with the strongest work on a path from it to the node.

        Only those from ``since`` on: what comes before it costs nothing.
        """
        found: dict[fx.Node, Work] = {}
        strengths = {node: Work.NOTHING}
        waiting = [-self._places[node]]
        while waiting:
            latest = self._order[-heappop(waiting)]
            strength = strengths[latest]
            if latest is not node:
                found[latest] = strength
            strength = max(strength, self.work(latest))
            for source in self.sources(latest):
                if self._places[source] < self._places[since]:
                    continue
                if source not in strengths:
                    heappush(waiting, -self._places[source])
                strengths[source] = max(strength, strengths.get(source, Work.NOTHING))
        return found

    def between(self, start: fx.Node, end: fx.Node) -> list[fx.Node]:
        """The operations after ``start``, up to ``end``, on the paths from one to the other."""
        fed = {start}
        above = {*self.upstream(end, start), end}
        for node in self.ordered(above):
            if any(source in fed for source in self.sources(node)):
                fed.add(node)
        return self.ordered(fed - {start})
