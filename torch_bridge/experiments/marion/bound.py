"""Claim B3's bound for a trained tower: the class that it is in, and what is told of the bound.

The class is that of :mod:`expansion.bounds.neural_ode`. For the cross-entropy of B h the loss is
√2‖B‖-Lipschitz in h (its gradient in the logits is p − e_y, of norm at most √2) and equals
ln(classes) at h = 0: the K_ℓ and ℓ_0 of the bound.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from expansion.bounds.neural_ode import neural_ode_bound, published_terms
from expansion.bounds.neural_ode_class import TowerClass, class_of_weights
from expansion.bounds.norms import certified_spectral_norm
from torch_bridge.experiments.marion.smooth_tower import SmoothTower
from torch_bridge.networks.data import Dataset

__all__ = ["BOUND_FIELDS", "bound_of", "class_of"]

_DELTA = 0.05  # the bound fails with at most this probability
BOUND_FIELDS = (
    "radius", "slope", "activation", "input_radius", "loss_slope", "loss_at_target", "log10_gap",
    "log10_trivial", "vacuous", "cover", "epsilon", "log_count", "log10_approximation",
    "log10_deviation", "log10_smallest_sample", "log10_clipped_gap", "log10_clipped_sample",
    "published_parameters", "published_variation", "published_confidence",
)  # fmt: skip


def class_of(network: SmoothTower, data: Dataset) -> TowerClass:
    """The class that a network is in, by its own constants and both parts of the data."""
    points = torch.cat([data.train_inputs, data.test_inputs])
    with torch.no_grad():
        encoded = network.encoder(points).double().cpu().numpy()
    stack = network.weights.detach().double().expand(network.depth, -1, -1).cpu().numpy()
    readout = certified_spectral_norm(network.decoder.weight.detach().double().cpu().numpy())
    return class_of_weights(
        stack,
        encoded,
        loss_slope=math.sqrt(2) * readout * (1 + 1e-12),
        loss_at_target=math.log(data.classes) * (1 + 1e-12),
    )


def bound_of(network: SmoothTower, data: Dataset) -> dict[str, Any]:
    """Claim B3's bound for a network: its constants, terms (base-10 logarithms) and verdict.

    The radius and slope were read off a network that has seen the sample, which costs a little of
    δ; that no input is larger than those of the data is an assumption.
    ``log10_smallest_sample`` is of the least n at which the bound is below M̄, the largest loss of
    the class, a number that is exponential in the radius itself. ``log10_clipped_gap`` bounds the
    gap of the loss clipped at ln(classes), what a network that predicts nothing has, and
    ``log10_clipped_sample`` is of the least n at which that says anything. Either n is None where
    not even 10^300 would do.
    """
    towers = class_of(network, data)
    samples = len(data.train_labels)
    bound = neural_ode_bound(towers, samples, _DELTA, measured=True)
    limited = replace(towers, loss_bound=towers.loss_at_target)
    clipped = neural_ode_bound(limited, samples, _DELTA, measured=True)
    published = published_terms(towers, samples, _DELTA)
    best, decade = bound.gaps[0], math.log(10)
    return {
        "radius": towers.radius,
        "slope": towers.slope,
        "activation": towers.activation,
        "input_radius": towers.input_radius,
        "loss_slope": towers.loss_slope,
        "loss_at_target": towers.loss_at_target,
        "log10_gap": bound.log_gap / decade,
        "log10_trivial": bound.log_trivial / decade,
        "vacuous": bound.vacuous,
        "cover": best.cover,
        "epsilon": best.epsilon,
        "log_count": best.log_count,
        "log10_approximation": best.log_approximation / decade,
        "log10_deviation": best.log_deviation / decade,
        "log10_smallest_sample": _log10(bound.smallest_sample),
        "log10_clipped_gap": clipped.log_gap / decade,
        "log10_clipped_sample": _log10(clipped.smallest_sample),
        "published_parameters": published.parameters,
        "published_variation": published.variation,
        "published_confidence": published.confidence,
    }


def _log10(number: int | None) -> float | None:
    return None if number is None else math.log10(number)
