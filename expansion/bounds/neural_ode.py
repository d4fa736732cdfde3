r"""Generalisation of towers whose weights vary slowly in depth, at any depth (claim B3).

**The class** (Marion 2023, arXiv 2305.06648). Towers
:math:`H_k = H_{k-1} + \tfrac1L W_k \sigma(H_{k-1})`, :math:`H_0 = x`, :math:`F_W(x) = H_L`, with
:math:`\|W\|_{1,1,\infty} = \max_k \sum_{ij} |W_{k,ij}| \le R` and
:math:`L \max_k \|W_{k+1} - W_k\|_\infty \le K` (largest entry). Inputs have ‖x‖ ≤ R_X (Euclidean)
and :math:`|\sigma(x_j)| \le M`; σ acts on entries and is K_σ-Lipschitz. The loss is at least
zero, K_ℓ-Lipschitz in the output, and at most ℓ_0 at some output of norm ≤ R_Y: at the target
itself for a distance (ℓ_0 = 0), at the output 0 for cross-entropy (ℓ_0 = log classes, R_Y = 0).

**Growth.** :math:`\|W \sigma(h)\| \le \sum_{ij} |W_{ij}|\, \max_j |\sigma(h_j)|` and
:math:`|\sigma(h_j)| \le M + K_\sigma \|h - x\|`. So the displacement e_k and the activation
:math:`a_k = M + K_\sigma e_k` go up by :math:`e_{k+1} \le e_k + \tfrac RL a_k`, hence

.. math:: a_k \le M (1 + K_\sigma R/L)^k, \qquad
          \|F_W(x)\| \le R_X + \tfrac{M}{K_\sigma} \big[(1 + K_\sigma R/L)^L - 1\big]
          \le R_X + \tfrac{M}{K_\sigma} (e^{K_\sigma R} - 1) .

**Lipschitz in the weights.** For two towers of the class the distance d_k of their states obeys
:math:`d_{k+1} \le (1 + \tfrac{K_\sigma R}{L}) d_k + \tfrac1L \|W_{k+1} - W'_{k+1}\|_{1,1}\, a_k`,
for :math:`W\sigma(H) - W'\sigma(H') = (W - W')\sigma(H) + W'(\sigma(H) - \sigma(H'))`. Hence

.. math:: \|F_W(x) - F_{W'}(x)\| \le K_F\, \frac1L \sum_k \|W_k - W'_k\|_{1,1}
          \le K_F \|W - W'\|_{1,1,\infty}, \quad
          K_F = M (1 + \tfrac{K_\sigma R}{L})^{L-1} \le M e^{K_\sigma R} .

Both are attained for d = 1, σ(h) = h, W_k = R, x = M. K_F tends to M as K_σR → 0, as it must: from
W = 0 a small W' moves the output by exactly W'σ(x). A constant that tends to 0 there is wrong.

**Uniform deviation.** By Hoeffding's inequality the mean of n independent values in [0, M̄] falls
short of its expectation by more than :math:`\bar M \sqrt{\log(1/\delta)/2n}` with probability at
most δ; so, for all N centres of a cover at ε together, with δ/N for δ. A member of the class is
within K_ℓK_Fε of a centre in expected and in mean loss. With probability at least 1 − δ, for the
whole class at once,

.. math:: \mathcal R \le \hat{\mathcal R} + 2 K_\ell K_F\, \varepsilon
          + \bar M \sqrt{\frac{\log N(\varepsilon) + \log(1/\delta)}{2n}}, \qquad
          \bar M = \ell_0 + K_\ell (\sup \|F\| + R_Y) .

It holds for every ε, which is not random, so it may be minimised over ε; R + ε replaces R in K_F
and M̄ where centres lie outside the class (the Lipschitz cover of
:mod:`~expansion.bounds.covering`). The loss never exceeds M̄, so a gap of M̄ says nothing.
By the Lipschitz cover the gap falls like n^(−1/3), where the published choice of ε gives n^(−1/4);
a chain of such covers, :mod:`~expansion.bounds.deviation`, makes it n^(−1/2). The bound printed is
the best of them, each valid for itself.

**Measured constants.** R and K must not depend on the sample. If they are read off a trained
network, they are rounded up to a grid fixed beforehand (R to multiples i of 1/(16 K_σ), with
probability 1/i(i+1); K to 0 or to powers j of 2^(1/4), with probability 1/2 and
1/3(\|j\|+1)(\|j\|+2)), and log(1/δ) pays the logarithm of that probability. M, R_X and R_Y are
properties of the distribution: from a sample they are assumptions, and are reported as such.

Published shape: :math:`C(d+1)\sqrt{\log(Rdn)/n} + C d^2 \sqrt K\, n^{-1/4} +
C \sqrt{\log(1/\delta)/n}`, with a C exponential in R and the same for every L. C could not be
checked and is left out of :func:`published_terms`. Everything else here: derived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from expansion.bounds.deviation import Gap, deviations
from expansion.bounds.neural_ode_class import TowerClass
from expansion.checking import check_count, check_finite
from expansion.errors import InputError

__all__ = [
    "NeuralODEBound",
    "PublishedTerms",
    "neural_ode_bound",
    "neural_ode_curve",
    "published_terms",
]


@dataclass(frozen=True, slots=True)
class NeuralODEBound:
    """A certified bound of expected minus mean loss, uniform over the class.

    Parameters
    ----------
    towers : TowerClass
        The class for which it holds (rounded up, if its constants were measured).
    samples : int
        n.
    delta : float
        It fails with at most this probability.
    selection : float
        What log(1/δ) paid for measured constants.
    gaps : tuple of Gap
        By each cover and by the chain, each valid for itself, the best first.
    smallest_sample : int
        The least n at which the bound is below M̄; None if that is 10^300 or more.
    """

    towers: TowerClass
    samples: int
    delta: float
    selection: float
    gaps: tuple[Gap, ...]
    smallest_sample: int | None

    @property
    def log_gap(self) -> float:
        """Log of the best bound."""
        return self.gaps[0].log_total

    @property
    def log_trivial(self) -> float:
        """Log M̄: no loss is larger."""
        return float(self.towers.log_loss())

    @property
    def vacuous(self) -> bool:
        """Whether the bound says no more than that the loss is at most M̄."""
        return self.log_gap >= self.log_trivial


@dataclass(frozen=True, slots=True)
class PublishedTerms:
    """The three terms of the published shape, each without the factor C.

    Parameters
    ----------
    parameters, variation, confidence : float
        (d+1)√(log(R d n)/n), d²√K/n^(1/4) and √(log(1/δ)/n).
    applies : bool
        Whether n ≥ 9 max(1, 1/(d⁴R²)) (recalled, not checked against the text).
    """

    parameters: float
    variation: float
    confidence: float
    applies: bool


def neural_ode_bound(
    towers: TowerClass, samples: int, delta: float = 0.05, *, measured: bool = False
) -> NeuralODEBound:
    """Bound expected minus mean loss, for every tower of the class at once.

    Parameters
    ----------
    towers : TowerClass
        The class and its constants.
    samples : int
        n ≥ 1, drawn independently.
    delta : float
        0 < δ < 1.
    measured : bool
        Whether R and K were read off a network that had seen the sample.

    Returns
    -------
    NeuralODEBound

    Raises
    ------
    InputError
        For n < 1, or δ outside (0, 1).

    Notes
    -----
    The minimum is over a grid of ε that does not depend on n, so that it falls with n. The
    parametric cover is for towers of one depth: without ``depth``, only where K = 0.

    Examples
    --------
    >>> of_two = TowerClass(2, radius=0.5, slope=0.5, activation=1, input_radius=1, target_radius=1)
    >>> bound = neural_ode_bound(of_two, 10**6)
    >>> round(math.exp(bound.log_gap), 3), bound.gaps[0].cover, bound.vacuous
    (0.025, 'chain', False)
    """
    number = check_count(samples, "samples", least=1)
    if not 0 < check_finite(delta, "delta") < 1:
        raise InputError("delta between 0 and 1", delta, "give e.g. 0.05")
    selection = 0.0
    if measured:
        towers, selection = towers.rounded_up()
    covers = deviations(towers, selection - math.log(delta))
    gaps = sorted((cover.best(number) for cover in covers), key=lambda gap: gap.log_total)
    found = [cover.smallest_sample() for cover in covers]
    least = min((one for one in found if one is not None), default=None)
    return NeuralODEBound(towers, number, delta, selection, tuple(gaps), least)


def neural_ode_curve(
    towers: TowerClass,
    samples: int,
    along: Literal["samples", "depth", "slope", "radius"],
    values: list[float],
    delta: float = 0.05,
) -> list[NeuralODEBound]:
    """The bound along n, L, K or R, all else fixed.

    Parameters
    ----------
    towers : TowerClass
        The class.
    samples : int
        n.
    along : {"samples", "depth", "slope", "radius"}
        What varies.
    values : list of float
        Its values.
    delta : float
        0 < δ < 1.

    Examples
    --------
    >>> of_two = TowerClass(2, radius=0.5, slope=0.5, activation=1, input_radius=1, target_radius=1)
    >>> curve = neural_ode_curve(of_two, 10**6, "radius", [0.5, 1.0])
    >>> curve[0].log_gap < curve[1].log_gap
    True
    """
    if along == "samples":
        return [neural_ode_bound(towers, int(value), delta) for value in values]
    if along not in ("depth", "slope", "radius"):
        raise InputError("one of samples, depth, slope, radius", along, "choose one of these")
    cast = int if along == "depth" else float
    changed = [replace(towers, **{along: cast(value)}) for value in values]  # type: ignore[arg-type]
    return [neural_ode_bound(one, samples, delta) for one in changed]


def published_terms(towers: TowerClass, samples: int, delta: float = 0.05) -> PublishedTerms:
    """The terms of the published shape, without its constant C.

    Parameters
    ----------
    towers : TowerClass
        With R > 0.
    samples : int
        n with R d n > 1.
    delta : float
        0 < δ < 1.

    Notes
    -----
    Source: Marion 2023 (arXiv 2305.06648) for the shape; C, exponential in R, could not be
    checked against the text and is left out: only ratios of one term at different n, d, K mean
    something.

    Examples
    --------
    >>> of_two = TowerClass(2, radius=0.5, slope=0.5, activation=1, input_radius=1, target_radius=1)
    >>> round(published_terms(of_two, 10**4).variation, 4)
    0.2828
    """
    number = check_count(samples, "samples", least=1)
    if not 0 < check_finite(delta, "delta") < 1:
        raise InputError("delta between 0 and 1", delta, "give e.g. 0.05")
    size = towers.radius * towers.dimension * number
    if size <= 1:
        raise InputError("R d n above 1 for the published shape", size, "enlarge n")
    return PublishedTerms(
        (towers.dimension + 1) * math.sqrt(math.log(size) / number),
        towers.dimension**2 * math.sqrt(towers.slope) / number**0.25,
        math.sqrt(-math.log(delta) / number),
        number >= 9 and number * (towers.dimension**2 * towers.radius) ** 2 >= 9,
    )
