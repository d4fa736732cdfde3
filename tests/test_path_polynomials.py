"""C4: path polynomials, totals, lesions and formulas, each against enumeration or a closed form."""

import math
from collections import Counter
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from expansion import InputError, ScalingRule, TooManyTermsError
from expansion.growth import path_graph as path_graph_module
from expansion.growth.path_energy import energy_polynomial
from expansion.growth.path_formulas import depth_formula
from expansion.growth.path_graph import links_of, product
from expansion.growth.path_lesions import (
    lesion_shares,
    mean_length,
    surviving_share,
    total_paths,
)
from expansion.growth.path_polynomials import PathPolynomial, path_polynomial
from expansion.growth.spectrum import exact_spectrum
from expansion.towers.architectures.architecture import Architecture
from expansion.towers.architectures.catalogue import BUILDERS, build
from expansion.towers.architectures.dense import densenet
from expansion.towers.architectures.edge import Edge
from expansion.towers.architectures.gated import highway, stochastic_depth
from expansion.towers.architectures.residual import (
    layered_tower,
    parallel_tower,
    residual_tower,
    staged_resnet,
)
from expansion.towers.architectures.transformer import transformer
from expansion.towers.architectures.unet import unet
from expansion.trees.counting import path_counts
from proofs_check.strategies import architectures, rationals


def paths(architecture):
    """Every path as a tuple of edges, by networkx."""
    graph = nx.MultiDiGraph()
    for number, edge in enumerate(architecture.edges):
        graph.add_edge(edge.tail, edge.head, key=number)
    found = nx.all_simple_edge_paths(graph, architecture.source, architecture.sink)
    return [tuple(architecture.edges[number] for _, _, number in path) for path in found]


def enumerated(architecture, removed=frozenset()):
    """The path polynomial by enumeration, of the paths that pass none of the removed blocks."""
    counts = Counter()
    for path in paths(architecture):
        if not any(is_in(edge.block, name) for edge in path for name in removed):
            counts[sum(edge.order for edge in path)] += math.prod(edge.weight for edge in path)
    nonzero = [order for order, count in counts.items() if count]
    return tuple(counts[order] for order in range(max(nonzero, default=-1) + 1))


def is_in(block, name):
    return block.split(".")[: len(name.split("."))] == name.split(".")


@given(architectures())
def test_counts_are_those_of_enumeration(architecture):
    found = path_polynomial(architecture)
    assert found.counts == enumerated(architecture)
    assert all(type(count) is int for count in found.counts)
    assert found.total == len(paths(architecture)) == total_paths(architecture)
    orders = [sum(edge.order for edge in path) for path in paths(architecture)]
    mean = Fraction(sum(orders), len(orders))
    assert found.mean == mean == mean_length(architecture)
    assert found.variance == Fraction(sum(k * k for k in orders), len(orders)) - mean**2
    assert found.distribution == tuple(
        Fraction(orders.count(k), len(orders)) for k in range(max(orders) + 1)
    )


@given(architectures(weights=st.one_of(rationals(), st.integers(-2, 3))))
def test_weighted_counts_are_those_of_enumeration(architecture):
    found = path_polynomial(architecture)
    assert found.counts == enumerated(architecture)
    assert total_paths(architecture) == found.total
    if found.total:
        assert mean_length(architecture) == found.mean


@given(architectures(max_nodes=8, max_extra=10, weights=st.integers(1, 3)))
def test_long_integers_and_polynomials_agree(architecture):
    # Whole positive weights go by Kronecker substitution, others by polynomials over fractions.
    halved = architecture_with(architecture, lambda e: Fraction(e.weight, 2))
    assert path_polynomial(halved).counts == enumerated(halved)
    negative = architecture_with(architecture, lambda e: -e.weight)
    assert path_polynomial(negative).counts == enumerated(negative)
    back = architecture_with(halved, lambda e: 2 * e.weight)
    assert path_polynomial(back) == path_polynomial(architecture)


def architecture_with(architecture, weight):
    edges = (Edge(e.tail, e.head, e.block, e.order, weight(e)) for e in architecture.edges)
    return Architecture(tuple(edges))


@given(architectures())
def test_the_comparison_would_notice_one_path_more_or_one_order_more(architecture):
    longer = Architecture(
        (*architecture.edges, Edge(architecture.source, architecture.sink, "added", 1))
    )
    assert path_polynomial(longer).counts != enumerated(architecture)
    edge = paths(architecture)[0][0]
    index = architecture.edges.index(edge)
    raised = list(architecture.edges)
    raised[index] = Edge(edge.tail, edge.head, edge.block or "named", edge.order + 1)
    assert path_polynomial(Architecture(tuple(raised))).counts != enumerated(architecture)


@given(st.data(), architectures(weights=st.integers(1, 3)))
def test_lesions_are_those_of_deleting_and_recounting(data, architecture):
    assume(architecture.blocks)
    total = sum(enumerated(architecture))
    names = [*architecture.blocks, *(["c"] if "c.one" in architecture.blocks else [])]
    shares = lesion_shares(architecture, names)
    assert list(shares) == names
    for name in names:
        left = enumerated(architecture, {name})
        assert path_polynomial(architecture, without=name).counts == left
        assert total_paths(architecture, without=name) == sum(left)
        assert shares[name] == Fraction(sum(left), total) == surviving_share(architecture, name)
    several = set(data.draw(st.lists(st.sampled_from(names), max_size=3)))
    left = enumerated(architecture, several)
    assert path_polynomial(architecture, without=several).counts == left
    assert surviving_share(architecture, several) == Fraction(sum(left), total)
    assert lesion_shares(architecture) == {name: shares[name] for name in architecture.blocks}


@given(architectures(weights=rationals()))
def test_weighted_lesions(architecture):
    total = sum(enumerated(architecture))
    if not total:
        for refused in (lesion_shares, mean_length):
            with pytest.raises(InputError, match="add up to 0"):
                refused(architecture)
        with pytest.raises(InputError, match="add up to 0"):
            surviving_share(architecture, [])
        return
    for name, share in lesion_shares(architecture).items():
        assert share == sum(enumerated(architecture, {name})) / Fraction(total)


def test_edges_of_one_block_in_series_are_not_counted_twice():
    # Adding the shares of the two layers would say that nothing survives.
    tower = layered_tower(3, 2)
    assert lesion_shares(tower, ["block2"]) == {"block2": Fraction(1, 2)}
    assert 1 - 2 * (1 - lesion_shares(tower)["block2.layer1"]) == 0


# ---- Closed forms, each by an argument of its own --------------------------------------------


def multiplied(*factors):
    """A product of polynomials with Python's integers."""
    row = [1]
    for factor in factors:
        new = [0] * (len(row) + len(factor) - 1)
        for i, a in enumerate(row):
            for j, b in enumerate(factor):
                new[i + j] += a * b
        row = new
    return tuple(row)


@pytest.mark.parametrize("depth", [1, 2, 7, 40])
def test_towers(depth):
    binomials = [math.comb(depth, k) for k in range(depth + 1)]
    assert path_polynomial(residual_tower(depth)).counts == tuple(binomials)
    assert path_counts(depth, depth) == binomials  # claim C1's own route
    spread = [0] * (3 * depth + 1)
    spread[::3] = binomials
    assert path_polynomial(layered_tower(depth, 3)).counts == tuple(spread)
    chosen = tuple(4**k * c for k, c in enumerate(binomials))  # k blocks, one of 4 branches each
    assert path_polynomial(parallel_tower(depth, 4)).counts == chosen
    # Every layer of a dense block either adds to the running concatenation or is passed by.
    assert path_polynomial(densenet(depth)).counts == tuple(binomials)
    grown = tuple(5**k * c for k, c in enumerate(binomials))
    assert path_polynomial(densenet(depth, growth=5)).counts == grown
    sub_blocks = tuple(math.comb(2 * depth, k) for k in range(2 * depth + 1))
    for norm in ("pre", "post"):
        network = transformer(depth, norm)
        assert path_polynomial(network).counts == sub_blocks
        half = tuple(c * 2**depth for c in binomials)  # MLPs are passed or not, uncounted
        assert path_polynomial(network.counting("attention")).counts == half
    norms = path_polynomial(transformer(depth).counting("norm")).counts
    assert norms == (0, *sub_blocks)
    norms = path_polynomial(transformer(depth, "post").counting("norm")).counts
    assert norms == (0,) * (2 * depth) + (4**depth,)


def test_staged_networks():
    skipping, passing = (1, 0, 1), (0, 0, 1)
    assert path_polynomial(staged_resnet((2, 3), 2)).counts == multiplied(*[skipping] * 5)
    bare = staged_resnet((2, 3, 1), 2, shortcuts=False)
    assert path_polynomial(bare).counts == multiplied(*[skipping] * 4, passing, passing)
    dense = densenet((3, 2, 4))
    assert path_polynomial(dense).counts == multiplied(*[(1, 1)] * 9, (0, 1), (0, 1))


@pytest.mark.parametrize(("levels", "convolutions"), [(1, 1), (4, 2), (7, 3)])
def test_unets_turn_around_at_one_level(levels, convolutions):
    # A path that goes down d levels passes 2c convolutions in each level it enters, or c in the
    # bottom, one up-convolution for each level it comes up, and the last convolution.
    wanted = Counter()
    for turn in range(levels + 1):
        entered = 2 * min(turn + 1, levels) * convolutions
        bottom = convolutions if turn == levels else 0
        wanted[entered + bottom + turn + 1] += 1
    counts = path_polynomial(unet(levels, convolutions)).counts
    assert {order: count for order, count in enumerate(counts) if count} == wanted
    shares = lesion_shares(unet(levels, convolutions))
    assert shares["across1"] == Fraction(levels, levels + 1)
    assert shares["bottom.conv1"] == Fraction(levels, levels + 1)
    assert shares["down1.conv1"] == shares["output"] == 0


@pytest.mark.parametrize("gate", [Fraction(0), Fraction(1, 3), Fraction(1)])
def test_orders_of_highway_paths_are_binomial(gate):
    found = path_polynomial(highway(6, gate))
    assert found.total == 1
    assert found.mean == 6 * gate
    assert found.variance == 6 * gate * (1 - gate)


@pytest.mark.parametrize("depth", [1, 2, 55])
def test_stochastic_depth_keeps_three_quarters_of_the_blocks(depth):
    # Huang et al. 2016: the expected number of blocks is (3L − 1)/4 when the last survives by 1/2.
    found = path_polynomial(stochastic_depth(depth))
    assert found.at(1) == Fraction(3 * depth - 1, 4)
    shares = [e.weight for e in stochastic_depth(depth).edges if e.order]
    assert found.total == math.prod(1 + share for share in shares)


def test_stochastic_depth_is_the_mean_over_subsets():
    network = stochastic_depth(4, Fraction(1, 3))
    shares = [e.weight for e in network.edges if e.order]
    wanted = Counter()
    for subset in range(16):
        kept = [bool(subset >> block & 1) for block in range(4)]
        chance = math.prod(p if k else 1 - p for p, k in zip(shares, kept, strict=True))
        for order in range(5):
            wanted[order] += chance * math.comb(sum(kept), order)
    assert list(path_polynomial(network).counts) == [wanted[k] for k in range(5)]


# ---- Energies --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["1", "1/sqrt(n)", "1/n", "batchnorm", "0.3"])
def test_squared_scales_as_weights_give_the_order_spectrum(rule):
    scaling = ScalingRule.parse(rule)
    weighted = residual_tower(9).weighted(scaling.squares(9))
    wanted = exact_spectrum(scaling, 9, 9)
    assert list(path_polynomial(weighted).counts) == wanted
    assert list(energy_polynomial(residual_tower(9), rule).counts) == wanted
    # Dense connections that add up are a tower again.
    assert list(energy_polynomial(densenet(9), rule).counts) == wanted


def simulated_energy(architecture, scales, trials=6000, width=4, seed=3):
    """Mean energy of the output and its standard error, for Gaussian linear branches."""
    generator = np.random.default_rng(seed)
    signals = {node: np.zeros((trials, width)) for node in architecture.nodes}
    signals[architecture.source] += 1 / width**0.5
    for edge in architecture.ordered():
        carried = float(edge.weight) * signals[edge.tail]
        if edge.order:
            matrices = generator.normal(size=(trials, width, width)) / width**0.5
            carried = scales[edge.block] * np.einsum("tij,tj->ti", matrices, carried)
        signals[edge.head] += carried
    energies = (signals[architecture.sink] ** 2).sum(axis=1)
    return energies.mean(), energies.std() / trials**0.5


def uneven():
    """A graph with weights, nothing in series or parallel, and two routes past every branch."""
    return Architecture(
        (
            Edge("a", "b", "f", 1),
            Edge("a", "c", weight=Fraction(1, 2)),
            Edge("b", "c", "g", 1),
            Edge("b", "d"),
            Edge("c", "d", "h", 1, Fraction(3, 2)),
        )
    )


@pytest.mark.parametrize(
    "architecture", [parallel_tower(3), densenet(3), uneven(), layered_tower(2, 2)]
)
def test_simulated_energies_are_those_of_the_paths(architecture):
    scales = {b: 0.5 + 0.25 * k for k, b in enumerate(architecture.branches)}
    predicted = float(energy_polynomial(architecture, list(scales.values())).total)
    mean, error = simulated_energy(architecture, scales)
    assert abs(mean - predicted) < 4 * error
    # The control: what weights without their squares would predict.
    wrong = float(path_polynomial(architecture.weighted(list(scales.values()))).total)
    assert abs(mean - wrong) > 4 * error


def test_skips_that_add_coherently_are_refused():
    double = Architecture((*residual_tower(1).edges, Edge("h0", "h1")))
    with pytest.raises(InputError, match="two from h0 to h1"):
        energy_polynomial(double)
    mean, error = simulated_energy(double, {"block1": 1.0})
    assert abs(mean - 5) < 4 * error < abs(mean - 3)  # 2² + 1, and not 1 + 1 + 1
    mended = Architecture((Edge("h0", "h1", weight=2), Edge("h0", "h1", "block1", 1)))
    assert energy_polynomial(mended).counts == (4, 1)
    # Two skips that enter one signal from signals that no skip joins are no such pair.
    assert energy_polynomial(densenet(2)).total == 4
    with pytest.raises(InputError, match="one edge each"):
        energy_polynomial(Architecture((Edge("x", "y", "f", 1), Edge("y", "z", "f", 1))))
    with pytest.raises(InputError, match="leaves the skips alone"):
        energy_polynomial(residual_tower(2), "half")
    with pytest.raises(InputError, match="rational"):
        energy_polynomial(residual_tower(2), "n^-0.75")


# ---- Size ------------------------------------------------------------------------------------


def test_exact_at_great_depth():
    tower = residual_tower(1200)
    found = path_polynomial(tower)
    assert found.total == total_paths(tower) == 2**1200
    assert found.at(600) == math.comb(1200, 600)
    assert found.at(-1) == found.at(1201) == 0
    assert mean_length(residual_tower(5001)) == Fraction(5001, 2)
    assert set(lesion_shares(tower).values()) == {Fraction(1, 2)}
    assert surviving_share(tower, [f"block{b}" for b in range(1, 101)]) == Fraction(1, 2**100)
    assert path_polynomial(residual_tower(1000), without="block7").total == 2**999


def fibonacci_ladder(depth):
    """hₙ = fₙ(hₙ₋₁) + hₙ₋₂: nothing in it is in series or parallel."""
    for number in range(1, depth + 1):
        yield Edge(f"h{number - 1}", f"h{number}", f"f{number}", 1)
        if number > 1:
            yield Edge(f"h{number - 2}", f"h{number}")


def test_exact_where_nothing_can_be_reduced():
    # Compositions of n into k ones and (n − k)/2 twos.
    depth = 1000
    ladder = Architecture.of(fibonacci_ladder(depth))
    wanted = [0 if (depth - k) % 2 else math.comb((depth + k) // 2, k) for k in range(depth + 1)]
    found = path_polynomial(ladder)
    assert list(found.counts) == wanted
    before, fibonacci = 1, 1
    for _ in range(depth - 1):
        before, fibonacci = fibonacci, before + fibonacci
    assert found.total == total_paths(ladder) == fibonacci
    singles, (graph,) = links_of(ladder).segments()
    assert not singles
    graph.reduce()
    assert sum(1 for _ in graph.nodes()) > depth / 2  # it is the recurrence that was tested
    shifted = [*wanted[1:], 0]
    assert list(found.counts) != shifted


@given(architectures(max_nodes=7, max_extra=8))
@settings(max_examples=60)
def test_the_recurrence_and_the_reduction_agree(architecture):
    reduced = path_polynomial(architecture)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_graph_module.PathGraph, "reduce", lambda self: None)
        assert path_polynomial(architecture) == reduced


def test_series_parallel_graphs_reduce_to_one_link():
    for name in set(BUILDERS) - {"densenet"}:
        for graph in links_of(build(name, {}, depth="4")).segments()[1]:
            graph.reduce()
            assert [list(heads) for heads in graph.links if heads] == [[graph.sink]], name


@given(architectures(weights=st.integers(0, 2)))
def test_segments_end_where_all_paths_meet(architecture):
    found = links_of(architecture)
    walked = [path for path in paths(architecture) if all(edge.weight for edge in path)]
    nodes = [{architecture.source, *(edge.head for edge in path)} for path in walked]
    assume(nodes)
    singles, graphs = found.segments()
    factors = [[int(c) for c in found.kinds[kind].coeffs()] for kind in singles.elements()]
    factors += [counts_by_hand(graph) for graph in graphs]
    assert len(factors) == len(set.intersection(*nodes)) - 1
    assert multiplied(*factors) == enumerated(architecture)  # the product is the whole


def counts_by_hand(segment):
    """The coefficients of a segment, by following its links one by one."""

    def from_node(node):
        if node == segment.sink:
            return segment.one
        return sum(
            (link * from_node(head) for head, link in segment.links[node].items()), 0 * segment.one
        )

    return [int(c) for c in from_node(segment.source).coeffs()]


def test_products():
    one = links_of(residual_tower(1)).one
    z = one.left_shift(1)
    assert product([], one) == one
    assert product([(z + z**3, 5), (one * 2, 1)], one) == 2 * z**5 * (1 + z**2) ** 5
    long = (one + z) ** 40
    assert product([(long, 1), (z, 1), (long + 0, 1)], one) == z * (one + z) ** 80
    assert product([(one * 0, 2), (z, 1)], one) == 0
    assert product([(one * 3, 3), (one * 3, 1)], one) == 81


def test_an_answer_too_large_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.setattr(path_graph_module, "LARGEST_ANSWER", 10_000)
    for tower in (residual_tower(200), stochastic_depth(100)):
        with pytest.raises(TooManyTermsError, match="mean_length"):
            path_polynomial(tower)
    assert path_polynomial(residual_tower(90)).total == 2**90
    # Long, but with few paths: the estimate is not taken for the size.
    assert path_polynomial(layered_tower(1, 500)).total == 2
    assert total_paths(residual_tower(200)) == 2**200


def test_lesions_that_leave_nothing():
    tower = Architecture((Edge("x", "y", "a", 1), Edge("y", "z", "b", 1), Edge("x", "y", "c")))
    nothing = path_polynomial(tower, without="b")
    assert (nothing.counts, nothing.total, nothing.order, str(nothing)) == ((), 0, -1, "0")
    assert total_paths(tower, without="b") == 0
    assert path_polynomial(tower, without=["a", "c"]).counts == ()
    for refused in (lambda: nothing.mean, lambda: nothing.distribution, lambda: nothing.variance):
        with pytest.raises(InputError, match="add up to 0"):
            refused()
    with pytest.raises(InputError, match="fewer blocks"):
        mean_length(tower, without="b")
    for ask in (path_polynomial, total_paths, mean_length):
        with pytest.raises(InputError, match="choose among a, c, b"):
            ask(tower, without="nothing")
    with pytest.raises(InputError, match="choose among"):
        lesion_shares(tower, ["nothing"])


def test_polynomials_are_written_as_in_books():
    assert str(PathPolynomial((0, 1, -2, Fraction(1, 2)))) == "z - 2 z^2 + 1/2 z^3"
    assert str(PathPolynomial((1, 0, 1))) == "1 + z^2"


# ---- Formulas in the depth -------------------------------------------------------------------


@pytest.mark.parametrize(
    "builder",
    [
        residual_tower,
        lambda depth: layered_tower(depth, 2),
        lambda depth: parallel_tower(depth, 3),
        lambda depth: highway(depth, Fraction(1, 3)),
        transformer,
        lambda depth: transformer(depth).counting("attention"),
    ],
)
def test_formulas_hold_at_every_depth(builder):
    formula = depth_formula(path_polynomial(builder(1)), 6)
    for depth in (1, 2, 3, 5, 8, 30):
        found = path_polynomial(builder(depth))
        assert list(formula.counts(depth)) == [found.at(k) for k in range(7)]
    # One depth off is another row.
    assert formula.counts(9) != formula.counts(8)
    assert all(q.degree() <= k for k, q in enumerate(formula.polynomials))


def test_formulas_at_any_depth():
    formula = depth_formula(PathPolynomial((1, 1)), 5)
    depth = 10**40
    assert formula.counts(depth) == tuple(path_counts(depth, 5))
    assert formula.counts(0) == (1, 0, 0, 0, 0, 0)


def test_formulas_need_a_skip():
    with pytest.raises(InputError, match="give it a skip"):
        depth_formula(path_polynomial(unet(2)), 3)
    for bad in (-1, 1.5, math.nan):
        with pytest.raises(InputError):
            depth_formula(PathPolynomial((1, 1)), bad)
        with pytest.raises(InputError):
            depth_formula(PathPolynomial((1, 1)), 1).counts(bad)


def test_networkx_digraphs_of_modules():
    # Two routes to the same polynomial of a graph with branches on its nodes.
    graph = nx.gnp_random_graph(9, 0.5, seed=4, directed=True)
    graph = nx.DiGraph((u, v) for u, v in graph.edges if u < v)
    graph.add_edges_from((0, v) for v in list(graph) if v and not graph.in_degree(v))
    graph.add_edges_from((v, 8) for v in list(graph) if v != 8 and not graph.out_degree(v))
    found = path_polynomial(Architecture.from_networkx(graph, count="nodes")).counts
    lengths = Counter(len(path) for path in nx.all_simple_paths(graph, 0, 8))
    assert {k: c for k, c in enumerate(found) if c} == lengths
    by_edge = path_polynomial(Architecture.from_networkx(graph, count="edges")).counts
    assert by_edge == found[1:]
    assert sum(lengths.values()) == 18
