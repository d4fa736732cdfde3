"""Certified truncation (B1): the truth lies inside, mistakes do not, and how sharp it is."""

import json
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
from bounds_towers import MP, as_mp, random_tower
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion.bounds import complex_range, remainder
from expansion.bounds.ball_series import encoded, orders_in_balls
from expansion.bounds.balls import PRECISION, ball, norm, upwards
from expansion.bounds.branch_majorants import direct_bound
from expansion.bounds.remainder import certified_truncation
from expansion.bounds.tower_majorant import TowerMajorant
from expansion.errors import InputError
from expansion.series.jets import jet_orders
from expansion.towers.activations import Activation, activation
from expansion.towers.branches.layered import (
    AffineBranch,
    MLPBranch,
    relu_branch,
    sigmoid_branch,
)
from expansion.towers.branches.symbolic import SymbolicBranch
from expansion.towers.files import SavedTower, embedded_tower, save_tower
from expansion.towers.tower import Tower
from proofs_check.strategies import points, polynomial_towers

ORDER = 4
X = sympy.Symbol("x")


def violations(found, factor=1):
    """How many bounds, shrunk by a factor, lie below the truth."""
    truths = [*found.orders[1:], found.tail]
    bounds = [
        [*found.majorant.orders[1 : found.order + 1], found.majorant.tail(found.order)],
        [*map(found.cauchy.order, range(1, found.order + 1)), found.cauchy.tail(found.order)],
    ]
    return sum(bool(b * factor < t) for each in bounds for b, t in zip(each, truths, strict=True))


def ratios_over(seeds):
    tails, crossed, shrunk, finite = [], 0, 0, 0
    for seed in seeds:
        found = certified_truncation(*random_tower(seed), ORDER)
        crossed += violations(found)
        shrunk += violations(found, arb(1) / 2)
        finite += bool(found.tail_bound().is_finite())
        ratio = found.ratios()[-1]
        if ratio is not None and math.isfinite(ratio):
            tails.append(ratio)
    return np.array(tails), crossed, shrunk, finite


def test_no_bound_is_crossed_and_a_halved_one_is():
    tails, crossed, shrunk, finite = ratios_over(range(300))
    assert crossed == 0
    assert shrunk > 100  # the saboteur: half of each bound
    assert finite > 200
    assert tails.min() >= 1
    assert np.median(tails) < 40  # how sharp: bound/truth of the tail after order 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_no_bound_is_crossed_in_ten_thousand_towers(part):
    tails, crossed, shrunk, _ = ratios_over(range(1000 * part, 1000 * (part + 1)))
    assert crossed == 0
    assert shrunk > 400
    assert tails.min() >= 1


# ---- The truth, by other routes --------------------------------------------------------------


def in_high_precision(tower, x, z):
    """The output at scales zλ by composing the blocks in complex numbers of mpmath."""

    def affine(matrix, bias, u):
        rows = [
            mpmath.fsum(mpmath.mpf(w) * a for w, a in zip(row, u, strict=True)) for row in matrix
        ]
        return (
            rows if bias is None else [r + mpmath.mpf(b) for r, b in zip(rows, bias, strict=True)]
        )

    def apply(branch, u):
        if isinstance(branch, AffineBranch):
            return affine(branch.matrix, branch.bias, u)
        function = MP[branch.activation.name]
        hidden = [function(a) for a in affine(branch.inner, branch.inner_bias, u)]
        return affine(branch.outer, branch.outer_bias, hidden)

    state = [mpmath.mpf(float(a)) for a in x]
    if tower.encoder is not None:
        state = apply(tower.encoder, state)
    for scale, branch in zip(tower.scales, tower.branches, strict=True):
        scale = mpmath.mpf(scale.numerator) / scale.denominator
        state = [u + z * scale * f for u, f in zip(state, apply(branch, state), strict=True)]
    return state if tower.decoder is None else apply(tower.decoder, state)


def layered_cases(count):
    towers = map(random_tower, range(4 * count))
    return [case for case in towers if not isinstance(case[0].branches[0], SymbolicBranch)][:count]


@pytest.mark.parametrize("case", range(12))
def test_output_and_orders_against_composition_in_high_precision(case):
    tower, x = layered_cases(12)[case]
    found = certified_truncation(tower, x, ORDER)
    with mpmath.workdps(60):
        output = in_high_precision(tower, x, mpmath.mpf(1))
        for held, true in zip(found.output, output, strict=True):
            assert abs(as_mp(held) - true) <= 1e-30 * (1 + abs(true))
            assert held.rad() <= 1e-20 * (1 + abs(float(true)))
        # Order k as a mean over a circle of z: another route than power series. What aliases
        # is of order k + 64, on a circle where that is nothing.
        turns, radius = 64, mpmath.mpf(10) ** -3
        circle = [mpmath.expjpi(mpmath.mpf(2 * j) / turns) for j in range(turns)]
        values = [in_high_precision(tower, x, radius * w) for w in circle]
        for k, held in enumerate(found.orders):
            part = [
                mpmath.fsum(v[i] * w ** (-k) for v, w in zip(values, circle, strict=True))
                / (turns * radius**k)
                for i in range(len(output))
            ]
            size = mpmath.sqrt(mpmath.fsum(abs(p) ** 2 for p in part))
            assert abs(as_mp(held) - size) <= 1e-25 * (1 + size)


@settings(max_examples=40)
@given(polynomial_towers(depths=(1, 3), ends=True), points(2))
def test_exact_towers_lie_inside(tower, x):
    found = certified_truncation(tower, x, ORDER)
    orders = jet_orders(tower, x, ORDER)
    with ctx.workprec(PRECISION):
        for k, part in enumerate(orders):
            true = norm(ball(entry) for entry in part)
            assert found.orders[k].overlaps(true)
            assert k == 0 or not found.bound(k) < true
        for held, true in zip(found.output, tower(x), strict=True):
            assert held.overlaps(ball(true))
        beyond = norm(ball(entry) for entry in tower(x) - orders.sum(axis=0))
        assert found.tail.overlaps(beyond)
        assert not found.tail_bound() < beyond


def test_partial_sum_and_tail_hold_the_output():
    tower, x = Tower.tied(sigmoid_branch([[0.5]], [[1.0]]), 6, "1/n"), [0.25]
    found = certified_truncation(tower, x, 3)
    partial = sum((row[0] for row in orders_in_balls(tower, x, 3)[:-1]), arb(0))
    interval = partial + arb(0, found.tail_bound().upper())
    assert interval.contains(found.output[0].mid())
    assert float(found.output[0]) == pytest.approx(tower(x)[0], rel=1e-14)


def test_deep_towers_get_the_bits_they_need():
    g = np.random.default_rng(5)
    branches = [MLPBranch(g.normal(size=(4, 4)), g.normal(size=(4, 4))) for _ in range(150)]
    found = certified_truncation(Tower(tuple(branches), "1/sqrt(n)"), g.normal(size=4), 2)
    assert found.tail.rad() <= 1e-12 * found.tail.mid()
    assert found.is_vacuous


# ---- The theorem -----------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.integers(0, 300), st.floats(-8, 8))
def test_any_radius_is_certified(seed, exponent):
    # However badly ρ is chosen, the bound holds.
    tower, x = random_tower(seed)
    found = certified_truncation(tower, x, ORDER)
    with ctx.workprec(PRECISION):
        start = encoded(tower, x)
        _, direct = remainder._majorants(tower, start, 40)
        chosen = remainder._at_radius(found.majorant, direct, ball(2.0**exponent))
        for k in range(1, ORDER + 1):
            assert not chosen.order(k) < found.orders[k]
        assert not chosen.tail(ORDER) < found.tail


def test_rho_is_worth_choosing():
    found = certified_truncation(Tower.tied(MLPBranch([[0.5]], [[1.0]]), 4, "1/n"), [0.5], 3)
    tails = []
    for factor in (0.25, 0.5, 2, 4):
        start = [ball(0.5)]
        _, direct = remainder._majorants(
            Tower.tied(MLPBranch([[0.5]], [[1.0]]), 4, "1/n"), start, 40
        )
        other = remainder._at_radius(found.majorant, direct, found.cauchy.rho * factor)
        tails.append(other.tail(3))
    assert all(found.cauchy.tail(3) <= tail for tail in tails)


def test_the_majorant_is_never_worse_than_cauchy_with_the_same_majorant():
    for seed in range(40):
        tower, x = random_tower(seed)
        found = certified_truncation(tower, x, ORDER).majorant
        with ctx.workprec(PRECISION):
            for rho in (ball(2.0**k) for k in range(-6, 4)):
                pairs = zip(found.scales, found.branches, strict=True)
                q = sum((scale * b(rho) for scale, b in pairs), arb(0)) / rho
                reach = (
                    rho
                    if found.decoder is None
                    else (found.decoder(rho) - found.decoder.coefficients[0])
                )
                for k in range(1, ORDER + 1):
                    assert not found.orders[k] > reach * q**k * (1 + arb(2) ** -100)


def test_attained_without_cancellation():
    branch = SymbolicBranch((X,), (sympy.exp(X),))
    tower = Tower.tied(branch, 3, "1/5")
    found = certified_truncation(tower, [0], 8)
    assert found.ratios()[1:-1] == pytest.approx([1.0] * 8, rel=1e-12)
    assert found.ratios()[-1] == pytest.approx(1, rel=1e-3)


def test_polynomials_end():
    tower = Tower.tied(SymbolicBranch((X,), (X**2 + 1,)), 3)
    found = certified_truncation(tower, [2], 7)
    assert found.majorant.degree == 7
    assert found.tail_bound() == 0
    assert found.orders_needed(1e-300) == 7
    assert certified_truncation(tower, [2], 2).tail_bound(6) > 0


def test_a_tower_that_does_not_move():
    found = certified_truncation(Tower.tied(MLPBranch([[1.0]], [[1.0]]), 3), [0.0], 2)
    assert [upwards(b) for b in found.orders] == [0, 0, 0]
    assert found.tail_bound() == 0 or found.tail_bound() < 1e-30


@pytest.mark.parametrize("name", ["tanh", "erf", "gelu", "sin"])
@pytest.mark.parametrize("weight", [1e-200, 1e20, 1e200])
@pytest.mark.parametrize("bias", [0.0, 50.0, -50.0])
def test_extreme_weights_give_bounds_all_the_same(name, weight, bias):
    branch = MLPBranch([[weight]], [[weight]], [bias], None, name)
    found = certified_truncation(Tower.tied(branch, 3, "0.1"), [1.0], 3)
    assert all(bound.is_finite() for bound in map(found.bound, range(4)))
    assert violations(found) == 0
    told = json.dumps(found.to_dict(1e-3), allow_nan=False)
    assert json.loads(told)["vacuous"] == found.is_vacuous


def test_one_over_n_is_the_scale_at_which_depth_drops_out():
    branch = MLPBranch([[0.5]], [[1.0]])
    radius = {
        rule: [
            float(certified_truncation(Tower.tied(branch, n, rule), [1.0], 2).majorant.radius)
            for n in (16, 64, 256)
        ]
        for rule in ("1/n", "1/sqrt(n)")
    }
    assert radius["1/n"] == pytest.approx([radius["1/n"][1]] * 3, rel=0.2)
    quotients = np.array(radius["1/sqrt(n)"])[:-1] / np.array(radius["1/sqrt(n)"])[1:]
    assert quotients == pytest.approx([2, 2], rel=0.25)


class TestOrdersNeeded:
    def test_the_least_that_is_certified(self):
        found = certified_truncation(Tower.tied(MLPBranch([[0.5]], [[1.0]]), 4, "1/n"), [1.0], 2)
        for accuracy in (1.0, 1e-3, 1e-9, 1e-60, 1e-200):
            needed = found.orders_needed(accuracy)
            assert found.tail_bound(needed) <= accuracy
            assert needed == 0 or found.tail_bound(needed - 1) > accuracy
        again = certified_truncation(
            Tower.tied(MLPBranch([[0.5]], [[1.0]]), 4, "1/n"), [1.0], found.orders_needed(1e-9)
        )
        assert again.tail <= 1e-9

    def test_none_where_none_is_certified(self):
        found = certified_truncation(Tower.tied(MLPBranch([[4.0]], [[2.0]]), 9), [1.0], 2)
        assert found.orders_needed(1.0) is None
        assert found.is_vacuous
        assert all(bound.is_finite() for bound in map(found.bound, range(3)))

    @pytest.mark.parametrize("accuracy", [0, -1e-3, math.inf, math.nan])
    def test_what_is_no_accuracy_is_refused(self, accuracy):
        found = certified_truncation(Tower.tied(AffineBranch([[1]]), 2), [1], 1)
        with pytest.raises(InputError, match="an accuracy above zero"):
            found.orders_needed(accuracy)

    def test_orders_that_were_not_asked_for_are_refused(self):
        found = certified_truncation(Tower.tied(AffineBranch([[1]]), 2), [1], 1)
        with pytest.raises(InputError, match="an order up to 1"):
            found.bound(2)


# ---- Saboteurs -------------------------------------------------------------------------------


def crossed_with(monkeypatch, module, name, wrong, seeds=range(30)):
    monkeypatch.setattr(module, name, wrong)
    count = 0
    for seed in seeds:
        count += violations(certified_truncation(*random_tower(seed), ORDER))
    return count


def test_a_majorant_without_absolute_values_is_caught(monkeypatch):
    true = TowerMajorant

    def signed(scales, branches, decoder, order):
        halves = tuple(
            type(b)((b.coefficients[0], b.coefficients[1] / 2, *b.coefficients[2:]), b.size, b.rate)
            for b in branches
        )
        return true(scales, halves, decoder, order)

    assert crossed_with(monkeypatch, remainder, "TowerMajorant", signed) > 0


def test_squared_scales_are_caught(monkeypatch):
    true = TowerMajorant

    def squared(scales, *rest):
        return true(tuple(s * s for s in scales), *rest)

    assert crossed_with(monkeypatch, remainder, "TowerMajorant", squared) > 0


def test_real_discs_are_caught(monkeypatch):
    # As if tanh were bounded by 1 on every ball: ρ grows, and the tail is said to vanish.
    monkeypatch.setattr(complex_range, "_tanh_bound", lambda size, t: arb(1))
    tower = Tower.tied(MLPBranch([[1.0]], [[2.0]]), 4, "0.4")
    with ctx.workprec(PRECISION):
        start = [ball(0.3)]
        found = certified_truncation(tower, [0.3], ORDER)
        own = direct_bound(tower.branches[0], start)
        wrong = remainder._at_radius(found.majorant, [own] * 4, ball(2.0**12))
    assert wrong.q < 1
    assert wrong.tail(ORDER) < found.tail


# ---- What has no bound -----------------------------------------------------------------------


class Opaque(AffineBranch):
    """A subclass may be another map: nothing is known of it."""


@pytest.mark.parametrize(
    ("tower", "told"),
    [
        (Tower((AffineBranch([[1]]), relu_branch([[1]]))), "relu in block 2, which has a kink"),
        (
            Tower((MLPBranch([[1.0]], activation=Activation("swish", *[abs] * 3)),)),
            "swish in block 1, of which no bound is known",
        ),
        (Tower.abstract(2), "AbstractBranch in block 1"),
        (Tower((AffineBranch([[1]]), Opaque([[1]]))), "Opaque in block 2"),
        (Tower((AffineBranch([[1]]),), decoder=relu_branch([[1]])), "relu in the decoder"),
        (Tower((AffineBranch([[1]]),), encoder=relu_branch([[1]])), "relu in the encoder"),
        (
            Tower((SymbolicBranch((X,), (sympy.Function("g")(X),)),)),
            "g in block 1",
        ),
        (Tower((SymbolicBranch((X,), (sympy.log(X - 2),)),)), "block 1, singular at the input"),
        (Tower((SymbolicBranch((X,), (1 / (X - 1),)),)), "block 1, singular at the input"),
        (Tower((AffineBranch([[1]]),), "lambda"), "scales with values; got lambda"),
    ],
)
def test_what_has_no_bound_is_named(tower, told):
    with pytest.raises(InputError) as caught:
        certified_truncation(tower, [1], 2)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("x", [[math.nan], [1, 2], [1j], [[1.0]], "x"])
def test_inputs_that_do_not_fit_are_refused(x):
    with pytest.raises(InputError):
        certified_truncation(Tower((AffineBranch([[1]]),)), x, 2)


def test_complex_weights_are_refused():
    with pytest.raises(InputError, match="a real number"):
        certified_truncation(Tower((AffineBranch([[1j]]),)), [1.0], 2)


def test_weights_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="finite"):
        MLPBranch([[math.inf]], [[1.0]])
    assert activation("tanh").name == "tanh"


# ---- The command -----------------------------------------------------------------------------


def test_the_shipped_network(answer):
    told = answer("bound", "remainder", "--order", "3", "--accuracy", "1e-3")
    assert told["vacuous"] is True
    assert told["orders_needed"] is None
    assert told["tail"]["bound"] is None
    assert 0.9 < told["radius"] < 1
    network = embedded_tower()
    truth = np.linalg.norm(jet_orders(network.tower, network.inputs[0], 3), axis=1)
    assert [row["truth"] for row in told["orders"]] == pytest.approx(truth.tolist(), rel=1e-9)
    assert all(row["ratio"] >= 1 for row in told["orders"])
    output = network.tower(network.inputs[0])
    for (low, high), y in zip(told["output"], output, strict=True):
        assert low - 1e-12 <= y <= high + 1e-12


def test_another_rule_is_certified(answer):
    told = answer("bound", "remainder", "--rule", "1/n", "--order", "3", "--accuracy", "0.01")
    assert told["vacuous"] is False
    assert told["rule"] == "1/n"
    assert 1 < told["tail"]["ratio"] < 100
    assert told["tail"]["bound"] > told["tail"]["truth"]
    assert told["rho"] > 0
    assert told["q"] > 1  # Cauchy's estimate alone would not do
    assert told["tail"]["log10_bound"] == pytest.approx(math.log10(told["tail"]["bound"]))
    needed = told["orders_needed"]
    enough = answer("bound", "remainder", "--rule", "1/n", "--order", str(needed))
    assert enough["tail"]["bound"] <= 0.01


def test_a_file(answer, command, tmp_path):
    tower = Tower.tied(MLPBranch([[0.25]], [[1.0]]), 4, "1/n")
    path = save_tower(tmp_path / "t.safetensors", SavedTower(tower, np.array([[1.0], [2.0]])))
    told = answer("bound", "remainder", "--weights", path, "--sample", "2", "--order", "2")
    assert told == json.loads(json.dumps(told))
    assert told["orders"][0]["truth"] == 2.0
    code, out, err = command("bound", "remainder", "--weights", path, "--accuracy", "1e-6")
    assert (code, err) == (0, "")
    assert "order 5 is certified to be enough" in " ".join(out.split())
    assert "Cauchy's, ρqᵏ" in out
    assert "here ρ = " in out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--accuracy", "0"], "an accuracy above zero"),
        (["--accuracy", "nan"], "an accuracy above zero"),
        (["--order", "-1"], "order must be a whole number"),
        (["--sample", "65"], "65 of 64"),
        (["--rule", "half"], "leaves the skip alone"),
        (["--format", "csv"], "a format among"),
    ],
)
def test_bad_options_are_one_line(command, options, told):
    code, out, err = command("bound", "remainder", *options)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_exact_inputs_are_exact():
    found = certified_truncation(
        Tower.tied(AffineBranch([[Fraction(1, 3)]]), 2), [Fraction(1, 7)], 2
    )
    with ctx.workprec(PRECISION):
        assert found.output[0].overlaps(ball(Fraction(16, 63)))
        assert found.output[0].rad() <= arb(2) ** -120
