"""An expansion as a mapping, as sympy, as text."""

from collections.abc import Mapping
from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings

from expansion.errors import InputError
from expansion.series.composition import composed_orders
from expansion.series.expansion import expand
from expansion.series.size import term_count
from expansion.towers.branches.layered import AffineBranch
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.tower import Tower
from expansion.trees.labelled import Forest, LabelledTree
from proofs_check.strategies import points, polynomial_towers

F = Fraction
X, Y = sympy.symbols("x y")
BENT = Tower([SymbolicBranch([X, Y], [X * Y, Y**2 - X])], "1/2")
parse = LabelledTree.parse


class TestMapping:
    def test_it_is_a_mapping(self):
        expansion = expand(3, 3)
        assert isinstance(expansion, Mapping)
        assert len(expansion) == len(list(expansion)) == term_count(3, 3, tied=False, decoder=False)
        assert parse("3[1,1]") in expansion
        assert parse("4") not in expansion
        assert expansion[parse("3[1,1]")] == F(1, 2)
        with pytest.raises(KeyError):
            expansion[parse("4")]
        with pytest.raises(TypeError):
            expansion[parse("1")] = F(2)

    def test_orders_and_shapes_are_partitions(self):
        expansion = expand(4, 4)
        by_order = [expansion.order(k) for k in range(6)]
        assert by_order[0] == by_order[5] == {}
        assert {t for part in by_order for t in part} == set(expansion)
        assert all(t.order == k for k, part in enumerate(by_order) for t in part)
        by_shape = expansion.by_shape()
        assert {t for part in by_shape.values() for t in part} == set(expansion)
        assert all(t.shape == shape for shape, part in by_shape.items() for t in part)
        assert sum(map(len, by_shape.values())) == len(expansion)

    def test_shapes_of_tied_terms_are_themselves(self):
        expansion = expand("n", 3, tied=True)
        assert all(set(part) == {shape} for shape, part in expansion.by_shape().items())

    @settings(max_examples=20)
    @given(polynomial_towers(depths=(1, 3)), points(2))
    def test_partial_sums_and_remainder(self, tower, x):
        expansion = expand(tower, 4)
        orders = composed_orders(tower, x, 4)
        for k in range(5):
            assert expansion.partial_sum(x, k).tolist() == sum(orders[: k + 1]).tolist()
        assert expansion.partial_sum(x).tolist() == sum(orders).tolist()
        remainder = tower(x) - sum(orders)
        assert expansion.remainder(x).tolist() == remainder.tolist()

    def test_partial_sums_beyond_what_was_computed_are_refused(self):
        # 2⁴ = 16, and orders 0..2 add up to 11: silence would be a wrong answer.
        expansion = expand(Tower.tied(AffineBranch([[1]]), 4), 2)
        assert expansion.partial_sum([1], 2).tolist() == [11]
        with pytest.raises(InputError, match=r"order"):
            expansion.partial_sum([1], 4)

    def test_representation(self):
        assert repr(expand(3, 2)) == "<Expansion of depth 3 to order 2: 6 terms>"
        assert (
            repr(expand("n", 2, tied=True)) == "<Expansion of symbolic depth to order 2: 2 terms>"
        )

    def test_order_zero(self):
        assert len(expand(3, 0)) == 0
        assert dict(expand(3, 0, decoder=True)) == {Forest(): 1}
        assert expand(BENT, 0).orders([F(1), F(2, 3)]).tolist() == [[F(1), F(2, 3)]]


class TestToSympy:
    @settings(max_examples=20)
    @given(polynomial_towers(depths=(1, 3)), points(2))
    def test_formulas(self, tower, x):
        scale = sympy.Symbol("lambda")
        matrix = expand(tower, 3).to_sympy()
        at = dict(zip(tower.branches[0].variables, map(sympy.sympify, x), strict=True))
        direct = composed_orders(tower, x, 3)
        for coordinate, expression in enumerate(matrix):
            polynomial = sympy.Poly(sympy.sympify(expression).subs(at, simultaneous=True), scale)
            found = [polynomial.coeff_monomial(scale**k) for k in range(4)]
            assert found == [sympy.sympify(row[coordinate]) for row in direct]

    def test_symbols(self):
        scale = sympy.Symbol("lambda")
        expression = expand(2, 3).to_sympy()
        names = {s.name for s in expression.free_symbols}
        assert names == {"lambda", "x", "f_1", "f_2", "f_2' f_1", "f_2''(f_1, f_1)"}
        assert expression.coeff(scale, 3) == sympy.Symbol("f_2''(f_1, f_1)") / 2
        assert expand(1, 1, decoder=True).to_sympy().subs(scale, 0) == sympy.Symbol("D")

    def test_every_depth(self):
        n, scale = sympy.symbols("n lambda")
        expression = expand("n", 2, tied=True).to_sympy()
        assert expression.coeff(scale, 1) == n * sympy.Symbol("f")

    def test_encoders_are_refused(self):
        branch = BENT.branches[0]
        with pytest.raises(InputError, match=r"a tower whose input is the branches' variables"):
            expand(Tower([branch], encoder=branch), 1).to_sympy()


class TestText:
    def test_two_blocks(self):
        assert str(expand(2, 3)) == (
            "H₂(x) = x\n  + λ [ f₁ + f₂ ]\n  + λ² [ f₂′f₁ ]\n  + λ³ [ ½ f₂″(f₁, f₁) ]\n  + O(λ⁴)"
        )

    def test_latex_of_two_blocks(self):
        assert expand(2, 3).latex() == (
            r"H_2(x) = x + \lambda \left[f_1 + f_2\right] + \lambda^{2} \left[f_2' f_1\right]"
            r" + \lambda^{3} \left[\frac{1}{2} f_2''(f_1, f_1)\right] + O(\lambda^{4})"
        )

    def test_a_decoder(self):
        assert str(expand(1, 2, decoder=True)) == (
            "D(H₁(x)) = D\n  + λ [ D′f₁ ]\n  + λ² [ ½ D″(f₁, f₁) ]\n  + O(λ³)"
        )

    def test_every_depth(self):
        assert str(expand("n", 2, tied=True)) == (
            "Hₙ(x) = x\n  + λ [ n f ]\n  + λ² [ n*(n - 1)/2 f′f ]\n  + O(λ³)"
        )

    def test_terms_beyond_the_limit_are_counted(self):
        text = expand(20, 2).text(limit=3)
        assert "f₁ + f₂ + f₃ + … 17 more" in text
        assert "… 187 more" in text
        assert r"\cdots (17)" in expand(20, 1).latex(limit=3)
        assert "more" not in expand(20, 1).text(limit=20)

    def test_numbers_for_scales_are_written(self):
        text = str(expand(Tower.abstract(2, "1/3"), 2))
        assert text == "H₂(x) = x\n  + ⅓ f₁ + ⅓ f₂\n  + 1/9 f₂′f₁\n  + O(λ³)"

    def test_negative_terms_read_well(self):
        text = str(expand(Tower.abstract(2, "-1/2"), 2))
        assert "+ -" not in text
        latex = expand(Tower.abstract(2, "-1/2"), 2).latex()
        assert "+ -" not in latex

    def test_terms_that_are_zero_are_not_written(self):
        text = str(expand(Tower.abstract(2, "skipinit"), 2))
        assert " 0 f" not in text

    def test_notebooks(self):
        shown = expand(2, 1)._repr_latex_()
        assert shown.startswith("$")
        assert shown.endswith("$")
