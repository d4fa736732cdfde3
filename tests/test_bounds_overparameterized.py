"""B4: certificates hold on whole balls and for every pattern, the sandwich holds, terms scale."""

import math

import numpy as np
import pytest
from bounds_inputs import unit
from hypothesis import given
from hypothesis import strategies as st

from expansion import (
    InputError,
    ResidualClassifier,
    classification_errors,
    distance_from_start,
    draw_classifier,
    gap_terms,
    interlayer_certificate,
    margin_estimate,
)
from expansion.bounds.linearisation import (
    linearisation_law,
    worst_last_layer,
)
from expansion.bounds.margin import one_against_rest
from expansion.bounds.overparameterized import worst_pattern
from expansion.bounds.overparameterized_sweep import depth_exponents, depth_sweep

SEEDS = st.integers(0, 2**32 - 1)


# --- the network ------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 4), st.sampled_from([0.0, 0.3, 1.0]))
def test_outputs_block_by_block_and_gradients_by_differences(seed, depth, theta):
    network = draw_classifier(3, 4, depth, theta, seed)
    generator = np.random.default_rng(seed)
    x = unit(generator, 3)
    state = np.maximum(network.weights[0].T @ x, 0)
    for weight in network.weights[1:-1]:
        state = state + theta * np.maximum(weight.T @ state, 0)
    state = np.maximum(network.weights[-1].T @ state, 0)
    output = sum(sign * unit for sign, unit in zip([1, 1, -1, -1], state, strict=True))
    assert network.outputs(x[None])[0] == pytest.approx(output, abs=1e-12)
    # A direction small enough that no kink is crossed, in general; f is piecewise smooth.
    steps = [generator.normal(size=w.shape) for w in network.weights]
    slopes = []
    for size in (1e-6, -1e-6):
        moved = [w + size * s for w, s in zip(network.weights, steps, strict=True)]
        changed = ResidualClassifier(moved, theta, network.readout).outputs(x[None])[0]
        slopes.append((changed - output) / size)
    if abs(slopes[0] - slopes[1]) < 1e-3:  # otherwise a kink lies between the two
        gradients = network.gradients(x[None])
        pairs = zip(gradients, steps, strict=True)
        linear = sum(float((gradient[0] * step).sum()) for gradient, step in pairs)
        assert linear == pytest.approx(np.mean(slopes), rel=1e-4, abs=1e-4)


def test_weights_are_drawn_with_the_variance_of_the_paper():
    network = draw_classifier(50, 200, 3, 0.1, seed=3)
    for weight in network.weights:
        # 4 standard errors of a variance over N entries: 4·√(2/N) of it
        assert weight.var() == pytest.approx(2 / 200, rel=4 * math.sqrt(2 / weight.size))
    assert network.readout.sum() == 0
    assert np.linalg.norm(network.weights[1], 2) == pytest.approx(2 * math.sqrt(2), rel=0.05)


# --- the interlayer certificate ---------------------------------------------------------------


def jacobian_norms(weights, theta, gates):
    """‖Π (I + θ D_l W_l^T)‖ for stacks of weights and gates, shapes (trials, layers, m, m)."""
    trials, layers, width = gates.shape
    product = np.broadcast_to(np.eye(width), (trials, width, width))
    for layer in range(layers):
        moved = weights[:, layer].transpose(0, 2, 1) @ product
        product = product + theta * gates[:, layer, :, None] * moved
    return np.linalg.norm(product, 2, axis=(1, 2))


def ball_ratios(networks, per_network, seed, certify):
    """Measured/certified for random weights of τ-balls and random patterns."""
    generator = np.random.default_rng(seed)
    ratios = []
    for number in range(networks):
        layers, width = int(generator.integers(1, 7)), int(generator.integers(1, 6))
        theta, tau = 10 ** generator.uniform(-2, 0.5), 10 ** generator.uniform(-2, 0.5)
        centre = generator.normal(size=(layers, width, width)) * math.sqrt(2 / width)
        if number % 4 == 0:  # aligned: attains the certificate
            centre = np.zeros((layers, width, width))
            centre[:, 0, 0] = generator.uniform(0, 2)
        steps = generator.normal(size=(per_network, layers, width, width))
        if number % 4 == 0:
            steps = np.zeros_like(steps)
            steps[..., 0, 0] = 1.0
        steps /= np.linalg.norm(steps, axis=(2, 3), keepdims=True)
        gates = generator.integers(0, 2, size=(per_network, layers, width)).astype(float)
        gates[0] = 1.0
        norms = jacobian_norms(centre + tau * steps, theta, gates)
        ratios.append(norms / math.exp(certify(list(centre), theta, tau)))
    return np.concatenate(ratios)


def product_form(weights, theta, tau):
    return interlayer_certificate(weights, theta, tau).log_product


def test_no_weights_of_the_ball_cross_the_certificate():
    ratios = ball_ratios(100, 20, 0, product_form)
    assert len(ratios) == 2000
    assert 0.999999 < ratios.max() < 1 + 1e-12
    assert np.median(ratios) < 0.9


@pytest.mark.slow
def test_ten_thousand_weights_of_balls():
    ratios = ball_ratios(500, 40, 1, product_form)
    assert len(ratios) == 20_000
    assert 0.999999 < ratios.max() < 1 + 1e-12


@pytest.mark.parametrize(
    "wrong",
    [
        lambda w, theta, tau: interlayer_certificate(w, theta, 0.0).log_product,
        lambda w, theta, tau: interlayer_certificate(w[1:], theta, tau).log_product,
        lambda w, theta, tau: math.log1p(theta * sum(np.linalg.norm(x, 2) + tau for x in w)),
        lambda w, theta, tau: interlayer_certificate(w, theta / 2, tau).log_exponential,
    ],
    ids=["τ forgotten", "a layer left out", "first order", "half of θ"],
)
def test_wrong_certificates_are_crossed(wrong):
    assert (ball_ratios(100, 20, 0, wrong) > 1 + 1e-9).mean() > 0.01


@given(SEEDS, st.integers(1, 4), st.sampled_from([0.1, 0.5, 2.0]))
def test_the_worst_pattern_by_enumeration_is_below_the_certificate(seed, layers, theta):
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=(layers, 2, 2))
    norm, pattern = worst_pattern(weights, theta)
    attained = jacobian_norms(weights[None], theta, np.array(pattern)[None])[0]
    assert norm == pytest.approx(attained, rel=1e-12)
    found = interlayer_certificate(weights, theta)
    assert math.log(norm) <= found.log_product <= found.log_exponential
    # Patterns between 0 and 1 do no better, nor do those of forward passes.
    gates = generator.uniform(size=(20, layers, 2))
    assert jacobian_norms(np.repeat(weights[None], 20, 0), theta, gates).max() <= norm + 1e-12
    first, last = generator.normal(size=(2, 2)), generator.normal(size=(2, 2))
    network = ResidualClassifier([first, *weights, last], theta, [1.0, -1.0])
    for x in generator.normal(size=(5, 1, 2)):
        real = np.array([gate[0] for gate in network.patterns(x)], dtype=float)
        assert jacobian_norms(weights[None], theta, real[None])[0] <= norm + 1e-12


def test_floating_norms_agree_with_certified_ones():
    weights = draw_classifier(4, 16, 5, 0.2).residual_weights
    exact = interlayer_certificate(weights, 0.2, 0.1)
    quick = interlayer_certificate(weights, 0.2, 0.1, certified=False)
    assert quick.log_product == pytest.approx(exact.log_product, rel=1e-9)
    assert quick.log_product >= exact.log_product


# --- surrogate error --------------------------------------------------------------------------


@given(st.lists(st.floats(-800, 800), min_size=1, max_size=30), SEEDS)
def test_the_sandwich(outputs, seed):
    labels = np.random.default_rng(seed).choice([-1, 1], size=len(outputs))
    found = classification_errors(outputs, labels)
    assert found.error / 2 <= found.surrogate * (1 + 1e-12)
    assert found.surrogate <= found.loss * (1 + 1e-12) + 1e-300
    margins = [math.exp(min(-y * f, 700)) for y, f in zip(labels, outputs, strict=True)]
    assert found.surrogate == pytest.approx(np.mean([u / (1 + u) for u in margins]), rel=1e-9)
    assert 0 <= found.sharpness <= 1 + 1e-12


def test_the_sandwich_is_sharp_on_the_boundary_and_wrong_ones_are_not():
    edge = classification_errors([0.0, 0.0], [1, -1])
    assert (edge.error, edge.surrogate, edge.sharpness) == (1.0, 0.5, 1.0)
    # Without the factor 2, or with the derivative of exp(−z)/4, the inequality breaks at 0.
    assert edge.error > edge.surrogate
    assert edge.error > 2 * 0.25


# --- gap terms --------------------------------------------------------------------------------


def test_gap_terms_and_how_they_scale():
    one = gap_terms(0.1, 100, 1000, 0.01)
    assert one.complexity == pytest.approx(0.1 * math.sqrt(0.1))
    assert one.linearisation == pytest.approx(0.1 ** (4 / 3) * math.sqrt(100 * math.log(100)))
    assert one.confidence == pytest.approx(math.sqrt(math.log(100) / 1000))
    closer, larger = gap_terms(0.0125, 100, 1000, 0.01), gap_terms(0.1, 100, 4000, 0.01)
    assert closer.linearisation == pytest.approx(one.linearisation / 16)
    assert larger.complexity == pytest.approx(one.complexity / 2)
    assert larger.linearisation == one.linearisation
    assert gap_terms(0.0, 1, 10).complexity == 0


def test_distance_from_start_along_a_training():
    network = draw_classifier(3, 4, 3, 0.3)
    moved = [w.copy() for w in network.weights]
    moved[2][0, 0] += 3.0
    moved[1][:, 0] += 1.0
    assert distance_from_start(moved, network.weights) == pytest.approx(3.0)
    assert distance_from_start(network.weights, network.weights) == 0
    # What the τ-ball's certificate covers: the moved network itself.
    tau = distance_from_start(moved, network.weights)
    other = ResidualClassifier(moved, 0.3, network.readout)
    gates = np.array([[gate[0] for gate in other.patterns([[0.6, 0.8, 0.0]])]], dtype=float)
    stack = np.array([other.residual_weights])
    limit = interlayer_certificate(network.residual_weights, 0.3, tau)
    assert jacobian_norms(stack, 0.3, gates)[0] <= math.exp(limit.log_product)


# --- sweeps in depth --------------------------------------------------------------------------


def test_what_is_free_of_the_depth():
    rows = depth_sweep([32, 64, 128, 256], width=32)
    found = depth_exponents(rows)
    expected = {"1/n": 0.0, "1/sqrt(n)": 0.5, "1": 1.0}
    for rule, exponent in expected.items():
        for name, value in found[rule].items():
            assert value == pytest.approx(exponent, abs=0.12), (rule, name)
    largest = next(row for row in rows if (row.rule, row.depth) == ("1/n", 256))
    # e^{c(2√2 + τ)} with c = 1, τ = .1; finite width 32 has norms a little off 2√2.
    assert largest.log_certificate == pytest.approx(2 * math.sqrt(2) + 0.1, rel=0.06)
    for row in rows:
        assert 0 < row.log_growth <= row.log_jacobian + 1e-9 <= row.log_certificate


def test_the_sweep_agrees_with_the_network_itself():
    row = depth_sweep([6], ["0.4"], width=8, dimension=5, tau=0.3, seed=7)[0]
    network = draw_classifier(5, 8, 6, 0.4, 7)
    x = np.random.default_rng([7, 5]).normal(size=5)
    x /= np.linalg.norm(x)
    states = network.states(x[None])
    sizes = [float(np.linalg.norm(state)) for state in states]
    assert row.log_growth == pytest.approx(math.log(sizes[5] / sizes[0]), rel=1e-9)
    gates = np.array([[gate[0] for gate in network.patterns(x[None])]], dtype=float)
    norm = jacobian_norms(np.array([network.residual_weights]), 0.4, gates)[0]
    assert row.log_jacobian == pytest.approx(math.log(norm), rel=1e-9)
    limit = interlayer_certificate(network.residual_weights, 0.4, 0.3).log_product
    assert row.log_certificate == pytest.approx(limit, rel=1e-9)
    worst = worst_last_layer(network, x, 0.3)[0] / (sizes[0] * 0.3 ** (4 / 3) * math.sqrt(8))
    assert row.log_linearisation == pytest.approx(math.log(worst), rel=1e-9)


def test_great_depths_do_not_overflow():
    row = depth_sweep([3000], ["1"], width=4)[0]
    assert row.log_certificate > row.log_jacobian > 800


# --- bad input and the command ----------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: gap_terms(-0.1, 4, 10),
        lambda: gap_terms(math.nan, 4, 10),
        lambda: gap_terms(0.1, 4, 10, 0.0),
        lambda: gap_terms(0.1, 4, 10, 1.0),
        lambda: gap_terms(0.1, 4, 0),
        lambda: interlayer_certificate([np.full((2, 2), np.inf)], 0.1),
        lambda: interlayer_certificate([np.eye(2)], -0.1),
        lambda: interlayer_certificate([np.eye(2)], 0.1, -1.0),
        lambda: interlayer_certificate([np.ones((2, 3))], 0.1),
        lambda: worst_pattern([np.eye(9), np.eye(9)], 0.1),
        lambda: worst_pattern([], 0.1),
        lambda: draw_classifier(2, 3, 2, 0.1),
        lambda: draw_classifier(2, 4, 0, 0.1),
        lambda: draw_classifier(2, 4, 2, -1.0),
        lambda: ResidualClassifier([np.eye(2)], 0.1, [1.0, -1.0]),
        lambda: ResidualClassifier([np.eye(2), np.eye(3)], 0.1, [1.0, -1.0]),
        lambda: ResidualClassifier([np.eye(2), np.eye(2) * np.nan], 0.1, [1.0, -1.0]),
        lambda: draw_classifier(2, 4, 2, 0.1).outputs(np.ones((0, 2))),
        lambda: draw_classifier(2, 4, 2, 0.1).outputs([[1.0]]),
        lambda: draw_classifier(2, 4, 2, 0.1).outputs([[1.0, np.nan]]),
        lambda: distance_from_start([np.eye(2)], [np.eye(3)]),
        lambda: distance_from_start([], []),
        lambda: classification_errors([], []),
        lambda: classification_errors([1.0], [0]),
        lambda: classification_errors([1.0, 2.0], [1]),
        lambda: classification_errors([math.nan], [1]),
        lambda: classification_errors([1.0], ["cat"]),
        lambda: margin_estimate(np.ones((0, 2)), []),
        lambda: margin_estimate([[1.0, 0.0]], [2]),
        lambda: margin_estimate([[1.0, np.inf]], [1]),
        lambda: margin_estimate([[1.0, 0.0]], [1], held_out=([[1.0]], [1])),
        lambda: one_against_rest([[1.0], [2.0]], [0, 1], 5),
        lambda: one_against_rest([[0.0], [2.0]], [0, 1], 1),
        lambda: worst_last_layer(draw_classifier(2, 4, 2, 0.1), [1.0, 0.0], -1.0),
        lambda: linearisation_law(draw_classifier(2, 4, 2, 0.1), [[1.0, 0.0]], [0.1, 0.2]),
        lambda: linearisation_law(draw_classifier(2, 4, 2, 0.1), [[1.0, 0.0]], [1, 2, 3], "up"),
        lambda: depth_sweep([1]),
        lambda: depth_sweep([4], ["batchnorm"]),
        lambda: depth_sweep([4], tau=0.0),
        lambda: depth_exponents(depth_sweep([4], width=4)),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InputError):
        call()


def test_the_command(answer, command):
    options = ("bound", "overparameterized", "--depth", 4, 16, "--rule", "1/n", "--width", 16)
    found = answer(*options, "--distance", 0.1, 0.2, "--samples", 500)
    terms = found["gap_terms_without_their_constants"]
    assert [one["distance"] for one in terms] == [0.1, 0.2]
    assert terms[1]["complexity"] == pytest.approx(gap_terms(0.2, 16, 500).complexity)
    rows = depth_sweep([4, 16], ["1/n"], width=16)
    assert [row["log_certificate"] for row in found["depths"]] == [r.log_certificate for r in rows]
    assert set(found["exponents"]) == {"1/n"}
    assert [law["direction"] for law in found["linearisation"]] == ["worst", "gradient", "normal"]
    code, out, err = command(*options, "--margin", "--features", "50", "--positive", 3)
    assert (code, err) == (0, "")
    assert "Class 3 against the rest" in out
    assert "no bound" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--depth", 1),
        ("--width", 7),
        ("--distance", -1),
        ("--delta", 0),
        ("--rule", "nonsense"),
        ("--margin", "--positive", 11),
        ("--margin", "--features", "none"),
    ],
)
def test_bad_requests_are_one_line(command, arguments):
    code, out, err = command("bound", "overparameterized", "--depth", 2, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
