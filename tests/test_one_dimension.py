"""Isomeric trees collapse in one dimension, and in no other."""

from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.errors import InputError, TooManyTermsError
from expansion.series import one_dimension
from expansion.series.expansion import expand
from expansion.series.one_dimension import collapse, collapsed_order, factors_of
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower
from expansion.trees.labelled import Forest, LabelledTree
from expansion.trees.tree import Tree


def test_the_first_collapse():
    # THEORY, E1: 32 trees but 31 terms at n = k = 4.
    trees = expand(4, 4).order(4)
    assert (len(trees), len(collapse(trees))) == (32, 31)
    isomers = [LabelledTree.parse("4[3[2],1]"), LabelledTree.parse("4[3[1],2]")]
    assert factors_of(isomers[0]) == factors_of(isomers[1])
    assert collapse(trees)[factors_of(isomers[0])] == sum(trees[t] for t in isomers) == 2
    for order in range(1, 4):
        smaller = expand(4, order).order(order)
        assert len(collapse(smaller)) == len(smaller)


@pytest.mark.parametrize(("depth", "terms"), [(6, 1933), (8, 11872), (10, 47697)])
def test_known_numbers_of_terms(depth, terms):
    assert len(collapsed_order(depth, 6)) == terms


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5))
def test_arrays_are_the_collapsed_expansion(depth, order):
    assert collapsed_order(depth, order).as_dict() == collapse(expand(depth, order).order(order))


def test_collisions_of_fingerprints_are_seen(monkeypatch):
    honest = one_dimension._fingerprints
    seeds = []

    def colliding(table, counts, seed):
        seeds.append(seed)
        prints = honest(table, counts, seed)
        return prints // 2**61 if seed < 3 else prints  # a few bits only

    monkeypatch.setattr(one_dimension, "_fingerprints", colliding)
    expected = collapse(expand(4, 4).order(4))
    assert collapsed_order(4, 4).as_dict() == expected
    assert seeds == [0, 1, 2, 3]


def test_collapsed_terms_are_the_scalar_tower():
    # By direct composition of quadratic scalar branches, with scales.
    u = sympy.Symbol("u")
    formulas = [u**2 + 1, 2 * u**2 - u, u**2 / 3 + u]
    scales = [Fraction(1, 2), Fraction(2, 3), Fraction(3)]
    tower = Tower([SymbolicBranch([u], [f]) for f in formulas], scales)
    z, x = sympy.Symbol("z"), sympy.Rational(2, 5)
    state = x
    for scale, formula in zip(scales, formulas, strict=True):
        state = sympy.expand(state + z * sympy.Rational(scale) * formula.subs(u, state))
    for order in (2, 3, 4):
        terms = collapse(expand(tower, order).order(order))
        total = sympy.Integer(0)
        for factors, coefficient in terms.items():
            value = sympy.Rational(coefficient)
            for block, m in factors:
                value *= sympy.diff(formulas[block - 1], u, m).subs(u, x)
            total += value
        assert total == state.coeff(z, order)


def test_tied_terms_collapse_to_child_counts():
    assert factors_of(Tree.parse("[[[]],[]]")) == ((1, 2), (1, 1), (1, 0), (1, 0))
    orders = [expand("n", k, tied=True).order(k) for k in (4, 5, 6)]
    assert [len(order) for order in orders] == [4, 9, 20]
    # Partitions of k − 1: the multisets of child counts.
    assert [len(collapse(order)) for order in orders] == [3, 5, 7]


def test_forests_bring_the_decoder():
    forest = Forest([LabelledTree(1), LabelledTree.parse("2[1]")])
    assert factors_of(forest) == ((2, 1), (1, 0), (1, 0), (0, 2))


def test_what_is_too_large_is_refused():
    with pytest.raises(TooManyTermsError):
        collapsed_order(50, 8)
    with pytest.raises(InputError, match="an order up to 15"):
        collapsed_order(2, 16)
    assert len(collapsed_order(1, 3)) == 0
