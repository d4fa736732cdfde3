"""Counterexamples are Python that builds what they show."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from flint import fmpq, fmpq_poly
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion import (
    AffineBranch,
    Forest,
    InputError,
    LabelledTree,
    ScalingRule,
    SymbolicBranch,
    Tower,
    TowerClass,
    Tree,
    expand,
)
from proofs_check.pasteable import program, source
from proofs_check.strategies import (
    affine_towers,
    architectures,
    float_towers,
    labelled_trees,
    layered_towers,
    points,
    polynomial_towers,
    rationals,
    relu_towers,
    scaling_rules,
    trees,
)


def pasted(text):
    names = {}
    exec(compile(text, "counterexample", "exec"), names)
    return names


def read_back(value):
    return pasted(program({"value": value}))["value"]


def test_floats_of_numpy_are_floats():
    assert source(np.float64(0.5)) == "0.5"
    assert read_back([np.float64(0.25), np.float64("inf")]) == [0.25, float("inf")]


def test_classes_of_towers_are_read_back():
    towers = TowerClass(2, 0.5, 0.5, activation=1.0, input_radius=1.0, target_radius=0.0, depth=3)
    assert read_back(towers) == towers


def polynomial(coefficients):
    return fmpq_poly([fmpq(c.numerator, c.denominator) for c in coefficients])


@given(
    st.one_of(
        trees(),
        labelled_trees(),
        st.lists(labelled_trees(3, 3), max_size=3).map(Forest),
        rationals(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
        st.booleans(),
        st.none(),
        st.lists(rationals()).map(polynomial),
        st.dictionaries(st.text(), rationals()),
    )
)
def test_values_come_back(value):
    again = read_back(value)
    assert again == value
    assert type(again) is type(value) or again == int(value)  # whole Fractions become integers


@given(scaling_rules())
def test_rules_come_back(rule):
    assert ScalingRule.of(read_back(rule)) == rule
    listed = ScalingRule.of([1, Fraction(1, 2)])
    assert ScalingRule.of(read_back(listed)) == listed


@settings(max_examples=40)
@given(
    st.one_of(
        st.tuples(polynomial_towers(), points(2)),
        st.tuples(polynomial_towers(3, tied=True), points(3)),
        st.tuples(polynomial_towers(ends=True, depths=(1, 3)), points(2)),
        st.tuples(affine_towers(), points(2)),
        st.tuples(relu_towers(), points(2)),
        st.tuples(layered_towers(ends=True, depths=(1, 2)), points(2)),
    )
)
def test_towers_come_back(case):
    tower, point = case
    names = pasted(program({"tower": tower, "point": point}))
    again = names["tower"]
    assert again.scales == tower.scales
    assert again.is_tied == tower.is_tied
    assert again(names["point"]).tolist() == tower(point).tolist()
    assert (again.encoder is None, again.decoder is None) == (
        tower.encoder is None,
        tower.decoder is None,
    )


@given(float_towers(), st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_float_towers_come_back_to_the_last_bit(tower, point):
    assert read_back(tower)(point).tolist() == tower(point).tolist()


@given(st.one_of(architectures(), architectures(weights=rationals())))
def test_architectures_come_back(graph):
    again = read_back(graph)
    assert again == graph
    assert again.blocks == graph.blocks


def test_infinite_bounds_come_back():
    assert read_back([float("inf"), float("-inf")]) == [float("inf"), float("-inf")]


def test_abstract_towers_come_back():
    tower = read_back(Tower.abstract(3, [1, "1/2", "1/3"]))
    assert dict(expand(tower, 3)) == dict(expand(Tower.abstract(3, [1, "1/2", "1/3"]), 3))


def test_terms_that_no_right_expansion_has_come_back():
    repeated = LabelledTree.from_sorted(2, (LabelledTree(2), LabelledTree(1)))
    assert read_back(repeated) == repeated
    below = LabelledTree.from_sorted(3, (repeated,))
    assert read_back(Forest([below, LabelledTree(1)])) == Forest([below, LabelledTree(1)])


def test_numbers_in_formulas_stay_exact():
    x, y = sympy.symbols("x y")
    branch = SymbolicBranch([x, y], [sympy.Rational(1, 2), x / 3 + sympy.Rational(2, 3)])
    again = read_back(Tower([branch])).branches[0]
    assert again.formulas == branch.formulas
    assert not any(formula.has(sympy.Float) for formula in again.formulas)


def test_only_what_is_needed_is_imported():
    assert program({"n": 1}) == "n = 1"
    text = program({"tree": Tree(), "labelled": LabelledTree(1), "f": AffineBranch([[1]])})
    assert text.splitlines()[0] == "from expansion import AffineBranch, LabelledTree, Tree"


def test_unknown_values_are_refused():
    with pytest.raises(InputError, match="written as Python; got object"):
        source(object())
