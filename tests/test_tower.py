"""Towers: composition by hand, ends, splitting (E4), and what does not fit."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.series.composition import composed_orders
from expansion.series.expansion import expand
from expansion.series.jets import jet_orders
from expansion.towers.branches.abstract import AbstractBranch
from expansion.towers.branches.layered import AffineBranch, MLPBranch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.scaling import ScalingRule
from expansion.towers.tower import Tower
from proofs_check.strategies import points, polynomial_towers, relu_towers

F = Fraction
X, Y = sympy.symbols("x y")


def by_substitution(branch, values):
    """The formulas at exact numbers, by sympy's own substitution."""
    at = dict(zip(branch.variables, map(sympy.sympify, values), strict=True))
    return [formula.subs(at, simultaneous=True) for formula in branch.formulas]


@settings(max_examples=50)
@given(polynomial_towers(ends=True, depths=(1, 3)), points(2))
def test_calling_composes_the_blocks_first_one_first(tower, x):
    state = by_substitution(tower.encoder, x)
    for branch, scale in zip(tower.branches, tower.scales, strict=True):
        moved = by_substitution(branch, state)
        state = [h + sympy.sympify(scale) * f for h, f in zip(state, moved, strict=True)]
    assert tower(x).tolist() == by_substitution(tower.decoder, state)


def test_block_one_acts_first():
    double, square = SymbolicBranch([X], [2 * X]), SymbolicBranch([X], [X**2])
    # (x + 2x) then + its square, against (x + x²) then tripled.
    assert Tower((double, square))([1]).tolist() == [12]
    assert Tower((square, double))([1]).tolist() == [6]


@given(relu_towers(), points(2))
def test_states_are_the_signal_after_every_block(tower, x):
    states = tower.states(x)
    assert len(states) == tower.depth + 1
    assert states[0].tolist() == x.tolist()
    for before, after, branch, scale in zip(
        states, states[1:], tower.branches, tower.scales, strict=False
    ):
        assert after.tolist() == (before + scale * branch(before)).tolist()
    assert states[-1].tolist() == tower(x).tolist()


def test_a_batch_is_a_tower_at_every_row():
    generator = np.random.default_rng(0)
    branches = [
        MLPBranch(generator.normal(size=(3, 5)), generator.normal(size=(5, 3))) for _ in "ab"
    ]
    decoder = AffineBranch(generator.normal(size=(2, 3)))
    tower = Tower(branches, "1/n", decoder=decoder)
    batch = generator.normal(size=(4, 2, 3))
    together = tower(batch)
    assert together.shape == (4, 2, 2)
    for index in np.ndindex(4, 2):
        assert together[index] == pytest.approx(tower(batch[index]), rel=1e-14, abs=1e-15)


def test_scales_in_the_inputs_own_kind():
    tower = Tower.tied(AffineBranch([[1]]), 4, "1/n")
    assert tower([1]).tolist() == [F(5, 4) ** 4]
    assert tower([1.0]).dtype == np.float64
    assert tower([1.0])[0] == pytest.approx(1.25**4, rel=1e-15)
    irrational = Tower.tied(AffineBranch([[1]]), 2, "1/sqrt(n)")
    assert sympy.expand(irrational([1])[0] - (1 + 1 / sympy.sqrt(2)) ** 2) == 0


def test_a_tower_of_floats_at_exact_input_says_that_it_is_floating():
    tower = Tower.tied(AffineBranch([[0.5]]), 2)
    assert tower([1]).dtype == np.float64


def test_kinds_of_tower():
    tied = Tower.tied(AffineBranch([[1]]), 3)
    assert (tied.depth, tied.is_tied, tied.is_abstract) == (3, True, False)
    same_values = Tower([AffineBranch([[1]]) for _ in range(3)])
    assert not same_values.is_tied
    abstract = Tower.abstract(3)
    assert (abstract.depth, abstract.is_tied, abstract.is_abstract) == (3, False, True)
    assert Tower.abstract(3, tied=True).is_tied
    assert Tower.abstract(3, "1/n").scales == (F(1, 3),) * 3


def test_towers_are_frozen():
    with pytest.raises(AttributeError):
        Tower.abstract(1).rule = "1"


class TestSplit:
    """E4: expanding both parts and composing gives the series of the whole."""

    @given(polynomial_towers(ends=True, depths=(2, 4)), points(2), st.data())
    def test_the_parts_compose_to_the_whole(self, tower, x, data):
        block = data.draw(st.integers(1, tower.depth - 1))
        first, second = tower.split(block)
        assert (first.depth, second.depth) == (block, tower.depth - block)
        assert first.scales + second.scales == tower.scales
        assert second(first(x)).tolist() == tower(x).tolist()

    @pytest.mark.parametrize("route", ["terms", "jets", "composition"])
    @settings(max_examples=15)
    @given(tower=polynomial_towers(depths=(2, 4)), x=points(2), data=st.data())
    def test_orders_of_the_parts_convolve(self, route, tower, x, data):
        # The second part is expanded at the symbolic point Σ w^b P_b of the first part's orders.
        order = 3
        first, second = tower.split(data.draw(st.integers(1, tower.depth - 1)))
        w = sympy.Symbol("w")
        inner = jet_orders(first, x, order)
        point = [sum(w**b * sympy.sympify(v) for b, v in enumerate(column)) for column in inner.T]
        if route == "terms":
            outer = expand(second, order).orders(point)
        elif route == "jets":
            outer = jet_orders(second, point, order)
        else:
            outer = composed_orders(second, point, order)
        whole = composed_orders(tower, x, order)
        for coordinate in range(2):
            polynomials = [sympy.Poly(sympy.sympify(row[coordinate]), w) for row in outer]
            for k in range(order + 1):
                total = sum(polynomials[a].coeff_monomial(w ** (k - a)) for a in range(k + 1))
                assert total == whole[k][coordinate]

    def test_ends_stay_at_their_ends(self):
        end = AffineBranch([[1]])
        tower = Tower.tied(AffineBranch([[1]]), 3, encoder=end, decoder=end)
        first, second = tower.split(2)
        assert (first.encoder, first.decoder) == (end, None)
        assert (second.encoder, second.decoder) == (None, end)

    @pytest.mark.parametrize("block", [0, 3, -1, 1.5, "x"])
    def test_bad_blocks_are_refused(self, block):
        with pytest.raises(InputError, match=r"block.*; got .*; "):
            Tower.abstract(3).split(block)

    def test_irrational_scales_stay_exact(self):
        lower, upper = Tower.abstract(3, "1/sqrt(n)").split(1)
        assert lower.scales + upper.scales == Tower.abstract(3, "1/sqrt(n)").scales


class TestWhatDoesNotFit:
    @pytest.mark.parametrize(
        ("build", "message"),
        [
            (lambda: Tower(()), "a tower's depth must be a whole number of at least 1; got 0"),
            (lambda: Tower.tied(AffineBranch([[1]]), 0), "depth must be .* at least 1; got 0"),
            (lambda: Tower.tied(AffineBranch([[1]]), -2), "depth must be .* at least 1; got -2"),
            (lambda: Tower.abstract("many"), "depth must be .* at least 1; got many"),
            (lambda: Tower((AffineBranch([[1, 2]]),)), "a space to itself; got 2 to 1 in block 1"),
            (
                lambda: Tower((AffineBranch([[1]]), AffineBranch([[1, 0], [0, 1]]))),
                "branches of one dimension; got dimension 2 in block 2 after dimension 1",
            ),
            (
                lambda: Tower((AbstractBranch(), AffineBranch([[1]]), AffineBranch(np.eye(3)))),
                "got dimension 3 in block 3 after dimension 1",
            ),
            (
                lambda: Tower((AffineBranch([[1]]),), encoder=AffineBranch([[1], [1]])),
                "got dimension 1 in block 1 after dimension 2",
            ),
            (
                lambda: Tower((AffineBranch([[1]]),), decoder=AffineBranch([[1, 1]])),
                "a decoder that fits the blocks; got decoder of input dimension 2 after",
            ),
            (lambda: Tower((3,)), "a tower's parts must be branches; got 3"),
            (lambda: Tower((AbstractBranch(),), decoder="D"), "parts must be branches; got D"),
            (lambda: Tower.abstract(2, [1, 2, 3]), "one listed scale per block; got 3 scales for"),
            (lambda: Tower.abstract(2, "half"), "leaves the skip alone; got half"),
            (lambda: Tower.abstract(2, "banana"), "a scaling rule: .*; got banana"),
            (lambda: Tower.abstract(2, float("nan")), "a finite number; got nan"),
            (lambda: Tower.abstract(2, float("inf")), "a finite number; got inf"),
        ],
    )
    def test_parts(self, build, message):
        with pytest.raises(InputError, match=message):
            build()

    @pytest.mark.parametrize("branches", [AffineBranch([[1]]), None])
    def test_branches_that_are_no_sequence(self, branches):
        with pytest.raises(InputError):
            Tower(branches)

    @pytest.mark.parametrize("x", [[1, 2, 3], 3, [[1], [2]], []])
    def test_inputs_of_another_dimension(self, x):
        with pytest.raises(
            InputError, match=r"an input of dimension 2; got shape .*; give that many"
        ):
            Tower.tied(AffineBranch([[1, 0], [0, 1]]), 2)(x)

    def test_the_encoder_decides_the_inputs_dimension(self):
        tower = Tower((AffineBranch([[1]]),), encoder=AffineBranch([[1, 1, 1]]))
        assert tower([1, 2, 3]).tolist() == [12]
        with pytest.raises(InputError, match=r"an input of dimension 3"):
            tower([1])

    @pytest.mark.parametrize("x", [[float("nan"), 1], [float("inf"), 1], ["a", 1], None])
    def test_inputs_that_are_no_numbers(self, x):
        with pytest.raises(InputError, match=r"the input must hold"):
            Tower.tied(AffineBranch([[1, 0], [0, 1]]), 2)(x)

    def test_abstract_towers_have_no_values(self):
        with pytest.raises(InputError, match=r"a branch with values; got the abstract branch f"):
            Tower.abstract(2)([1])


def test_a_rule_object_is_kept():
    rule = ScalingRule.parse("1/n")
    assert Tower.abstract(2, rule).rule is rule
