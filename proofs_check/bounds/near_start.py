r"""Over-parameterised networks near their start: the ingredients of B4, exactly and in balls.

The sandwich holds as an identity in :math:`u = e^{-z}`; certificates are never crossed by exact
Jacobians with any pattern and any weights of the τ-ball, whose norms come from the closed form of
two-by-two matrices; and no change of the last layer errs by more than the worst one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import sympy
from flint import arb
from hypothesis import strategies as st

from expansion.bounds.linearisation import linearisation_errors, worst_last_layer
from expansion.bounds.overparameterized import ResidualClassifier, interlayer_certificate
from expansion.bounds.surrogate import classification_errors
from expansion.towers.arrays import Array
from proofs_check.balls import ball, near
from proofs_check.bounds.generalization import EIGHTHS, SIZES, at_most, entry_sum, squared_norm
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.sampling import sample

__all__ = ["CHECKS", "norm_of_two"]

Surrogate = Callable[[Any], Any]
Errors = Callable[[list[float], list[int]], tuple[float, float, float]]
Certificate = Callable[[list[Array], float, float], float]
Worst = Callable[[ResidualClassifier, Array, float], float]


# --- the sandwich -------------------------------------------------------------------------


def _sandwiched(subject: Surrogate, effort: Effort) -> Evidence:
    """With u = e^(−z): −ℓ' = u·dℓ/du, −ℓ' − ½ has the sign of u − 1, and ℓ + ℓ' grows from 0."""

    def cases() -> Iterator[str | None]:
        u = sympy.Symbol("u", positive=True)
        loss, surrogate = sympy.log(1 + u), subject(u)
        zero = sympy.Integer(0)
        yield difference(sympy.cancel(surrogate - u * sympy.diff(loss, u)), zero, part="−ℓ'")
        left = sympy.cancel(surrogate - sympy.Rational(1, 2) - (u - 1) / (2 * (1 + u)))
        yield difference(left, zero, part="left")
        right = sympy.cancel(sympy.diff(loss - surrogate, u) - u / (1 + u) ** 2)
        yield difference(right, zero, part="right")
        yield difference((loss - surrogate).subs(u, 0), zero, part="start")

    return exhaust(cases(), Verdict.PROVED, "every margin")


def _measured(subject: Errors, effort: Effort) -> Evidence:
    cases = st.lists(st.tuples(EIGHTHS, st.sampled_from([1, -1])), min_size=1, max_size=6)

    def counterexample(case: list[tuple[Fraction, int]]) -> str | None:
        margins = [value * sign for value, sign in case]
        exponentials = [ball(-margin).exp() for margin in margins]
        number, allowance = arb(len(margins)), arb(2) ** -44
        true = (
            ball(Fraction(sum(margin <= 0 for margin in margins), len(margins))),
            sum((u / (1 + u) for u in exponentials), arb(0)) / number,
            sum(((1 + u).log() for u in exponentials), arb(0)) / number,
        )
        claimed = subject([float(value) for value, _ in case], [sign for _, sign in case])
        for one, other in zip(claimed, true, strict=True):
            if found := near(one, other, allowance, margins=margins):
                return found
        inside = claimed[0] / 2 <= claimed[1] + 1e-12 <= claimed[2] + 2e-12
        return difference(inside, True, margins=margins)

    reach = "up to six margins, in balls"
    return sample(cases, counterexample, effort, name="B4 errors", number=80, reach=reach)


def _errors(outputs: list[float], labels: list[int]) -> tuple[float, float, float]:
    found = classification_errors(outputs, labels)
    return found.error, found.surrogate, found.loss


# --- the interlayer certificate -----------------------------------------------------------


@st.composite
def _layers(draw: st.DrawFn) -> tuple[list[Array], list[Array], Fraction, Fraction]:
    """Centres, weights in the ball about them, θ and τ; one in three attains the certificate."""
    number, theta = draw(st.integers(1, 3)), draw(SIZES) / 2
    tau = draw(st.integers(0, 8).map(lambda k: Fraction(k, 8)))
    if draw(st.integers(0, 2)) == 0:
        size = draw(SIZES)
        corner = np.array([[Fraction(1), Fraction(0)], [Fraction(0), Fraction(0)]], dtype=object)
        return [size * corner] * number, [(size + tau) * corner] * number, theta, tau
    matrices = st.lists(EIGHTHS, min_size=4, max_size=4).map(
        lambda entries: np.array(entries, dtype=object).reshape(2, 2)
    )
    centres = draw(st.lists(matrices, min_size=number, max_size=number))
    steps = draw(st.lists(matrices, min_size=number, max_size=number))
    # The sum of the absolute entries is at least the Frobenius norm.
    inside = [c + s * tau / max(entry_sum(s), 1) for c, s in zip(centres, steps, strict=True)]
    return centres, inside, theta, tau


def _certified(subject: Certificate, effort: Effort) -> Evidence:
    def counterexample(case: tuple[list[Array], list[Array], Fraction, Fraction]) -> str | None:
        centres, inside, theta, tau = case
        floats = [np.array(matrix, dtype=np.float64) for matrix in centres]
        log = subject(floats, float(theta), float(tau))
        patterns = list(product([Fraction(0), Fraction(1)], repeat=2))
        for chosen in product(patterns, repeat=len(inside)):
            jacobian = np.array([[Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)]])
            for matrix, gates in zip(inside, chosen, strict=True):
                moved = matrix.T @ jacobian
                jacobian = jacobian + theta * np.array(gates, dtype=object)[:, None] * moved
            norm = norm_of_two(jacobian)
            if not at_most(norm.log() if norm > 0 else arb(-1000), log):
                given = {"centres": centres, "weights": inside, "theta": theta, "tau": tau}
                return difference(math.exp(log), float(norm.mid()), gates=list(chosen), **given)
        return None

    reach = "exact weights of the ball, width 2, up to three layers, every pattern"
    return sample(_layers(), counterexample, effort, name="B4 layers", number=80, reach=reach)


def _certificate(weights: list[Array], theta: float, tau: float) -> float:
    return interlayer_certificate(weights, theta, tau).log_product


def _exponential(weights: list[Array], theta: float, tau: float) -> float:
    return interlayer_certificate(weights, theta, tau).log_exponential


def norm_of_two(matrix: Array) -> arb:
    """‖A‖₂ of a two-by-two matrix, from its trace and determinant.

    Examples
    --------
    >>> norm_of_two(np.array([[Fraction(3), Fraction(0)], [Fraction(0), Fraction(-4)]]))
    4.00000000000000
    """
    trace = squared_norm(matrix)
    determinant = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    inner = ball(trace * trace - 4 * determinant * determinant).nonnegative_part()
    return ((ball(trace) + inner.sqrt()) / 2).sqrt()


def _wrong_certificate(form: Callable[[list[float], float, float], float]) -> Certificate:
    """A certificate from the spectral norms, θ and τ."""

    def wrong(weights: list[Array], theta: float, tau: float) -> float:
        return form([float(np.linalg.norm(weight, 2)) for weight in weights], theta, tau)

    return wrong


def _spectral_radius(weights: list[Array], theta: float, tau: float) -> float:
    radii = [float(np.abs(np.linalg.eigvals(weight)).max()) for weight in weights]
    return sum(math.log1p(theta * (radius + tau)) for radius in radii)


# --- the worst change of the last layer ---------------------------------------------------


@st.composite
def _changes(draw: st.DrawFn) -> tuple[ResidualClassifier, Array, float, Array]:
    """A network with two inputs and four last units, x, τ, and some change of length 1."""
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    weights = [generator.normal(size=(2, 3)), generator.normal(size=(3, 4))]
    network = ResidualClassifier(weights, 0.0, [1.0, 1.0, -1.0, -1.0])
    x = generator.normal(size=2)
    x[0] = abs(x[0]) + 0.1
    step = generator.normal(size=(3, 4)) * generator.integers(0, 2, size=4)
    tau = float(10 ** generator.uniform(-2, 1))
    return network, x, tau, step / max(float(np.linalg.norm(step)), 1e-9)


def _worst_is_worst(subject: Worst, effort: Effort) -> Evidence:
    def counterexample(case: tuple[ResidualClassifier, Array, float, Array]) -> str | None:
        network, x, tau, step = case
        claimed = subject(network, x, tau)
        attained = worst_last_layer(network, x, tau)[1]
        found = []
        for last in (attained, network.weights[-1] + tau * step):
            inside = np.linalg.norm(last - network.weights[-1]) <= tau * (1 + 1e-12)
            moved = [*network.weights[:-1], last]
            found.append(float(linearisation_errors(network, moved, x[None])[0]) if inside else 9e9)
        slack = 1e-9 * (1 + max(found))
        good = abs(claimed - found[0]) <= slack and found[1] <= claimed + slack
        first, second = network.weights
        return difference(good, True, first=first, second=second, x=x, tau=tau, step=step)

    reach = "float networks of width 3, to rounding (1e-9)"
    return sample(_changes(), counterexample, effort, name="B4 worst", number=150, reach=reach)


def _worst(network: ResidualClassifier, x: Array, tau: float) -> float:
    return worst_last_layer(network, x, tau)[0]


def _nearest_kink_alone(network: ResidualClassifier, x: Array, tau: float) -> float:
    state = network.states(x[None])[0][0]
    values = np.abs(state @ network.weights[-1])
    return max(0.0, tau * float(np.linalg.norm(state)) - float(values.min()))


def _both_signs_together(network: ResidualClassifier, x: Array, tau: float) -> float:
    state = network.states(x[None])[0][0]
    values = np.sort(np.abs(state @ network.weights[-1]))
    reach = tau * float(np.linalg.norm(state)) * np.sqrt(np.arange(1, len(values) + 1))
    return max(0.0, float((reach - np.cumsum(values)).max()))


_WRONG_CERTIFICATES: dict[str, Certificate] = {
    "τ forgotten": _wrong_certificate(
        lambda norms, theta, tau: sum(math.log1p(theta * norm) for norm in norms)
    ),
    "first order": _wrong_certificate(
        lambda norms, theta, tau: math.log1p(theta * sum(norm + tau for norm in norms))
    ),
    "the last layer left out": _wrong_certificate(
        lambda norms, theta, tau: sum(math.log1p(theta * (n + tau)) for n in norms[:-1])
    ),
    "spectral radius for norm": _spectral_radius,
}

CHECKS: tuple[Check[Any], ...] = (
    Check(
        "B4",
        "the sandwich",
        _sandwiched,
        lambda u: u / (1 + u),
        {
            "the sign of the margin": lambda u: 1 / (1 + u),
            "its square": lambda u: (u / (1 + u)) ** 2,
            "e^(−2z)": lambda u: u**2 / (1 + u**2),
        },
    ),
    Check(
        "B4",
        "errors in balls",
        _measured,
        _errors,
        {
            "0 counted as right": lambda f, y: (
                sum(a * b < 0 for a, b in zip(f, y, strict=True)) / len(f),
                *_errors(f, y)[1:],
            ),
            "the loss for its slope": lambda f, y: (
                _errors(f, y)[0],
                _errors(f, y)[2],
                _errors(f, y)[2],
            ),
            "labels forgotten": lambda f, y: _errors(f, [1] * len(y)),
        },
    ),
    Check("B4", "certificate never crossed", _certified, _certificate, _WRONG_CERTIFICATES),
    Check("B4", "its exponential never crossed", _certified, _exponential, _WRONG_CERTIFICATES),
    Check(
        "B4",
        "worst change of the last layer",
        _worst_is_worst,
        _worst,
        {
            "the nearest kink alone": _nearest_kink_alone,
            "both readout signs together": _both_signs_together,
            "twice the reach": lambda network, x, tau: _worst(network, x, 2 * tau),
        },
    ),
)
