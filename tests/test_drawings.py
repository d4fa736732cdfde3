"""Drawings of architectures and the command that makes them: what is shown is what is there."""

import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from fractions import Fraction
from functools import partial
from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings

from expansion import InputError, TooManyTermsError
from expansion.growth.path_lesions import surviving_share, total_paths
from expansion.growth.path_polynomials import PathPolynomial, path_polynomial
from expansion.growth.unravelled import list_paths
from expansion.report.drawings import draw_architecture, draw_paths
from expansion.report.path_tables import exact_text, paths_dict, paths_grid, shown_text
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.catalogue import BUILDERS, build
from expansion.towers.architectures.edge import Edge
from expansion.towers.architectures.residual import residual_tower
from proofs_check.strategies import architectures

SVG = "{http://www.w3.org/2000/svg}"


def elements(picture, kind):
    return list(ET.fromstring(picture).iter(SVG + kind))


def boxes(picture):
    """Every box with the text inside it; the first rectangle is the ground."""
    root = ET.fromstring(picture)
    order = [e for e in root.iter() if e.tag in (SVG + "rect", SVG + "text")]
    found = []
    for shape, text in pairwise(order):
        if shape.tag == SVG + "rect" and shape.get("rx"):
            found.append((text.text, shape))
    return found


def is_dashed(shape):
    return shape.get("stroke-dasharray") is not None


@given(architectures())
@settings(max_examples=60)
def test_every_block_has_its_box_and_every_edge_its_line(architecture):
    picture = draw_architecture(architecture)
    assert Counter(name for name, _ in boxes(picture)) == Counter(
        edge.block for edge in architecture.edges if edge.block
    )
    strokes = [p for p in elements(picture, "path") if not is_cross(p)]
    assert len(strokes) == len(architecture.edges)
    assert picture == draw_architecture(architecture)


def is_cross(path):
    """Whether a line is a stroke of a circled plus: eight pixels long."""
    numbers = list(map(float, re.findall(r"-?\d+\.\d+", path.get("d"))))
    return len(numbers) == 4 and math.dist(numbers[:2], numbers[2:]) == pytest.approx(8)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_everything_is_inside_the_picture(name):
    picture = draw_architecture(build(name, {}, depth="4"), title=name)
    root = ET.fromstring(picture)
    width, height = float(root.get("width")), float(root.get("height"))
    for _, shape in boxes(picture):
        x, y = float(shape.get("x")), float(shape.get("y"))
        assert 0 <= x <= x + float(shape.get("width")) <= width
        assert 20 <= y <= y + float(shape.get("height")) <= height
    for stroke in elements(picture, "path"):
        numbers = list(map(float, re.findall(r"-?\d+\.\d+", stroke.get("d"))))
        assert all(0 <= x <= width for x in numbers[::2])
        assert all(0 <= y <= height for y in numbers[1::2])


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_boxes_do_not_overlap(name):
    shown = boxes(draw_architecture(build(name, {}, depth="3")))
    sides = [
        (float(s.get("x")), float(s.get("y")), float(s.get("width")), float(s.get("height")))
        for _, s in shown
    ]
    assert len(sides) >= 3
    for number, (x, y, w, h) in enumerate(sides):
        for a, b, c, d in sides[:number]:
            assert x + w <= a or a + c <= x or y + h <= b or b + d <= y


def test_long_towers_go_on_in_the_next_row():
    def rows(depth):
        shown = boxes(draw_architecture(residual_tower(depth)))
        return Counter(shape.get("y") for _, shape in shown)

    assert len(rows(6)) == 1
    assert len(rows(12)) == 2
    assert sum(rows(40).values()) == 40
    width = float(ET.fromstring(draw_architecture(residual_tower(100))).get("width"))
    assert width < 1200


def test_a_lesion_is_dashed():
    picture = draw_architecture(residual_tower(5), without=["block2", "block4"])
    assert [name for name, s in boxes(picture) if is_dashed(s)] == ["block2", "block4"]
    assert sum(map(is_dashed, elements(picture, "path"))) == 2
    assert not any(map(is_dashed, elements(draw_architecture(residual_tower(5)), "path")))
    with pytest.raises(InputError, match="block9"):
        draw_architecture(residual_tower(5), without="block9")


def test_names_are_text_and_not_markup():
    sly = Architecture((Edge("x", "y", "</svg><script>&", 1),))
    picture = draw_architecture(sly, title="<b>")
    assert "<script>" not in picture
    assert [name for name, _ in boxes(picture)] == ["</svg><script>&"]
    assert elements(picture, "title")[0].text == "<b>"


def test_too_large_for_a_picture():
    with pytest.raises(TooManyTermsError):
        draw_architecture(residual_tower(201))
    with pytest.raises(TooManyTermsError, match="128 terms"):
        draw_paths(residual_tower(7))
    assert draw_paths(residual_tower(7), budget=128).count("order ") == 8


@given(architectures(max_nodes=5, max_extra=4))
@settings(max_examples=60)
def test_all_paths_are_listed_once(architecture):
    found = list_paths(architecture, budget=1000)
    graph = nx.MultiDiGraph()
    for number, edge in enumerate(architecture.edges):
        graph.add_edge(edge.tail, edge.head, key=number)
    walked = nx.all_simple_edge_paths(graph, architecture.source, architecture.sink)
    listed = (tuple(architecture.edges[number] for *_, number in path) for path in walked)
    assert Counter(found) == Counter(listed)
    for path in found:
        assert path[0].tail == architecture.source
        assert path[-1].head == architecture.sink
        assert all(a.head == b.tail for a, b in pairwise(path))
    orders = [sum(edge.order for edge in path) for path in found]
    assert orders == sorted(orders)
    counts = Counter(orders)
    assert path_polynomial(architecture).counts == tuple(counts[k] for k in range(max(orders) + 1))


@pytest.mark.parametrize(("name", "depth"), [("residual", "4"), ("layered", "3"), ("unet", "2")])
def test_unravelled_rows_are_paths_and_lesions_lose_their_share(name, depth):
    architecture = build(name, {}, depth)
    removed = architecture.branches[1]
    picture = draw_paths(architecture, without=removed)
    lines = elements(picture, "path")
    assert len(lines) == total_paths(architecture)
    kept = sum(not is_dashed(line) for line in lines)
    assert Fraction(kept, len(lines)) == surviving_share(architecture, removed)
    assert {name for name, shape in boxes(picture) if is_dashed(shape)} == {removed}
    passed = sum(e.order > 0 for path in list_paths(architecture) for e in path)
    assert len(boxes(picture)) == passed


# ---- Tables and the command ------------------------------------------------------------------


def test_numbers_of_any_length_are_written():
    assert exact_text(10**6000) == "1" + "0" * 6000  # longer than Python's own str allows
    assert exact_text(Fraction(4, 2)) == "2"
    assert shown_text(Fraction(3**200, 2**300)).startswith("about ")
    assert shown_text(Fraction(10**8)) == "100,000,000"


def test_tables_say_what_the_polynomials_say():
    whole, left = PathPolynomial((1, 2, 1)), PathPolynomial((1, 1))
    grid = paths_grid(whole, left, "title")
    assert grid.rows == (
        ("0", "1", "25.0000%", "1"),
        ("1", "2", "50.0000%", "1"),
        ("2", "1", "25.0000%", "0"),
    )
    assert "a share of 1/2" in grid.note
    assert paths_dict(whole, left) == {
        "counts": ["1", "2", "1"],
        "total": "4",
        "mean_length": "1",
        "left": ["1", "1", "0"],
        "surviving_share": "1/2",
    }
    nothing = PathPolynomial(())
    assert paths_dict(whole, nothing)["surviving_share"] == "0"
    assert [row[-1] for row in paths_grid(whole, nothing, "title").rows] == ["0", "0", "0"]


@pytest.fixture
def command(command):
    return partial(command, "paths")


def test_the_command_counts_exactly(answer):
    found = answer("residual", "--depth", 1000)
    assert [int(count) for count in found["counts"]] == [math.comb(1000, k) for k in range(1001)]
    assert found["total"] == str(2**1000)
    assert found["mean_length"] == "500"
    assert answer("highway", "--depth", 2, "gate=1/3")["counts"] == ["4/9", "4/9", "1/9"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("resnet", "--depth", "2,3", "shortcuts=no"),
        ("resnet", "shortcuts=no", "--depth", "2", "3"),
        ("resnet", "--depth=2,3", "shortcuts=no"),
        ("resnet", "stages=2,3", "shortcuts=no"),
    ],
)
def test_parameters_in_every_way(answer, arguments):
    assert answer(*arguments)["counts"] == ["0", "1", "4", "6", "4", "1"]


def test_lesions_by_name(answer, command):
    found = answer("transformer", "--depth", 2, "--lesion", "layer1,layer2.mlp", "--lesions")
    assert found["lesion"] == ["layer1", "layer2.mlp"]
    assert found["surviving_share"] == "1/8"
    assert found["left"] == ["1", "1", "0", "0", "0"]
    assert found["lesions"]["trunk.norm"] == "0"
    assert found["lesions"]["layer2.attention"] == "1/2"
    code, out, _ = command("transformer", "--depth", 2, "--lesion", "layer1", "--lesions")
    assert code == 0
    assert "a share of 1/4" in out
    assert "layer2.attention" in out


def test_pictures_are_written(command, tmp_path):
    for more in ([], ["--unravel"]):
        path = tmp_path / "picture.svg"
        code, _, err = command(
            "residual", "--depth", 3, "--lesion", "block1", "--output", path, *more
        )
        assert (code, err) == (0, f"written: {path}\n")
        assert ET.fromstring(path.read_text()).tag == SVG + "svg"
        assert ("order 3" in path.read_text()) == bool(more)


@pytest.mark.parametrize(
    "arguments",
    [
        ("perceptron",),
        ("residual",),
        ("residual", "--depth", "0"),
        ("residual", "--depth", "-4"),
        ("residual", "--depth", "x"),
        ("residual", "--depth", "3,4"),
        ("residual", "12"),
        ("residual", "--depth", "3", "width=4"),
        ("residual", "depth=3", "--depth", "3"),
        ("residual", "--depth", "93000"),
        ("highway", "--depth", "3", "gate=nan"),
        ("highway", "--depth", "3", "gate=__import__('os')"),
        ("residual", "--depth", "3", "--lesion", "block4"),
        ("residual", "--depth", "3", "--lesion", ""),
        ("residual", "--depth", "3", "--unravel"),
        ("residual", "--depth", "3", "--format", "yaml"),
        ("residual", "--depth", "3", "--output", "missing/x.svg"),
        ("residual", "--depth", "300", "--output", "x.svg"),
        ("residual", "--depth", "12", "--unravel", "--output", "x.svg"),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line(command, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
