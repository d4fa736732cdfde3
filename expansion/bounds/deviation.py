r"""Uniform deviations over a class of towers: by one cover, and by a chain of covers (claim B3).

**One cover.** With probability at least 1 − δ, for all N centres,
:math:`\mathcal R - \hat{\mathcal R} \le \bar M s` with
:math:`s = \sqrt{(\log N + \log 1/\delta)/2n}` (Hoeffding's inequality for losses in [0, M̄], and a
union); a member of the class is within ε of a centre, which costs 2K_ℓK_Fε.

**A chain of covers.** Take Lipschitz covers at ε_j = ε_0 r^j, j = 0 … J, for paths of radius
:math:`R' = R + \varepsilon_0/(1 - r)`. From W go to its centre Z_J, from there to the centre
Z_{J−1} of Z_J in the next coarser cover, and so on to Z_0. Centres are K-Lipschitz themselves and
stay in the radius R', so this is possible; every Z_{j−1} depends on Z_j alone, and is within
ε_{j−1} of it. So the loss of W is

.. math:: \ell_W = (\ell_W - \ell_{Z_J}) + \sum_{j=1}^{J} (\ell_{Z_j} - \ell_{Z_{j-1}})
          + \ell_{Z_0},

where the j-th difference is one of N_j functions with values in an interval of length
2K_ℓK_Fε_{j−1}. Giving it the share δ2^{−j−1} of δ, with probability at least 1 − δ

.. math:: \mathcal R - \hat{\mathcal R} \le 2 K_\ell K_F \varepsilon_J + \bar M s_0
          + \sum_{j=1}^{J} 2 K_\ell K_F \varepsilon_{j-1} s_j, \qquad
          s_j = \sqrt{\frac{\log N_j + \log(1/\delta) + (j+1)\log 2}{2n}},

with K_F and M̄ at radius R'. As log N_j grows like 1/ε_j the sum converges: the gap falls like
n^(−1/2), where one cover gives n^(−1/3). Source: Dudley's chaining, classical; this form derived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from expansion.bounds.covering import lipschitz_entropy, parametric_entropy
from expansion.bounds.neural_ode_class import TowerClass

__all__ = ["Deviations", "Gap", "deviations", "log_uniform_deviation"]

_Array = NDArray[np.float64]
_Name = Literal["lipschitz", "parametric", "chain"]
_PER_DECADE = 200  # values of ε; neighbours differ by 1.2 %
_STARTS = 4  # a chain may start at every fourth of them
_DECADES = (12, 250)  # at least, at most; a chain goes 22 further down
_RATIOS = (1 / 2, 1 / 4, 1 / 8)
_LEVELS = 24
_LARGEST_SAMPLE = 1e300
_ROUNDING = 1e-9  # of a logarithm; far more than the rounding of the formulas below


@dataclass(frozen=True, slots=True)
class Gap:
    """The bound of R − R̂ by one way of covering, at the ε that was found best.

    Parameters
    ----------
    cover : {"lipschitz", "parametric", "chain"}
        How the class was covered.
    epsilon : float
        ε; of a chain the last one.
    log_count : float
        log N(ε).
    log_approximation, log_deviation : float
        Natural logarithms of 2K_ℓK_Fε and of the rest.
    levels : int
        How many covers a chain has beyond the first; 0 for one cover.
    """

    cover: _Name
    epsilon: float
    log_count: float
    log_approximation: float
    log_deviation: float
    levels: int = 0

    @property
    def log_total(self) -> float:
        """Log of the gap."""
        return float(np.logaddexp(self.log_approximation, self.log_deviation))


def log_uniform_deviation(log_count: Any, confidence: float, samples: int) -> Any:
    """Log of √((log N + confidence)/2n): how far N means of values in [0, 1] may fall short.

    Parameters
    ----------
    log_count : float or array
        log N ≥ 0.
    confidence : float
        log(1/δ) > 0.
    samples : int
        n ≥ 1.

    Examples
    --------
    >>> round(math.exp(log_uniform_deviation(0.0, math.log(20), 100)), 4)
    0.1224
    """
    return 0.5 * (np.log(np.asarray(log_count) + confidence) - math.log(2 * samples))[()]


@dataclass(frozen=True, slots=True, eq=False)
class Deviations:
    """One way of covering at every ε that is tried: bounds of the form a + b/√n.

    Parameters
    ----------
    cover : {"lipschitz", "parametric", "chain"}
        How the class is covered.
    epsilons, log_counts, log_approximation : arrays of one shape
        ε, log N(ε) and log a, with a = 2K_ℓK_Fε.
    log_spread : array
        log b.
    levels : array of int
        J.
    log_trivial : float
        Log of the largest loss.
    """

    cover: _Name
    epsilons: _Array
    log_counts: _Array
    log_approximation: _Array
    log_spread: _Array
    levels: NDArray[np.int64]
    log_trivial: float

    def best(self, samples: int) -> Gap:
        """The smallest bound at n samples."""
        deviation = self.log_spread - 0.5 * math.log(samples)
        place = int(np.argmin(np.logaddexp(self.log_approximation, deviation)))
        return Gap(
            self.cover,
            float(self.epsilons[place]),
            float(self.log_counts[place]),
            float(self.log_approximation[place]),
            float(deviation[place]),
            int(self.levels[place]),
        )

    def smallest_sample(self) -> int | None:
        """The least n at which some bound is below the largest loss, if floats hold it."""
        # a + b/√n < M̄  if and only if  n > (b / (M̄ − a))²
        left = -np.expm1(np.minimum(self.log_approximation - self.log_trivial, 0.0))
        with np.errstate(divide="ignore"):
            log_needed = 2 * (self.log_spread - self.log_trivial - np.log(left))
        high = math.exp(min(float(log_needed.min()), 699.0)) * (1 + 1e-6) + 1
        if not high < _LARGEST_SAMPLE:
            return None
        low, above = max(0, int(high * (1 - 1e-5)) - 3), int(high)
        while above - low > 1:
            middle = (low + above) // 2
            informative = self.best(middle).log_total < self.log_trivial
            low, above = (low, middle) if informative else (middle, above)
        return above


def deviations(towers: TowerClass, confidence: float) -> list[Deviations]:
    """Every way of covering a class that applies to it.

    Parameters
    ----------
    towers : TowerClass
        Without a depth, and with K > 0, the parametric cover does not apply.
    confidence : float
        log(1/δ).

    Examples
    --------
    >>> towers = TowerClass(2, 0.5, 0.5, activation=1, input_radius=1, target_radius=1)
    >>> [(one.cover, one.smallest_sample()) for one in deviations(towers, 3.0)]
    [('lipschitz', 11), ('chain', 70)]
    """
    epsilons = _grid(towers)
    sizes = towers.dimension, towers.radius, towers.slope
    entropy = lipschitz_entropy(*sizes, epsilons, towers.depth)
    found = [_single("lipschitz", towers, epsilons, entropy, confidence)]
    if towers.depth is not None or towers.slope == 0:
        entropy = parametric_entropy(*sizes, epsilons, towers.depth or 1)
        found.append(_single("parametric", towers, epsilons, entropy, confidence))
    return [*found, _chain(towers, epsilons[::-_STARTS], confidence)]


def _grid(towers: TowerClass) -> _Array:
    """Values of ε from R down to where 2K_ℓK_Fε is far below M̄."""
    largest = towers.radius or 1.0
    balance = towers.log_loss() - towers.log_lipschitz() - math.log(2 * towers.loss_slope * largest)
    fewest, most = _DECADES
    decades = min(most, max(fewest, 6 - math.floor(min(balance, 0.0) / math.log(10))))
    return np.asarray(largest * 10.0 ** np.linspace(-decades, 0, decades * _PER_DECADE + 1))


def _single(
    name: _Name, towers: TowerClass, epsilons: _Array, log_counts: _Array, confidence: float
) -> Deviations:
    outside = (name == "lipschitz") & (epsilons < towers.radius)  # where centres may be
    excess = np.where(outside, epsilons, 0.0)
    moved = np.log(2 * towers.loss_slope * epsilons) + towers.log_lipschitz(excess)
    spread = towers.log_loss(excess) + log_uniform_deviation(log_counts, confidence, 1)
    levels = np.zeros(epsilons.shape, dtype=np.int64)
    parts = moved + _ROUNDING, spread + _ROUNDING, levels, float(towers.log_loss())
    return Deviations(name, epsilons, log_counts, *parts)


def _chain(towers: TowerClass, starts: _Array, confidence: float) -> Deviations:
    first, ratio = (axis.reshape(-1, 1) for axis in np.meshgrid(starts, _RATIOS))
    level = np.arange(_LEVELS + 1)
    epsilons = first * ratio**level
    excess = np.broadcast_to(first / (1 - ratio), epsilons.shape)
    sizes = towers.dimension, towers.radius + excess, towers.slope
    log_counts = lipschitz_entropy(*sizes, epsilons, towers.depth)
    shares = log_uniform_deviation(log_counts + (level + 1) * math.log(2), confidence, 1)
    moved = np.log(2 * towers.loss_slope * epsilons) + towers.log_lipschitz(excess)
    ranges = np.column_stack([towers.log_loss(excess)[:, 0], moved[:, :-1]])
    spread = np.logaddexp.accumulate(ranges + shares, axis=1)
    levels = np.broadcast_to(level, epsilons.shape)
    epsilons, log_counts, moved, spread = (
        part[:, 1:].ravel() for part in (epsilons, log_counts, moved, spread)
    )
    parts = moved + _ROUNDING, spread + _ROUNDING, levels[:, 1:].ravel(), float(towers.log_loss())
    return Deviations("chain", epsilons, log_counts, *parts)
