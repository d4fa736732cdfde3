r"""Architectures: directed acyclic graphs from one input to one output (claim C4).

*Edges carry the branches.* A node is a signal, the sum (or concatenation) of what its incoming
edges bring; an edge is a map, a branch of order 1 or a skip of order 0. So a residual block is two
parallel edges, h₀ ⇉ h₁; a path is a sequence of edges; its order is the sum of theirs; and removing
a block removes its edges and leaves every signal where it was. Branches on nodes would need a node
of its own for every sum, and could not tell two skips that join the same signals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

from expansion.errors import InputError, TooManyTermsError
from expansion.towers.architectures.edge import Edge, exact_weight
from expansion.towers.architectures.exchange import edges_from_graph, graph_from_edges

__all__ = ["LARGEST", "Architecture"]

LARGEST = 1_000_000  # edges; about a gigabyte


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Architecture:
    """A directed acyclic graph with one source and one sink; its edges carry the branches.

    Parameters
    ----------
    edges : sequence of Edge
        In any order; parallel edges allowed.

    Attributes
    ----------
    nodes : tuple of str
        In topological order, the source first and the sink last.
    ends : tuple of pair of int
        The places of every edge's tail and head among the nodes.

    Raises
    ------
    InputError
        Without edges, for a cycle, for several sources or sinks.
    TooManyTermsError
        Above a million edges.

    Notes
    -----
    Two architectures are equal when they have the same edges. Every node lies on a path from the
    source to the sink, because there is one source and one sink and no cycle.

    Examples
    --------
    >>> block = Architecture([Edge("x", "y"), Edge("x", "y", "f", order=1)])
    >>> block
    Architecture(2 nodes, 2 edges, 1 blocks)
    >>> block.source, block.sink, block.blocks
    ('x', 'y', ('f',))
    """

    edges: tuple[Edge, ...]
    nodes: tuple[str, ...] = field(init=False)
    ends: tuple[tuple[int, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        edges = tuple(self.edges)
        if len(edges) > LARGEST:
            raise TooManyTermsError(len(edges), LARGEST, "build a smaller architecture")
        for edge in edges:
            if not isinstance(edge, Edge):
                raise InputError("edges of an architecture", repr(edge), "make it an Edge")
        object.__setattr__(self, "edges", edges)
        nodes = _topological_order(edges)
        place = {node: number for number, node in enumerate(nodes)}
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "ends", tuple([(place[e.tail], place[e.head]) for e in edges]))

    @classmethod
    def of(cls, edges: Iterable[Edge]) -> Architecture:
        """The architecture of edges from any iterable; one that is too long is not read to its end.

        Examples
        --------
        >>> Architecture.of(Edge(f"h{n}", f"h{n + 1}") for n in range(3))
        Architecture(4 nodes, 3 edges, 0 blocks)
        """
        return cls(tuple(islice(edges, LARGEST + 1)))

    @classmethod
    def from_networkx(
        cls, graph: Any, *, count: Literal["marked", "edges", "nodes"] = "marked"
    ) -> Architecture:
        """The architecture of a networkx DiGraph or MultiDiGraph.

        Parameters
        ----------
        graph : networkx.DiGraph or networkx.MultiDiGraph
            Edges and nodes may have the attributes ``block``, ``order`` and ``weight``. A node
            that has one of them is itself a branch, between a node ``name.in`` and its own.
        count : {"marked", "edges", "nodes"}
            What a path's order counts: what has an ``order`` or a ``block`` (order 1 unless
            said), or every edge, or every node.

        Raises
        ------
        InputError
            For an undirected graph, two nodes of one name, nothing marked, and as the constructor.

        Examples
        --------
        >>> import networkx as nx
        >>> graph = nx.DiGraph([("x", "f"), ("f", "y"), ("x", "y")])
        >>> graph.nodes["f"]["block"] = "block1"
        >>> Architecture.from_networkx(graph).blocks
        ('block1',)
        """
        return cls(tuple(edges_from_graph(graph, count)))

    def to_networkx(self) -> Any:
        """The same graph as a networkx MultiDiGraph with ``block``, ``order`` and ``weight``.

        Examples
        --------
        >>> block = Architecture([Edge("x", "y"), Edge("x", "y", "f", order=1)])
        >>> Architecture.from_networkx(block.to_networkx()) == block
        True
        """
        return graph_from_edges(self.nodes, self.edges)

    @property
    def source(self) -> str:
        """The input."""
        return self.nodes[0]

    @property
    def sink(self) -> str:
        """The output."""
        return self.nodes[-1]

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of all blocks, from the input to the output."""
        return tuple(dict.fromkeys(edge.block for edge in self.ordered() if edge.block))

    @property
    def branches(self) -> tuple[str, ...]:
        """The blocks that add to a path's order."""
        return tuple(dict.fromkeys(edge.block for edge in self.ordered() if edge.order))

    def ordered(self) -> list[Edge]:
        """The edges from the input to the output."""
        pairs = zip(self.ends, self.edges, strict=True)
        return [edge for _, edge in sorted(pairs, key=lambda pair: pair[0])]

    def edges_of(self, name: str) -> frozenset[Edge]:
        """The edges of a block, or of all blocks whose dotted names begin with that name.

        Raises
        ------
        InputError
            When there is no such block.

        Examples
        --------
        >>> layers = [Edge("x", "y", "a.one", 1), Edge("y", "z", "a.two", 1)]
        >>> len(Architecture(layers).edges_of("a"))
        2
        """
        inside = f"{name}."
        found = frozenset(e for e in self.edges if e.block == name or e.block.startswith(inside))
        if not found or not name:
            known = self.blocks
            shown = ", ".join(known[:6]) + (", …" if len(known) > 6 else "")
            raise InputError("a block of the architecture", name, f"choose among {shown or 'none'}")
        return found

    def counting(self, kind: str) -> Architecture:
        """The same graph where a path's order counts the blocks of one kind.

        Parameters
        ----------
        kind : str
            The last word of the dotted names to count: ``attention``, ``norm``, ``layer2``.

        Examples
        --------
        >>> layers = [Edge("x", "y", "a.one", 1), Edge("y", "z", "a.two", 1)]
        >>> Architecture(layers).counting("two").branches
        ('a.two',)
        """
        orders = [int(edge.block.split(".")[-1] == kind) for edge in self.edges]
        if not any(orders):
            kinds = ", ".join(dict.fromkeys(b.split(".")[-1] for b in self.blocks[:8]))
            raise InputError("a kind of block", kind, f"choose a last word of names: {kinds}")
        pairs = zip(self.edges, orders, strict=True)
        return Architecture(tuple(replace(edge, order=order) for edge, order in pairs))

    def weighted(self, weights: Mapping[str, object] | Iterable[object]) -> Architecture:
        """The same graph with other weights on its blocks.

        Parameters
        ----------
        weights : mapping, or iterable with one weight per branch
            By name, or in the order of :attr:`branches`. Edges that are not named keep theirs.

        Raises
        ------
        InputError
            For an unknown block, the wrong number of weights, or one that is not finite.

        Examples
        --------
        >>> layers = Architecture([Edge("x", "y", "a", 1), Edge("y", "z", "b", 1)])
        >>> [str(edge.weight) for edge in layers.weighted([0.5, 3]).edges]
        ['1/2', '3']
        """
        if isinstance(weights, Mapping):
            named = dict(weights)
        else:
            given, branches = tuple(weights), self.branches
            if len(given) != len(branches):
                came = f"{len(given)} weights for {len(branches)} branches"
                raise InputError("one weight per branch", came, "give one for each")
            named = dict(zip(branches, given, strict=True))
        for name in named.keys() - set(self.blocks):
            self.edges_of(name)  # refuses a name that is not there at all
            raise InputError(
                "a block that has no parts", name, "give a weight to each of its parts"
            )
        exact = {name: exact_weight(weight) for name, weight in named.items()}
        return Architecture(
            tuple(replace(e, weight=exact.get(e.block, e.weight)) for e in self.edges)
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return Counter(self.edges) == Counter(other.edges)

    def __hash__(self) -> int:
        return hash(frozenset(Counter(self.edges).items()))

    def __repr__(self) -> str:
        sizes = f"{len(self.nodes)} nodes, {len(self.edges)} edges, {len(self.blocks)} blocks"
        return f"Architecture({sizes})"


def _topological_order(edges: Iterable[Edge]) -> tuple[str, ...]:
    """Nodes so that every edge points forward; refuses cycles, several sources or sinks.

    Last in, first out: a chain of nodes stays together.
    """
    heads: dict[str, list[str]] = {}
    waiting: dict[str, int] = {}  # incoming edges not yet seen
    for edge in edges:
        heads.setdefault(edge.tail, []).append(edge.head)
        heads.setdefault(edge.head, [])
        waiting[edge.head] = waiting.get(edge.head, 0) + 1
    if not heads:
        raise InputError("an architecture with at least one edge", "none", "add an edge")
    sources = [node for node in heads if node not in waiting]
    ready, order = sources[::-1], []
    while ready:
        node = ready.pop()
        order.append(node)
        for head in reversed(heads[node]):
            waiting[head] -= 1
            if not waiting[head]:
                ready.append(head)
    if len(order) < len(heads):
        stuck = next(node for node, count in waiting.items() if count)
        raise InputError("an architecture without cycles", f"a cycle near {stuck}", "remove it")
    sinks = [node for node in order if not heads[node]]
    for kind, ends in (("input", sources), ("output", sinks)):
        if len(ends) > 1:
            came = f"{len(ends)}: {', '.join(sorted(ends)[:4])}"
            raise InputError(f"an architecture with one {kind}", came, "join them in one node")
    return tuple(order)
