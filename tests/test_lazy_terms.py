"""Terms that are listed only when looked at: the same mapping, known before it is written."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.series.expansion import expand
from expansion.series.lazy_terms import LabelledTerms
from expansion.towers.tower import Tower
from expansion.trees.generate import labelled_forests, labelled_trees
from expansion.trees.labelled import Forest, LabelledTree
from expansion.trees.tree import Tree

SCALES = [Fraction(1, 2), Fraction(-3), Fraction(2, 5), Fraction(7)]


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(0, 4), st.booleans(), st.booleans())
def test_length_lookups_and_list_agree(depth, order, decoder, ones):
    scales = [Fraction(1)] * depth if ones else SCALES[:depth]
    terms = LabelledTerms(scales, order, decoder=decoder)
    listed = list((labelled_forests if decoder else labelled_trees)(depth, order))
    length, before = len(terms), [terms[term] for term in listed]
    assert terms._made is None  # nothing so far needed the list
    assert list(terms) == listed
    assert length == len(listed)
    assert [terms[term] for term in listed] == before
    for term, value in terms.items():
        expected = Fraction(1, term.symmetry)
        for label in term.labels:
            expected *= scales[label - 1]
        assert value == expected


@pytest.mark.parametrize("listed", [False, True])
def test_strangers_are_not_terms(listed):
    trees = LabelledTerms(SCALES, 3, decoder=False)
    forests = LabelledTerms(SCALES, 3, decoder=True)
    if listed:
        assert list(trees)
        assert list(forests)
    leaf = LabelledTree(1)
    strangers = [LabelledTree(5), LabelledTree.path(4, 3, 2, 1), Tree(), Forest([leaf]), "1", None]
    assert not any(stranger in trees for stranger in strangers)
    assert Forest([leaf]) in forests
    assert Forest(()) in forests
    for stranger in (Forest([LabelledTree(5)]), Forest([Tree()]), leaf):
        assert stranger not in forests
        with pytest.raises(KeyError):
            forests[stranger]


def test_a_large_expansion_is_known_at_once():
    expansion = expand(Tower.abstract(10, "1/n"), 6)
    assert len(expansion) == 111919
    assert expansion[LabelledTree.parse("10[3,3]")] == Fraction(1, 2000)
    assert LabelledTree(11) not in expansion
    assert expansion._terms._made is None
