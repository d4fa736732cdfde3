"""Rooted trees: canonical form, text, and the three numbers, each counted again by brute force."""

import copy
import math
import pickle
from itertools import permutations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networkx.algorithms.isomorphism import DiGraphMatcher

from expansion.errors import InputError
from expansion.trees.generate import rooted_trees
from expansion.trees.tree import Tree, symmetry_of
from proofs_check.strategies import trees

SMALL = [tree for order in range(1, 7) for tree in rooted_trees(order)]


def graph_of(tree: Tree) -> nx.DiGraph:
    """Edges from parent to child, vertices numbered depth first; reads `children` only."""
    graph = nx.DiGraph()

    def add(vertex: Tree) -> int:
        number = len(graph)
        graph.add_node(number)
        for child in vertex.children:
            graph.add_edge(number, add(child))
        return number

    add(tree)
    return graph


def test_the_leaf():
    leaf = Tree()
    assert (leaf.order, leaf.symmetry, leaf.factorial) == (1, 1, 1)
    assert (leaf.height, leaf.branching) == (0, 0)
    assert str(leaf) == "[]"
    assert leaf.is_chain


@given(trees())
def test_text_is_read_back(tree):
    assert Tree.parse(str(tree)) == tree
    assert eval(repr(tree), {"Tree": Tree}) == tree


@given(trees(), st.randoms(use_true_random=False))
def test_order_of_children_does_not_matter(tree, random):
    def shuffled(vertex):
        children = [shuffled(child) for child in vertex.children]
        random.shuffle(children)
        return f"[{','.join(children)}]"

    again = Tree.parse(shuffled(tree))
    assert again == tree
    assert hash(again) == hash(tree)
    assert again.children == tree.children
    assert str(again) == str(tree)


def test_equality_is_isomorphism():
    graphs = [graph_of(tree) for tree in SMALL]
    for i, (left, left_graph) in enumerate(zip(SMALL, graphs, strict=True)):
        for right, right_graph in zip(SMALL[i:], graphs[i:], strict=True):
            isomorphic = left.order == right.order and nx.is_isomorphic(left_graph, right_graph)
            assert (left == right) == isomorphic


def test_equality_with_something_else():
    assert Tree() != "[]"
    assert Tree() != ()


@pytest.mark.parametrize("tree", SMALL, ids=str)
def test_symmetry_counts_automorphisms(tree):
    # An automorphism of the directed graph keeps the root: the only vertex without a parent.
    graph = graph_of(tree)
    automorphisms = sum(1 for _ in DiGraphMatcher(graph, graph).isomorphisms_iter())
    assert tree.symmetry == automorphisms


@pytest.mark.parametrize("tree", [t for t in SMALL if t.order <= 5], ids=str)
def test_symmetry_by_all_permutations(tree):
    edges = set(graph_of(tree).edges)
    kept = sum(
        {(image[a], image[b]) for a, b in edges} == edges
        for image in permutations(range(tree.order))
    )
    assert tree.symmetry == kept


@pytest.mark.parametrize("tree", SMALL, ids=str)
def test_factorial_counts_increasing_labellings(tree):
    # order!/τ! is the number of ways to number the vertices so that parents come first.
    numberings = sum(1 for _ in nx.all_topological_sorts(graph_of(tree)))
    assert math.factorial(tree.order) == numberings * tree.factorial


@given(trees())
def test_shape_numbers_against_networkx(tree):
    graph = graph_of(tree)
    assert tree.order == len(graph)
    assert tree.height == nx.dag_longest_path_length(graph)
    assert tree.branching == max(degree for _, degree in graph.out_degree)
    assert tree.is_chain == (tree.height == tree.order - 1)
    assert tree.key == tuple(degree for _, degree in graph.out_degree)


@given(trees(4), trees(4), trees(4))
def test_trees_are_totally_ordered(a, b, c):
    assert [a < b, a == b, a > b].count(True) == 1
    if a <= b <= c:
        assert a <= c


@given(trees())
def test_levels_are_read_back(tree):
    graph = graph_of(tree)
    distance = nx.single_source_shortest_path_length(graph, 0)
    assert Tree.from_levels([distance[v] for v in sorted(graph)]) == tree


def test_chain_has_no_symmetry():
    assert [str(Tree.chain(k)) for k in (1, 2, 3)] == ["[]", "[[]]", "[[[]]]"]
    assert Tree.chain(7).symmetry == 1
    assert Tree.chain(7).factorial == math.factorial(7)


def test_bush_has_all_the_symmetry():
    bush = Tree([Tree()] * 6)
    assert (bush.symmetry, bush.factorial) == (math.factorial(6), 7)


def test_symmetry_of_needs_equal_children_side_by_side():
    leaf, edge = Tree(), Tree.chain(2)
    assert symmetry_of((edge, leaf, leaf)) == 2
    # The negative control: the same children unsorted are read as three different ones.
    assert symmetry_of((leaf, edge, leaf)) == 1


def test_deep_chains_do_not_reach_the_recursion_limit():
    deep, same = Tree.chain(3000), Tree.chain(3000)
    assert deep == same
    assert hash(deep) == hash(same)
    assert str(deep) == "[" * 3000 + "]" * 3000
    assert Tree.parse(str(deep)) == deep
    assert not deep < same
    assert deep.height == 2999
    assert deep > Tree.chain(2999)
    assert repr(deep).startswith("Tree.parse(")


@given(trees())
def test_copies_are_equal(tree):
    for copied in (pickle.loads(pickle.dumps(tree)), copy.deepcopy(tree)):
        assert copied == tree
        assert (copied.order, copied.symmetry) == (tree.order, tree.symmetry)
        assert (copied.factorial, copied.children) == (tree.factorial, tree.children)


def test_trees_are_frozen():
    with pytest.raises(AttributeError):
        Tree().order = 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "]",
        "[]]",
        "[[]",
        "[],[]",
        "[,]",
        "[[],]",
        "[[] []]",
        "[][]",
        "x",
        "[1]",
        "[[],,[]]",
    ],
)
def test_wrong_brackets_are_refused(text):
    with pytest.raises(InputError, match=r"a tree written in brackets") as caught:
        Tree.parse(text)
    assert repr(text) in str(caught.value)


def test_spaces_are_allowed():
    assert Tree.parse(" [ [ ] , [] ] ") == Tree([Tree(), Tree()])


@pytest.mark.parametrize("levels", [[], [1], [0, 0], [0, 2], [0, 1, 3], [0, 1, -1]])
def test_wrong_levels_are_refused(levels):
    with pytest.raises(InputError, match=r"level"):
        Tree.from_levels(levels)


def test_children_must_be_trees():
    with pytest.raises(InputError, match=r"children must be trees"):
        Tree(["[]"])


def test_long_chains_are_copied_and_pickled():
    chain = Tree.chain(2000)
    assert pickle.loads(pickle.dumps(chain)) == chain
    assert copy.deepcopy(chain) == chain
