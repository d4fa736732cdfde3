r"""The worst case: how far any branches within their bounds can carry the signal (claim G8).

With :math:`\|f_l(x)\| \le M` and Lipschitz constants at most :math:`\mathcal{L}`,

.. math::

   \|H_n(x) - x\| \le \frac{M}{\mathcal{L}} \Big[\prod_l (1 + \lambda_l \mathcal{L}) - 1\Big],
   \qquad
   \Big\|H_n(x) - x - \sum_l \lambda_l f_l(x)\Big\|
   \le \frac{M}{\mathcal{L}} \Big[\prod_l (1 + \lambda_l \mathcal{L}) - 1
   - \mathcal{L} \sum_l \lambda_l\Big].

*Proof.* Let :math:`e_l` bound :math:`\|x_l - x\|`. Then :math:`\|f_l(x_{l-1})\| \le M +
\mathcal{L} e_{l-1}`, so :math:`e_l = (1 + \lambda_l \mathcal{L}) e_{l-1} + \lambda_l M` works,
whose solution is the first bound; the second sums :math:`\lambda_l \mathcal{L} e_{l-1}`. ∎
M need only bound the branches at x itself. No smoothness is used, so ReLU is covered; tied
linear branches attain both. Source: derived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from expansion.checking import check_finite
from expansion.errors import InputError
from expansion.growth.energy import log_coherent_amplitude
from expansion.towers.scaling import ScalingRule

__all__ = ["WorstCase", "worst_case"]


@dataclass(frozen=True, slots=True)
class WorstCase:
    """Bounds on a tower's displacement, as natural logarithms (−∞ for zero).

    Parameters
    ----------
    log_displacement : float
        Bounds ln ‖H_n(x) − x‖.
    log_remainder : float
        Bounds ln ‖H_n(x) − x − Σ λ_l f_l(x)‖.
    """

    log_displacement: float
    log_remainder: float


def worst_case(
    rule: ScalingRule, depth: int, *, bound: float = 1.0, lipschitz: float = 1.0
) -> WorstCase:
    """Bound the displacement and the first-order remainder of every admissible tower.

    Parameters
    ----------
    rule : ScalingRule
        Scales of an ordinary tower (not ``half``, which scales the skip too).
    depth : int
        n ≥ 1.
    bound : float
        M ≥ 0, with ‖f_l(x)‖ ≤ M at the input x.
    lipschitz : float
        𝓛 > 0.

    Raises
    ------
    InputError
        For a negative or non-finite bound, 𝓛 ≤ 0, or a rule that scales the skip.

    Examples
    --------
    >>> case = worst_case(ScalingRule.parse("1/n"), 10**4)
    >>> round(math.exp(case.log_displacement), 3), round(math.exp(case.log_remainder), 3)
    (1.718, 0.718)
    """
    if check_finite(bound, "M") < 0 or check_finite(lipschitz, "the Lipschitz constant") <= 0:
        came = f"M = {bound}, Lipschitz constant = {lipschitz}"
        raise InputError("M of at least 0 and a positive Lipschitz constant", came, "give these")
    if rule.block_factor_squared != 1:
        raise InputError("a rule that leaves the skip alone", rule, "scale the branches only")
    log_size = math.log(bound / lipschitz) if bound else -math.inf
    log_product = log_coherent_amplitude(rule, depth, lipschitz)
    steps = np.abs(rule.floats(depth)) * lipschitz
    return WorstCase(
        log_size + _log_minus(log_product, [1.0], math.expm1(min(log_product, 700.0))),
        log_size + _log_minus(log_product, [1.0, float(steps.sum())], _beyond_first_order(steps)),
    )


def _log_minus(log_product: float, parts: list[float], directly: float) -> float:
    """ln(Π − Σ parts): from logarithms where Π is large, from ``directly`` where it cancels."""
    if log_product > 30:
        return log_product + math.log1p(-sum(parts) * math.exp(-log_product))
    return math.log(directly) if directly > 0 else -math.inf


def _beyond_first_order(steps: np.ndarray) -> float:
    """Π(1 + s_l) − 1 − Σ s_l as a sum of positive terms, so that small scales keep digits."""
    before = np.concatenate([[0.0], np.cumsum(np.log1p(steps))[:-1]])
    with np.errstate(over="ignore"):  # not used where it overflows
        return float((steps * np.expm1(before)).sum())
