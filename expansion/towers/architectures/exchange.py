"""Edges from a networkx graph, and a networkx graph from edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from expansion.errors import InputError
from expansion.towers.architectures.edge import Edge

__all__ = ["edges_from_graph", "graph_from_edges"]

_MARKS = ("block", "order", "weight")


def edges_from_graph(graph: Any, count: str) -> list[Edge]:
    """The edges of a directed networkx graph; see ``Architecture.from_networkx``."""
    if count not in ("marked", "edges", "nodes"):
        raise InputError("count must be marked, edges or nodes", count, "choose one of the three")
    if not callable(getattr(graph, "is_directed", None)) or not graph.is_directed():
        kind = type(graph).__name__
        raise InputError("a networkx DiGraph or MultiDiGraph", kind, "give edges a direction")
    branches = {
        node for node, marks in graph.nodes(data=True) if count == "nodes" or _marked(marks)
    }
    entries = {node: f"{node}.in" if node in branches else str(node) for node in graph}
    names = {str(node) for node in graph} | set(entries.values())
    if len(names) < len(graph) + len(branches):
        came = "two nodes that read the same, or one named like another's entry"
        raise InputError("nodes whose names differ as text", came, "rename them")
    for node in graph:
        if not graph.degree(node) and node not in branches:
            raise InputError("nodes joined by edges", f"{node} alone", "join it or leave it out")
    edges = []
    for node, marks in graph.nodes(data=True):
        if node in branches:
            default = int(count == "nodes" or _counts(marks, count))
            edges.append(_edge(entries[node], str(node), marks, str(node), default))
    for tail, head, key, marks in _parallel_edges(graph):
        default = int(count == "edges" or _counts(marks, count))
        name = f"{_word(tail)}->{_word(head)}" + (f"#{key}" if key else "")
        edges.append(_edge(str(tail), entries[head], marks, name, default))
    if count == "marked" and not any(edge.order for edge in edges):
        mend = "give edges or nodes a block, or choose count='edges' or count='nodes'"
        raise InputError("a graph whose branches are marked", "no block and no order", mend)
    return edges


def graph_from_edges(nodes: Sequence[str], edges: Sequence[Edge]) -> Any:
    """A MultiDiGraph with the attributes ``block``, ``order`` and ``weight`` on its edges."""
    import networkx as nx  # a tenth of a second: only those who ask for a graph wait for it

    graph = nx.MultiDiGraph()
    graph.add_nodes_from(nodes)
    for edge in edges:
        marks = {"block": edge.block, "order": edge.order, "weight": edge.weight}
        graph.add_edge(edge.tail, edge.head, **marks)
    return graph


def _parallel_edges(graph: Any) -> Iterator[tuple[Any, Any, Any, Mapping[str, Any]]]:
    if graph.is_multigraph():
        yield from graph.edges(keys=True, data=True)
    else:
        for tail, head, marks in graph.edges(data=True):
            yield tail, head, None, marks


def _marked(marks: Mapping[str, Any]) -> bool:
    return any(mark in marks for mark in _MARKS)


def _counts(marks: Mapping[str, Any], count: str) -> bool:
    """Whether something without an order is a branch: when it has a block's name."""
    return count == "marked" and bool(marks.get("block"))


def _edge(tail: str, head: str, marks: Mapping[str, Any], name: str, default: int) -> Edge:
    """An edge from its marks; a branch that has no name is named by where it is."""
    order = marks.get("order", default)
    block = marks.get("block", _word(name) if order else "")
    return Edge(tail, head, block, order, marks.get("weight", 1))


def _word(name: Any) -> str:
    return ".".join(part for part in str(name).split(".") if part) or "node"
