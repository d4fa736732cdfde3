r"""What depends on the depth, at which scale θ (claim B4).

For residual classifiers at their start, over depths L and rules θ(L): how the logarithm of each
quantity grows with L, as the exponent p of a fit :math:`\log(\text{quantity}) \propto L^p`. The
closed forms, for square Gaussian weights of large width:

=================== ======================= ======================= ==========================
quantity            θ = c/L                 θ = c/√L                θ = c
=================== ======================= ======================= ==========================
certificate on the  c(2√2 + τ): p → 0       c√L(2√2 + τ): p → 1/2   cL(2√2 + τ): p → 1
τ-ball
growth ‖x_L‖/‖x_1‖  below c/√π: p → 0       about c√(L/π): p → 1/2  p → 1
=================== ======================= ======================= ==========================

The growth adds coherently because θσ(W^T x) is at least 0 and has a mean (claim G6): signals ask
for the same θ = c/L as the certificate does. Source: derived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expansion.bounds.linearisation import worst_last_layer
from expansion.bounds.overparameterized import (
    ResidualClassifier,
    draw_classifier,
    interlayer_certificate,
)
from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from expansion.towers.scaling import ScalingRule

__all__ = ["DepthRow", "depth_exponents", "depth_sweep"]

_Array = NDArray[np.float64]
QUANTITIES = ("log_certificate", "log_jacobian", "log_growth")


@dataclass(frozen=True, slots=True)
class DepthRow:
    """One depth at one rule; natural logarithms.

    Parameters
    ----------
    rule : str
        θ as a function of n = L.
    depth : int
        L.
    theta : float
        θ.
    log_certificate : float
        Of the Jacobian's bound for every pattern on the τ-ball.
    log_jacobian : float
        Of the Jacobian's spectral norm at the pattern of an input.
    log_growth : float
        Of ‖x_L‖/‖x_1‖.
    log_linearisation : float, optional
        Of the worst last-layer linearisation error at τ, over ‖x_1‖τ^{4/3}√m: a constant plus the
        growth. None where no unit can reach its kink.
    """

    rule: str
    depth: int
    theta: float
    log_certificate: float
    log_jacobian: float
    log_growth: float
    log_linearisation: float | None


def depth_sweep(
    depths: Sequence[int],
    rules: Sequence[ScalingRule | str] = ("1/n", "1/sqrt(n)", "1"),
    *,
    width: int = 64,
    dimension: int = 8,
    tau: float = 0.1,
    seed: int = 0,
) -> list[DepthRow]:
    """Draw a network for each depth, and look at it at each rule.

    Parameters
    ----------
    depths : sequence of int
        L ≥ 2.
    rules : sequence of ScalingRule or str
        θ, with n for L; one scale for all blocks.
    width, dimension : int
        m (even) and d.
    tau : float
        Radius of the ball, above 0.
    seed : int
        Of the weights, which are the same for all rules, and of the input.

    Notes
    -----
    Signals and products are carried with their logarithm, so that no depth overflows.

    Examples
    --------
    >>> rows = depth_sweep([4, 8], ["1/n"], width=16)
    >>> all(row.log_jacobian < row.log_certificate < 3.1 for row in rows)
    True
    """
    if not 0 < check_finite(tau, "tau") <= 1e100:
        raise InputError("tau above 0, at most 1e100", tau, "give e.g. 0.1")
    chosen = [ScalingRule.of(rule) for rule in rules]
    rows = []
    for depth in depths:
        layers = check_count(depth, "depth", least=2)
        network = draw_classifier(dimension, width, layers, 0.0, seed)
        x = np.random.default_rng([seed, 5]).normal(size=dimension)
        x /= np.linalg.norm(x)
        for rule in chosen:
            scales = rule.floats(layers)
            if rule.block_factor_squared != 1 or np.ptp(scales) > 0:
                raise InputError("one scale for all blocks", rule, "give e.g. 1/n")
            rows.append(_row(network, x, rule.text, float(scales[0]), tau))
    return rows


def depth_exponents(rows: Sequence[DepthRow]) -> dict[str, dict[str, float]]:
    """For every rule and quantity the fitted p of log(quantity) ∝ L^p.

    Parameters
    ----------
    rows : sequence of DepthRow
        At least two depths for each rule.

    Returns
    -------
    dict
        Rule to quantity to p; a quantity whose logarithm is not above 0 throughout is left out.

    Examples
    --------
    >>> found = depth_exponents(depth_sweep([64, 256], ["1/sqrt(n)"], width=8))
    >>> 0.4 < found["1/sqrt(n)"]["log_certificate"] < 0.6
    True
    """
    found: dict[str, dict[str, float]] = {}
    for rule in dict.fromkeys(row.rule for row in rows):
        own = [row for row in rows if row.rule == rule]
        if len({row.depth for row in own}) < 2:
            raise InputError("at least two depths to fit an exponent", len(own), "give more depths")
        logs = np.log([row.depth for row in own])
        found[rule] = {}
        for name in QUANTITIES:
            values = np.array([getattr(row, name) for row in own])
            if (values > 0).all():
                found[rule][name] = float(np.polyfit(logs, np.log(values), 1)[0])
    return found


def _row(network: ResidualClassifier, x: _Array, rule: str, theta: float, tau: float) -> DepthRow:
    first = np.maximum(network.weights[0].T @ x, 0.0)
    state, log_growth = first / np.linalg.norm(first), 0.0
    jacobian, log_jacobian = np.eye(len(state)), 0.0
    for weight in network.residual_weights:
        moved = weight.T @ state
        jacobian = jacobian + theta * (moved > 0)[:, None] * (weight.T @ jacobian)
        state = state + theta * np.maximum(moved, 0.0)
        growth, gain = float(np.linalg.norm(state)), float(np.linalg.norm(jacobian))
        state, log_growth = state / growth, log_growth + math.log(growth)
        jacobian, log_jacobian = jacobian / gain, log_jacobian + math.log(gain)
    # The last layer is homogeneous: its worst error at x_L is ‖x_L‖ times that at x_L/‖x_L‖.
    last = ResidualClassifier([np.eye(len(state)), network.weights[-1]], 0.0, network.readout)
    error = worst_last_layer(last, state, tau)[0] / (tau ** (4 / 3) * math.sqrt(len(state)))
    certificate = interlayer_certificate(network.residual_weights, theta, tau, certified=False)
    return DepthRow(
        rule,
        network.depth,
        theta,
        certificate.log_product,
        log_jacobian + math.log(float(np.linalg.norm(jacobian, 2))),
        log_growth,
        log_growth + math.log(error) if error > 0 else None,
    )
