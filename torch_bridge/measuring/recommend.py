"""A scaling rule for a model, from how its branches add up, with the reason in a sentence.

============================ ============ ======================================================
what the branches do         rule         why
============================ ============ ======================================================
the energy stays within TAME ``1``        nothing has to be tamed
their input is normalised    ``1``        every block adds the same energy (G4)
grow no more than the rest   ``1``        without any branch the growth stays above TAME
point in random directions   c/sqrt(n)    energies add up: Σ λ² must stay bounded (G1)
share a direction            c/n          amplitudes add up: Σ λ must stay bounded (G3, G6)
cosines fade with distance   c*n^-β       in between, β fitted
============================ ============ ======================================================

Coherence and degree are those of the first-order terms (:mod:`torch_bridge.measuring.prediction`):
they are what remains of a tower whose scales are small. c is 1, or the largest two-digit number
below with which the predicted growth is within TAME.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch_bridge.measuring.measure import Measurement, measure
from torch_bridge.measuring.prediction import Prediction, predict
from torch_bridge.measuring.stream import Batch, Blocks, as_batches

__all__ = ["TAME", "Recommendation", "recommend"]

TAME = 10.0  # an energy within one order of magnitude needs no scale
_FORMS = {"incoherent": "{c}/sqrt(n)", "coherent": "{c}/n", "intermediate": "{c}*n^-{beta}"}


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A rule, and what it does to the growth.

    Parameters
    ----------
    rule : str
        As :meth:`ScalingRule.parse <expansion.ScalingRule.parse>` reads it; ``1`` is to keep the
        model as it is.
    reason : str
        Why, in a sentence with the measured numbers.
    growth_before : float
        Measured on the model as it is.
    growth_after : float
        Predicted with the rule.
    """

    rule: str
    reason: str
    growth_before: float
    growth_after: float


def recommend(
    blocks: Blocks,
    batches: Iterable[Any] | None = None,
    *,
    measured: Measurement | None = None,
    predicted: Prediction | None = None,
) -> Recommendation:
    """Recommend a scaling rule.

    Parameters
    ----------
    blocks : Blocks
        The traced model.
    batches : iterable, optional
        Inputs; only the first batch is looked at. The example of the trace by default.
    measured, predicted : Measurement and Prediction, optional
        At the model's own scales, where they are known already.

    Raises
    ------
    InputError
        For a model without blocks or a signal that is not finite.

    Examples
    --------
    >>> import torch
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.models import build
    >>> from torch_bridge.tower import trace
    >>> model = build(Architecture("mlp", depth=8, dimension=64, rule="1"), seed=1)
    >>> x = torch.randn(16, 64, generator=torch.Generator().manual_seed(0)).double()
    >>> found = recommend(trace(model, x))
    >>> found.rule, found.growth_before > 100, found.growth_after < 4
    ('1/sqrt(n)', True, True)
    """
    batch = next(as_batches(batches, blocks))
    inputs = [_as_given(batch)]
    if measured is None:
        measured = measure(blocks, inputs, gradients=False)
    if predicted is None:
        predicted = predict(blocks, inputs)
    before, depth = measured.growth, measured.depth
    if before <= TAME:
        reason = (
            f"The energy grows by a factor of {before:.3g} over {_blocks(depth)}, less than "
            f"{TAME:.0f}: nothing has to be tamed."
        )
        return Recommendation("1", reason, before, before)
    if predicted.normalised and predicted.degree is not None:
        more = 4**predicted.degree
        reason = (
            f"Branches see a normalised signal (twice the signal gives them {more:.2f} times the "
            "energy), so that growth is additive, not exponential: as with λ_l = 1/√l, later "
            "blocks matter less and less, and no scale is needed."
        )
        return Recommendation("1", reason, before, before)
    floor = predict(blocks, inputs, rule="0").growth
    if floor > TAME:
        reason = (
            f"Without any branch the energy would still grow by a factor of {floor:.3g}: what "
            "lies between the blocks makes it grow, and no scale of the branches tames that."
        )
        return Recommendation("1", reason, before, before)
    found = predicted.coherence
    told = (
        f"(mean cosine {found.cosine:.2g}; their sum has {found.pile_up:.2g} times the energy "
        "of independent ones)"
    )
    reason = {
        "incoherent": f"Branches point in independent directions {told}: energies add up, and "
        "Σ λ² must stay bounded.",
        "coherent": f"Branches share a direction {told}: amplitudes add up, and Σ λ must stay "
        "bounded.",
        "intermediate": f"Branches are alike the nearer they are {told}: the sum of m of them "
        f"grows like m^{found.exponent:.2f}.",
    }[found.kind]
    rule, after = _largest(blocks, inputs, _FORMS[found.kind], f"{found.exponent:.2f}")
    return Recommendation(rule, reason, before, after)


def _largest(blocks: Blocks, inputs: list[Any], form: str, beta: str) -> tuple[str, float]:
    """The rule with the largest coefficient up to 1 whose predicted growth is tame."""
    coefficient = 1.0
    for _ in range(20):
        rule = form.format(c=f"{coefficient:.2g}", beta=beta)
        after = predict(blocks, inputs, rule=rule).growth
        if after <= TAME:
            break
        # ln growth falls like c² or faster like c: the square root never steps too far by much.
        step = min(0.95, math.sqrt(math.log(TAME) / math.log(after)))
        coefficient = _rounded_down(coefficient * step)
    return rule, after


def _rounded_down(value: float) -> float:
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.floor(value / digit * (1 + 1e-12)) * digit


def _blocks(depth: int) -> str:
    return "1 block" if depth == 1 else f"{depth} blocks"


def _as_given(batch: Batch) -> Any:
    """One batch as an item of ``batches``."""
    args, kwargs = batch
    return args or kwargs
