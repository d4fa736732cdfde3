r"""Blocks correlated in depth: what lies between independent (G1) and tied (G3).

Linear blocks :math:`x \mapsto x + \lambda A_l x` with normal entries of variance 1/d and
:math:`E\,(A_i)_{ab}(A_j)_{ab} = \rho_{ij}/d`. Two exact statements:

* order 1, at every width:
  :math:`E\|\sum_l \lambda A_l x\|^2 = \lambda^2 \sum_{ij} \rho_{ij} \|x\|^2`;
* the whole energy, at infinite width. In
  :math:`E\langle A_{i_k} \cdots A_{i_1} x,\; A_{j_k} \cdots A_{j_1} x\rangle` only the nested
  pairing :math:`\prod_m \rho_{i_m j_m}` survives, others are smaller by 1/d. Hence
  :math:`S(a, b) = E\langle x_a, x'_b \rangle/\|x\|^2`, over states after a and b blocks, obeys

  .. math:: S(a, b) = S(a-1, b) + S(a, b-1) - S(a-1, b-1) + \lambda^2 \rho_{ab} S(a-1, b-1)

  and q_n = S(n, n): a discrete Goursat equation, the one of signature kernels. Independent blocks
  give Π(1 + λ²), tied ones Σ λ^{2k} C(n, k)².

The *critical exponent* β is the smallest with bounded energy at λ = n^{−β}. Order 1 alone asks for
:math:`n^{2\beta} \ge \sum \rho_{ij}`; for fractional Gaussian noise that sum is n^{2H}, whence the
heuristic β = H (G3). It is not the whole truth below H = 1/4: order 2 has energy

.. math:: \lambda^4 \sum_{i<j,\,k<l} \rho_{ik}\rho_{jl} \asymp \lambda^4 \max(n, n^{4H}),

the diagonal's share of order n no longer being cancelled, so that β ≥ 1/4 (the exponent below which
fractional Brownian motion has no Lévy area). Predicted here: max(H, 1/4), exact at order 2,
heuristic beyond.

Source: β = H is a heuristic of this project's theory (G3), after Marion et al.'s scaling
experiments; the recursion and the bound 1/4: derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from expansion.checking import check_count, check_finite
from expansion.compiling import compiled
from expansion.errors import InputError

__all__ = [
    "COVARIANCES",
    "CriticalExponent",
    "correlated_energy",
    "covariance",
    "critical_exponents",
    "first_order_energy",
    "fitted_exponent",
    "predicted_exponent",
    "simulate_correlated",
]

_Array = NDArray[np.float64]

# By name: ρ as a function of the distance k, the depth n and a parameter; the default parameter.
COVARIANCES: dict[str, tuple[Callable[[_Array, int, float], _Array], float]] = {
    "independent": (lambda k, n, p: (k == 0) * 1.0, 0.0),
    "tied": (lambda k, n, p: np.ones_like(k), 0.0),
    "exponential": (lambda k, n, p: np.exp(-k / p), 5.0),  # p blocks long
    "smooth-exponential": (lambda k, n, p: np.exp(-k / (p * n)), 0.2),  # p of the depth
    "rbf": (lambda k, n, p: np.exp(-0.5 * (k / p) ** 2), 5.0),
    "smooth-rbf": (lambda k, n, p: np.exp(-0.5 * (k / (p * n)) ** 2), 0.2),
    "fractional": (
        lambda k, n, p: 0.5 * ((k + 1) ** (2 * p) - 2 * k ** (2 * p) + abs(k - 1) ** (2 * p)),
        0.75,
    ),
}


def covariance(name: str, depth: int, parameter: float | None = None) -> _Array:
    """ρ_ij of n blocks; shape (n, n), ones on the diagonal.

    Parameters
    ----------
    name : str
        ``independent``; ``tied``; ``exponential`` and ``rbf`` with a length in blocks;
        ``smooth-exponential`` and ``smooth-rbf`` with a length as a part of the depth;
        ``fractional``: Gaussian noise of Hurst index H in (0, 1].
    depth : int
        n ≥ 1.
    parameter : float, optional
        The length, or H.

    Examples
    --------
    >>> bool(np.isclose(covariance("fractional", 9, 0.75).sum(), 9**1.5))
    True
    """
    if name not in COVARIANCES:
        known = ", ".join(COVARIANCES)
        raise InputError(f"a covariance among {known}", name, "choose one of these")
    rho, default = COVARIANCES[name]
    value = default if parameter is None else check_finite(parameter, "the parameter")
    if name == "fractional" and not 0 < value <= 1:
        raise InputError("a Hurst index above 0 and at most 1", value, "give e.g. 0.75")
    if name not in ("independent", "tied") and value <= 0:
        raise InputError("a length above zero", value, "give e.g. 5")
    places = np.arange(check_count(depth, "depth", least=1), dtype=np.float64)
    return np.asarray(rho(np.abs(places[:, None] - places), depth, value))


def first_order_energy(rho: _Array, scale: float) -> float:
    """E‖Σ λ A_l x‖²/‖x‖² = λ² Σ ρ_ij, exact at every width.

    Examples
    --------
    >>> first_order_energy(covariance("tied", 4), 0.5)
    4.0
    """
    return float(scale) ** 2 * float(rho.sum())


@compiled()
def _corner(rho: NDArray[np.float64], scale: float) -> float:
    """S(n, n): one row of the Goursat recursion after the other, as differences along the row."""
    size = rho.shape[0]
    row = np.ones(size + 1)  # S(a−1, ·)
    for a in range(size):
        added = 0.0  # S(a, b) − S(a−1, b)
        left = row[0]
        for b in range(size):
            above = row[b + 1]
            added += scale * scale * rho[a, b] * left
            left = above
            row[b + 1] = above + added
            if abs(row[b + 1]) > 1e200:
                return math.inf
    return float(row[size])


def correlated_energy(rho: _Array, scale: float) -> float:
    """q_n of a linear tower with this covariance in depth, at infinite width; O(n²).

    Examples
    --------
    >>> correlated_energy(covariance("tied", 2), 1.0)  # 1 + 2² + 1
    6.0
    """
    return float(_corner(rho, scale))


def predicted_exponent(name: str, parameter: float | None = None) -> float:
    """The critical exponent β that is expected: see the module.

    Examples
    --------
    >>> predicted_exponent("fractional", 0.8), predicted_exponent("fractional", 0.1)
    (0.8, 0.25)
    """
    if name == "fractional":
        hurst = COVARIANCES[name][1] if parameter is None else parameter
        return max(hurst, 0.25)
    return 1.0 if name == "tied" or name.startswith("smooth") else 0.5


def fitted_exponent(
    name: str,
    parameter: float | None = None,
    *,
    depths: tuple[int, int] = (512, 1024),
    factor: float = math.e,
) -> float:
    """β from the scales at which the whole energy reaches the factor, at growing depths.

    The slope of −ln λ against ln n between the two largest depths.

    Examples
    --------
    >>> abs(fitted_exponent("independent", depths=(128, 256)) - 0.5) < 2e-3
    True
    """
    if len(depths) < 2 or depths[-2] >= depths[-1]:
        raise InputError("two growing depths", depths, "give e.g. 512 1024")
    logs = []
    for depth in depths[-2:]:
        rho = covariance(name, depth, parameter)
        high = math.sqrt(math.log(factor)) * 4  # one block of this scale is above the factor
        root = optimize.brentq(
            lambda u, rho=rho: math.log(min(correlated_energy(rho, math.exp(u)), 1e300) / factor),
            math.log(1e-3 / depth),
            math.log(high),
            xtol=1e-10,
        )
        logs.append(-root)
    return float((logs[1] - logs[0]) / math.log(depths[-1] / depths[-2]))


@dataclass(frozen=True, slots=True)
class CriticalExponent:
    """One line of the table of critical exponents.

    Parameters
    ----------
    covariance : str
        Its name.
    parameter : float
        Its length or Hurst index.
    first_order : float
        Slope of ½ ln Σ ρ_ij against ln n at the largest depths: order 1 alone.
    fitted : float
        Slope from the whole energy.
    predicted : float
        What theory expects.
    """

    covariance: str
    parameter: float
    first_order: float
    fitted: float
    predicted: float


def critical_exponents(
    *, hursts: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9), depths: tuple[int, int] = (512, 1024)
) -> tuple[CriticalExponent, ...]:
    """The table of critical exponents, fitted and predicted, for every covariance.

    Examples
    --------
    >>> table = critical_exponents(hursts=(0.7,), depths=(128, 256))
    >>> [line.predicted for line in table]
    [0.5, 1.0, 0.5, 1.0, 0.5, 1.0, 0.7]
    """
    asked = [(name, COVARIANCES[name][1]) for name in COVARIANCES if name != "fractional"]
    lines = []
    for name, parameter in [*asked, *(("fractional", hurst) for hurst in hursts)]:
        sums = [covariance(name, depth, parameter).sum() for depth in depths[-2:]]
        slope = 0.5 * math.log(sums[1] / sums[0]) / math.log(depths[-1] / depths[-2])
        fitted = fitted_exponent(name, parameter, depths=depths)
        predicted = predicted_exponent(name, parameter)
        lines.append(CriticalExponent(name, parameter, float(slope), fitted, predicted))
    return tuple(lines)


def simulate_correlated(
    rho: _Array,
    scale: float,
    *,
    dimension: int = 64,
    trials: int = 100,
    seed: int = 0,
) -> tuple[_Array, _Array]:
    """Draw correlated linear towers; ‖Σ λ A_l x‖² and ‖x_n‖² of every trial, ‖x‖ = 1.

    Returns
    -------
    first_order, energies : arrays, shape (trials,)

    Notes
    -----
    A_l = Σ_j C_lj Z_j with C Cᵀ = ρ (by eigenvalues: ρ may be singular) and Z independent.

    Examples
    --------
    >>> first, _ = simulate_correlated(covariance("tied", 4), 0.5, dimension=8, trials=400)
    >>> bool(abs(first.mean() - 4.0) < 4 * first.std() / 20)
    True
    """
    values, vectors = np.linalg.eigh(rho)
    root = vectors * np.sqrt(np.maximum(values, 0))
    generator = np.random.default_rng([seed, 5])
    first, energies = np.empty(trials), np.empty(trials)
    for trial in range(trials):
        noise = generator.normal(size=(rho.shape[0], dimension * dimension)) / math.sqrt(dimension)
        blocks = (root @ noise).reshape(-1, dimension, dimension)
        first[trial] = float(((scale * blocks[:, :, 0].sum(axis=0)) ** 2).sum())
        x = np.zeros(dimension)
        x[0] = 1.0
        for block in blocks:
            x = x + scale * (block @ x)
        energies[trial] = float(x @ x)
    return first, energies
