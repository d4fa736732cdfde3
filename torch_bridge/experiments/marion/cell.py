r"""One cell of Marion's experiment: a tower, a penalty, a seed; its gap along training.

Trained by Adam on the cross-entropy plus the penalty. After every epoch, with the weights at rest,
both losses are evaluated over whole parts, without the penalty: the *gap* is mean test loss minus
mean training loss. At the end claim B3's bound is computed for the class that the trained weights
are in (:mod:`~torch_bridge.experiments.marion.bound`), where it applies: A and B must not depend
on the sample, so to towers with trained ends it does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from torch_bridge.experiments.grids.cells import Answer, check_network, seed_of
from torch_bridge.experiments.grids.inputs import images_of
from torch_bridge.experiments.marion.bound import BOUND_FIELDS, bound_of
from torch_bridge.experiments.marion.smooth_tower import (
    MOST_LAYERS,
    SmoothTower,
    build_smooth_tower,
    largest_step,
    largest_sum,
    variation,
)
from torch_bridge.networks.data import Dataset
from torch_bridge.networks.training import Evaluation, deterministic, evaluate

__all__ = ["EPOCH_FIELDS", "Marion", "answer", "evaluate_in_batches"]

EPOCH_FIELDS = ("train_loss", "test_loss", "gap", "test_accuracy", "sup_step", "norm")
_EVALUATED_AT_ONCE = 1000


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
        check_network(self.depth, self.width)
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


def answer(cell: Marion) -> Answer:
    """Train, and measure before training and after every epoch; the bound at the end.

    Raises
    ------
    InputError
        When the data cannot be loaded or are not those of the cell.
    """
    data = images_of(cell).data
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
    bounded = finite and not cell.trained_ends
    bound = bound_of(network, data) if bounded else dict.fromkeys(BOUND_FIELDS)
    return {
        "outcome": "finished" if finite else "diverged",
        "epochs": len(epochs) - 1,
        **{name: [epoch[name] for epoch in epochs] for name in EPOCH_FIELDS},
        **{f"bound_{name}": bound[name] for name in BOUND_FIELDS},
    }


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
    """By the names of :data:`EPOCH_FIELDS`, the weights at rest."""
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
