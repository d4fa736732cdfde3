r"""One cell of Marion's experiment: a tower, a penalty, a seed; its gap along training.

Trained by Adam on the cross-entropy plus the penalty. After every epoch, with the weights at rest,
both losses are evaluated over whole parts, without the penalty: the *gap* is mean test loss minus
mean training loss. At the end claim B3's bound is computed for the class that the trained weights
are in (:mod:`expansion.bounds.neural_ode`), where it applies: A and B must not depend on the
sample, so to towers with trained ends it does not.

For the cross-entropy of B h the loss is √2‖B‖-Lipschitz in h (its gradient in the logits is
p − e_y, of norm at most √2) and equals ln(classes) at h = 0: the K_ℓ and ℓ_0 of the bound.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from expansion.bounds.neural_ode import neural_ode_bound, published_terms
from expansion.bounds.neural_ode_class import TowerClass, class_of_weights
from expansion.bounds.norms import certified_spectral_norm
from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from torch_bridge.experiments.cells import Answer, seed_of
from torch_bridge.experiments.datasets import load_data
from torch_bridge.experiments.smooth_tower import (
    MOST_LAYERS,
    SmoothTower,
    build_smooth_tower,
    largest_step,
    largest_sum,
    variation,
)
from torch_bridge.networks.data import Dataset
from torch_bridge.networks.training import Evaluation, deterministic, evaluate

__all__ = ["EPOCH_FIELDS", "Marion", "bound_of", "evaluate_in_batches", "marion_answer", "marions"]

EPOCH_FIELDS = ("train_loss", "test_loss", "gap", "test_accuracy", "sup_step", "norm")
_EVALUATED_AT_ONCE = 1000
_DELTA = 0.05  # the bound fails with at most this probability


@dataclass(frozen=True, slots=True)
class Marion:
    """Everything that one run depends on.

    Parameters
    ----------
    depth, width : int
        L and d.
    penalty : float, optional
        μ ≥ 0; None is μ = ∞, a tied tower.
    trained_ends : bool
        Whether A and B are trained, too.
    seed : int
        Of weights and shuffling; shared by all penalties, which are thus compared in pairs.
    epochs, batch : int
        Passes over the training part; samples a step.
    rate : float
        Adam's learning rate.
    bandwidth : float
        b, of the start.
    data : str
        Spec of the data.
    samples : int, optional
        Train on the first so many alone.
    fingerprint : str
        Of the data.
    device : str
        cpu, or cuda where there is one.

    Raises
    ------
    InputError
        For a number out of its range.
    """

    depth: int
    width: int = 30
    penalty: float | None = 0.0
    trained_ends: bool = False
    seed: int = 0
    epochs: int = 30
    batch: int = 128
    rate: float = 0.02
    bandwidth: float = 0.1
    data: str = "digits"
    samples: int | None = None
    fingerprint: str = ""
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("depth", "width", "epochs", "batch"):
            check_count(getattr(self, name), name, least=1)
        if self.depth > MOST_LAYERS:
            mend = "the start needs a dense matrix of that size"
            raise InputError(f"a depth of at most {MOST_LAYERS}", self.depth, mend)
        check_count(self.seed, "seed", least=0)
        for name in ("rate", "bandwidth"):
            if check_finite(getattr(self, name), name) <= 0:
                raise InputError(f"a {name} above 0", getattr(self, name), "give e.g. 0.02")
        if self.penalty is not None and check_finite(self.penalty, "penalty") < 0:
            raise InputError("a penalty of at least 0", self.penalty, "give e.g. 0.01, or inf")

    @property
    def penalty_text(self) -> str:
        """μ as people write it."""
        return "∞" if self.penalty is None else f"{self.penalty:g}"

    def of(self, fingerprint: str) -> Marion:
        """The same question about these very data."""
        return replace(self, fingerprint=fingerprint)


def marions(
    like: Marion, *, penalties: Iterable[float | None], seeds: int, first_seed: int = 0
) -> tuple[Marion, ...]:
    """Every penalty with every seed, the rest as in ``like``.

    Examples
    --------
    >>> [(cell.penalty, cell.seed) for cell in marions(Marion(10), penalties=[0, None], seeds=2)]
    [(0, 0), (0, 1), (None, 0), (None, 1)]
    """
    number = check_count(seeds, "seeds", least=1)
    return tuple(
        replace(like, penalty=penalty, seed=first_seed + seed)
        for penalty in penalties
        for seed in range(number)
    )


def evaluate_in_batches(
    network: nn.Module, inputs: Tensor, labels: Tensor, batch: int = _EVALUATED_AT_ONCE
) -> Evaluation:
    """Mean loss and accuracy over all samples, each counting the same, whatever its batch.

    Parameters
    ----------
    network : nn.Module
        From (samples, inputs) to (samples, classes).
    inputs, labels : Tensor
        One part of the data.
    batch : int
        Samples evaluated together; the last batch may be smaller.
    """
    loss = right = 0.0
    for x, y in zip(torch.split(inputs, batch), torch.split(labels, batch), strict=True):
        found = evaluate(network, x, y)
        loss, right = loss + found.loss * len(y), right + found.accuracy * len(y)
    return Evaluation(loss / len(labels), right / len(labels))


def marion_answer(cell: Marion) -> Answer:
    """Train, and measure before training and after every epoch; the bound at the end.

    Raises
    ------
    InputError
        When the data cannot be loaded or are not those of the cell.
    """
    images = load_data(cell.data, cell.samples)
    if cell.fingerprint not in ("", images.fingerprint):
        came = f"others under {cell.data}"
        raise InputError("the data that the grid was made for", came, "start a new folder")
    if cell.device != "cpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS may not repeat
    data = images.to(cell.device)
    with deterministic():
        network = build_smooth_tower(
            inputs=data.inputs,
            width=cell.width,
            classes=data.classes,
            depth=cell.depth,
            tied=cell.penalty is None,
            bandwidth=cell.bandwidth,
            seed=seed_of("marion", cell.width, cell.seed),
        ).to(cell.device)
        epochs = _train(network, data, cell)
    finite = math.isfinite(epochs[-1]["gap"])
    found: Answer = {
        "outcome": "finished" if finite else "diverged",
        "epochs": len(epochs) - 1,
        **{name: [epoch[name] for epoch in epochs] for name in EPOCH_FIELDS},
    }
    bound = None
    if finite and not cell.trained_ends:
        bound = bound_of(network, data)
    return found | {f"bound_{name}": None if bound is None else bound[name] for name in _BOUND}


def _train(network: SmoothTower, data: Dataset, cell: Marion) -> list[dict[str, float]]:
    """What is measured at the start and after every epoch; it ends where a loss is not finite."""
    for end in (network.encoder, network.decoder):
        end.requires_grad_(cell.trained_ends)
    moving = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(moving, lr=cell.rate)
    shuffling = torch.Generator().manual_seed(seed_of("order", cell.seed))
    measured = [_measure(network, data)]
    for _ in range(cell.epochs):
        order = torch.randperm(len(data.train_labels), generator=shuffling)
        for chosen in torch.split(order.to(data.train_inputs.device), cell.batch):
            optimizer.zero_grad()
            outputs = network(data.train_inputs[chosen])
            loss = nn.functional.cross_entropy(outputs, data.train_labels[chosen])
            if cell.penalty:
                loss = loss + cell.penalty * variation(network.weights)
            torch.autograd.backward(loss)
            optimizer.step()
        measured.append(_measure(network, data))
        if not math.isfinite(measured[-1]["gap"]):
            break
    return measured


def _measure(network: SmoothTower, data: Dataset) -> dict[str, float]:
    train = evaluate_in_batches(network, data.train_inputs, data.train_labels)
    test = evaluate_in_batches(network, data.test_inputs, data.test_labels)
    return {
        "train_loss": train.loss,
        "test_loss": test.loss,
        "gap": test.loss - train.loss,
        "test_accuracy": test.accuracy,
        "sup_step": largest_step(network.weights),
        "norm": largest_sum(network.weights),
    }


_BOUND = (
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
