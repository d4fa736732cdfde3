r"""Over-parameterised residual networks near their initialisation (claim B4).

**The network** (Frei, Cao & Gu 2019, arXiv 1910.02934), with σ = relu and the scale θ a parameter:

.. math:: x_1 = \sigma(W_1^\top x), \quad x_l = x_{l-1} + \theta\, \sigma(W_l^\top x_{l-1})
          \ (2 \le l \le L), \quad x_{L+1} = \sigma(W_{L+1}^\top x_L), \quad f_W(x) = v^\top x_{L+1}

Weights start as N(0, 2/m) with m their number of columns (the width of the layer they feed), the
readout v = ±1 is balanced and fixed. Training stays near the start:
:math:`\tau = \max_l \|W_l - W_l^{(0)}\|_F`.

**Gap terms.** In the paper's shape the test error is at most 2E_S (see
:mod:`~expansion.bounds.surrogate`) plus constants times

.. math:: \tau \sqrt{m/n}, \qquad \tau^{4/3} \sqrt{m \log m}, \qquad \sqrt{\log(1/\delta)/n} .

None contains L. The constants are not known here: the terms are given without them, so that only
their change with τ, m, n and δ means something, and no sum of them is a bound.

**Why L is absent: the interlayer certificate.** Between layers a and b the Jacobian is a product of
:math:`I + \theta D_l W_l^\top`, with D_l diagonal and entries in {0, 1}. For *every* such D_l, and
every W within τ of W^(0) in each layer's Frobenius norm (‖·‖₂ ≤ ‖·‖_F),

.. math:: \Big\| \prod_l (I + \theta D_l W_l^\top) \Big\|_2
          \le \prod_l \big(1 + \theta (\|W_l^{(0)}\|_2 + \tau)\big)
          \le \exp\Big(\theta \sum_l (\|W_l^{(0)}\|_2 + \tau)\Big) .

*Proof.* ‖D_l‖ ≤ 1, norms are submultiplicative, and 1 + t ≤ e^t. A product of linear factors is
convex in each D_l, so over entries in [0, 1] its norm is largest at some pattern of zeros and ones:
enumerating patterns, :func:`worst_pattern`, finds the true worst case of small networks. At
θ = c/L the certificate is e^{c(2√2 + τ)} for square Gaussian weights, whatever L; at θ = c/√L it
is e^{c√L(2√2 + τ)}. Source: derived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expansion.bounds.norms import certified_spectral_norm
from expansion.checking import check_count, check_finite
from expansion.errors import InputError

__all__ = [
    "GapTerms",
    "Interlayer",
    "ResidualClassifier",
    "distance_from_start",
    "draw_classifier",
    "gap_terms",
    "interlayer_certificate",
    "worst_pattern",
]

_Array = NDArray[np.float64]
_MOST_PATTERNS = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class ResidualClassifier:
    """The network, with its weights.

    Parameters
    ----------
    weights : sequence of array_like
        W_1 of shape (d, m), W_2 … W_L of shape (m, m), W_{L+1} of shape (m, m').
    theta : float
        θ ≥ 0.
    readout : array_like, shape (m',)
        v.

    Raises
    ------
    InputError
        For fewer than two matrices, shapes that do not fit, entries that are not finite, θ < 0.

    Examples
    --------
    >>> network = ResidualClassifier([np.eye(2), np.eye(2), np.eye(2)], 0.5, [1.0, -1.0])
    >>> network.outputs([[1.0, 0.2]])
    array([1.2])
    """

    weights: Any  # a tuple of arrays, once constructed
    theta: float
    readout: Any

    def __post_init__(self) -> None:
        matrices = tuple(_matrix(weight) for weight in self.weights)
        readout = np.asarray(self.readout, dtype=np.float64)
        if len(matrices) < 2:
            raise InputError("at least a first and a last matrix", len(matrices), "give W_1, W_2")
        width = matrices[0].shape[1]
        sizes = [matrix.shape for matrix in matrices]
        fits = all(shape == (width, width) for shape in sizes[1:-1]) and sizes[-1][0] == width
        if not fits or readout.shape != (sizes[-1][1],):
            came = f"shapes {sizes} and a readout of shape {readout.shape}"
            raise InputError("(d, m), (m, m) …, (m, m') and a readout (m',)", came, "make them fit")
        if not np.isfinite(readout).all():
            raise InputError("a finite readout", "an infinite or missing entry", "replace it")
        if check_finite(self.theta, "theta") < 0:
            raise InputError("theta of at least 0", self.theta, "give e.g. 1/L")
        object.__setattr__(self, "weights", matrices)
        object.__setattr__(self, "readout", readout)

    @property
    def depth(self) -> int:
        """L: the number of matrices before the last."""
        return len(self.weights) - 1

    @property
    def residual_weights(self) -> tuple[_Array, ...]:
        """W_2 … W_L."""
        return tuple(self.weights[1:-1])

    def states(self, inputs: Any) -> list[_Array]:
        """x_1 … x_{L+1}, each of shape (samples, width)."""
        first, last = self.weights[0], self.weights[-1]
        found = [np.maximum(self._inputs(inputs) @ first, 0.0)]
        for weight in self.residual_weights:
            found.append(found[-1] + self.theta * np.maximum(found[-1] @ weight, 0.0))
        found.append(np.maximum(found[-1] @ last, 0.0))
        return found

    def outputs(self, inputs: Any) -> _Array:
        """f_W(x) for each input, shape (samples,)."""
        return np.asarray(self.states(inputs)[-1] @ self.readout)

    def gradients(self, inputs: Any) -> list[_Array]:
        """∇f_W(x) for each input and matrix, shapes (samples, *matrix); 0 at the kink."""
        points, states = self._inputs(inputs), self.states(inputs)
        before = [points, *states[:-1]]
        back = np.broadcast_to(self.readout, states[-1].shape)
        found = []
        for number in reversed(range(len(self.weights))):
            weight = self.weights[number]
            scale = 1.0 if number in (0, self.depth) else self.theta
            through = scale * back * (before[number] @ weight > 0)
            found.append(before[number][:, :, None] * through[:, None, :])
            skip = 0.0 if number in (0, self.depth) else back
            back = skip + through @ weight.T
        return found[::-1]

    def patterns(self, inputs: Any) -> list[NDArray[np.bool_]]:
        """Which units of the residual layers are on, shapes (samples, m)."""
        before = self.states(inputs)[: self.depth - 1]
        pairs = zip(before, self.residual_weights, strict=True)
        return [state @ weight > 0 for state, weight in pairs]

    def _inputs(self, inputs: Any) -> _Array:
        points = np.asarray(inputs, dtype=np.float64)
        if points.ndim != 2 or not points.size or points.shape[1] != self.weights[0].shape[0]:
            came = f"shape {points.shape}"
            mend = f"give {self.weights[0].shape[0]} numbers per sample"
            raise InputError("inputs of shape (samples, d), at least one", came, mend)
        if not np.isfinite(points).all():
            raise InputError("finite inputs", "an infinite or missing entry", "remove it")
        return points


def draw_classifier(
    dimension: int, width: int, depth: int, theta: float, seed: int = 0
) -> ResidualClassifier:
    """A network at initialisation: W_l ~ N(0, 2/columns), v = ±1 in equal numbers.

    Parameters
    ----------
    dimension, width, depth : int
        d ≥ 1, m ≥ 2 even, L ≥ 1.
    theta : float
        θ.
    seed : int
        The same seed draws the same weights, whatever θ.

    Examples
    --------
    >>> draw_classifier(3, 4, 5, 0.2).depth
    5
    """
    width = check_count(width, "width", least=2)
    if width % 2:
        raise InputError("an even width, for a balanced readout", width, "give an even number")
    generator = np.random.default_rng(check_count(seed, "seed", least=0))
    rows = [check_count(dimension, "dimension", least=1)]
    rows += [width] * check_count(depth, "depth", least=1)
    weights = [generator.normal(scale=math.sqrt(2 / width), size=(size, width)) for size in rows]
    return ResidualClassifier(weights, theta, np.repeat([1.0, -1.0], width // 2))


def distance_from_start(weights: Sequence[Any], start: Sequence[Any]) -> float:
    """τ: the largest Frobenius distance of a matrix from where it started.

    Parameters
    ----------
    weights, start : sequences of array_like
        Matrices of the same shapes.

    Raises
    ------
    InputError
        When they do not fit, there are none, or an entry is not finite.

    Examples
    --------
    >>> distance_from_start([np.eye(2), np.ones((1, 2))], [np.zeros((2, 2)), np.ones((1, 2))])
    1.4142135623730951
    """
    pairs = [[_matrix(one) for one in some] for some in (weights, start)]
    shapes = [[one.shape for one in some] for some in pairs]
    if not pairs[0] or shapes[0] != shapes[1]:
        raise InputError("weights of the shapes they started with", shapes, "make them fit")
    return max(float(np.linalg.norm(a - b)) for a, b in zip(*pairs, strict=True))


@dataclass(frozen=True, slots=True)
class GapTerms:
    """The three terms of the gap, each without its constant.

    Parameters
    ----------
    complexity : float
        τ√(m/n).
    linearisation : float
        τ^{4/3}√(m log m).
    confidence : float
        √(log(1/δ)/n).
    """

    complexity: float
    linearisation: float
    confidence: float


def gap_terms(tau: float, width: int, samples: int, delta: float = 0.05) -> GapTerms:
    """The terms of the published shape; their constants are not known.

    Parameters
    ----------
    tau : float
        τ ≥ 0.
    width, samples : int
        m and n, at least 1.
    delta : float
        0 < δ < 1.

    Raises
    ------
    InputError
        For τ outside [0, 1e100], or δ outside (0, 1).

    Examples
    --------
    >>> terms = gap_terms(0.1, 100, 10_000)
    >>> round(terms.complexity, 4), round(terms.linearisation, 4), round(terms.confidence, 4)
    (0.01, 0.9961, 0.0173)
    """
    m = check_count(width, "width", least=1)
    n = check_count(samples, "samples", least=1)
    if not 0 <= check_finite(tau, "tau") <= 1e100:
        raise InputError("tau from 0 to 1e100", tau, "give a distance")
    if not 0 < check_finite(delta, "delta") < 1:
        raise InputError("delta between 0 and 1", delta, "give e.g. 0.05")
    return GapTerms(
        tau * math.sqrt(m / n),
        tau ** (4 / 3) * math.sqrt(m * math.log(m)),
        math.sqrt(-math.log(delta) / n),
    )


@dataclass(frozen=True, slots=True)
class Interlayer:
    """Bounds of the residual layers' Jacobian on a τ-ball, for every pattern.

    Parameters
    ----------
    log_product : float
        Σ log(1 + θ(‖W_l‖ + τ)).
    log_exponential : float
        θ Σ (‖W_l‖ + τ), at least as large.
    """

    log_product: float
    log_exponential: float


def interlayer_certificate(
    weights: Sequence[Any], theta: float, tau: float = 0.0, *, certified: bool = True
) -> Interlayer:
    """Bound ‖Π (I + θ D_l W_l^T)‖ for every D_l and every W within τ of the given one.

    Parameters
    ----------
    weights : sequence of array_like, shape (m, m)
        The residual layers W_2 … W_L, at the centre of the ball; none is allowed.
    theta : float
        θ ≥ 0.
    tau : float
        τ ≥ 0.
    certified : bool
        Whether spectral norms are proved in ball arithmetic (a second for 10 matrices of width 64);
        otherwise they are singular values in floats, raised by 10^-10 of themselves: fast enough
        for every step of a training, and right as far as the library's rounding can be trusted.

    Notes
    -----
    The sums are rounded upwards.

    Examples
    --------
    >>> found = interlayer_certificate([np.eye(2), 2 * np.eye(2)], 0.5)
    >>> round(math.exp(found.log_product), 9), round(found.log_exponential, 9)
    (3.0, 1.5)
    """
    if check_finite(theta, "theta") < 0 or check_finite(tau, "tau") < 0:
        raise InputError("theta and tau of at least 0", (theta, tau), "give e.g. 1/L and 0.1")
    measure = certified_spectral_norm if certified else _floating_norm
    norms = [measure(_square(weight)) + tau for weight in weights]
    upwards = 1 + (len(norms) + 8) * 2.0**-52
    return Interlayer(
        math.fsum(math.log1p(theta * norm) for norm in norms) * upwards,
        theta * math.fsum(norms) * upwards,
    )


def worst_pattern(weights: Sequence[Any], theta: float) -> tuple[float, tuple[_Array, ...]]:
    """The largest ‖Π (I + θ D_l W_l^T)‖ over all patterns of zeros and ones, by going through them.

    Parameters
    ----------
    weights : sequence of array_like, shape (m, m)
        W_2 … W_L, first layer first; together at most 16 units.
    theta : float
        θ.

    Returns
    -------
    norm : float
    pattern : tuple of array, shape (m,)
        The diagonals of the D_l that attain it.

    Examples
    --------
    >>> norm, pattern = worst_pattern([np.array([[1.0, 1.0], [1.0, 1.0]])], 0.5)
    >>> round(norm, 9), pattern
    (2.0, (array([1., 1.]),))
    """
    matrices = [_square(weight) for weight in weights]
    sizes = [len(matrix) for matrix in matrices]
    if not matrices or len(set(sizes)) > 1 or 2 ** sum(sizes) > _MOST_PATTERNS:
        came = f"{len(matrices)} layers of {sizes[:1]} units"
        raise InputError("residual layers of one width, at most 16 units", came, "give fewer")
    choices = np.array(list(product([0.0, 1.0], repeat=sizes[0])))
    products = np.eye(sizes[0])[None]
    for matrix in matrices:
        steps = np.eye(sizes[0]) + theta * choices[:, :, None] * matrix.T
        products = np.einsum("sij,pjk->psik", steps, products).reshape(-1, sizes[0], sizes[0])
    norms = np.linalg.norm(products, 2, axis=(1, 2))
    place = int(norms.argmax())
    digits = np.unravel_index(place, [len(choices)] * len(matrices))
    return float(norms[place]), tuple(choices[digit] for digit in digits)


def _floating_norm(matrix: _Array) -> float:
    return float(np.linalg.norm(matrix, 2)) * (1 + 1e-10)


def _matrix(weight: Any) -> _Array:
    found = np.asarray(weight, dtype=np.float64)
    if found.ndim != 2 or not found.size:
        raise InputError("weights as matrices", f"shape {found.shape}", "give rows and columns")
    if not np.isfinite(found).all():
        raise InputError("finite weights", "an infinite or missing entry", "replace it")
    return found


def _square(weight: Any) -> _Array:
    found = _matrix(weight)
    if found.shape[0] != found.shape[1]:
        raise InputError("square residual weights", f"shape {found.shape}", "give W_2 to W_L")
    return found
