"""All trees as arrays and their numbers in bulk, beside the objects one by one."""

import re
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.errors import InputError, TooManyTermsError
from expansion.trees.bulk import joined_ranges, tree_table
from expansion.trees.counting import rooted_tree_counts, tree_counts
from expansion.trees.generate import labelled_trees, level_sequences, rooted_trees
from expansion.trees.labelled_bulk import labelled_table
from expansion.trees.order_polynomials import labelling_count, modified_weight, order_polynomial
from expansion.trees.streams import level_chunks, next_levels
from expansion.trees.tree import Tree
from expansion.trees.weights import (
    exact_products,
    factorials,
    labelling_counts,
    labelling_values,
    modified_weights,
    order_polynomials,
    surjective_counts,
    symmetries,
)

A000081 = [0, 1, 1, 2, 4, 9, 20, 48, 115, 286, 719, 1842, 4766, 12486, 32973, 87811]
A000081 += [235381, 634847, 1721159, 4688676, 12826228]


def test_every_tree_once():
    table = tree_table(9)
    for order in range(1, 10):
        made = [table.tree(number) for number in table.numbers(order)]
        assert len(made) == len(set(made))
        assert set(made) == set(rooted_trees(order))


def test_levels_are_the_trees():
    table = tree_table(8)
    for order in range(1, 9):
        rows = table.levels(order)
        assert rows.shape == (A000081[order], order)
        trees = [table.tree(number) for number in table.numbers(order)]
        assert [Tree.from_levels(row) for row in rows.tolist()] == trees


def test_numbers_of_trees():
    table = tree_table(17)
    assert [len(table.numbers(k)) for k in range(1, 18)] == A000081[1:18]
    assert len(table) == sum(A000081[:18])


def test_subtrees_are_shared():
    table = tree_table(6)
    chain = table.tree(len(table) - 1)
    assert chain == Tree.chain(6)
    assert chain.children[0] is table.tree(table.numbers(5)[-1])


def test_tables_that_are_too_large_are_refused():
    with pytest.raises(TooManyTermsError, match="stream"):
        tree_table(19)
    with pytest.raises(InputError, match=re.escape("a tree's number below 2")):
        tree_table(2).tree(2)
    with pytest.raises(InputError, match="an order up to 2"):
        tree_table(2).numbers(3)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=8))
def test_joined_ranges(pairs):
    starts = np.array([start for start, _ in pairs], np.int64)
    lengths = np.array([length for _, length in pairs], np.int64)
    expected = [n for start, length in pairs for n in range(start, start + length)]
    assert joined_ranges(starts, lengths).tolist() == expected


# ---- Streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [next_levels, next_levels.py_func], ids=["compiled", "plain"])
@pytest.mark.parametrize("chunk", [1, 7, 48, 100])
def test_streams_are_the_successor_rule(step, chunk, monkeypatch):
    monkeypatch.setattr("expansion.trees.streams.next_levels", step)
    for order in (1, 2, 7):
        rows = [tuple(row) for part in level_chunks(order, chunk) for row in part.tolist()]
        assert rows == list(level_sequences(order))


def test_streams_hold_one_chunk():
    parts = level_chunks(12, 100)
    first = next(parts)
    second = next(parts)
    assert first.base is second.base
    assert first.shape == second.shape == (100, 12)


@pytest.mark.slow
def test_order_20_is_streamed():
    assert sum(len(rows) for rows in level_chunks(20)) == A000081[20] == rooted_tree_counts(20)[20]


def test_streams_refuse_what_does_not_fit():
    with pytest.raises(InputError, match="an order up to 127"):
        next(level_chunks(128))


# ---- Numbers ---------------------------------------------------------------------------------


def test_numbers_of_every_tree():
    table = tree_table(9)
    trees = [table.tree(number) for number in range(len(table))]
    assert symmetries(table).tolist() == [tree.symmetry for tree in trees]
    assert factorials(table).tolist() == [tree.factorial for tree in trees]
    assert order_polynomials(table) == [order_polynomial(tree) for tree in trees]
    assert modified_weights(table) == [modified_weight(tree) for tree in trees]


@settings(max_examples=20)
@given(st.integers(0, 10**30))
def test_labelling_counts_at_any_depth(depth):
    table = tree_table(6)
    polynomials = [order_polynomial(table.tree(number)) for number in range(len(table))]
    assert labelling_counts(table, depth) == [int(p(depth)) for p in polynomials]


@pytest.mark.parametrize("depth", [0, 1, 7, 23])
def test_labelling_counts_are_prefix_sums(depth):
    table = tree_table(8)
    assert labelling_counts(table, depth) == [
        labelling_count(table.tree(number), depth) for number in range(len(table))
    ]


def test_the_known_sum():
    table = tree_table(12)
    assert len(table) == 7813
    assert sum(labelling_counts(table, 100)) == 1197846201347941539923395


@pytest.mark.slow
def test_nothing_overflows_at_the_largest_order():
    # The chain and the bush bound the rest: C(16, k), and Σ i^15 over the depths.
    table = tree_table(16)
    values = labelling_values(table)
    assert values.min() == 0
    assert values.max() == sum(i**15 for i in range(16)) < 2**63
    assert surjective_counts(table).min() == 0
    # Σ_τ |τ|!/(σ τ!) counts recursive trees: the sum over one order is (|τ| − 1)!.
    last = slice(table.numbers(16).start, None)
    weights = factorial(16) // (symmetries(table)[last] * factorials(table)[last])
    assert sum(weights.tolist()) == factorial(15)


def test_weights_beyond_machine_words_are_refused():
    with pytest.raises(InputError, match="a table to order 16"):
        labelling_values(tree_table(17))


@given(
    st.lists(st.lists(st.integers(0, 2**40), min_size=3, max_size=3), min_size=1, max_size=5),
    st.lists(st.integers(-(10**40), 10**40), min_size=3, max_size=3),
)
def test_products_by_limbs(rows, weights):
    expected = [sum(a * b for a, b in zip(row, weights, strict=True)) for row in rows]
    assert exact_products(np.array(rows, np.int64), weights) == expected


# ---- Labelled trees --------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "order"), [(1, 4), (2, 6), (3, 5), (5, 5), (9, 3)])
def test_every_labelled_tree_once(depth, order):
    table = labelled_table(depth, order)
    made = [table.tree(number) for number in range(len(table))]
    assert len(made) == len(set(made))
    assert set(made) == set(labelled_trees(depth, order))
    assert table.symmetries().tolist() == [tree.symmetry for tree in made]
    assert table.child_counts().tolist() == [len(tree.children) for tree in made]
    for tree in made:  # children already in their canonical order
        assert tree.children == type(tree)(tree.label, tree.children).children


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 6))
def test_numbers_of_labelled_trees(depth, order):
    table = labelled_table(depth, order)
    counts = [len(table.numbers(k)) for k in range(1, order + 1)]
    assert counts == tree_counts(depth, order)[1:]


@pytest.mark.parametrize(("depth", "count"), [(6, 3088), (8, 21938), (10, 96291)])
def test_known_numbers_of_labelled_trees(depth, count):
    assert len(labelled_table(depth, 6).numbers(6)) == count


def test_labelled_tables_that_are_too_large_are_refused():
    with pytest.raises(TooManyTermsError, match="jet_orders"):
        labelled_table(50, 8)
    with pytest.raises(InputError, match="an order up to 20"):
        labelled_table(1, 21)
    with pytest.raises(InputError, match="number below 1"):
        labelled_table(1, 1).tree(1)
