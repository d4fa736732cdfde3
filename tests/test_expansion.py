"""The theorem: every term of E1, E2 and E3 against direct composition in exact rationals.

Direct composition is `composed_orders` and, for single terms, polynomial rings of sympy that know
neither trees nor this project's evaluation.
"""

from collections import Counter
from fractions import Fraction
from math import prod

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy.polys.domains import QQ
from sympy.polys.rings import ring

from expansion.series.composition import composed_orders
from expansion.series.differentials import Differentials
from expansion.series.expansion import Expansion, expand
from expansion.series.jets import jet_orders
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower
from expansion.trees.generate import labelled_forests, labelled_trees
from expansion.trees.labelled import Forest, LabelledTree
from proofs_check.strategies import float_towers, points, polynomial_towers, rationals, scalings
from proofs_check.strategies import labelled_trees as some_labelled_tree

F = Fraction
parse = LabelledTree.parse


def same(left, right) -> bool:
    """Equality of exact arrays; Fractions and sympy rationals compare by value."""
    assert left.shape == right.shape
    return left.tolist() == right.tolist()


# ---- E1 and E2, order by order --------------------------------------------------------------


@settings(max_examples=60)
@given(polynomial_towers(dimension=2), points(2), st.integers(0, 5))
def test_orders_in_two_dimensions(tower, x, order):
    assert same(expand(tower, order).orders(x), composed_orders(tower, x, order))


@settings(max_examples=25)
@given(polynomial_towers(dimension=3, degree=3), points(3), st.integers(1, 4))
def test_orders_in_three_dimensions(tower, x, order):
    assert same(expand(tower, order).orders(x), composed_orders(tower, x, order))


@settings(max_examples=40)
@given(polynomial_towers(ends=True, depths=(1, 3)), points(2), st.integers(0, 4))
def test_orders_with_encoder_and_decoder(tower, x, order):
    assert same(expand(tower, order).orders(x), composed_orders(tower, x, order))


@settings(max_examples=40)
@given(polynomial_towers(tied=True), points(2), st.integers(0, 5))
def test_orders_of_tied_branches(tower, x, order):
    direct = composed_orders(tower, x, order)
    assert same(expand(tower, order, tied=True).orders(x), direct)
    assert same(expand(tower, order).orders(x), direct)


@settings(max_examples=20)
@given(polynomial_towers(tied=True, ends=True, depths=(1, 3)), points(2))
def test_orders_of_tied_branches_with_ends(tower, x):
    assert same(expand(tower, 4, tied=True).orders(x), composed_orders(tower, x, 4))


@settings(max_examples=20)
@given(polynomial_towers(depths=(1, 3)), points(2))
def test_a_missing_decoder_is_the_identity(tower, x):
    # Its derivative is 1 and its second derivative is 0: forests of one tree alone remain.
    forests = expand(tower, 3, decoder=True)
    assert same(forests.orders(x), composed_orders(tower, x, 3))
    assert {len(term.trees) for term in forests} >= {0, 1, 2}


@pytest.mark.slow
@settings(max_examples=300)
@given(polynomial_towers(dimension=2, degree=3), points(2))
def test_orders_in_two_dimensions_more_often(tower, x):
    assert same(expand(tower, 5).orders(x), composed_orders(tower, x, 5))


@pytest.mark.slow
@settings(max_examples=150)
@given(polynomial_towers(dimension=3, degree=2), points(3))
def test_orders_in_three_dimensions_more_often(tower, x):
    assert same(expand(tower, 5).orders(x), composed_orders(tower, x, 5))


@pytest.mark.slow
@settings(max_examples=150)
@given(polynomial_towers(ends=True), points(2))
def test_orders_with_ends_more_often(tower, x):
    assert same(expand(tower, 5).orders(x), composed_orders(tower, x, 5))


# Drawn polynomials are often sparse, and high orders of sparse maps vanish. Dense maps, every
# monomial with a coefficient that is not zero, leave no term out.


def dense_tower(seed, dimension, depth, *, degree=2, ends=False, tied=False):
    generator = np.random.default_rng(seed)
    variables = sympy.symbols(f"x1:{dimension + 1}")
    monomials = list(sympy.itermonomials(variables, degree))

    def number():
        numerator = int(generator.choice([-3, -2, -1, 1, 2, 3]))
        return sympy.Rational(numerator, int(generator.integers(1, 4)))

    def branch():
        rows = range(dimension)
        return SymbolicBranch(variables, [sum(number() * m for m in monomials) for _ in rows])

    branches = [branch()] * depth if tied else [branch() for _ in range(depth)]
    scales = [F(str(number())) for _ in range(depth)]
    outer = (branch(), branch()) if ends else (None, None)
    tower = Tower(branches, scales, *outer)
    return tower, np.array([F(str(number())) for _ in range(dimension)], dtype=object)


@pytest.mark.parametrize(
    ("dimension", "depth", "order", "degree", "ends", "tied"),
    [
        (2, 4, 5, 2, False, False),
        (3, 4, 4, 2, False, False),
        (2, 3, 5, 3, False, False),
        (2, 3, 4, 2, True, False),
        (2, 4, 5, 2, False, True),
        (2, 3, 5, 2, True, True),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_orders_of_dense_maps(seed, dimension, depth, order, degree, ends, tied):
    tower, x = dense_tower(seed, dimension, depth, degree=degree, ends=ends, tied=tied)
    direct = composed_orders(tower, x, order)
    assert direct[order].any()  # not a comparison of zeros
    assert same(expand(tower, order, tied=tied).orders(x), direct)


@pytest.mark.slow
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("seed", range(10, 15))
def test_orders_of_more_dense_maps(seed, dimension, ends):
    tower, x = dense_tower(seed, dimension, 4, ends=ends)
    order = 4 if ends else 5
    direct = composed_orders(tower, x, order)
    assert direct[order].any()
    assert same(expand(tower, order).orders(x), direct)


# A tower that is generic enough for every saboteur below.
X, Y = sympy.symbols("x y")
GENERIC = Tower(
    [
        SymbolicBranch([X, Y], [X * Y + X**2 + 1, Y**2 - X]),
        SymbolicBranch([X, Y], [X**2 - 2 * Y, X * Y + Y]),
        SymbolicBranch([X, Y], [Y**2 + X * Y, X**2 + Y**2 + X]),
        SymbolicBranch([X, Y], [X + Y**2, X * Y - 1]),
    ],
    [F(1), F(1, 2), F(-2), F(3)],
)
POINT = np.array([F(1), F(2, 3)], dtype=object)


def saboteurs():
    weak = {
        # Labels ≤ instead of <: one block would take part twice on one branch.
        "weak labels": lambda e: {**e, parse("3[2]"): e[parse("3[2]")] * 2},
        "no symmetry": lambda e: {t: c * t.symmetry for t, c in e.items()},
        "symmetry of the shape": lambda e: {
            t: c * F(t.symmetry, t.shape.symmetry) for t, c in e.items()
        },
        "one scale": lambda e: {t: F(1, t.symmetry) for t in e},
        "paths alone": lambda e: {t: c for t, c in e.items() if t.is_path},
        "one term dropped": lambda e: {t: c for t, c in e.items() if t != parse("4[3[2],1]")},
        "isomeric terms exchanged": lambda e: {
            **e,
            parse("4[3[2],1]"): e[parse("4[3[1],2]")] * 2,
            parse("4[3[1],2]"): F(0),
        },
    }
    return [pytest.param(change, id=name) for name, change in weak.items()]


@pytest.mark.parametrize("change", saboteurs())
def test_the_comparison_notices_a_wrong_theorem(change):
    true = expand(GENERIC, 4)
    direct = composed_orders(GENERIC, POINT, 4)
    assert same(true.orders(POINT), direct)
    wrong = Expansion(change(dict(true)), 4, GENERIC)
    assert not same(wrong.orders(POINT), direct)


# ---- E1, term by term -----------------------------------------------------------------------


def in_ring(formula, variables, values):
    """A polynomial formula at elements of a ring, monomial by monomial."""
    polynomial = sympy.Poly(formula, *variables)
    zero = values[0] * 0
    total = zero
    for powers, coefficient in polynomial.terms():
        product = zero + QQ(int(coefficient.p), int(coefficient.q))
        for value, power in zip(values, powers, strict=True):
            if power:
                product = product * value**power
        total = total + product
    return total


def composed_by_labels(tower, x, order):
    """Direct composition with a symbol z_i as the scale of block i: {powers of z: vector}."""
    polynomials, *z = ring([f"z{i}" for i in range(1, tower.depth + 1)], QQ)

    def truncated(value):
        return polynomials.from_dict({p: c for p, c in value.items() if sum(p) <= order})

    def image(branch, state):
        return [truncated(in_ring(g, branch.variables, state)) for g in branch.formulas]

    state = [polynomials(QQ(v.numerator, v.denominator)) for v in x]
    if tower.encoder is not None:
        state = image(tower.encoder, state)
    for symbol, branch in zip(z, tower.branches, strict=True):
        moved = image(branch, state)
        state = [truncated(h + symbol * f) for h, f in zip(state, moved, strict=True)]
    if tower.decoder is not None:
        state = image(tower.decoder, state)
    found = {}
    for coordinate, polynomial in enumerate(state):
        for powers, coefficient in polynomial.items():
            vector = found.setdefault(powers, [F(0)] * len(state))
            vector[coordinate] = F(int(coefficient.numerator), int(coefficient.denominator))
    return found


def summed_by_labels(tower, x, order):
    """The terms of the expansion, added up by how often each block takes part."""
    unscaled = Tower(tower.branches, "1", tower.encoder, tower.decoder)
    differentials = Differentials(unscaled, x)
    found = {}
    if tower.decoder is None:
        found[(0,) * tower.depth] = list(differentials.point)
    for term, coefficient in expand(unscaled, order).items():
        used = Counter(term.labels)
        powers = tuple(used[label] for label in range(1, tower.depth + 1))
        vector = found.setdefault(powers, [F(0)] * len(differentials.value(term)))
        for coordinate, value in enumerate(differentials.value(term)):
            vector[coordinate] += coefficient * value
    return found


def without_zeros(found):
    return {powers: vector for powers, vector in found.items() if any(vector)}


@settings(max_examples=30)
@given(polynomial_towers(), points(2), st.integers(1, 5))
def test_terms_with_given_labels(tower, x, order):
    direct = without_zeros(composed_by_labels(tower, x, order))
    assert without_zeros(summed_by_labels(tower, x, order)) == direct


@settings(max_examples=20)
@given(polynomial_towers(ends=True, depths=(1, 3)), points(2), st.integers(1, 4))
def test_terms_with_given_labels_and_ends(tower, x, order):
    direct = without_zeros(composed_by_labels(tower, x, order))
    assert without_zeros(summed_by_labels(tower, x, order)) == direct


def single(tree):
    return Forest((tree,))


def children_of(forest):
    return [count for tree in forest.trees for count in tree.key[1::2]]


@pytest.mark.parametrize(("depth", "order", "ends"), [(4, 4, False), (3, 5, False), (3, 3, True)])
@pytest.mark.parametrize("seed", range(2))
def test_terms_of_dense_maps_with_given_labels(seed, depth, order, ends):
    tower, x = dense_tower(seed, 2, depth, ends=ends)
    direct = without_zeros(composed_by_labels(tower, x, order))
    # Every multiset of labels that some tree carries is there; third derivatives are zero.
    forests = labelled_forests(depth, order) if ends else map(single, labelled_trees(depth, order))
    trees = [f for f in forests if all(m <= 2 for m in (len(f.trees), *children_of(f)))]
    assert len(direct) == len({tuple(sorted(t.labels)) for t in trees}) + (not ends)
    assert without_zeros(summed_by_labels(tower, x, order)) == direct


@pytest.mark.slow
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_terms_of_dense_maps_in_three_dimensions_with_given_labels(seed, ends):
    tower, x = dense_tower(seed, 3, 4, ends=ends)
    direct = without_zeros(composed_by_labels(tower, x, 4))
    assert without_zeros(summed_by_labels(tower, x, 4)) == direct


def tower_of(tree: LabelledTree, depth: int, scales) -> Tower:
    """A polynomial tower that sees one tree: each vertex v has its own coordinate y_v.

    Branch j moves the vertices with label j by the product of their children's coordinates. At 0
    the root's coordinate of F_t vanishes for every tree but this one, where it is σ. By direct
    composition the root ends at the product of all scales.
    """
    variables = sympy.symbols(f"y0:{tree.order}")
    moves: dict[int, dict[int, sympy.Expr]] = {label: {} for label in range(1, depth + 1)}
    numbers = iter(range(tree.order))

    def walk(vertex):
        number = next(numbers)
        below = [variables[walk(child)] for child in vertex.children]
        moves[vertex.label][number] = prod(below, start=sympy.Integer(1))
        return number

    walk(tree)
    branches = [
        SymbolicBranch(
            variables, [moves[label].get(v, sympy.Integer(0)) for v in range(tree.order)]
        )
        for label in range(1, depth + 1)
    ]
    return Tower(branches, scales)


def check_isolated(tree: LabelledTree, depth: int, scales) -> None:
    tower = tower_of(tree, depth, scales)
    start = np.array([F(0)] * tree.order, dtype=object)
    composed = tower(start)[0]
    assert composed == prod((scales[label - 1] for label in tree.labels), start=F(1))
    differentials = Differentials(tower, start)
    expansion = expand(tower, tree.order)
    assert expansion[tree] * differentials.value(tree)[0] == composed
    assert differentials.value(tree)[0] == tree.symmetry
    others = [t for t in expansion.order(tree.order) if t != tree]
    assert not any(differentials.value(other)[0] for other in others)


PRIMES = [F(2), F(3), F(5), F(7), F(11)]


@pytest.mark.parametrize("tree", list(labelled_trees(3, 4)), ids=str)
def test_every_single_term_of_depth_three(tree):
    check_isolated(tree, 3, PRIMES[:3])


@settings(max_examples=25)
@given(some_labelled_tree(depth=4, max_order=5))
def test_single_terms(tree):
    check_isolated(tree, 4, PRIMES[:4])


@pytest.mark.slow
@pytest.mark.parametrize(
    "tree", [t for t in labelled_trees(4, 5) if t.order >= 4 or t.label == 4], ids=str
)
def test_every_single_term_of_depth_four(tree):
    check_isolated(tree, 4, PRIMES[:4])


def test_labels_that_do_not_decrease_contribute_nothing():
    # The vertex above moves before its child has: composition itself refuses 2[2] and 1[2].
    y0, y1 = sympy.symbols("y0 y1")
    together = SymbolicBranch([y0, y1], [y1, sympy.Integer(1)])
    idle = SymbolicBranch([y0, y1], [sympy.Integer(0), sympy.Integer(0)])
    above = SymbolicBranch([y0, y1], [y1, sympy.Integer(0)])
    below = SymbolicBranch([y0, y1], [sympy.Integer(0), sympy.Integer(1)])
    for branches in ([idle, together], [above, below]):
        tower = Tower(branches)
        assert tower([0, 0])[0] == 0
        assert expand(tower, 2).orders([0, 0])[:, 0].tolist() == [0, 0, 0]
    assert Tower([below, above])([0, 0])[0] == 1


# ---- E1 with coefficients of the theory -------------------------------------------------------


@pytest.mark.parametrize(("depth", "order"), [(1, 4), (3, 4), (5, 3)])
def test_abstract_terms_and_coefficients(depth, order):
    expansion = expand(depth, order)
    assert set(expansion) == set(labelled_trees(depth, order))
    assert all(value == F(1, tree.symmetry) for tree, value in expansion.items())


def test_order_three_is_the_formula_of_the_theory():
    # Σ_{i<j<k} f_k' f_j' f_i + ½ Σ_k Σ_{i,j<k} f_k''(f_i, f_j)
    expected = Counter()
    for k in range(1, 5):
        for j in range(1, k):
            for i in range(1, k):
                expected[LabelledTree(k, [LabelledTree(i), LabelledTree(j)])] += F(1, 2)
                if i < j:
                    expected[LabelledTree.path(k, j, i)] += 1
    assert expand(4, 3).order(3) == dict(expected)


def test_order_two_with_a_decoder_is_the_formula_of_the_theory():
    # D' Σ_{i<j} f_j' f_i + ½ Σ_{i,j} D''(f_i, f_j)
    expected = Counter()
    for j in range(1, 4):
        for i in range(1, 4):
            expected[Forest([LabelledTree(i), LabelledTree(j)])] += F(1, 2)
            if i < j:
                expected[Forest([LabelledTree.path(j, i)])] += 1
    assert expand(3, 2, decoder=True).order(2) == dict(expected)
    assert set(expand(3, 3, decoder=True)) == set(labelled_forests(3, 3))


@given(st.integers(1, 4).flatmap(lambda n: st.tuples(st.just(n), scalings(n))))
def test_scales_multiply_along_the_labels(depth_and_rule):
    depth, rule = depth_and_rule
    expansion = expand(Tower.abstract(depth, rule), 4)
    for tree, value in expansion.items():
        assert value == prod((rule.listed[i - 1] for i in tree.labels), start=F(1)) / tree.symmetry


def test_irrational_scales_stay_exact():
    tower = Tower([SymbolicBranch([X, Y], [X * Y, X + Y**2]), GENERIC.branches[0]], "1/sqrt(n)")
    ours, direct = expand(tower, 4).orders(POINT), composed_orders(tower, POINT, 4)
    differences = [
        sympy.expand(sympy.sympify(a) - sympy.sympify(b))
        for a, b in zip(ours.ravel(), direct.ravel(), strict=True)
    ]
    assert differences == [0] * 10


# ---- Affine towers and jets ---------------------------------------------------------------------


@given(st.lists(st.lists(rationals(), min_size=4, max_size=4), min_size=1, max_size=4), points(2))
def test_affine_towers_stop_at_chains(entries, x):
    branches = [AffineBranch(np.array(m, dtype=object).reshape(2, 2)) for m in entries]
    tower = Tower(branches, "1/2")
    expansion = expand(tower, 5)
    differentials = Differentials(tower, x)
    for tree in expansion:
        if not tree.is_path:
            assert not differentials.value(tree).any()
    assert expansion.orders(x)[tower.depth + 1 :].tolist() == [[0, 0]] * (5 - tower.depth)
    assert expansion.partial_sum(x).tolist() == tower(x).tolist()


@settings(max_examples=40)
@given(float_towers(), st.integers(0, 2**16))
def test_floating_terms_add_up_to_the_jets(tower, seed):
    x = np.random.default_rng(seed).normal(size=3)
    expansion = expand(tower, 4)
    jets = jet_orders(tower, x, 4)
    orders = expansion.orders(x)
    differentials = Differentials(tower, x)
    for k in range(5):
        # Relative to what was added up: cancellation between terms is not an error of either.
        terms = expansion.order(k).items()
        size = max(1.0, sum(float(c) * np.abs(differentials.value(t)).max() for t, c in terms))
        assert np.abs(orders[k] - jets[k]).max() <= 1e-12 * size


def test_batches_of_inputs():
    generator = np.random.default_rng(2)
    tower = Tower(
        [MLPBranch(generator.normal(size=(2, 3)), generator.normal(size=(3, 2))) for _ in range(3)],
        "1/n",
    )
    batch = generator.normal(size=(4, 2))
    together = expand(tower, 3).orders(batch)
    assert together.shape == (4, 4, 2)
    for row in range(4):
        alone = expand(tower, 3).orders(batch[row])
        assert together[:, row] == pytest.approx(alone, rel=1e-13, abs=1e-15)
