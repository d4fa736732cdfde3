"""Training one network as De & Smith did: momentum, one learning rate out of a sweep.

What became of a run is decided by rules that were written down before the grids were run:

* *diverged*: a loss was not a finite number, at any step or at the end;
* *trained*: the loss over the whole training part ended below half of chance, ln(classes)/2;
* *stuck*: neither: finite, and no better than that.

A network that predicts nothing has the loss ln(classes); half of it needs most samples right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from torch_bridge.networks.data import Dataset
from torch_bridge.networks.training import Evaluation, deterministic, evaluate

__all__ = ["BELOW_CHANCE", "MOMENTUM", "Descent", "descend", "outcome", "settle", "steps_of"]

MOMENTUM = 0.9
BELOW_CHANCE = 0.5  # the share of ln(classes) below which a network has trained


@dataclass(frozen=True, slots=True)
class Descent:
    """What came of a run.

    Parameters
    ----------
    outcome : str
        trained, stuck or diverged.
    losses : tuple of float
        Mean training loss of every epoch that was finished, while the weights moved.
    train, test : Evaluation
        At the end, over whole parts; a loss of nan or infinity after a divergence.
    """

    outcome: str
    losses: tuple[float, ...]
    train: Evaluation
    test: Evaluation


def outcome(losses: tuple[float, ...], final_loss: float, classes: int) -> str:
    """The word for a run: see the top of this module.

    Examples
    --------
    >>> outcome((2.0, 0.3), 0.2, 10), outcome((2.4, 2.3), 2.3, 10), outcome((math.inf,), 0.1, 10)
    ('trained', 'stuck', 'diverged')
    """
    if not all(map(math.isfinite, (*losses, final_loss))):
        return "diverged"
    return "trained" if final_loss < BELOW_CHANCE * math.log(classes) else "stuck"


def steps_of(samples: int, batch: int, epochs: int) -> int:
    """Updates in a run: whole batches alone, or one smaller one where there is no whole one.

    Examples
    --------
    >>> steps_of(1347, 64, 5), steps_of(10, 64, 5)
    (105, 5)
    """
    return epochs * max(1, samples // batch)


def settle(network: nn.Module, inputs: Tensor) -> None:
    """Set the running statistics of every batch normalisation to those of ``inputs``.

    What is measured in evaluation mode is then the network that training sees, not one whose
    running averages lag behind.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], network.training
    for layer in layers:
        layer.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(inputs)
    network.train(training)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def descend(
    network: nn.Module,
    data: Dataset,
    *,
    rate: float,
    epochs: int,
    batch: int,
    seed: int,
    on_epoch: Callable[[int], None] | None = None,
) -> Descent:
    """Train ``network`` in place, by stochastic gradient descent on the cross-entropy.

    Parameters
    ----------
    network : nn.Module
        From (samples, inputs) to (samples, classes).
    data : Dataset
        On the network's device.
    rate : float
        The learning rate; it falls to 0 along half a cosine.
    epochs, batch : int
        Passes over the training part; samples a step. What is left of a pass after whole
        batches waits for the next one.
    seed : int
        Of the shuffling.
    on_epoch : callable, optional
        Called with 0 before training and with the number of every finished epoch.

    Examples
    --------
    >>> from torch_bridge.experiments.grids.datasets import load_data
    >>> data = load_data("digits").data
    >>> found = descend(nn.Linear(64, 10), data, rate=0.01, epochs=2, batch=64, seed=0)
    >>> found.outcome, len(found.losses), found.test.accuracy > 0.8
    ('trained', 2, True)
    """
    shuffling = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=MOMENTUM)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    losses: list[float] = []
    with deterministic():
        if on_epoch is not None:
            on_epoch(0)
        network.train()
        for epoch in range(1, epochs + 1):
            losses.append(_epoch(network, data, optimizer, batch, shuffling))
            if not math.isfinite(losses[-1]):
                break
            schedule.step()
            if on_epoch is not None:
                on_epoch(epoch)
        settle(network, data.train_inputs)
        train = evaluate(network, data.train_inputs, data.train_labels)
        test = evaluate(network, data.test_inputs, data.test_labels)
    kept = tuple(loss for loss in losses if math.isfinite(loss))
    return Descent(outcome(tuple(losses), train.loss, data.classes), kept, train, test)


def _epoch(
    network: nn.Module,
    data: Dataset,
    optimizer: torch.optim.Optimizer,
    batch: int,
    shuffling: torch.Generator,
) -> float:
    """Mean loss of one pass; it ends at the first loss that is not finite."""
    samples = len(data.train_labels)
    order = torch.randperm(samples, generator=shuffling).to(data.train_inputs.device)
    batches = torch.split(order, batch)
    whole = [chosen for chosen in batches if len(chosen) == batch] or list(batches)
    total = 0.0
    for chosen in whole:
        optimizer.zero_grad()
        outputs = network(data.train_inputs[chosen])
        loss = nn.functional.cross_entropy(outputs, data.train_labels[chosen])
        torch.autograd.backward(loss)
        optimizer.step()
        total += loss.item()
        if not math.isfinite(total):
            return total
    return total / len(whole)
