"""E4 and the arithmetic of expansions: composition equals the expansion of the whole."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings

from expansion import InputError, LabelledTree, Tower, expand, jet_orders
from expansion.series.algebra import compose, substituted, truncated
from proofs_check.strategies import points, polynomial_towers


@pytest.mark.parametrize(("lower", "upper"), [(1, 1), (1, 3), (3, 1), (2, 2)])
def test_composition_is_the_expansion_of_the_whole(lower, upper):
    whole = expand(lower + upper, 5)
    assert compose(expand(lower, 5), expand(upper, 5)) == whole
    tied = compose(expand(lower, 6, tied=True), expand(upper, 6, tied=True))
    assert tied == expand(lower + upper, 6, tied=True)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_composition_with_a_symbol_for_every_scale(block):
    tower = Tower.abstract(4, "lambda_l")
    lower, upper = tower.split(block)
    assert compose(expand(lower, 4), expand(upper, 4)) == expand(tower, 4)


def test_composition_in_the_wrong_order_is_noticed():
    tower = Tower.abstract(3, "lambda_l")
    lower, upper = tower.split(1)
    assert compose(expand(upper, 3), expand(lower, 3)) != expand(tower, 3)


def test_symbolic_depths_add_up():
    n, m = sympy.symbols("n m")
    every_depth = expand("n", 6, tied=True)
    composed = compose(substituted(every_depth, {n: m}), every_depth)
    whole = substituted(every_depth, {n: m + n})
    assert set(composed) == set(whole)
    assert all(sympy.expand(composed[tree] - whole[tree]) == 0 for tree in whole)


@settings(max_examples=15)
@given(polynomial_towers(depths=(2, 4)), points(2))
def test_composed_expansions_evaluate_to_the_orders_of_the_tower(tower, x):
    lower, upper = tower.split(tower.depth // 2)
    composed = compose(expand(lower, 4), expand(upper, 4))
    assert (composed.orders(x) == jet_orders(tower, x, 4)).all()


def test_add_scale_compare_truncate():
    whole = expand(3, 4)
    assert not any((whole - whole).values())
    assert (whole - whole).start == 0
    doubled = whole + whole
    assert doubled[LabelledTree.parse("3[1,1]")] == 1
    assert doubled == 2 * whole == whole * Fraction(2)
    assert doubled != whole
    assert doubled.start == 2
    assert str(expand(1, 1) * Fraction(1, 2)) == "H₁(x) = ½ x\n  + λ [ ½ f₁ ]\n  + O(λ²)"
    assert truncated(whole, 2) == expand(3, 2)
    assert truncated(whole, 9).max_order == 4


@settings(max_examples=10)
@given(polynomial_towers(depths=(1, 3)), points(2))
def test_arithmetic_is_that_of_the_values(tower, x):
    first, second = expand(tower, 3), expand(tower, 2)
    combined = 3 * first - second * Fraction(1, 2)
    wanted = 3 * first.orders(x)[:3] - second.orders(x) * Fraction(1, 2)
    assert (combined.orders(x) == wanted).all()


def test_substitution_reaches_every_coefficient():
    (scale,) = sympy.symbols(["lambda"])
    symbolic = expand(Tower.abstract(3, "lambda"), 3)
    assert substituted(symbolic, {scale: Fraction(1, 2)}) == expand(Tower.abstract(3, "1/2"), 3)
    n = sympy.Symbol("n")
    assert substituted(expand("n", 4, tied=True), {n: 7}) == expand(7, 4, tied=True)


def test_a_rule_of_symbols_reads_as_mathematics():
    text = str(expand(Tower.abstract(2, "lambda_l"), 3))
    assert "λ₁ λ₂ f₂′f₁" in text
    assert "λ₁² λ₂/2 f₂″(f₁, f₁)" in text


def test_what_cannot_be_composed_is_refused():
    with pytest.raises(InputError, match="one kind"):
        compose(expand(2, 2), expand(2, 2, tied=True))
    with pytest.raises(InputError, match="one kind"):
        compose(expand(2, 2), expand(2, 2, decoder=True))
    with pytest.raises(InputError, match="numbers"):
        Tower.abstract(2, "lambda").scales_for(np.array([1.0]))
