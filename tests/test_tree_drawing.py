"""Pictures of trees: one vertex each, no crossing edges, well-formed, deep chains included."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given

from expansion import LabelledTree, Tree
from expansion.trees.drawing import tree_svg, trees_svg
from proofs_check.strategies import labelled_trees, trees

NAMESPACE = "{http://www.w3.org/2000/svg}"


def shapes(svg, name):
    return list(ElementTree.fromstring(svg).iter(NAMESPACE + name))


@given(trees(max_order=8))
def test_a_vertex_each_an_edge_each_below_its_children(tree):
    svg = tree_svg(tree)
    spots = {(c.get("cx"), c.get("cy")) for c in shapes(svg, "circle")}
    assert len(spots) == tree.order  # no two vertices in one place
    lines = shapes(svg, "line")
    assert len(lines) == tree.order - 1
    assert all(float(line.get("y1")) > float(line.get("y2")) for line in lines)


@given(trees(max_order=8))
def test_edges_between_two_levels_do_not_cross(tree):
    by_level = {}
    for line in shapes(tree_svg(tree), "line"):
        ends = float(line.get("x1")), float(line.get("x2"))
        by_level.setdefault(line.get("y1"), []).append(ends)
    for edges in by_level.values():
        for a, b in edges:
            for c, d in edges:
                assert not (a < c and b > d)


@given(labelled_trees())
def test_labels_stand_in_the_vertices(tree):
    written = sorted(int(text.text) for text in shapes(tree_svg(tree), "text"))
    assert written == sorted(tree.labels)


def test_pictures_in_notebooks_and_rows_with_captions():
    assert Tree()._repr_svg_() == tree_svg(Tree())
    assert LabelledTree(3)._repr_svg_() == tree_svg(LabelledTree(3))
    row = trees_svg([Tree(), Tree.chain(2)], ["<one>", "two"])
    assert [text.text for text in shapes(row, "text")] == ["<one>", "two"]


@pytest.mark.parametrize("order", [1, 2, 3000])
def test_chains_of_any_length(order):
    assert len(shapes(tree_svg(Tree.chain(order)), "circle")) == order
