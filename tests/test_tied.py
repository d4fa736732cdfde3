"""E3: tied towers, their coefficients for every depth, and what they are sums of."""

from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.series.expansion import expand
from expansion.series.size import term_count
from expansion.series.tied import weighted_labellings
from expansion.towers.tower import Tower
from expansion.trees.generate import rooted_trees
from expansion.trees.order_polynomials import labelling_count
from expansion.trees.tree import Tree
from proofs_check.strategies import rationals, scalings

F = Fraction


@given(st.integers(1, 5), rationals(2))
def test_tied_coefficients(depth, scale):
    expansion = expand(Tower.abstract(depth, scale, tied=True), 5, tied=True)
    assert set(expansion) == {t for k in range(1, 6) for t in rooted_trees(k)}
    for tree, value in expansion.items():
        assert value == scale**tree.order * F(labelling_count(tree, depth), tree.symmetry)


@settings(max_examples=40)
@given(st.integers(1, 4).flatmap(scalings))
def test_tied_coefficients_are_sums_over_labelled_trees(rule):
    # With a scale for every block: both conventions for 1/σ give the same number.
    depth = len(rule.listed)
    untied = expand(Tower.abstract(depth, rule), 5).by_shape()
    tied = expand(Tower.abstract(depth, rule, tied=True), 5, tied=True)
    for shape, value in tied.items():
        assert value == sum(untied.get(shape, {}).values())
        assert value == weighted_labellings(shape, rule.listed) / shape.symmetry


def test_tied_forests_are_sums_over_labelled_forests():
    scales = [F(1), F(1, 2), F(-3)]
    untied = expand(Tower.abstract(3, scales), 4, decoder=True).by_shape()
    tied = expand(Tower.abstract(3, scales, tied=True), 4, tied=True, decoder=True)
    assert len(tied) == term_count(3, 4, tied=True, decoder=True)
    for shape, value in tied.items():
        assert value == sum(untied.get(shape, {}).values())


@pytest.mark.parametrize("decoder", [False, True])
def test_every_depth_at_once(decoder):
    n = sympy.Symbol("n")
    expansion = expand("n", 6, tied=True, decoder=decoder)
    for depth in (1, 2, 7):
        numbers = expand(Tower.abstract(depth, tied=True), 6, tied=True, decoder=decoder)
        assert list(numbers) == list(expansion)
        for term, value in expansion.items():
            assert value.subs(n, depth) == sympy.Rational(*numbers[term].as_integer_ratio())
    assert expand("n", 3, tied=True)[Tree.chain(3)] == sympy.factor(
        sympy.binomial(n, 3).expand(func=True)
    )


def test_leading_coefficients_are_tree_factorials():
    n = sympy.Symbol("n")
    for tree, value in expand("n", 6, tied=True).items():
        leading = sympy.Poly(value, n).LC()
        assert leading == sympy.Rational(1, tree.factorial * tree.symmetry)
