"""Untied towers of symbolic depth: the indexed sums hold for every depth."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion import InputError, TooManyTermsError, expand, jet_orders
from expansion.series.differentials import Differentials
from expansion.series.indexed import expand_indexed, pattern_count, patterns
from proofs_check.strategies import points, polynomial_towers


@pytest.mark.parametrize("order", range(1, 6))
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
def test_the_sums_give_the_concrete_terms_of_every_depth(order, depth):
    assert expand_indexed(order).at(depth) == expand(depth, order)


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_sums_with_a_decoder_give_the_concrete_forests(order, depth):
    concrete = expand_indexed(order, decoder=True).at(depth)
    assert concrete == expand(depth, order, decoder=True)
    assert len(list(patterns(order, decoder=True))) == pattern_count(order, decoder=True)


@pytest.mark.parametrize("order", range(1, 7))
def test_patterns_are_counted_before_any_is_made(order):
    found = list(patterns(order))
    assert len(found) == len(set(found)) == pattern_count(order)
    assert all(set(p.labels) == set(range(1, p.label + 1)) for p in found)


def test_the_text_book_form():
    assert expand_indexed(3).text().splitlines()[3] == (
        "  + λ³ [ ½ Σ_{i<j} fⱼ″(fᵢ, fᵢ) + Σ_{i<j<k} fₖ″(fⱼ, fᵢ) + Σ_{i<j<k} fₖ′fⱼ′fᵢ ]"
    )
    assert r"\sum_{i<j<k} f_k' f_j' f_i" in expand_indexed(3).latex()


@settings(max_examples=10)
@given(polynomial_towers(depths=(2, 4)), points(2), st.integers(1, 4))
def test_evaluated_sums_are_the_orders_of_real_towers(tower, x, order):
    differentials = Differentials(tower, x)
    total = differentials.point * 0
    for term, coefficient in expand_indexed(order).at(tower.depth).order(order).items():
        weight = coefficient
        for label in term.labels:
            weight = weight * tower.scales[label - 1]
        total = total + weight * differentials.value(term)
    assert (total == jet_orders(tower, x, order)[order]).all()


def test_too_large_and_wrong_requests():
    with pytest.raises(TooManyTermsError):
        expand_indexed(12)
    with pytest.raises(TooManyTermsError):
        expand_indexed(5).at(10**6)
    with pytest.raises(InputError):
        expand_indexed(3).at(0)


def test_great_orders_are_refused_at_once():
    with pytest.raises(TooManyTermsError, match=r"at least"):
        expand_indexed(1000)
    # Small ones with their exact number.
    with pytest.raises(TooManyTermsError, match=r"got 4,975,892 terms"):
        expand_indexed(10)
