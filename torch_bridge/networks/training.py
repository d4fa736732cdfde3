"""Training a classifier, deterministically: Adam on the cross-entropy.

A run whose loss stops being a finite number has diverged. That is a result, not an error: which
networks train is what the scaling rules are about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from expansion.checking import check_count, check_finite
from expansion.errors import InputError
from torch_bridge.networks.data import Dataset

__all__ = ["Evaluation", "TrainingPlan", "TrainingResult", "deterministic", "evaluate", "train"]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How to train: Adam with decoupled weight decay (AdamW) on shuffled batches.

    Parameters
    ----------
    epochs : int
        Passes over the training part, at least 1.
    batch : int
        Samples per step, at least 1.
    learning_rate : float
        Above 0; it falls to 0 along half a cosine.
    weight_decay : float
        At least 0.
    seed : int
        Of the shuffling.

    Raises
    ------
    InputError
        For a value out of its range.
    """

    epochs: int = 50
    batch: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 1), ("seed", 0)):
            object.__setattr__(self, name, check_count(getattr(self, name), name, least=least))
        check_finite(self.learning_rate, "learning rate")
        check_finite(self.weight_decay, "weight decay")
        if self.learning_rate <= 0:
            raise InputError("a learning rate above 0", self.learning_rate, "give e.g. 0.01")
        if self.weight_decay < 0:
            raise InputError("a weight decay of at least 0", self.weight_decay, "give e.g. 0.01")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean cross-entropy in nats and share of right answers, over one part of the data."""

    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What came of a run.

    Parameters
    ----------
    losses : tuple of float
        Mean training loss of every finished epoch, measured while the weights moved.
    train, test : Evaluation
        At the end; a loss of nan or inf after a divergence.
    diverged : bool
        Whether a loss stopped being finite; training ended there.
    """

    losses: tuple[float, ...]
    train: Evaluation
    test: Evaluation
    diverged: bool


@contextmanager
def deterministic() -> Iterator[None]:
    """One thread and deterministic algorithms, for runs that repeat bit for bit on a machine."""
    threads = torch.get_num_threads()
    algorithms = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(algorithms)
        torch.set_num_threads(threads)


def evaluate(network: nn.Module, inputs: Tensor, labels: Tensor) -> Evaluation:
    """Loss and accuracy of a network in evaluation mode; its mode is then put back.

    An output with nan or infinity is not a right answer.
    """
    training = network.training
    network.eval()
    with torch.no_grad():
        outputs = network(inputs)
        loss = nn.functional.cross_entropy(outputs, labels).item()
        right = (outputs.argmax(dim=-1) == labels) & outputs.isfinite().all(dim=-1)
    network.train(training)
    return Evaluation(loss, right.double().mean().item())


def train(
    network: nn.Module,
    data: Dataset,
    plan: TrainingPlan,
    progress: Callable[[int, float], None] | None = None,
    *,
    decayed: Iterable[nn.Parameter] | None = None,
) -> TrainingResult:
    """Train ``network`` in place.

    Parameters
    ----------
    network : nn.Module
        From (samples, inputs) to (samples, classes).
    data : Dataset
        Of the network's own floating-point type.
    plan : TrainingPlan
        Epochs, batch, learning rate, weight decay, seed.
    progress : callable, optional
        Called with the epoch's number, 1.., and its loss after every epoch.
    decayed : iterable of nn.Parameter, optional
        What the weight decay acts on; every parameter by default.

    Examples
    --------
    >>> from torch_bridge.networks.architecture import Architecture
    >>> from torch_bridge.networks.data import load_digits
    >>> from torch_bridge.networks.models import build
    >>> network = build(Architecture(depth=2, inputs=64, classes=10))
    >>> result = train(network, load_digits(), TrainingPlan(epochs=3))
    >>> result.diverged, result.losses[2] < result.losses[0], result.test.accuracy > 0.8
    (False, True, True)
    """
    with deterministic():
        optimizer = _optimizer(network, plan, decayed)
        losses = _descend(network, data, plan, optimizer, progress)
        after_train = evaluate(network, data.train_inputs, data.train_labels)
        after_test = evaluate(network, data.test_inputs, data.test_labels)
    finite = all(map(math.isfinite, (*losses, after_train.loss, after_test.loss)))
    kept = tuple(loss for loss in losses if math.isfinite(loss))
    return TrainingResult(kept, after_train, after_test, diverged=not finite)


def _optimizer(
    network: nn.Module, plan: TrainingPlan, decayed: Iterable[nn.Parameter] | None
) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    chosen = {id(parameter) for parameter in (parameters if decayed is None else decayed)}
    groups = [
        {"params": [p for p in parameters if id(p) in chosen], "weight_decay": plan.weight_decay},
        {"params": [p for p in parameters if id(p) not in chosen], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate)


def _descend(
    network: nn.Module,
    data: Dataset,
    plan: TrainingPlan,
    optimizer: torch.optim.Optimizer,
    progress: Callable[[int, float], None] | None,
) -> list[float]:
    """The loss of every epoch; the last one is not finite if the run diverged."""
    network.train()
    shuffling = torch.Generator().manual_seed(plan.seed)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, plan.epochs)
    samples = len(data.train_labels)
    losses: list[float] = []
    for epoch in range(1, plan.epochs + 1):
        total = 0.0
        shuffled = torch.randperm(samples, generator=shuffling)
        for chosen in torch.split(shuffled, plan.batch):
            optimizer.zero_grad()
            outputs = network(data.train_inputs[chosen])
            loss = nn.functional.cross_entropy(outputs, data.train_labels[chosen])
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.item() * len(chosen)
            if not math.isfinite(total):
                return [*losses, total]
        schedule.step()
        losses.append(total / samples)
        if progress is not None:
            progress(epoch, losses[-1])
    return losses
