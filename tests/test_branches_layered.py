"""Affine and one-hidden-layer branches against plain NumPy, sympy, and finite sums."""

from fractions import Fraction
from math import factorial

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.errors import InputError
from expansion.towers.activations import ACTIVATIONS, activation
from expansion.towers.arrays import as_array, is_exact
from expansion.towers.branches.layered import AffineBranch, MLPBranch, relu_branch, sigmoid_branch
from expansion.towers.branches.symbolic import SymbolicBranch
from proofs_check.strategies import points, rationals

SMOOTH = ["linear", "gelu", "tanh", "erf", "sin"]
# In plain NumPy and scipy-free Python, apart from the project's own functions.
PLAIN = {
    "linear": lambda a: a,
    "relu": lambda a: max(a, 0.0),
    "tanh": lambda a: (np.exp(a) - np.exp(-a)) / (np.exp(a) + np.exp(-a)),
    "sin": np.sin,
    "erf": lambda a: float(sympy.N(sympy.erf(sympy.Float(a, 30)), 20)),
    "gelu": lambda a: (
        a * float(sympy.N((1 + sympy.erf(sympy.Float(a, 30) / sympy.sqrt(2))) / 2, 20))
    ),
}


def matrices(rows, columns):
    entries = st.lists(rationals(), min_size=rows * columns, max_size=rows * columns)
    return entries.map(lambda values: np.array(values, dtype=object).reshape(rows, columns))


def random_branch(name, *, inner=True, outer=True, biases=True, seed=0):
    generator = np.random.default_rng(seed)
    width = 4 if inner and outer else 3
    return MLPBranch(
        generator.normal(size=(3, width)) if outer else None,
        generator.normal(size=(width, 3)) if inner else None,
        generator.normal(size=width) if biases else None,
        generator.normal(size=3) if biases else None,
        name,
    )


class TestAffine:
    @given(matrices(2, 3), points(2), points(3))
    def test_value(self, A, b, x):
        expected = [
            sum(a * v for a, v in zip(row, x, strict=True)) + c for row, c in zip(A, b, strict=True)
        ]
        branch = AffineBranch(A, b)
        assert branch(x).tolist() == expected
        assert (branch.inputs, branch.outputs) == (3, 2)

    @given(matrices(2, 2), points(2), points(2), points(2))
    def test_derivatives(self, A, b, x, v):
        branch = AffineBranch(A, b)
        assert branch.derivative(x, [v]).tolist() == (branch(x + v) - branch(x)).tolist()
        assert branch.derivative(x, [v, v]).tolist() == [0, 0]
        assert branch.derivative(x, [v] * 4).tolist() == [0, 0]

    @given(matrices(2, 2), points(2), st.lists(points(2), min_size=1, max_size=4))
    def test_jet(self, A, b, coefficients):
        without_bias, branch = AffineBranch(A), AffineBranch(A, b)
        expected = [branch(coefficients[0]), *map(without_bias, coefficients[1:])]
        assert branch.jet(np.stack(coefficients)).tolist() == [list(row) for row in expected]

    @given(matrices(2, 2), points(2), points(2), points(2))
    def test_frozen_is_the_branch_itself(self, A, b, x, v):
        branch = AffineBranch(A, b)
        frozen = branch.frozen(x)
        assert (frozen.linear(v) + frozen.offset).tolist() == branch(v).tolist()

    def test_batches(self):
        branch = AffineBranch(np.eye(2) * 2, [1.0, 0.0])
        batch = np.arange(12.0).reshape(3, 2, 2)
        assert (branch(batch) == batch * 2 + np.array([1.0, 0.0])).all()
        assert branch.frozen(batch).offset.shape == (3, 2, 2)


class TestMLP:
    @pytest.mark.parametrize("name", ACTIVATIONS)
    @pytest.mark.parametrize(("inner", "outer"), [(True, True), (True, False), (False, True)])
    @pytest.mark.parametrize("biases", [True, False])
    def test_value_neuron_by_neuron(self, name, inner, outer, biases):
        f = random_branch(name, inner=inner, outer=outer, biases=biases)
        x = np.array([0.3, -1.2, 0.7])
        U = f.inner if inner else np.eye(3)
        V = f.outer if outer else np.eye(3)
        hidden = [
            PLAIN[name](
                sum(u * v for u, v in zip(row, x, strict=True)) + (f.inner_bias[i] if biases else 0)
            )
            for i, row in enumerate(U)
        ]
        expected = [
            sum(v * h for v, h in zip(row, hidden, strict=True))
            + (f.outer_bias[i] if biases else 0)
            for i, row in enumerate(V)
        ]
        assert f(x) == pytest.approx(expected, rel=1e-14, abs=1e-15)
        assert (f.inputs, f.outputs) == (3, 3)

    @pytest.mark.parametrize("name", ["linear", "tanh", "erf", "sin"])
    @settings(max_examples=25)
    @given(
        V=matrices(2, 2),
        U=matrices(2, 2),
        b=points(2),
        c=points(2),
        x=points(2),
        v=points(2),
        w=points(2),
    )
    def test_the_same_branch_written_as_formulas(self, name, V, U, b, c, x, v, w):
        variables = sympy.symbols("x1:3")
        function = {"linear": lambda a: a}.get(name) or getattr(sympy, name)
        rational = np.vectorize(
            lambda q: sympy.Rational(q.numerator, q.denominator), otypes=[object]
        )
        hidden = [function(a) for a in rational(U) @ np.array(variables) + rational(b)]
        formulas = SymbolicBranch(variables, tuple(rational(V) @ np.array(hidden) + rational(c)))
        f = MLPBranch(V, U, b, c, name)
        at = [np.array(p, dtype=float) for p in (x, v, w)]
        scale = 1 + max(float(np.abs(formulas.derivative(at[0], [d])).max()) for d in at)
        for ours, theirs in (
            (f(at[0]), formulas(at[0])),
            (f.derivative(at[0], at[1:2]), formulas.derivative(at[0], at[1:2])),
            (f.derivative(at[0], at[1:]), formulas.derivative(at[0], at[1:])),
            (f.jet(np.stack(at)), formulas.jet(np.stack(at))),
        ):
            # Up to 3³ products of entries up to 3 in another order of summation.
            assert np.abs(ours - theirs).max() <= 1e-13 * scale * 27

    @pytest.mark.parametrize("name", SMOOTH)
    def test_jet_along_a_line_is_the_derivatives(self, name):
        f = random_branch(name, seed=2)
        x, v = np.array([0.3, -0.2, 0.5]), np.array([1.0, 0.5, -0.5])
        jet = f.jet(np.stack([x, v, *[x * 0] * 4]))
        for m in range(1, 6):
            expected = f.derivative(x, [v] * m) / factorial(m)
            assert jet[m] == pytest.approx(expected, rel=1e-12, abs=1e-14)
        assert jet[0] == pytest.approx(f(x), rel=1e-15)

    @pytest.mark.parametrize("name", ACTIVATIONS)
    @pytest.mark.parametrize("biases", [True, False])
    @pytest.mark.parametrize("seed", range(5))
    def test_frozen_equals_the_branch_where_it_was_frozen(self, name, biases, seed):
        f = random_branch(name, biases=biases, seed=seed)
        x = np.random.default_rng(seed).normal(size=(2, 3))
        frozen = f.frozen(x)
        assert frozen.linear(x) + frozen.offset == pytest.approx(f(x), rel=1e-13, abs=1e-14)
        # Affine, and without biases linear.
        doubled = frozen.linear(2 * x)
        assert doubled == pytest.approx(2 * frozen.linear(x), rel=1e-15)
        assert biases or not frozen.offset.any()
        # The negative control: elsewhere the gates are different.
        if name != "linear":
            assert not np.allclose(frozen.linear(-3 * x) + frozen.offset, f(-3 * x), rtol=1e-3)

    def test_exact_weights_give_exact_relu(self):
        f = relu_branch([[1, Fraction(1, 2)], [0, 1]], [[1, -1], [2, 0]])
        found = f(as_array([1, 3], "x"))
        assert is_exact(found)
        assert found.tolist() == [1, 2]

    def test_exact_weights_meet_floats(self):
        f = MLPBranch([[Fraction(1, 3)]], [[2]], [Fraction(1, 2)], [1], "tanh")
        value = f(np.array([0.25]))
        assert value.dtype == np.float64
        assert value[0] == pytest.approx(np.tanh(1.0) / 3 + 1, rel=1e-15)

    def test_relu_branch_without_inner_matrix(self):
        f = relu_branch([[2, 0], [0, 2]])
        assert f(as_array([-1, 3], "x")).tolist() == [0, 6]
        assert f.activation is activation("relu")

    def test_activation_objects_are_taken(self):
        chosen = activation("sin")
        assert MLPBranch([[1.0]], activation=chosen).activation is chosen


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AffineBranch([1, 2]), r"affine branch matrix must be a matrix; got shape \(2,\)"),
        (lambda: AffineBranch([[1, 2], [3]]), "affine branch matrix must hold numbers"),
        (lambda: AffineBranch([[float("nan")]]), "affine branch matrix must hold finite numbers"),
        (lambda: AffineBranch([[1]], [1, 2]), "affine branch bias must fit .* 2 entries .* 1 rows"),
        (lambda: AffineBranch([[1]], [[1]]), "affine branch bias must be a vector"),
        (lambda: MLPBranch(), "an inner or an outer matrix; got neither; give outer=, inner="),
        (lambda: MLPBranch(inner_bias=[1.0]), "an inner or an outer matrix"),
        (lambda: MLPBranch([[1.0, 2.0]], [[1.0]]), "widths fit; got 1 hidden units into 2"),
        (lambda: MLPBranch([[1.0]], [[1.0]], [1.0, 2.0]), "the inner bias must fit its matrix"),
        (lambda: MLPBranch([[1.0]], [[1.0]], None, [1.0, 2.0]), "the outer bias must fit"),
        (lambda: MLPBranch([[np.inf]]), "outer matrix must hold finite numbers"),
        (lambda: MLPBranch([[1.0]], inner_bias=[np.nan]), "inner bias must hold finite numbers"),
        (lambda: MLPBranch([["a"]]), "outer matrix must hold numbers"),
        (lambda: MLPBranch([[1.0]], activation="swish"), "an activation among linear, relu"),
        (lambda: relu_branch([[1, 2]], [[1]]), "widths fit"),
    ],
)
def test_what_does_not_fit_is_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: MLPBranch(outer=np.eye(2), inner_bias=[1.0, 2.0, 3.0]),
        lambda: MLPBranch(inner=np.eye(2), outer_bias=[1.0, 2.0, 3.0]),
    ],
    ids=["inner bias without inner matrix", "outer bias without outer matrix"],
)
def test_biases_without_their_matrix_must_fit_the_other(build):
    with pytest.raises(InputError, match=r"bias must fit"):
        build()


@pytest.mark.parametrize("chosen", [None, 3, np.tanh])
def test_activations_of_another_kind_are_refused(chosen):
    with pytest.raises(InputError, match=r"activation"):
        MLPBranch([[1.0]], activation=chosen)


def test_branches_are_frozen():
    with pytest.raises(AttributeError):
        AffineBranch([[1]]).matrix = None


class TestSigmoid:
    def test_it_is_the_logistic_function(self):
        outer, inner = [[1.0, -2.0], [0.5, 3.0]], [[1.0, 0.5], [-1.0, 2.0]]
        f = sigmoid_branch(outer, inner, [0.25, -1.0], [1.0, 2.0])
        x = np.array([0.3, -0.7])
        hidden = 1 / (1 + np.exp(-(np.array(inner) @ x + [0.25, -1.0])))
        assert f(x) == pytest.approx(np.array(outer) @ hidden + [1.0, 2.0], rel=1e-14)
        frozen = f.frozen(x)
        assert frozen.linear(x) + frozen.offset == pytest.approx(f(x), rel=1e-14)

    def test_exact_stays_exact(self):
        f = sigmoid_branch([[1, 2]], [[1], [3]], outer_bias=[1])
        assert f.is_exact
        assert f(as_array([0], "x")).tolist() == [Fraction(5, 2)]

    @pytest.mark.parametrize(("inner", "bias"), [(None, [1]), ([[1], [3]], [1, 2, 3])])
    def test_what_does_not_fit_is_refused(self, inner, bias):
        with pytest.raises(InputError):
            sigmoid_branch([[1, 2]], inner, outer_bias=bias)
