"""C4: architectures as graphs: validation, networkx and back, and every builder's shape."""

import math
from fractions import Fraction

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion import InputError, TooManyTermsError
from expansion.towers.architectures import architecture as architecture_module
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.catalogue import BUILDERS, build, read_parameters
from expansion.towers.architectures.dense import densenet
from expansion.towers.architectures.edge import Edge, exact_weight
from expansion.towers.architectures.gated import highway, stochastic_depth
from expansion.towers.architectures.residual import (
    layered_tower,
    parallel_tower,
    residual_tower,
    staged_resnet,
)
from expansion.towers.architectures.transformer import transformer
from expansion.towers.architectures.unet import unet
from proofs_check.strategies import architectures, rationals


@given(architectures(weights=rationals()))
def test_networkx_and_back(architecture):
    graph = architecture.to_networkx()
    again = Architecture.from_networkx(graph) if architecture.branches else architecture
    assert again == architecture
    assert hash(again) == hash(architecture)
    assert nx.is_directed_acyclic_graph(graph)
    assert set(graph) == set(architecture.nodes)
    place = {node: index for index, node in enumerate(architecture.nodes)}
    assert all(place[tail] < place[head] for tail, head in graph.edges())
    assert [n for n in graph if graph.in_degree(n) == 0] == [architecture.source]
    assert [n for n in graph if graph.out_degree(n) == 0] == [architecture.sink]


@given(architectures())
def test_another_edge_is_another_architecture(architecture):
    edge = Edge(architecture.source, architecture.sink, "added", 1)
    assert Architecture((*architecture.edges, edge)) != architecture
    assert Architecture((*architecture.edges, architecture.edges[0])) != architecture
    assert Architecture(architecture.edges[::-1]) == architecture


@given(architectures())
def test_blocks_and_their_edges(architecture):
    for name in architecture.blocks:
        assert architecture.edges_of(name) == {e for e in architecture.edges if e.block == name}
    parts = {e for e in architecture.edges if e.block in ("c.one", "c.two")}
    if parts:
        assert architecture.edges_of("c") == parts


def test_names_are_not_mistaken_for_beginnings_of_others():
    tower = residual_tower(12)
    assert {edge.block for edge in tower.edges_of("block1")} == {"block1"}
    assert len(layered_tower(12, 3).edges_of("block1")) == 3


def test_marked_nodes_become_branches():
    graph = nx.DiGraph([("x", "f"), ("f", "s"), ("x", "s"), ("s", "g"), ("g", "y"), ("s", "y")])
    graph.add_node("f", block="first")
    graph.add_node("g", order=2, weight=0.5)
    architecture = Architecture.from_networkx(graph)
    assert {(e.tail, e.head, e.block, e.order, e.weight) for e in architecture.edges} == {
        ("x", "f.in", "", 0, 1),
        ("f.in", "f", "first", 1, 1),
        ("f", "s", "", 0, 1),
        ("x", "s", "", 0, 1),
        ("s", "g.in", "", 0, 1),
        ("g.in", "g", "g", 2, Fraction(1, 2)),
        ("g", "y", "", 0, 1),
        ("s", "y", "", 0, 1),
    }


def test_every_edge_or_every_node_can_be_counted():
    graph = nx.MultiDiGraph([(0, 1), (0, 1), (1, 2)])
    by_edge = Architecture.from_networkx(graph, count="edges")
    assert by_edge.branches == ("0->1", "0->1#1", "1->2")
    by_node = Architecture.from_networkx(graph, count="nodes")
    assert by_node.branches == ("0", "1", "2")
    assert (by_node.source, by_node.sink) == ("0.in", "2")
    assert [e.order for e in by_node.edges].count(0) == 3


@pytest.mark.parametrize(
    ("graph", "told"),
    [
        (nx.DiGraph([(0, 1), (1, 2), (2, 1), (2, 3)]), "cycle"),
        (nx.DiGraph([(0, 0), (0, 1)]), "loop"),
        (nx.DiGraph([(0, 2), (1, 2)]), "one input"),
        (nx.DiGraph([(0, 1), (0, 2)]), "one output"),
        (nx.DiGraph(), "at least one edge"),
        (nx.Graph([(0, 1)]), "direction"),
        (nx.DiGraph([(1, "1")]), "differ"),
        ({0: [1]}, "DiGraph"),
        (nx.DiGraph([(0, 1, {"weight": math.nan})]), "finite"),
        (nx.DiGraph([(0, 1, {"weight": "heavy"})]), "finite"),
        (nx.DiGraph([(0, 1, {"order": -1})]), "order"),
        (nx.DiGraph([(0, 1, {"order": 1.5})]), "order"),
        (nx.DiGraph([(0, 1, {"block": "a..b"})]), "block"),
    ],
)
def test_graphs_that_are_no_architecture(graph, told):
    with pytest.raises(InputError, match=told):
        Architecture.from_networkx(graph, count="edges")


def test_an_unmarked_graph_is_refused_rather_than_counted_as_nothing():
    graph = nx.DiGraph([(0, 1), (1, 2)])
    with pytest.raises(InputError, match="count='edges'"):
        Architecture.from_networkx(graph)
    with pytest.raises(InputError, match="marked, edges or nodes"):
        Architecture.from_networkx(graph, count="paths")
    clash = nx.DiGraph([("a", "a.in"), ("a.in", "b")])
    with pytest.raises(InputError, match="differ"):
        Architecture.from_networkx(clash, count="nodes")


def test_nodes_that_no_edge_joins_are_refused():
    # An isolated node would be a second input and a second output.
    graph = nx.DiGraph([("x", "y", {"order": 1})])
    graph.add_node("lonely")
    with pytest.raises(InputError, match="lonely"):
        Architecture.from_networkx(graph)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("", "y"), "named"),
        ((1, "y"), "named"),
        (("x", "x"), "cycles"),
        (("x", "y", "a."), "name"),
        (("x", "y", None), "name"),
        (("x", "y", "", 1), "name"),
        (("x", "y", "a", -1), "order"),
        (("x", "y", "a", True), "order"),
        (("x", "y", "a", 1, math.nan), "finite"),
        (("x", "y", "a", 1, math.inf), "finite"),
        (("x", "y", "a", 1, "1/0"), "finite"),
        (("x", "y", "a", 1, "__import__('os')"), "finite"),
        (("x", "y", "a", 1, None), "finite"),
        (("x", "y", "a", 1, 1j), "finite"),
    ],
)
def test_edges_that_are_none(arguments, told):
    with pytest.raises(InputError, match=told):
        Edge(*arguments)


def test_weights_are_exact():
    assert exact_weight(0.1) == Fraction(1, 10)
    assert type(exact_weight(Fraction(4, 2))) is int
    assert Edge("x", "y", "a", "2", "3/6") == Edge("x", "y", "a", 2, Fraction(1, 2))


def test_constructor_refuses_what_is_no_edge_and_what_is_too_large(monkeypatch):
    with pytest.raises(InputError, match="Edge"):
        Architecture([("x", "y")])
    monkeypatch.setattr(architecture_module, "LARGEST", 10)
    assert len(residual_tower(5).edges) == 10
    with pytest.raises(TooManyTermsError):
        residual_tower(6)
    # Nor is something endless read to its end.
    with pytest.raises(TooManyTermsError):
        residual_tower(10**15)


def test_lesions_weights_and_kinds_name_what_is_there():
    tower = layered_tower(2)
    for ask in (tower.edges_of, lambda name: tower.weighted({name: 1})):
        with pytest.raises(InputError, match=r"block1\.layer1"):
            ask("block9")
    with pytest.raises(InputError):
        tower.edges_of("")
    with pytest.raises(InputError, match="parts"):
        tower.weighted({"block1": 2})
    with pytest.raises(InputError, match="3 weights for 4"):
        tower.weighted([1, 2, 3])
    with pytest.raises(InputError, match="finite"):
        tower.weighted([1, 2, 3, math.nan])
    with pytest.raises(InputError, match="layer1, layer2"):
        tower.counting("norm")


def depths(graph_of):
    """Longest and shortest path of a builder's graph, counted in branches, by networkx."""
    graph = nx.DiGraph()
    for edge in graph_of.edges:
        # networkx's shortest path on negated orders is the longest.
        known = graph.get_edge_data(edge.tail, edge.head, {"low": edge.order, "high": edge.order})
        low, high = min(known["low"], edge.order), max(known["high"], edge.order)
        graph.add_edge(edge.tail, edge.head, low=low, high=high)
    ends = graph_of.source, graph_of.sink
    return (
        nx.shortest_path_length(graph, *ends, weight="low"),
        nx.dag_longest_path_length(graph, weight="high"),
    )


@pytest.mark.parametrize(
    ("architecture", "shortest", "longest", "branches", "edges"),
    [
        (residual_tower(7), 0, 7, 7, 14),
        (layered_tower(4, 3), 0, 12, 12, 16),
        (parallel_tower(4, 3), 0, 4, 12, 16),
        (staged_resnet((3, 4, 6, 3), layers=3), 0, 48, 48, 64),
        (staged_resnet((3, 4, 6, 3), shortcuts=False), 3, 16, 16, 29),
        (transformer(3), 0, 6, 6, 6 * 3 + 1),
        (transformer(3, "post"), 0, 6, 6, 6 * 3),
        (densenet(5), 0, 5, 5, 5 + 6 * 7 // 2),
        (densenet((6, 12, 24, 16)), 3, 61, 61, 61 + 28 + 91 + 325 + 153),
        (unet(), 5, 23, 23, 23 + 8),
        (highway(3), 0, 3, 3, 6),
        (stochastic_depth(3), 0, 3, 3, 6),
    ],
)
def test_builders_have_the_size_of_what_they_follow(
    architecture, shortest, longest, branches, edges
):
    assert depths(architecture) == (shortest, longest)
    assert len(architecture.branches) == branches
    assert len(architecture.edges) == edges


def test_resnet_shortcuts_stand_where_the_resolution_changes():
    blocks = staged_resnet((2, 3, 1)).blocks
    assert [b for b in blocks if b.startswith("shortcut")] == ["shortcut.stage2", "shortcut.stage3"]
    assert [b for b in staged_resnet((2, 3, 1), shortcuts=False).blocks if "shortcut" in b] == []


@given(st.integers(1, 30), st.sampled_from([Fraction(1, 2), Fraction(0), Fraction(4, 5)]))
def test_survival_falls_linearly_to_the_last_block(depth, survival):
    shares = [e.weight for e in stochastic_depth(depth, survival).edges if e.order]
    steps = {b - a for a, b in zip([1, *shares], shares, strict=False)}
    assert steps == {(survival - 1) / depth}
    assert shares[-1] == survival
    assert {e.weight for e in stochastic_depth(depth, survival, decay=False).edges if e.order} == {
        survival
    }


def test_catalogue_builds_from_text():
    assert build("resnet", {"stages": "2,2", "shortcuts": "no"}) == staged_resnet(
        (2, 2), shortcuts=False
    )
    assert build("highway", {"gate": "0.25"}, depth="3") == highway(3, Fraction(1, 4))
    assert build("unet", {}, depth="2") == unet(2)
    assert build("transformer", {"norm": "post"}, 2) == transformer(2, "post")
    for name in BUILDERS:
        assert build(name, {}, depth="2").branches


@pytest.mark.parametrize(
    ("name", "parameters", "depth"),
    [
        ("perceptron", {}, "3"),
        ("residual", {}, None),
        ("residual", {}, "-1"),
        ("residual", {}, "0"),
        ("residual", {}, "ten"),
        ("residual", {}, math.nan),
        ("residual", {"depth": "3"}, "3"),
        ("residual", {"width": "3"}, "3"),
        ("layered", {"layers": "0"}, "3"),
        ("parallel", {"branches": "1.5"}, "3"),
        ("resnet", {"stages": "3,,4"}, None),
        ("resnet", {"stages": ()}, None),
        ("resnet", {"shortcuts": "maybe"}, None),
        ("transformer", {"norm": "layer"}, "2"),
        ("densenet", {"growth": "-1"}, "2"),
        ("unet", {"convolutions": "none"}, "2"),
        ("highway", {"gate": "nan"}, "2"),
        ("highway", {"gate": "3/2"}, "2"),
        ("highway", {"gate": "-0.1"}, "2"),
        ("stochastic-depth", {"survival": "2"}, "2"),
        ("stochastic-depth", {"decay": "1"}, "2"),
        ("stochastic-depth", {"survival": "exit()"}, "2"),
    ],
)
def test_bad_parameters_are_refused(name, parameters, depth):
    with pytest.raises(InputError):
        build(name, parameters, depth)


@pytest.mark.parametrize("words", [["layers"], ["=2"], ["layers="], ["a=1", "a=2"]])
def test_words_that_are_no_parameters(words):
    with pytest.raises(InputError):
        read_parameters(words)
