"""Counts against enumeration, generating functions of other systems, and published numbers."""

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations, product

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.trees.counting import (
    counts,
    forest_counts,
    path_counts,
    rooted_tree_counts,
    tree_counts,
    weighted_path_counts,
    weighted_tree_counts,
)
from expansion.trees.generate import labelled_forests, labelled_trees, rooted_trees
from expansion.trees.order_polynomials import labelling_count
from proofs_check.strategies import rationals

# OEIS A000081, rooted trees with n vertices.
A000081 = [0, 1, 1, 2, 4, 9, 20, 48, 115, 286, 719, 1842, 4766, 12486, 32973, 87811, 235381]


def test_numbers_of_the_theory():
    assert counts("trees", 5, 5)[1:] == [5, 10, 30, 90, 279]
    weighted = [5, 10, 25, Fraction(200, 3), Fraction(2183, 12)]
    assert counts("weighted", 5, 5)[1:] == weighted
    assert counts("paths", 5, 5) == [1, 5, 10, 10, 5, 1]


@pytest.mark.parametrize(("depth", "expected"), [(6, 3088), (8, 21938), (10, 96291)])
def test_trees_of_order_six(depth, expected):
    assert tree_counts(depth, 6)[6] == expected


def test_rooted_trees_are_a000081():
    assert rooted_tree_counts(16) == A000081
    assert rooted_tree_counts(0) == [0]
    # OEIS's own index 30.
    assert rooted_tree_counts(30)[30] == 354426847597


@given(st.integers(0, 5), st.integers(0, 5))
def test_counts_are_enumerations(depth, order):
    trees = Counter(tree.order for tree in labelled_trees(depth, order))
    assert tree_counts(depth, order)[1:] == [trees[k] for k in range(1, order + 1)]
    forests = Counter(forest.order for forest in labelled_forests(depth, order))
    assert forest_counts(depth, order) == [forests[k] for k in range(order + 1)]
    paths = Counter(tree.order for tree in labelled_trees(depth, order) if tree.is_path)
    assert path_counts(depth, order)[1:] == [paths[k] for k in range(1, order + 1)]


@given(st.integers(0, 5), st.integers(1, 5))
def test_weighted_counts_by_three_routes(depth, order):
    weighted = weighted_tree_counts(depth, order)
    for k in range(1, order + 1):
        # Through every labelled tree, and through shapes with their order polynomial.
        of_order = [tree for tree in labelled_trees(depth, k) if tree.order == k]
        assert weighted[k] == sum((Fraction(1, t.symmetry) for t in of_order), Fraction(0))
        shapes = rooted_trees(k)
        by_shape = sum(Fraction(labelling_count(t, depth), t.symmetry) for t in shapes)
        assert weighted[k] == by_shape


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_weighted_counts_are_the_scalar_tower(depth):
    # u ← u + z eᵘ, composed and expanded by sympy alone.
    z = sympy.Symbol("z")
    u = sympy.Integer(0)
    for _ in range(depth):
        u = sympy.series(u + z * sympy.exp(u), z, 0, 6).removeO()
    expected = [sympy.expand(u).coeff(z, k) for k in range(1, 6)]
    assert [sympy.Rational(*w.as_integer_ratio()) for w in weighted_tree_counts(depth, 5)[1:]] == (
        expected
    )


@pytest.mark.parametrize("depth", range(1, 7))
def test_forests_are_multisets_of_trees(depth):
    # Π_k (1 − z^k)^(−t_k), multiplied out as polynomials, is the count of multisets.
    order = 6
    row = [1] + [0] * order
    for size, number in enumerate(tree_counts(depth, order)[1:], 1):
        factor = [0] * (order + 1)
        for chosen in range(order // size + 1):
            factor[chosen * size] = math.comb(number + chosen - 1, chosen) if number else 0
        factor[0] = 1
        row = [sum(row[i] * factor[k - i] for i in range(k + 1)) for k in range(order + 1)]
    assert forest_counts(depth, order) == row


@given(st.integers(0, 60), st.integers(0, 70))
def test_paths_are_binomials(depth, order):
    assert path_counts(depth, order) == [math.comb(depth, k) for k in range(order + 1)]


def test_paths_of_a_very_deep_tower():
    row = path_counts(1000, 1000)
    assert row[500] == math.comb(1000, 500)
    assert sum(row) == 2**1000
    # The mean length is n/2.
    assert sum(k * c for k, c in enumerate(row)) * 2 == 1000 * 2**1000


@given(st.lists(rationals(), max_size=7), st.integers(0, 8))
def test_weighted_paths_are_elementary_symmetric(weights, order):
    expected = [
        sum(
            (math.prod(chosen, start=Fraction(1)) for chosen in combinations(weights, k)),
            Fraction(0),
        )
        for k in range(order + 1)
    ]
    assert weighted_path_counts(weights, order) == expected


@given(st.lists(rationals(), max_size=7))
def test_weighted_paths_multiply_out(weights):
    z = sympy.Symbol("z")
    product_ = sympy.prod(1 + sympy.Rational(w.numerator, w.denominator) * z for w in weights)
    polynomial = sympy.Poly(product_, z)
    row = weighted_path_counts(weights, len(weights))
    assert [Fraction(int(c.p), int(c.q)) for c in map(polynomial.nth, range(len(row)))] == row


@pytest.mark.parametrize("kind", ["trees", "weighted"])
@pytest.mark.parametrize("order", range(1, 6))
def test_counts_are_polynomials_in_the_depth(kind, order):
    # The interpolation beyond depth K is itself tested against the recursion at that depth:
    # a larger order asks for more steps, and must give the same numbers.
    for depth in (order + 1, order + 2, 11):
        assert counts(kind, depth, order) == counts(kind, depth, depth)[: order + 1]
    n = sympy.Symbol("n")
    values = [(j, sympy.Rational(str(counts(kind, j, order)[order]))) for j in range(order + 1)]
    polynomial = sympy.Poly(sympy.interpolate(values, n), n)
    assert polynomial.degree() == order
    assert sympy.Rational(str(counts(kind, 10**6, order)[order])) == polynomial.eval(10**6)
    if kind == "weighted":
        assert polynomial.LC() == sympy.Rational(1, order)


def test_isomeric_trees_collapse_in_one_dimension():
    # There f_j^(m) are numbers, so a term is the multiset of its (label, children) pairs.
    def in_one_dimension(tree):
        return tuple(sorted(zip(tree.key[::2], tree.key[1::2], strict=True)))

    trees = [tree for tree in labelled_trees(4, 4) if tree.order == 4]
    assert len(trees) == 32
    assert len({in_one_dimension(tree) for tree in trees}) == 31
    pairs = Counter(map(in_one_dimension, trees))
    (collapsed,) = [term for term, count in pairs.items() if count == 2]
    isomeric = {str(tree) for tree in trees if in_one_dimension(tree) == collapsed}
    assert isomeric == {"4[3[2],1]", "4[3[1],2]"}
    # Below order 4 nothing collapses.
    below = [tree for tree in labelled_trees(5, 3) if tree.order <= 3]
    assert len({in_one_dimension(tree) for tree in below}) == len(below)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "expected"), [(6, 1933), (8, 11872), (10, 47697)])
def test_collapse_of_order_six(depth, expected):
    keys = (tree.key for tree in labelled_trees(depth, 6) if tree.order == 6)
    terms = {tuple(sorted(zip(key[::2], key[1::2], strict=True))) for key in keys}
    assert len(terms) == expected


@pytest.mark.parametrize("depth", [10**6, 10**30])
def test_enormous_depths_are_answered(depth):
    assert path_counts(depth, 2) == [1, depth, depth * (depth - 1) // 2]
    # Order 2: f_j' f_i with i < j. Order 3: chains, and cherries with i ≤ j below k.
    chains = depth * (depth - 1) * (depth - 2) // 6
    cherries = (depth - 1) * depth * (depth + 1) // 6
    assert tree_counts(depth, 3) == [1, depth, depth * (depth - 1) // 2, chains + cherries]


def test_flints_own_settings_are_left_alone():
    import flint

    before = flint.ctx.cap
    weighted_tree_counts(30, 40)
    assert flint.ctx.cap == before


@pytest.mark.parametrize("kind", ["paths", "trees", "weighted"])
@pytest.mark.parametrize("bad", [-1, 1.5, "x", None, True])
def test_bad_numbers_are_refused(kind, bad):
    with pytest.raises(InputError, match=r"depth must be a whole number"):
        counts(kind, bad, 2)
    with pytest.raises(InputError, match=r"order must be a whole number"):
        counts(kind, 2, bad)


def test_unknown_kinds_are_refused():
    with pytest.raises(InputError, match=r"paths, trees or weighted; got walks; choose"):
        counts("walks", 2, 2)


def test_depth_zero_is_the_identity():
    for kind, order in product(("paths", "trees", "weighted"), (0, 3)):
        assert counts(kind, 0, order) == [1] + [0] * order


@pytest.mark.parametrize("kind", ["trees", "weighted"])
def test_depths_beyond_the_order_by_the_generating_function_itself(kind):
    # Up to order 5 the depth 9 is interpolated; up to order 12 it is one of the rows themselves.
    assert counts(kind, 9, 5) == counts(kind, 9, 12)[:6]


@pytest.mark.parametrize(
    ("kind", "depth", "order"),
    [
        ("paths", 10, 10**12),
        ("paths", 10**18, 10**5),
        ("trees", 2000, 2000),
        ("weighted", 10, 10**5),
    ],
)
def test_counts_too_large_are_refused_at_once(kind, depth, order):
    with pytest.raises(InputError, match=r"lower"):
        counts(kind, depth, order)


def test_large_counts_are_answered():
    assert counts("paths", 10, 10**5)[10:] == [1] + [0] * (10**5 - 10)
    assert counts("paths", 10**5000, 1) == [1, 10**5000]
