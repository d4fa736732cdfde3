"""Generation: nothing missing, nothing twice, everything valid and in order."""

from itertools import combinations_with_replacement, product

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.trees.counting import forest_counts, rooted_tree_counts, tree_counts
from expansion.trees.generate import (
    labelled_forests,
    labelled_trees,
    level_sequences,
    rooted_forests,
    rooted_trees,
)
from expansion.trees.labelled import Forest, LabelledTree
from expansion.trees.tree import Tree
from proofs_check.strategies import labelled_trees as some_labelled_tree
from proofs_check.strategies import trees


def classes_by_parent_arrays(order: int) -> list[nx.DiGraph]:
    """One graph per isomorphism class: every tree has a numbering with parents before children."""
    classes: list[nx.DiGraph] = []
    for parents in product(*(range(v) for v in range(1, order))):
        graph = nx.DiGraph()
        graph.add_nodes_from(range(order))
        graph.add_edges_from((parent, v) for v, parent in enumerate(parents, 1))
        if not any(nx.is_isomorphic(graph, known) for known in classes):
            classes.append(graph)
    return classes


def tree_of(graph: nx.DiGraph, root: int = 0) -> Tree:
    return Tree(tuple(tree_of(graph, child) for child in graph.successors(root)))


@pytest.mark.parametrize("order", range(1, 7))
def test_rooted_trees_are_the_isomorphism_classes(order):
    expected = {tree_of(graph) for graph in classes_by_parent_arrays(order)}
    assert set(rooted_trees(order)) == expected


@pytest.mark.parametrize("order", range(1, 11))
def test_rooted_trees_once_each(order):
    found = list(rooted_trees(order))
    assert len(found) == len(set(found)) == rooted_tree_counts(order)[order]
    assert {tree.order for tree in found} == {order}


@pytest.mark.slow
@pytest.mark.parametrize("order", [13, 14])
def test_rooted_trees_once_each_of_higher_order(order):
    found = set(rooted_trees(order))
    assert len(found) == rooted_tree_counts(order)[order]


@given(trees(8))
def test_any_rooted_tree_is_generated(tree):
    assert tree in set(rooted_trees(tree.order))


@pytest.mark.parametrize("order", range(1, 10))
def test_level_sequences_fall_and_are_canonical(order):
    sequences = list(level_sequences(order))
    # Strictly falling, hence all different; from the chain to the bush.
    assert sequences == sorted(set(sequences), reverse=True)
    assert sequences[0] == tuple(range(order))
    assert sequences[-1] == (0,) + (1,) * (order - 1)


def underlying(levels: tuple[int, ...]) -> nx.Graph:
    graph = nx.Graph()
    for vertex, level in enumerate(levels):
        graph.add_node(vertex)
        if level:
            graph.add_edge(vertex, max(p for p in range(vertex) if levels[p] == level - 1))
    return graph


@pytest.mark.parametrize("order", range(2, 9))
def test_forgetting_the_root_gives_every_free_tree(order):
    # networkx enumerates free trees by another algorithm (Wright, Richmond, Odlyzko and McKay).
    missing = list(nx.nonisomorphic_trees(order))
    number = len(missing)
    seen = []
    for graph in map(underlying, level_sequences(order)):
        if any(nx.is_isomorphic(graph, known) for known in seen):
            continue
        seen.append(graph)
        missing = [free for free in missing if not nx.is_isomorphic(free, graph)]
    assert not missing
    assert len(seen) == number


@pytest.mark.parametrize("order", range(7))
def test_rooted_forests_are_multisets_of_trees(order):
    found = list(rooted_forests(order))
    assert len(found) == len(set(found)) == rooted_tree_counts(order + 1)[order + 1]
    pool = [tree for size in range(1, order + 1) for tree in rooted_trees(size)]
    if order <= 4:
        expected = {
            Forest(chosen)
            for count in range(order + 1)
            for chosen in combinations_with_replacement(pool, count)
            if sum(tree.order for tree in chosen) == order
        }
        assert set(found) == expected
    assert {forest.order for forest in found} == {order}


def labelled_by_brute_force(depth: int, order: int) -> set[LabelledTree]:
    """All assignments of labels to the vertices of all shapes, the lawful ones kept."""
    found = set()
    for shape in rooted_trees(order):
        for labels in product(range(1, depth + 1), repeat=order):
            numbers = iter(labels)

            def build(vertex: Tree) -> LabelledTree:
                label = next(numbers)  # noqa: B023 - used at once
                return LabelledTree(label, tuple(build(child) for child in vertex.children))

            try:
                found.add(build(shape))
            except InputError:
                continue
    return found


@pytest.mark.parametrize(("depth", "order"), [(1, 3), (2, 4), (3, 4), (4, 4), (5, 3)])
def test_labelled_trees_are_all_lawful_labellings(depth, order):
    expected = set().union(*(labelled_by_brute_force(depth, k) for k in range(1, order + 1)))
    found = list(labelled_trees(depth, order))
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.mark.slow
def test_labelled_trees_are_all_lawful_labellings_of_order_five():
    expected = set().union(*(labelled_by_brute_force(5, k) for k in range(1, 6)))
    assert set(labelled_trees(5, 5)) == expected


@given(st.integers(0, 5), st.integers(0, 5))
def test_labelled_trees_once_each_and_in_order(depth, order):
    found = list(labelled_trees(depth, order))
    assert len(set(found)) == len(found) == sum(tree_counts(depth, order)[1:])
    assert [t.order for t in found] == sorted(t.order for t in found)
    for tree in found:
        rebuilt = LabelledTree.parse(str(tree))  # through the constructor that validates
        assert rebuilt == tree
        assert rebuilt.key == tree.key
        assert rebuilt.symmetry == tree.symmetry


@given(some_labelled_tree(4, 5))
def test_any_labelled_tree_is_generated(tree):
    assert tree in set(labelled_trees(4, 5))


@given(st.integers(0, 4), st.integers(0, 4))
def test_labelled_forests_are_multisets_of_trees(depth, order):
    found = list(labelled_forests(depth, order))
    pool = list(labelled_trees(depth, order))
    expected = {
        Forest(chosen)
        for count in range(order + 1)
        for chosen in combinations_with_replacement(pool, count)
        if sum(tree.order for tree in chosen) <= order
    }
    assert set(found) == expected
    assert len(found) == len(expected) == sum(forest_counts(depth, order))


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "expected"), [(6, 3088), (8, 21938), (10, 96291)])
def test_numbers_of_trees_of_order_six(depth, expected):
    exactly = [tree for tree in labelled_trees(depth, 6) if tree.order == 6]
    assert len(set(exactly)) == len(exactly) == expected


@pytest.mark.parametrize(
    "stream",
    [
        lambda: level_sequences(0),
        lambda: rooted_trees(-1),
        lambda: rooted_forests(-1),
        lambda: labelled_trees(-1, 2),
        lambda: labelled_trees(2, -1),
        lambda: labelled_forests(2, "many"),
    ],
)
def test_bad_orders_are_refused(stream):
    with pytest.raises(InputError, match=r"must be a whole number of at least"):
        list(stream())


def test_numbers_written_as_text_are_understood_everywhere():
    assert list(labelled_trees("2", "3")) == list(labelled_trees(2, 3))
    assert list(rooted_forests("2")) == list(rooted_forests(2))
