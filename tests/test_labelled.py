"""Labelled trees and forests: laws, symmetry against brute force, and what is refused."""

import copy
import pickle

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networkx.algorithms.isomorphism import DiGraphMatcher, categorical_node_match

from expansion.errors import InputError
from expansion.trees.generate import labelled_forests
from expansion.trees.generate import labelled_trees as all_labelled_trees
from expansion.trees.labelled import Forest, LabelledTree
from expansion.trees.tree import Tree
from proofs_check.strategies import labelled_trees, trees

parse = LabelledTree.parse


def graph_of(*roots: LabelledTree) -> nx.DiGraph:
    """Edges from parent to child; each vertex keeps its block number."""
    graph = nx.DiGraph()

    def add(vertex: LabelledTree) -> int:
        number = len(graph)
        graph.add_node(number, label=vertex.label)
        for child in vertex.children:
            graph.add_edge(number, add(child))
        return number

    for root in roots:
        add(root)
    return graph


def automorphisms(graph: nx.DiGraph) -> int:
    matcher = DiGraphMatcher(graph, graph, categorical_node_match("label", None))
    return sum(1 for _ in matcher.isomorphisms_iter())


@given(labelled_trees())
def test_text_is_read_back(tree):
    assert parse(str(tree)) == tree
    assert eval(repr(tree), {"LabelledTree": LabelledTree}) == tree


@given(labelled_trees(), st.randoms(use_true_random=False))
def test_order_of_children_does_not_matter(tree, random):
    def shuffled(vertex):
        children = [shuffled(child) for child in vertex.children]
        random.shuffle(children)
        return f"{vertex.label}[{','.join(children)}]" if children else str(vertex.label)

    again = parse(shuffled(tree))
    assert again == tree
    assert hash(again) == hash(tree)
    assert str(again) == str(tree)


@given(labelled_trees())
def test_labels_decrease_and_are_all_listed(tree):
    graph = graph_of(tree)
    assert tree.labels == tuple(nx.get_node_attributes(graph, "label").values())
    assert tree.order == len(tree.labels) == len(graph)
    for parent, child in graph.edges:
        assert graph.nodes[child]["label"] < graph.nodes[parent]["label"]


@given(labelled_trees())
def test_shape_forgets_the_labels(tree):
    assert tree.shape.order == tree.order
    assert nx.is_isomorphic(graph_of(tree), graph_of(relabelled(tree.shape, 99)))
    assert tree.is_path == tree.shape.is_chain


def relabelled(shape: Tree, label: int) -> LabelledTree:
    return LabelledTree(label, tuple(relabelled(child, label - 1) for child in shape.children))


@given(labelled_trees(depth=3, max_order=7))
def test_symmetry_counts_automorphisms_that_keep_labels(tree):
    assert tree.symmetry == automorphisms(graph_of(tree))


def test_symmetry_of_every_small_tree_and_forest():
    for tree in all_labelled_trees(3, 5):
        assert tree.symmetry == automorphisms(graph_of(tree))
    for forest in labelled_forests(3, 4):
        assert forest.symmetry == (automorphisms(graph_of(*forest.trees)) if forest.trees else 1)


@given(trees())
def test_equal_labels_on_every_level_keep_the_symmetry_of_the_shape(shape):
    assert relabelled(shape, 99).symmetry == shape.symmetry


def test_labels_break_symmetry():
    assert (parse("3[1,1]").symmetry, parse("3[2,1]").symmetry) == (2, 1)
    # Isomeric trees: one dimension cannot tell them apart, the type must.
    assert parse("4[3[2],1]") != parse("4[3,2[1]]")
    assert parse("4[3[2],1]") != parse("4[2,3[1]]")


def test_the_larger_label_is_written_first():
    assert (
        str(LabelledTree(3, [LabelledTree(1), LabelledTree(2, [LabelledTree(1)])])) == "3[2[1],1]"
    )
    assert str(parse("5[1,4,2,3[1,2]]")) == "5[4,3[2,1],2,1]"


def test_equal_key_prefixes_are_not_confused():
    # 3[2[1]] and 3[2,1] carry the same labels in the same order.
    assert parse("3[2[1]]") != parse("3[2,1]")


@given(labelled_trees(4, 4), labelled_trees(4, 4), labelled_trees(4, 4))
def test_trees_are_totally_ordered(a, b, c):
    assert [a < b, a == b, a > b].count(True) == 1
    if a <= b <= c:
        assert a <= c


@given(labelled_trees())
def test_from_sorted_builds_the_same_tree(tree):
    again = LabelledTree.from_sorted(tree.label, tree.children)
    assert again == tree
    assert (again.order, again.symmetry, again.key) == (tree.order, tree.symmetry, tree.key)


def test_paths():
    path = LabelledTree.path(4, 2, 1)
    assert path == parse("4[2[1]]")
    assert path.is_path
    assert path.symmetry == 1
    assert not parse("3[2,1]").is_path


def test_deep_paths_do_not_reach_the_recursion_limit():
    labels = range(2000, 0, -1)
    path = LabelledTree.path(*labels)
    same = LabelledTree.path(*labels)
    assert path == same
    assert hash(path) == hash(same)
    assert path.is_path
    assert path.order == 2000


# Apart from the test above, so that each operation shows by itself.
@pytest.mark.parametrize(
    "operation",
    [
        lambda path: str(path).startswith("2000[1999["),
        lambda path: repr(path).startswith("LabelledTree.parse('2000[1999["),
        lambda path: parse("".join(f"{k}[" for k in range(2000, 1, -1)) + "1" + "]" * 1999) == path,
        lambda path: path.shape == Tree.chain(2000),
        lambda path: str(Forest([path])).startswith("D[2000["),
        lambda path: Forest([path]).shape == Forest([Tree.chain(2000)]),
    ],
    ids=["str", "repr", "parse", "shape", "forest", "forest shape"],
)
def test_deep_paths_are_written_and_read(operation):
    assert operation(LabelledTree.path(*range(2000, 0, -1)))


@given(labelled_trees())
def test_copies_are_equal(tree):
    for copied in (pickle.loads(pickle.dumps(tree)), copy.deepcopy(tree)):
        assert copied == tree
        assert (copied.order, copied.symmetry) == (tree.order, tree.symmetry)


def test_trees_are_frozen():
    with pytest.raises(AttributeError):
        LabelledTree(1).label = 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3[]",
        "3[1",
        "3[1]]",
        "3,1",
        "3[1,]",
        "3[,1]",
        "a",
        "-1",
        "1.5",
        "3[2,1]x",
        "3[1]2",
        "1 2",
    ],
)
def test_wrong_text_is_refused(text):
    with pytest.raises(InputError, match=r"a labelled tree; got") as caught:
        parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["1[1]", "1[2]", "3[2[2]]", "5[3[1],5]"])
def test_labels_that_do_not_decrease_are_refused(text):
    with pytest.raises(InputError, match=r"smaller than its parent's"):
        parse(text)


@pytest.mark.parametrize("label", [0, -3, 1.0, True, None, "x"])
def test_labels_are_positive_whole_numbers(label):
    with pytest.raises(InputError, match=r"label must be a whole number of at least 1"):
        LabelledTree(label)


def test_numbers_too_long_to_read_are_refused():
    with pytest.raises(InputError):
        parse("9" * 5000)


def test_children_must_be_labelled_trees():
    with pytest.raises(InputError, match=r"children must be labelled trees"):
        LabelledTree(3, [Tree()])
    with pytest.raises(InputError, match=r"at least one block"):
        LabelledTree.path()


class TestForest:
    @given(st.lists(labelled_trees(3, 3), max_size=4), st.randoms(use_true_random=False))
    def test_order_of_trees_does_not_matter(self, members, random):
        shuffled = list(members)
        random.shuffle(shuffled)
        forest, again = Forest(members), Forest(shuffled)
        assert forest == again
        assert hash(forest) == hash(again)
        assert str(forest) == str(again)
        assert forest.order == sum(tree.order for tree in members)
        assert sorted(forest.labels) == sorted(sum((tree.labels for tree in members), ()))

    @settings(max_examples=40)
    @given(st.lists(labelled_trees(2, 3), min_size=1, max_size=3))
    def test_symmetry_counts_automorphisms(self, members):
        assert Forest(members).symmetry == automorphisms(graph_of(*members))

    @given(st.lists(trees(3), max_size=4))
    def test_grafting_a_forest_on_a_root_keeps_its_symmetry(self, members):
        assert Forest(members).symmetry == Tree(members).symmetry
        assert Forest(members).order == Tree(members).order - 1

    def test_the_empty_forest_is_the_decoders_value(self):
        empty = Forest()
        assert (str(empty), empty.order, empty.symmetry, empty.labels) == ("D[]", 0, 1, ())
        assert empty.shape == empty

    def test_distinct_trees_with_multiplicity(self):
        forest = Forest([parse("2"), parse("1"), parse("2")])
        assert list(forest.distinct()) == [(parse("2"), 2), (parse("1"), 1)]
        assert forest.children == forest.trees
        assert str(forest) == "D[2,2,1]"
        assert (
            repr(forest)
            == "Forest([LabelledTree.parse('2'), LabelledTree.parse('2'), LabelledTree.parse('1')])"
        )

    def test_shape(self):
        assert Forest([parse("2[1]"), parse("3")]).shape == Forest([Tree(), Tree.chain(2)])

    def test_order(self):
        forests = sorted(labelled_forests(2, 3))
        assert [f.order for f in forests] == sorted(f.order for f in forests)
        assert len(set(forests)) == len(forests)
        assert Forest() < Forest([parse("1")])

    def test_not_a_tree(self):
        assert Forest([parse("1")]) != parse("1")

    def test_one_kind_of_tree(self):
        with pytest.raises(
            InputError, match=r"all labelled, or all unlabelled; got LabelledTree, Tree"
        ):
            Forest([Tree(), LabelledTree(1)])
