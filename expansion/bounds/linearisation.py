r"""How far a residual classifier is from its linearisation, against τ (claim B4).

.. math:: \Delta(W, \hat W) = \big| f_{\hat W}(x) - f_W(x)
          - \langle \nabla f_W(x), \hat W - W \rangle \big|

**The worst change of the last layer, exactly.** Change W_{L+1} alone, by at most τ. With
pre-activations :math:`a = W_{L+1}^\top x_L` they move by some δ with ‖δ‖ ≤ ρ = τ‖x_L‖, and every
such δ comes from :math:`x_L \delta^\top / \|x_L\|^2`. Unit j errs by
:math:`\sigma(a_j + \delta_j) - \sigma(a_j) - \sigma'(a_j) \delta_j = \max(0, |\delta_j| - |a_j|)`
where δ_j points across the kink, by 0 otherwise; never below 0. So the largest error on the k units
of one readout sign that are nearest to their kinks is :math:`\rho\sqrt{k} - \sum |a_j|`, at equal
\|δ_j\|, and the worst is the largest of these over k and the two signs.

**The exponent.** At the start the pre-activations are normal of variance 2‖x_L‖²/m. Near 0 the m/2
of one sign are evenly spread, and the sum of the k smallest is about
:math:`\sqrt\pi\, k^2 \|x_L\| / m^{3/2}`. With the best k, where
:math:`k^{3/2} = \tau m^{3/2} / 4\sqrt\pi`, the worst error is about

.. math:: \tfrac34\, 2^{-1/3} (4\pi)^{-1/6}\; \tau^{4/3} \sqrt m\, \|x_L\|
          \approx 0.39\, \tau^{4/3} \sqrt m\, \|x_L\|, \qquad m^{-3/2} \ll \tau \ll 1,

the exponents of the paper's second gap term without its logarithm. Derived. A change along normal
matrices moves no unit across its kink on purpose, and its error falls faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from expansion.bounds.overparameterized import ResidualClassifier, draw_classifier
from expansion.checking import check_count, check_finite
from expansion.errors import InputError

__all__ = [
    "LinearisationLaw",
    "laws_at_start",
    "linearisation_errors",
    "linearisation_law",
    "worst_last_layer",
]

_Array = NDArray[np.float64]
Direction = Literal["normal", "gradient", "worst"]
_DRAWS = 8  # of normal matrices


@dataclass(frozen=True, slots=True)
class LinearisationLaw:
    """Errors at several τ, and the exponent fitted to them.

    Parameters
    ----------
    direction : {"normal", "gradient", "worst"}
        Along what the weights moved.
    taus, errors : tuple of float
        τ, and the mean over the inputs of the error.
    exponent, exponent_error : float
        Slope of log error against log τ, and its standard error in the fit.
    """

    direction: Direction
    taus: tuple[float, ...]
    errors: tuple[float, ...]
    exponent: float
    exponent_error: float


def linearisation_errors(network: ResidualClassifier, moved: Sequence[Any], inputs: Any) -> _Array:
    """|f_Ŵ(x) − f_W(x) − ⟨∇f_W(x), Ŵ − W⟩| for each input.

    Parameters
    ----------
    network : ResidualClassifier
        With the weights W.
    moved : sequence of array_like
        Ŵ.
    inputs : array_like, shape (samples, d)
        x.

    Returns
    -------
    array, shape (samples,)

    Examples
    --------
    >>> network = ResidualClassifier([np.eye(2), np.eye(2)], 0.5, [1.0, -1.0])
    >>> last = [[1.0, 0.0], [0.0, 1.5]]  # no kink is crossed
    >>> linearisation_errors(network, [np.eye(2), last], [[1.0, 2.0]])
    array([0.])
    """
    other = ResidualClassifier(moved, network.theta, network.readout)
    change = other.outputs(inputs) - network.outputs(inputs)
    pairs = zip(network.gradients(inputs), other.weights, network.weights, strict=True)
    linear = sum(np.einsum("nij,ij->n", gradient, new - old) for gradient, new, old in pairs)
    return np.asarray(np.abs(change - linear))


def worst_last_layer(network: ResidualClassifier, x: Any, tau: float) -> tuple[float, _Array]:
    """The largest linearisation error at x when W_{L+1} alone moves by at most τ.

    Parameters
    ----------
    network : ResidualClassifier
        With a readout of ±1.
    x : array_like, shape (d,)
        One input.
    tau : float
        τ ≥ 0.

    Returns
    -------
    error : float
    weight : array, shape (m, m')
        The last matrix that attains it.

    Examples
    --------
    >>> network = ResidualClassifier([np.eye(2), np.eye(2)], 0.5, [1.0, -1.0])
    >>> error, weight = worst_last_layer(network, [1.0, 0.5], 1.0)
    >>> round(error, 3)  # unit 2: ‖x_L‖ − 1/2
    0.618
    """
    if check_finite(tau, "tau") < 0:
        raise InputError("tau of at least 0", tau, "give a distance")
    state, values = _last_state(network, np.asarray(x, dtype=np.float64)[None])
    reach = tau * float(np.linalg.norm(state[0]))
    best, moves = _worst_moves(values[0], network.readout, reach)
    size = float(state[0] @ state[0]) or 1.0
    return best, network.weights[-1] + np.outer(state[0], moves) / size


def _last_state(network: ResidualClassifier, points: _Array) -> tuple[_Array, _Array]:
    """x_L, and the last pre-activations, of every input."""
    if not (np.abs(network.readout) == 1).all():
        raise InputError("a readout of ±1", network.readout, "use this for the paper's network")
    state = network.states(points)[network.depth - 1]
    return state, state @ network.weights[-1]


def _worst_moves(values: _Array, readout: _Array, reach: float) -> tuple[float, _Array]:
    """The largest error over moves δ of the pre-activations with ‖δ‖ ≤ reach, and that δ."""
    best, moves = 0.0, np.zeros_like(values)
    for sign in (1.0, -1.0):
        units = np.flatnonzero(readout == sign)
        units = units[np.argsort(np.abs(values[units]))]
        counts = np.arange(1, len(units) + 1)
        errors = reach * np.sqrt(counts) - np.cumsum(np.abs(values[units]))
        if errors.size and errors.max() > best:
            count = int(errors.argmax()) + 1
            best, moves = float(errors.max()), np.zeros_like(values)
            across = np.where(values[units[:count]] > 0, -1.0, 1.0)
            moves[units[:count]] = across * reach / np.sqrt(count)
    return best, moves


def linearisation_law(
    network: ResidualClassifier,
    inputs: Any,
    taus: Sequence[float],
    direction: Direction = "worst",
    seed: int = 0,
) -> LinearisationLaw:
    """Measure the error at several τ and fit its exponent.

    Parameters
    ----------
    network : ResidualClassifier
        At its start.
    inputs : array_like, shape (samples, d)
        The error is averaged over them.
    taus : sequence of float
        At least three different ones, above 0.
    direction : {"normal", "gradient", "worst"}
        Every matrix moves by τ along normal matrices, or along the mean gradient; or the last
        alone along its worst direction for each input.
    seed : int
        Of the normal matrices.

    Examples
    --------
    >>> network = draw_classifier(8, 256, 4, 0.25)
    >>> law = linearisation_law(network, np.eye(8)[:2], [0.01, 0.02, 0.04, 0.08])
    >>> bool(1.2 < law.exponent < 1.5)
    True
    """
    if direction not in ("normal", "gradient", "worst"):
        raise InputError("a direction: normal, gradient or worst", direction, "choose one")
    if len({check_finite(tau, "tau") for tau in taus}) < 3 or min(taus) <= 0:
        raise InputError("at least three different τ above 0", list(taus), "give e.g. .01 .02 .04")
    points = np.asarray(inputs, dtype=np.float64)
    if direction == "worst":
        states, values = _last_state(network, points)
        sizes = np.linalg.norm(states, axis=1)
        pairs = list(zip(values, sizes, strict=True))
        found = [[_worst_moves(a, network.readout, tau * n)[0] for a, n in pairs] for tau in taus]
    else:
        gradients, start = network.gradients(points), network.outputs(points)
        found = [[] for _ in taus]
        for unit in _directions(network, gradients, direction, seed):
            both = zip(gradients, unit, strict=True)
            rate = sum(np.einsum("nij,ij->n", gradient, step) for gradient, step in both)
            for row, tau in zip(found, taus, strict=True):
                moved = [w + tau * step for w, step in zip(network.weights, unit, strict=True)]
                other = ResidualClassifier(moved, network.theta, network.readout)
                row += list(np.abs(other.outputs(points) - start - tau * rate))
    errors = [float(np.mean(row)) for row in found]
    if min(errors) <= 0:
        raise InputError("τ at which the errors are above 0", list(taus), "enlarge them")
    slope, error = _slope(np.log(taus), np.log(errors))
    return LinearisationLaw(direction, tuple(map(float, taus)), tuple(errors), slope, error)


def laws_at_start(
    width: int, depth: int, *, dimension: int = 8, inputs: int = 4, seed: int = 0
) -> list[LinearisationLaw]:
    """The law in all three directions, for a network at its start with θ = 1/L.

    Parameters
    ----------
    width, depth, dimension : int
        m, L, d.
    inputs : int
        Random ones, with ‖x‖ = 1.
    seed : int
        Of weights and inputs.

    Examples
    --------
    >>> [law.direction for law in laws_at_start(64, 4)]
    ['worst', 'gradient', 'normal']
    """
    network = draw_classifier(
        dimension, width, depth, 1 / check_count(depth, "depth", least=1), seed
    )
    number = check_count(inputs, "inputs", least=1)
    points = np.random.default_rng([seed, 6]).normal(size=(number, dimension))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    taus = list(np.geomspace(0.02, 0.3, 8))
    directions: tuple[Direction, ...] = ("worst", "gradient", "normal")
    return [linearisation_law(network, points, taus, one, seed) for one in directions]


def _directions(
    network: ResidualClassifier, gradients: list[_Array], direction: Direction, seed: int
) -> list[list[_Array]]:
    """For every matrix a step of Frobenius norm 1: several draws, or the mean gradient."""
    if direction == "gradient":
        drawn = [[gradient.mean(axis=0) for gradient in gradients]]
    else:
        generator = np.random.default_rng(check_count(seed, "seed", least=0))
        drawn = [[generator.normal(size=w.shape) for w in network.weights] for _ in range(_DRAWS)]
    return [[step / max(float(np.linalg.norm(step)), 1e-300) for step in one] for one in drawn]


def _slope(x: _Array, y: _Array) -> tuple[float, float]:
    """Least squares slope and its standard error."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    left = y - y.mean() - slope * centred
    return slope, float(np.sqrt(left @ left / (len(x) - 2) / (centred @ centred)))
