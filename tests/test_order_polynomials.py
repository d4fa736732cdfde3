"""The strict order polynomial by four routes: recursion, polynomial, brute force, networkx (E3)."""

from fractions import Fraction
from itertools import product
from math import comb, factorial, prod

import networkx as nx
import pytest
import sympy
from flint import fmpq, fmpq_poly
from hypothesis import given
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.trees.generate import rooted_trees
from expansion.trees.order_polynomials import (
    factored,
    labelling_count,
    modified_weight,
    order_polynomial,
    to_fraction,
)
from expansion.trees.tree import Tree
from proofs_check.strategies import trees

SMALL = [tree for order in range(1, 7) for tree in rooted_trees(order)]
ORDER_SEVEN = [pytest.param(tree, marks=pytest.mark.slow, id=str(tree)) for tree in rooted_trees(7)]
NEXT = fmpq_poly([1, 1])  # n + 1


def parents_of(tree: Tree) -> list[int]:
    """Parent of each vertex but the root, in depth-first order."""
    parents: list[int] = []

    def walk(vertex: Tree, number: int) -> int:
        following = number + 1
        for child in vertex.children:
            parents.append(number)
            following = walk(child, following)
        return following

    walk(tree, 0)
    return parents


def brute_force(tree: Tree, depth: int, *, strict: bool = True) -> int:
    parents = parents_of(tree)
    return sum(
        all(
            labels[child] < labels[parent] or (not strict and labels[child] == labels[parent])
            for child, parent in enumerate(parents, 1)
        )
        for labels in product(range(1, depth + 1), repeat=tree.order)
    )


@pytest.mark.parametrize("tree", [*SMALL, *ORDER_SEVEN], ids=str)
def test_the_identity_that_proves_the_theorem_for_every_depth(tree):
    # Ω°(τ; n+1) − Ω°(τ; n) = Π Ω°(τ_i; n) and Ω°(τ; 0) = 0, as polynomials in n.
    polynomial = order_polynomial(tree)
    step = polynomial(NEXT) - polynomial
    assert step == prod((order_polynomial(child) for child in tree.children), start=fmpq_poly([1]))
    assert polynomial(0) == 0
    # The negative control: with labels ≤ instead of <, the step would be Π Ω°(τ_i; n+1).
    weak = prod((order_polynomial(child)(NEXT) for child in tree.children), start=fmpq_poly([1]))
    assert (step == weak) == (tree.order == 1)


@pytest.mark.parametrize("tree", [*SMALL, *ORDER_SEVEN], ids=str)
def test_values_by_brute_force(tree):
    for depth in range(1, 4 if tree.order >= 6 else 6):
        counted = brute_force(tree, depth)
        assert labelling_count(tree, depth) == counted
        assert order_polynomial(tree)(depth) == counted
    assert labelling_count(tree, 0) == 0


@pytest.mark.slow
@pytest.mark.parametrize("tree", [t for t in SMALL if t.order == 6], ids=str)
def test_values_by_brute_force_at_depths_four_and_five(tree):
    for depth in (4, 5):
        assert labelling_count(tree, depth) == brute_force(tree, depth)


def test_brute_force_can_tell_strict_from_weak():
    assert brute_force(Tree.chain(2), 3) == 3
    assert brute_force(Tree.chain(2), 3, strict=False) == 6


@pytest.mark.parametrize("tree", [t for t in SMALL if t.order <= 5], ids=str)
def test_values_by_surjections_onto_chains(tree):
    # Independent route: Ω°(n) = Σ_s C(n, s) · (strict maps onto {1..s}); those maps are ordered
    # partitions of the vertices into antichains, read off networkx's topological sorts.
    graph = nx.DiGraph()
    graph.add_nodes_from(range(tree.order))
    graph.add_edges_from((child, parent) for child, parent in enumerate(parents_of(tree), 1))
    onto: dict[int, set] = {}
    for sequence in nx.all_topological_sorts(graph):
        for cuts in product([0, 1], repeat=tree.order - 1):
            blocks, current = [], [sequence[0]]
            for vertex, cut in zip(sequence[1:], cuts, strict=True):
                if cut:
                    blocks.append(frozenset(current))
                    current = []
                current.append(vertex)
            blocks.append(frozenset(current))
            levels = {vertex: level for level, block in enumerate(blocks) for vertex in block}
            if all(levels[child] < levels[parent] for child, parent in graph.edges):
                onto.setdefault(len(blocks), set()).add(tuple(blocks))
    for depth in (1, 3, 8):
        counted = sum(comb(depth, s) * len(maps) for s, maps in onto.items())
        assert order_polynomial(tree)(depth) == counted


@given(trees(9), st.integers(0, 60))
def test_polynomial_and_recursion_agree(tree, depth):
    assert order_polynomial(tree)(depth) == labelling_count(tree, depth)


@given(trees(10))
def test_leading_coefficient_is_one_over_the_tree_factorial(tree):
    polynomial = order_polynomial(tree)
    assert polynomial.degree() == tree.order
    assert to_fraction(polynomial[tree.order]) == Fraction(1, tree.factorial)


@given(st.integers(1, 12), st.integers(0, 40))
def test_chains_give_binomials(order, depth):
    assert labelling_count(Tree.chain(order), depth) == comb(depth, order)
    assert order_polynomial(Tree.chain(order))(depth) == comb(depth, order)


@given(st.integers(0, 8), st.integers(0, 20))
def test_bushes_give_power_sums(leaves, depth):
    bush = Tree([Tree()] * leaves)
    assert labelling_count(bush, depth) == sum(j**leaves for j in range(depth))


@pytest.mark.parametrize("order", range(1, 7))
def test_all_shapes_together_count_recursive_functions(order):
    # Σ_τ |τ|!/(σ τ!) = (|τ| − 1)!: the leading coefficients of the weighted count, 1/k.
    shapes = list(rooted_trees(order))
    total = sum(Fraction(1, tree.symmetry * tree.factorial) for tree in shapes)
    assert total == Fraction(1, order)
    assert sum(factorial(order) // (t.symmetry * t.factorial) for t in shapes) == factorial(
        order - 1
    )


def test_weights_of_the_modified_equation():
    assert [modified_weight(Tree.chain(k)) for k in range(1, 9)] == [
        Fraction((-1) ** (k - 1), k) for k in range(1, 9)
    ]
    for leaves in range(9):
        # sympy's B_1 is +1/2, the power sum below n wants −1/2.
        number = sympy.bernoulli(leaves) * (-1 if leaves == 1 else 1)
        weight = modified_weight(Tree([Tree()] * leaves))
        assert weight == Fraction(int(number.p), int(number.q))


@given(trees(7))
def test_weight_of_the_modified_equation_is_the_slope_at_zero(tree):
    # Through values only: the coefficient of n¹ by Lagrange interpolation of labelling counts.
    n = sympy.Symbol("n")
    values = [(j, labelling_count(tree, j)) for j in range(tree.order + 1)]
    interpolated = sympy.Poly(sympy.interpolate(values, n), n)
    slope = interpolated.coeff_monomial(n)
    assert modified_weight(tree) == Fraction(int(slope.p), int(slope.q))


def test_large_depths_stay_exact():
    tree = Tree.parse("[[[],[]],[]]")
    depth = 10**12
    assert int(order_polynomial(tree)(depth).p) > 10**55
    # Finite differences of a polynomial of degree 5 vanish at order 6.
    polynomial = order_polynomial(tree)
    alternating = sum((-1) ** j * comb(6, j) * polynomial(depth + j) for j in range(7))
    assert alternating == 0


def test_to_fraction():
    assert to_fraction(fmpq(-4, 6)) == Fraction(-2, 3)
    assert isinstance(to_fraction(fmpq(3)), Fraction)


@pytest.mark.parametrize("depth", [-1, 2.0, "many", None])
def test_bad_depths_are_refused(depth):
    with pytest.raises(InputError, match=r"depth must be a whole number of at least 0"):
        labelling_count(Tree(), depth)


def summed(polynomial: fmpq_poly) -> sympy.Expr:
    n = sympy.Symbol("n")
    terms = (sympy.Rational(int(c.p), int(c.q)) * n**k for k, c in enumerate(polynomial.coeffs()))
    return sympy.Add(*terms)


@pytest.mark.parametrize("tree", SMALL, ids=str)
def test_factors_are_written_as_sympy_writes_them(tree):
    polynomial = order_polynomial(tree) / tree.symmetry
    assert str(factored(polynomial)) == str(sympy.factor(summed(polynomial)))


@given(st.lists(st.fractions(-5, 5, max_denominator=6), max_size=5))
def test_any_polynomial_is_its_factors(coefficients):
    polynomial = fmpq_poly([fmpq(c.numerator, c.denominator) for c in coefficients])
    assert sympy.expand(factored(polynomial) - summed(polynomial)) == 0


def test_a_single_sum_stays_whole():
    assert str(factored(fmpq_poly([fmpq(1, 2), fmpq(1, 2)]))) == "(n + 1)/2"
