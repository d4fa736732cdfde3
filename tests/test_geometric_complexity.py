"""Geometric complexity: Jacobians by other routes, and its expansion in the scale (B2)."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from expansion import AffineBranch, InputError, MLPBranch, SymbolicBranch, Tower, jet_orders
from expansion.bounds.geometric_complexity import (
    complexity_orders,
    geometric_complexity,
    jacobians,
    measured_lipschitz,
)
from expansion.bounds.sharpness import random_tower
from expansion.towers.files import embedded_tower
from proofs_check.strategies import float_towers, points, polynomial_towers


@given(float_towers(), st.integers(0, 2**32 - 1))
def test_jacobians_are_finite_differences(tower, seed):
    inputs = np.random.default_rng(seed).normal(size=(3, 3))
    found, step = jacobians(tower, inputs), 1e-5
    for a, unit in enumerate(np.eye(3)):
        slope = (tower(inputs + step * unit) - tower(inputs - step * unit)) / (2 * step)
        # Third derivatives of these towers are some 10^3: step² · 10^3 and rounding 1e-11.
        assert found[:, :, a] == pytest.approx(slope, abs=1e-6 * (1 + abs(found).max() ** 3))


@given(polynomial_towers(depths=(1, 3)), points(2))
def test_jacobians_are_exact_by_power_series(tower, point):
    # f(x + z v) as a power series in z: another encoder in front, all else by jets.
    found = jacobians(tower, [point])[0]
    z = sympy.Symbol("z")
    variables = tower.branches[0].variables
    for a in range(2):
        state = [sympy.sympify(v) + (z if i == a else 0) for i, v in enumerate(point)]
        for scale, branch in zip(tower.scales, tower.branches, strict=True):
            values = dict(zip(variables, state, strict=True))
            image = [f.subs(values, simultaneous=True) for f in branch.formulas]
            state = [sympy.expand(s + scale * v) for s, v in zip(state, image, strict=True)]
        slopes = [sympy.Poly(entry, z).coeff_monomial(z) for entry in state]
        assert [Fraction(int(s.p), int(s.q)) for s in slopes] == list(found[:, a])


@given(polynomial_towers(depths=(1, 4)), points(2))
def test_orders_by_the_theorems_own_jets(tower, point):
    # J_k as exact difference quotients of polynomials: derivatives of P_0, P_1, P_2.
    z, units = sympy.Symbol("z"), np.eye(2, dtype=int)
    parts = []
    for unit in units:
        moved = [sympy.sympify(v) + z * int(u) for v, u in zip(point, unit, strict=True)]
        orders = jet_orders(tower, np.array(moved, dtype=object), 2)
        parts.append([[sympy.diff(entry, z).subs(z, 0) for entry in row] for row in orders])
    jacobian = [[[parts[a][k][i] for a in range(2)] for i in range(2)] for k in range(3)]

    def product(j, k):
        return sum(jacobian[j][i][a] * jacobian[k][i][a] for i in range(2) for a in range(2))

    true = [product(0, 0), 2 * product(0, 1), product(1, 1) + 2 * product(0, 2)]
    found = complexity_orders(tower, [point])
    assert [sympy.Rational(v.numerator, v.denominator) for v in found] == true


@given(float_towers(), st.integers(0, 2**32 - 1))
def test_what_is_left_out_is_of_third_order(tower, seed):
    inputs = np.random.default_rng(seed).normal(size=(3, 3))
    left = []
    for factor in (1e-2, 5e-3):
        small = Tower(tower.branches, (factor * tower.rule.floats(tower.depth)).tolist())
        gap = geometric_complexity(small, inputs) - complexity_orders(small, inputs).sum()
        left.append(abs(gap))
    # Halving the scale divides the rest by about 8; rounding is some 1e-14.
    assert left[1] <= left[0] / 5 + 1e-12


def test_the_embedded_networks_ends_are_part_of_it():
    saved = embedded_tower()
    for factor, error in ((0.1, 3e-4), (0.01, 3e-7)):
        scales = (factor * saved.tower.rule.floats(8)).tolist()
        tower = Tower(saved.tower.branches, scales, saved.tower.encoder, saved.tower.decoder)
        orders = complexity_orders(tower, saved.inputs)
        measured = geometric_complexity(tower, saved.inputs)
        assert orders.sum() == pytest.approx(measured, rel=error)
        assert orders[:2].sum() != pytest.approx(measured, rel=error)


@pytest.mark.parametrize("rule", ["1/sqrt(n)", "1/n", "0.5"])
def test_mean_complexity_at_initialisation_grows_as_the_energy(rule):
    # It is the bound that asks for 1/n: the mean itself is d Π(1 + λ²), as in G1.
    generator, trials, depth, dimension = np.random.default_rng(11), 400, 6, 4
    values = []
    for _ in range(trials):
        drawn = random_tower(
            generator, "relu", depth=depth, dimension=dimension, width=8, rule=rule
        )
        # E‖relu(U x)‖² = width/d ‖x‖² and E‖V h‖² = d/width ‖h‖²: energy is preserved.
        values.append(geometric_complexity(drawn, generator.normal(size=(1, dimension))))
    scales = drawn.rule.floats(depth)
    true = dimension * np.prod(1 + scales**2)
    error = np.std(values) / np.sqrt(trials)
    assert abs(np.mean(values) - true) < 4.5 * error  # fixed seed; 4.5 standard errors
    if rule != "1/n":
        assert abs(np.mean(values) - dimension) > 4.5 * error  # it does grow


def test_measured_lipschitz_is_the_largest_jacobian_by_power_iteration():
    tower = random_tower(np.random.default_rng(2), "tanh", depth=5)
    inputs = np.random.default_rng(3).normal(size=(7, 8))
    sizes = []
    for matrix in jacobians(tower, inputs):
        vector = np.ones(8)
        for _ in range(3000):
            vector = matrix.T @ (matrix @ vector)
            vector /= np.linalg.norm(vector)
        sizes.append(np.linalg.norm(matrix @ vector))
    assert measured_lipschitz(tower, inputs) == pytest.approx(max(sizes), rel=1e-9)


def test_exact_towers_give_exact_complexity():
    tower = Tower((AffineBranch([[Fraction(1, 3), 0], [0, 1]]),), Fraction(1, 2))
    assert geometric_complexity(tower, [[1, 2], [3, 4]]) == Fraction(7, 6) ** 2 + Fraction(9, 4)
    assert complexity_orders(tower, [[1, 2]]).tolist() == [2, Fraction(4, 3), Fraction(5, 18)]


def test_bad_input_is_refused():
    x = sympy.Symbol("x")
    tower = Tower((AffineBranch([[1.0]]),), decoder=SymbolicBranch([x], [x**2]))
    with pytest.raises(InputError, match="affine encoder and decoder"):
        complexity_orders(tower, [[1.0]])
    with pytest.raises(InputError, match="at least one input"):
        jacobians(tower, np.zeros((0, 1)))
    with pytest.raises(InputError, match="finite numbers"):
        geometric_complexity(Tower((MLPBranch([[1.0]]),)), [[np.inf]])
