r"""Two inputs: :math:`E[\phi(u)\phi(v)]` and :math:`E[\phi'(u)\phi'(v)]` in closed form (G7).

u and v are normal with variance h each and correlation c. Relative to h:

* linear: c; its slopes 1.
* ReLU: :math:`\frac{1}{2\pi}(\sin\theta + (\pi - \theta)\cos\theta)`, θ = arccos c, slopes
  :math:`(\pi - \theta)/2\pi`: the arc-cosine kernel (Cho & Saul 2009). Leaky ReLU is
  relu(u) − a·relu(−u), so two of them.
* erf: :math:`\frac{2}{\pi h}\arcsin\frac{2hc}{1+2h}` (Williams 1997).
* sin: :math:`e^{-h}\sinh(hc)/h`.
* gelu, u·Φ(u): integrating by parts twice gives, with :math:`\tau = ab\,h/\sqrt{(1+a^2h)(1+b^2h)}`
  and r = cτ, for uΦ(au) against vΦ(bv)

  .. math:: c\Big(\tfrac14 + \tfrac{\arcsin r}{2\pi}\Big) + \frac{\tau}{2\pi\sqrt{1-r^2}}
     \Big[1 + c^2\Big(\tfrac1{1+a^2h} + \tfrac1{1+b^2h} - 1\Big)\Big].
* tanh and silu: the logistic function is a scale mixture of normal ones,
  :math:`\sigma(u) = E\,\Phi(u/2K)` with K of Kolmogorov's law (Andrews & Mallows 1974; Stefanski
  1991), so that :math:`\tanh u = E\,\mathrm{erf}(u/\sqrt2 K)` and silu is a mixture of gelus. A
  trapezoid in ln K with 16 nodes is within :data:`MIXTURE_ERROR` of both, at every u: the error
  of the kernel is uniform in h and c.

The derivation for gelu is ours; the tests hold every formula against double quadrature.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from expansion.compiling import compiled
from expansion.growth.units import CODES, LEAKY_SLOPE, check_branch

__all__ = ["MIXTURE_ERROR", "mixture", "pair_moments", "relative_pair"]

MIXTURE_ERROR = 1e-9  # |tanh − its mixture| and |silu − its mixture|, tested on a grid
_NODES = 16
_FIRST, _LAST = math.log(0.2), math.log(3.3)  # ln K: beyond, the law has mass 1e-11


@functools.lru_cache(maxsize=8)
def mixture(branch: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights w and slopes a of the mixture; a single node for what needs none.

    tanh u = Σ w·erf(a u/√2), silu u = Σ w·u·Φ(a u), gelu u = u·Φ(u), erf u = erf(√2 u/√2).

    Examples
    --------
    >>> weights, slopes = mixture("tanh")
    >>> total = sum(w * math.erf(a * 0.7 / math.sqrt(2)) for w, a in zip(weights, slopes))
    >>> bool(abs(total - math.tanh(0.7)) < MIXTURE_ERROR)
    True
    """
    if check_branch(branch) not in ("tanh", "silu"):
        return np.ones(1), np.array([math.sqrt(2.0) if branch == "erf" else 1.0])
    logs, step = np.linspace(_FIRST, _LAST, _NODES, retstep=True)
    scale = np.exp(logs)
    odd = (2 * np.arange(1, 30)[:, None] - 1) ** 2 * (math.pi**2 / 8)
    terms = np.exp(-odd / scale**2) * (2 * odd / scale**4 - 1 / scale**2)
    weights = step * scale * math.sqrt(2 * math.pi) * terms.sum(axis=0)
    # tanh u = 2σ(2u) − 1 has slope 1/K, silu has 1/2K.
    return weights / weights.sum(), (1 if branch == "tanh" else 0.5) / scale


@compiled()
def relative_pair(
    code: int,
    weights: NDArray[np.float64],
    slopes: NDArray[np.float64],
    variance: float,
    correlation: float,
) -> tuple[float, float]:
    """E φ(u)φ(v)/h and E φ'(u)φ'(v).

    Parameters
    ----------
    code : int
        Of :data:`~expansion.growth.units.CODES`.
    weights, slopes : array
        Of :func:`mixture`.
    variance : float
        h > 0, of both.
    correlation : float
        c in [−1, 1].

    Examples
    --------
    >>> relative_pair(CODES["relu"], *mixture("relu"), 2.0, 1.0)
    (0.5, 0.5)
    """
    c = min(1.0, max(-1.0, correlation))
    h = variance
    if code == 0:
        return c, 1.0
    if code <= 2:
        angle = math.acos(c)
        sine = math.sqrt((1.0 - c) * (1.0 + c))
        value = (sine + (math.pi - angle) * c) / (2.0 * math.pi)
        slope = (math.pi - angle) / (2.0 * math.pi)
        if code == 2:
            opposite = (sine - angle * c) / (2.0 * math.pi)
            value = (1.0 + LEAKY_SLOPE**2) * value - 2.0 * LEAKY_SLOPE * opposite
            slope = (1.0 + LEAKY_SLOPE**2) * slope + LEAKY_SLOPE * angle / math.pi
        return value, slope
    if code == 5:
        near, far = math.exp(-h * (1.0 - c)), math.exp(-h * (1.0 + c))
        return (near - far) / (2.0 * h), (near + far) / 2.0
    value = 0.0
    slope = 0.0
    product = code >= 6  # u·Φ(au) rather than erf(au/√2)
    for i in range(weights.size):
        a = slopes[i] * math.sqrt(h)
        short_a = 1.0 / (1.0 + a * a)
        for j in range(i + 1):
            b = slopes[j] * math.sqrt(h)
            short_b = 1.0 / (1.0 + b * b)
            weight = weights[i] * weights[j] * (1.0 if i == j else 2.0)
            tau = (a * math.sqrt(short_a)) * (b * math.sqrt(short_b))
            r = c * tau
            # 1 − r² without cancellation where c and τ are close to 1.
            rest = (1.0 - c) * (1.0 + c) + c * c * (short_a + short_b - short_a * short_b)
            root = math.sqrt(max(rest, 1e-300))
            arc = math.atan2(r, root)
            density = tau / (2.0 * math.pi * root)
            if product:
                excess = c * c * (short_a + short_b)
                value += weight * (
                    c * (0.25 + arc / (2.0 * math.pi)) + density * ((1.0 - c) * (1.0 + c) + excess)
                )
                slope += weight * (
                    0.25
                    + arc / (2.0 * math.pi)
                    + c * density * (short_a + short_b + short_a * short_b / (root * root))
                )
            else:
                value += weight * 2.0 / math.pi * arc / h
                slope += weight * 4.0 * density / h
    return value, slope


def pair_moments(branch: str, variance: float, correlation: float) -> tuple[float, float]:
    """E φ(u)φ(v)/h and E φ'(u)φ'(v) for two standardly correlated inputs of one energy.

    Examples
    --------
    >>> value, slope = pair_moments("relu", 2.0, 0.0)
    >>> round(value * 2 * math.pi, 12), slope
    (1.0, 0.25)
    """
    return relative_pair(CODES[check_branch(branch)], *mixture(branch), variance, correlation)
