r"""Predictions: growth, mean order, and from these whether a network trains.

The rule follows from the theory by three steps. None of its numbers was fitted; a pilot on dense
networks of depth 10, 100 and 1000 had been seen when it was written down, the grids had not.

*The first step.* Write a logit f as a sum of paths. For a matrix with entries N(0, v), f is linear
in it with gates frozen, so :math:`v\,E\|\partial f/\partial W\|^2` is the energy of the paths
through it. All paths go through the encoder and the readout, and on average :math:`\bar k` branches
lie on one, :math:`\bar k = \sum_l s_l` the mean order (claim G2), s_l the share of block l. So

.. math:: \Theta = E\sum_\theta \Big(\frac{\partial f}{\partial\theta}\Big)^2
          = q_n \Big(\frac1{v_E} + \frac1{v_D} + \bar k \sum_j \frac1{v_j}\Big),

j over the matrices of a branch: growth and mean order decide how far a first step of rate η moves
a logit, by ηΘ. Scales that are trained add :math:`q_n\sum_l s_l/\lambda_l^2`. A normalisation
before the readout puts 1 in place of q_n. Source: derived; exact where gates do not depend on the
matrix, else the limit of infinite width. At finite width ln ‖x_n‖² varies over draws, with
variance V (claim G7): a typical network has :math:`q_n e^{-V/2}`, and that is what is used. (A
convolution counts as one matrix on d channels: positions share its noise and do not average it.)

*The largest stable rate.* With C classes the cross-entropy has curvature 1/C at the start, and
that of the loss in the weights is at most Θ/C; gradient descent with momentum μ is stable below

.. math:: \eta^* = 2(1 + \mu)\,C/\Theta.

*Classes have to be told apart.* Two inputs at a right angle have correlation c_n at the output
(claim G7): what distinguishes them is the part 1 − c_n of Θ. A class is 1/C of the samples, and
half of what distinguishes two inputs is taken to be their class, so that T steps of rate η take
away

.. math:: A = \frac{T\eta}{1 - \mu} \cdot \frac1C \cdot \frac{\Theta(1 - c_n)}{2C}

e-foldings of the error. *A network is predicted to train if the signal stays within the floats, a
rate η of the sweep is below η\*, and A ≥ 1 for the largest such rate.* Where the first two fail it
is predicted to diverge, where the last fails to be stuck. Batch normalisation subtracts at every
block what inputs have in common: c_n = 0.

*What it leaves out.* η\* is where instability begins, not where training ends: rates some way above
it may carry a network into a flatter region from which it trains. A pilot of depth 10 at λ = 1 did
so at thirty times η\*, after losses in the tens; ratios of that size decide nothing here, for the
rates that fail by growth miss η\* by many decades.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expansion.growth.advice import FLOATS
from expansion.growth.mean_field import MeanField, mean_field
from expansion.growth.setting import Setting
from expansion.towers.scaling import ScalingRule
from torch_bridge.experiments.training.descent import MOMENTUM
from torch_bridge.experiments.training.resnets import inverse_variances
from torch_bridge.experiments.training.schemes import Scheme

__all__ = ["Prediction", "predict", "setting_of"]

_SETTINGS = {
    "dense": Setting("relu", "activation-first"),
    "conv": Setting("relu", "activation-first"),
    "mlp": Setting("relu", "pre-activation"),
    # Attention averages values and has at most an MLP's energy; it is taken as one.
    "transformer": Setting("gelu", "pre-norm"),
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the theory says about one network before it is trained.

    Parameters
    ----------
    log10_growth : float
        log10 of q_n = E‖x_n‖²/‖x_0‖² at initialisation.
    log10_typical_growth : float
        The same of a typical draw at this width.
    mean_order : float
        Mean number of branches that the energy went through.
    log10_gradient : float
        log10 of E‖g_0‖²/E‖g_n‖², gradients at the first and the last signal.
    correlation : float
        c_n of two inputs at a right angle.
    log10_first_step : float
        log10 Θ.
    largest_rate : float
        η*.
    foldings : float
        A.
    outcome : str
        trained, stuck or diverged.
    reason : str
        Why, in a few words.
    """

    log10_growth: float
    log10_typical_growth: float
    mean_order: float
    log10_gradient: float
    correlation: float
    log10_first_step: float
    largest_rate: float
    foldings: float
    outcome: str
    reason: str


def predict(
    network: str,
    scheme: Scheme,
    *,
    depth: int,
    width: int,
    shape: tuple[int, int, int],
    classes: int,
    steps: int,
    rates: Sequence[float],
    patch: int = 2,
) -> Prediction:
    """Predict one network of a grid.

    Parameters
    ----------
    network, scheme, depth, width, shape, classes, patch
        As for :func:`~torch_bridge.experiments.training.resnets.build_resnet`.
    steps : int
        T, updates in a run.
    rates : sequence of float
        The sweep of learning rates.

    Examples
    --------
    >>> sweep = dict(shape=(1, 8, 8), classes=10, steps=100, rates=(0.1, 0.02, 0.004))
    >>> for text in ("1/sqrt(n)", "1", "half"):
    ...     found = predict("mlp", Scheme.parse(text), depth=1000, width=16, **sweep)
    ...     print(text, round(found.log10_growth, 2) + 0.0, found.outcome)
    1/sqrt(n) 0.43 trained
    1 301.03 diverged
    half 0.0 stuck
    """
    field = _growth(network, scheme, depth, width)
    wobble = field.log_deviation
    typical = field.log_energy - (0.0 if wobble is None else wobble**2 / 2)
    correlation = _correlation(field, scheme)
    normalised = bool(scheme.normalisation) or network == "transformer"
    log_size = None if normalised else (typical + math.log(width)) / 2
    log_theta = (0.0 if normalised else typical) + math.log(
        _first_step(network, scheme, field, depth, width, shape, patch)
    )
    log_rate = math.log(2 * (1 + MOMENTUM) * classes) - log_theta
    stable = [rate for rate in rates if math.log(rate) <= log_rate]
    rate = max(stable, default=min(rates))
    log_foldings = math.log(steps * rate / (1 - MOMENTUM) / (2 * classes**2)) + log_theta
    log_foldings += math.log(max(1 - correlation, 1e-300))
    outcome, reason = _verdict(log_size, bool(stable), log_foldings, correlation)
    ten = math.log(10)
    return Prediction(
        log10_growth=field.log_energy / ten,
        log10_typical_growth=typical / ten,
        mean_order=float(field.shares.sum()),
        log10_gradient=field.log_gradient / ten,
        correlation=correlation,
        log10_first_step=log_theta / ten,
        largest_rate=math.exp(max(-700.0, min(700.0, log_rate))),
        foldings=math.exp(max(-700.0, min(700.0, log_foldings))),
        outcome=outcome,
        reason=reason,
    )


def setting_of(network: str) -> Setting:
    """The block of a network, as ``expansion.growth`` knows it.

    Examples
    --------
    >>> setting_of("dense").block
    'activation-first'
    """
    return _SETTINGS[network]


def _verdict(
    log_size: float | None, stable: bool, log_foldings: float, correlation: float
) -> tuple[str, str]:
    """Outcome and reason, from the size of the last signal (None: normalised) and the rest."""
    least, most = FLOATS["float32"]
    if log_size is not None and log_size > most:
        return "diverged", "the signal leaves the floats"
    if log_size is not None and log_size < least:
        return "stuck", "the signal vanishes"
    if not stable:
        return "diverged", "every rate of the sweep moves the output too far"
    if log_foldings >= 0:
        return "trained", "a rate of the sweep is stable and tells classes apart"
    same = correlation > 0.9 and log_foldings > math.log(1 - correlation)
    return "stuck", "inputs look alike at the output" if same else "every step is too small"


def _growth(network: str, scheme: Scheme, depth: int, width: int) -> MeanField:
    rule = scheme.rule
    if scheme.normalisation:
        rule = ScalingRule.parse("batchnorm")  # by its name: λ = 1 on a normalised input
    elif scheme.fixup:
        rule = ScalingRule.parse("skipinit")  # the branches are zero at the start
    return mean_field(_SETTINGS[network], rule, depth, correlation=0.0, width=width)


def _correlation(field: MeanField, scheme: Scheme) -> float:
    if scheme.normalisation == "batch" or field.correlation is None:
        return 0.0
    return max(0.0, field.correlation)


def _first_step(
    network: str,
    scheme: Scheme,
    field: MeanField,
    depth: int,
    width: int,
    shape: tuple[int, int, int],
    patch: int,
) -> float:
    """Θ/q_n."""
    encoder, branch, readout = inverse_variances(network, width, shape, patch)
    if scheme.fixup:
        # The last matrix starts at zero, where the energy through block l is v times that of its
        # derivative; with two matrices Fixup has multiplied the first by n^(−1/2).
        last = branch if network != "mlp" else float(width) / depth
        return encoder + readout + depth * last
    theta = encoder + readout + float(field.shares.sum()) * branch
    if scheme.learned:
        scales = scheme.rule.floats(depth)
        ratios = np.ones(depth)
        moving = scales != 0
        ratios[moving] = field.shares[moving] / scales[moving] ** 2
        theta += float(ratios.sum())
    return theta
