"""Formulas of expansions: what is printed is proved, what is changed is refuted."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion import InputError, LabelledTree, Tower, composed_orders, expand, expand_indexed
from expansion.series.notation import indexed_sum, write_term
from expansion.trees.generate import rooted_forests, rooted_trees
from expansion.trees.labelled import Forest
from proofs_check.evidence import Verdict
from proofs_check.formula.candidate import candidate_of
from proofs_check.formula.meaning import Reader
from proofs_check.formula.parsing import parse_formula
from proofs_check.formula.verdict import judge
from proofs_check.formula.witness import tower_of
from proofs_check.strategies import labelled_trees, trees


def verdict(table):
    (evidence,) = judge(candidate_of(table)).evidence.values()
    return evidence


def answer(**table):
    return verdict(table).verdict.name


def pasted(text):
    names = {}
    exec(compile(text, "counterexample", "exec"), names)
    return names


LETTERS = "abcdeghijklmopqrstuvw"
LONG = f"Σ_{{{'<'.join(LETTERS)}}} " + "'".join(f"f_{letter}" for letter in reversed(LETTERS))


# --- what must not be proved ------------------------------------------------------------------


@pytest.mark.parametrize(
    "orders",
    [
        {"1": "Σ_{i} f_i + x"},  # x belongs to order 0 alone
        {"1": "Σ_{i} f_i + (Σ_{a<b<c} f_c'f_b'f_a)^1"},
        {"2": "Σ_{i<j} f_j'f_i + 5 (Σ_{a<b<c} f_c'f_b'f_a)^1"},
        {"1": "Σ_{i} f_i + 7 Σ_{j,i<j} f_j'f_i"},  # j before the comma is that of the chain
    ],
)
def test_what_was_once_overlooked_is_refuted(orders):
    assert answer(orders=orders) == "REFUTED"


@pytest.mark.parametrize("added", ["λ x", "99 λ² x"])
def test_x_in_an_order_of_its_own_is_refuted(added):
    right = "x + λ Σ_{i} f_i + λ² Σ_{i<j} f_j'f_i"
    assert answer(formula=f"{right} + O(λ^3)") == "PROVED"
    assert answer(formula=f"{right} + {added} + O(λ^3)") == "REFUTED"
    tied = {"tied": True}
    assert answer(tower=tied, orders={"1": "n f + (n - 1) x"}) == "REFUTED"


def test_a_letter_of_the_chain_may_stand_before_the_comma():
    assert answer(orders={"2": "Σ_{j,i<j} f_j'f_i"}) == "PROVED"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"orders": {"1": "C(1 + Σ_{a<b<c} f_c'f_b'f_a, 1) Σ_{i} f_i"}}, "a number to choose from"),
        ({"orders": {"1": "Σ_{i} f_i / (1 + Σ_{a<b<c} f_c'f_b'f_a)"}}, "a division by a number"),
        ({"orders": {"2": "Σ_{i<j} f_j'f_i + Σ_{i<i} f_i'f_i"}}, "different letters"),
        ({"orders": {"01": "7 Σ_{i} f_i", "1": "Σ_{i} f_i"}}, "order 1 once"),
        ({"tower": {"tied": True}, "formula": "x + λ [ 7 n f + O(λ) ]"}, "a summand of the whole"),
        ({"formula": "x + λ ( 7 Σ_{i} f_i + O(λ) )"}, "a summand of the whole"),
        ({"formula": "x + 7 λ (Σ_{i} f_i + O(λ))^1"}, "a summand of the whole"),
        ({"formula": "x + O(λ) + O(λ²)"}, "one O"),
        ({"orders": {"8": LONG}}, "choices of blocks"),  # one holds, of millions that are tried
    ],
)
def test_what_has_no_meaning_is_no_proof(table, told):
    with pytest.raises(InputError, match=told):
        verdict(table)


def test_brackets_around_the_whole_change_nothing():
    assert answer(formula="(x + λ Σ_{i} f_i + O(λ²))") == "PROVED"


# --- terms of another order -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decoder", "order", "right", "wrong"),
    [
        (False, 1, "Σ_{i} f_i", "Σ_{i<j} f_j' f_i"),
        (False, 2, "Σ_{i<j} f_j' f_i", "Σ_{i<j<k} f_k''(f_i, f_j)"),
        (False, 1, "Σ_{i} f_i", "Σ_{i<j} Σ_{k<l} f_l''(f_k, f_j'f_i)"),
        (True, 1, "Σ_{i} D' f_i", "Σ_{i<j} D''(f_i, f_j)"),
    ],
)
def test_a_sum_that_small_towers_do_not_see_is_seen(decoder, order, right, wrong):
    tower = {"decoder": decoder}
    assert answer(tower=tower, orders={str(order): right}) == "PROVED"
    evidence = verdict({"tower": tower, "orders": {str(order): f"{right} + 7 {wrong}"}})
    assert evidence.verdict is Verdict.REFUTED
    names = pasted(evidence.counterexample)
    true = composed_orders(names["tower"], names["point"], names["order"])[names["order"]]
    assert list(true) == list(names["true"]) != list(names["claimed"])
    whole = f"λ^{order} [ {wrong} ] + O(λ^{order + 1})"
    assert answer(tower=tower, formula=whole) == "REFUTED"


# --- what the engine prints is read back and proved -------------------------------------------


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("depth", [1, 3, "n"])
def test_printed_expansions_are_proved(depth, tied, decoder):
    if depth == "n" and not tied:
        printed = expand_indexed(4, decoder=decoder)
    else:
        printed = expand(depth, 4, tied=tied, decoder=decoder)
    tower = {"depth": depth, "tied": tied, "decoder": decoder}
    evidence = verdict({"tower": tower, "formula": printed.text()})
    assert evidence.verdict is Verdict.PROVED, evidence
    assert evidence.cases >= len(printed.terms if depth == "n" and not tied else printed)


@pytest.mark.parametrize("rule", ["lambda_l", "1/n", "0.1"])
def test_printed_scales_are_proved(rule):
    printed = expand(Tower.abstract(3, rule), 3).text()
    assert answer(tower={"depth": 3, "rule": rule}, formula=printed) == "PROVED"
    wrong = printed.replace("f₃′f₂′f₁", "f₃′f₁′f₂")
    assert answer(tower={"depth": 3, "rule": rule}, formula=wrong) == "REFUTED"


def test_sums_as_they_are_printed_for_every_shape():
    for order in range(1, 6):
        sums = " + ".join(indexed_sum(tree) for tree in rooted_trees(order))
        assert answer(orders={str(order): sums}) == "PROVED"


@given(labelled_trees(depth=5, max_order=5))
def test_terms_are_read_as_they_are_written(tree):
    reader = Reader(5, symbolic=False, tied=False, decoder=False)
    for text in (write_term(tree), str(tree) if tree.children else f"{tree}[]"):
        assert reader.claims(parse_formula(text, "t").root, "t") == {0: {tree: 1}}


@given(trees(5))
def test_trees_without_labels_are_read_as_they_are_written(tree):
    reader = Reader(None, symbolic=True, tied=True, decoder=False)
    for text in (write_term(tree), str(tree)):
        assert reader.claims(parse_formula(text, "t").root, "t") == {0: {tree: 1}}


def test_forests_are_read_as_they_are_written():
    reader = Reader(None, symbolic=True, tied=True, decoder=True)
    for order in range(4):
        for forest in rooted_forests(order):
            for text in (write_term(forest), str(forest)):
                assert reader.claims(parse_formula(text, "t").root, "t") == {0: {forest: 1}}


# --- changed formulas are refuted, with a case that shows it ----------------------------------


@settings(max_examples=25)
@given(st.data())
def test_a_changed_coefficient_is_refuted_by_a_true_counterexample(data):
    tied = data.draw(st.booleans())
    decoder = data.draw(st.booleans())
    expansion = expand("n" if tied else 3, 4, tied=tied, decoder=decoder)
    term = data.draw(st.sampled_from([t for t in expansion if t.order]))
    change = data.draw(st.sampled_from([2, -1, Fraction(1, 2)]))
    terms = {t: c * (change if t == term else 1) for t, c in expansion.order(term.order).items()}
    text = " + ".join(f"({c}) ({write_term(t)})" for t, c in terms.items())
    text = text.replace("**", "^")
    tower = {"depth": "n" if tied else 3, "tied": tied, "decoder": decoder}
    evidence = verdict({"tower": tower, "orders": {str(term.order): text}})
    assert evidence.verdict is Verdict.REFUTED
    names = pasted(evidence.counterexample)
    assert names["term"] == term
    assert names["claimed"] != names["true"]
    order = names["order"]
    true = composed_orders(names["tower"], names["point"], order)[order]
    assert list(true) == names["true"]


@settings(max_examples=25)
@given(labelled_trees(depth=3, max_order=4))
def test_a_tower_sees_its_tree_alone(tree):
    tower = tower_of(tree, 3, [1, 1, 1])
    point = [Fraction(0)] * tower.branches[0].inputs
    root = [
        (other, value[0])
        for other, value in (
            (t, expansion_value(t, tower, point)) for t in expand(3, tree.order).order(tree.order)
        )
        if value[0]
    ]
    assert root == [(tree, tree.symmetry)]


def expansion_value(term, tower, point):
    from expansion.series.differentials import Differentials

    return Differentials(tower, point).value(term)


def test_a_forest_is_seen_too():
    forest = Forest([LabelledTree.parse("2[1]"), LabelledTree(1)])
    tower = tower_of(forest, 2, [1, 1])
    point = [Fraction(0)] * tower.branches[0].inputs
    assert list(composed_orders(tower, point, 3)[3]) == [1]


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ({"orders": {"2": "Σ_{i≤j} f_j'f_i"}}, "REFUTED"),
        ({"orders": {"2": "Σ_{i≠j} f_j'f_i"}}, "REFUTED"),
        ({"orders": {"2": "Σ_{i<j} f_i'f_j"}}, "REFUTED"),
        ({"orders": {"3": "Σ_{i<j<k} (f_k'f_j'f_i + f_k''(f_i,f_j)) + ½ Σ_{i<j} f_j''(f_i,f_i)"}},
         "PROVED"),
        ({"orders": {"3": "Σ_{i<j<k} f_k'f_j'f_i + Σ_{i<j<k} f_k''(f_i,f_j)"}}, "REFUTED"),
        ({"orders": {"3": "n/n f_1"}, "tower": {"depth": 1}}, "REFUTED"),
        ({"formula": "x + λ² Σ_{i} f_i + O(λ³)"}, "REFUTED"),
        ({"formula": "2 x + λ Σ_{i} f_i + O(λ²)"}, "REFUTED"),
        ({"formula": "x + O(λ)"}, "PROVED"),
        ({"tower": {"tied": True}, "orders": {"2": "n²/2 f'f"}}, "REFUTED"),
        ({"tower": {"tied": True}, "orders": {"2": "C(n,2) f'f"}}, "PROVED"),
        ({"tower": {"tied": True, "depth": 1}, "orders": {"2": "0 f'f"}}, "PROVED"),
        ({"tower": {"branches": "affine"}, "orders": {"3": "Σ_{i<j<k} f_k'f_j'f_i"}}, "PROVED"),
        # f″ = 0 for affine branches, whatever stands in front of it
        ({"tower": {"branches": "affine"},
          "orders": {"3": "Σ_{i<j<k} f_k'f_j'f_i + 7 Σ_{i<j} f_j''(f_i,f_i)"}}, "PROVED"),
        ({"tower": {"branches": "quadratic"}, "orders": {"3": "Σ_{i<j<k} f_k'f_j'f_i"}}, "REFUTED"),
        ({"tower": {"branches": "affine", "depth": 2},
          "formula": "x + λ(f_1 + f_2) + λ² f_2'f_1 + λ³ f_2'f_2'f_1"}, "REFUTED"),
        ({"tower": {"branches": "affine", "depth": 2},
          "formula": "x + λ(f_1 + f_2) + λ² f_2'f_1"}, "PROVED"),
        ({"tower": {"depth": 2, "rule": [2, "1/3"]}, "orders": {"2": "2/3 f_2'f_1"}}, "PROVED"),
        ({"tower": {"depth": 2, "rule": [2, "1/3"]}, "orders": {"2": "f_2'f_1"}}, "REFUTED"),
    ],
    ids=str,
)  # fmt: skip
def test_answers(table, name):
    assert verdict(table).verdict.name == name


def test_one_wrong_multiple_of_n_is_found_where_it_shows():
    claim = "(n(n-1)/2 + (n-1)(n-2)(n-3)) f'f"
    evidence = verdict({"tower": {"tied": True}, "orders": {"2": claim}})
    assert pasted(evidence.counterexample)["tower"].depth == 4


# --- definite branches ------------------------------------------------------------------------

PLANE = [
    {"affine": [[1, 2], ["1/2", 0]], "bias": [1, 1]},
    {"polynomial": ["x1 x2", "x1^2"]},
]


def test_definite_branches():
    whole = "x + λ(f_1+f_2) + λ² f_2'f_1 + λ³/2 f_2''(f_1,f_1) + O(λ^4)"
    assert answer(tower={"depth": 2}, branch=PLANE, formula=whole) == "PROVED"
    evidence = verdict(
        {"tower": {"depth": 2}, "branch": PLANE, "formula": whole.replace("f_2'f_1", "f_1'f_2")}
    )
    names = pasted(evidence.counterexample)
    assert list(composed_orders(names["tower"], names["point"], 2)[2]) == names["true"]
    assert names["claimed"] != names["true"]


def test_one_dimension_cannot_see_the_theorem():
    """Isomeric trees are equal there: a formula that is wrong in general is right."""
    collapsed = {"4": "4[2[1],3]"}
    swapped = {"4": "4[3[2],1]"}
    table = {"tower": {"depth": 4}, "branch": [{"elementwise": "u^2", "dimension": 1}] * 4}
    rest = " + ".join(f"{c} ({write_term(t)})" for t, c in expand(4, 4).order(4).items())
    assert "f₄″(f₃′f₂, f₁)" in rest
    wrong = rest.replace("f₄″(f₃′f₂, f₁)", "f₄″(f₂, f₃′f₁)")
    assert collapsed != swapped
    assert answer(**table, orders={"4": wrong}) == "PROVED"
    assert answer(tower={"depth": 4}, orders={"4": wrong}) == "REFUTED"


@pytest.mark.parametrize("function", ["tanh(u)", "sin(u)", "exp(u) - 1", "u^3 + ½ u"])
def test_elementwise_branches(function):
    table = {"tower": {"tied": True}, "branch": [{"elementwise": function, "dimension": 1}]}
    right = "C(n,3) f'f'f + n(n-1)(2n-1)/12 f''(f,f)"
    assert answer(**table, orders={"3": right}) == "PROVED"
    assert answer(**table, orders={"3": "C(n,3) f'f'f"}) == "REFUTED"
