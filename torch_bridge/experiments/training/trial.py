"""One cell of the training grid: a network, a scheme, a depth, a learning rate, a seed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from expansion.checking import check_count
from expansion.errors import InputError
from torch_bridge.experiments.grids.cells import Answer, check_network, seed_of
from torch_bridge.experiments.grids.inputs import images_of
from torch_bridge.experiments.training.descent import descend
from torch_bridge.experiments.training.measured import (
    geometric_complexity,
    gradient_growth,
    growth,
    orders_of,
    probe_of,
)
from torch_bridge.experiments.training.resnets import build_resnet
from torch_bridge.experiments.training.schemes import Scheme
from torch_bridge.experiments.training.transformer import build_transformer
from torch_bridge.networks.models import ResidualNetwork
from torch_bridge.networks.training import deterministic

__all__ = [
    "NETWORKS",
    "PROBES",
    "Trial",
    "answer",
    "build_network",
    "check_all",
]

NETWORKS = ("dense", "conv", "mlp", "transformer")
PROBES = 32  # test samples on which growth, gradients and complexity are measured
_ORDER_PROBES = 8  # of these, how many the order spectrum is averaged over


@dataclass(frozen=True, slots=True)
class Trial:
    """Everything that one run depends on.

    Parameters
    ----------
    network : str
        dense, conv, mlp or transformer.
    scheme : str
        As :mod:`~torch_bridge.experiments.training.schemes` names it.
    depth, width : int
        n blocks; coordinates or channels.
    rate : float
        The learning rate.
    seed : int
        Of weights and shuffling.
    epochs, batch : int
        Passes over the training part; samples a step.
    patch : int
        Side of a patch of ``conv`` and ``transformer``.
    data : str
        Spec of the data.
    samples : int, optional
        Train on the first so many alone.
    fingerprint : str
        Of the data: another data set under the same name is another question.
    device : str
        cpu, or cuda where there is one.

    Raises
    ------
    InputError
        For an unknown network or scheme, or a number out of its range.
    """

    network: str
    scheme: str
    depth: int
    width: int = 16
    rate: float = 0.02
    seed: int = 0
    epochs: int = 4
    batch: int = 64
    patch: int = 2
    data: str = "digits"
    samples: int | None = None
    fingerprint: str = ""
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            known = ", ".join(NETWORKS)
            raise InputError(f"a network among {known}", self.network, "choose one of these")
        object.__setattr__(self, "scheme", Scheme.parse(self.scheme).text)
        for name in ("depth", "width", "epochs", "batch", "patch"):
            check_count(getattr(self, name), name, least=1)
        check_network(self.depth, self.width)
        check_count(self.seed, "seed", least=0)
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InputError("a learning rate above 0", self.rate, "give e.g. 0.02")


def build_network(trial: Trial, shape: tuple[int, int, int], classes: int) -> ResidualNetwork:
    """The network of a trial, freshly initialised; the rate has no part in its weights."""
    sizes: dict[str, Any] = {
        "depth": trial.depth,
        "width": trial.width,
        "shape": shape,
        "classes": classes,
        "patch": trial.patch,
        "seed": seed_of("weights", trial.network, trial.scheme, trial.depth, trial.seed),
    }
    scheme = Scheme.parse(trial.scheme)
    if trial.network == "transformer":
        return build_transformer(scheme, **sizes)
    return build_resnet(trial.network, scheme, **sizes)


def check_all(cells: Iterable[Trial], shape: tuple[int, int, int], classes: int) -> None:
    """Refuse before the first run what could not be built in the last.

    Raises
    ------
    InputError
        For patches that do not fill the image, and a scheme that a network does not take.
    """
    for trial in {(trial.network, trial.scheme): trial for trial in cells}.values():
        build_network(replace(trial, depth=1), shape, classes)


def answer(trial: Trial) -> Answer:
    """Train, and measure before and after: a divergence is an answer like any other.

    Raises
    ------
    InputError
        When the data cannot be loaded or are not those of the trial.
    """
    images = images_of(trial)
    data = images.data
    network = build_network(trial, images.shape, data.classes).to(trial.device)
    inputs, labels = data.test_inputs[:PROBES].double(), data.test_labels[:PROBES]
    checkpoints = {0, 1, trial.epochs // 2, trial.epochs}
    complexities: list[float] = []

    def on_epoch(epoch: int) -> None:
        if epoch in checkpoints:
            probe = probe_of(network, data.train_inputs)
            complexities.append(geometric_complexity(probe, inputs, data.classes))

    with deterministic():
        before = _look(network, data.train_inputs, inputs, labels)
        run = descend(
            network,
            data,
            rate=trial.rate,
            epochs=trial.epochs,
            batch=trial.batch,
            seed=seed_of("order", trial.seed),
            on_epoch=on_epoch,
        )
        after = dict.fromkeys(before)
        if run.outcome != "diverged":
            after = _look(network, data.train_inputs, inputs, labels)
    return {
        **{f"initial_{name}": value for name, value in before.items()},
        **{f"final_{name}": value for name, value in after.items()},
        "outcome": run.outcome,
        "losses": list(run.losses),
        "train_loss": run.train.loss,
        "train_accuracy": run.train.accuracy,
        "test_loss": run.test.loss,
        "test_accuracy": run.test.accuracy,
        "gap": run.test.loss - run.train.loss,
        "complexity": complexities,
        "initial_complexity": complexities[0],
        "final_complexity": None if run.outcome == "diverged" else complexities[-1],
    }


_ORDER_FIELDS = ("orders", "mean_order", "alignment", "order_sum_error")


def _look(
    network: ResidualNetwork, train_inputs: Tensor, inputs: Tensor, labels: Tensor
) -> dict[str, Any]:
    """Growth, gradient and order spectrum of a network as it is now."""
    probe = probe_of(network, train_inputs)
    orders = orders_of(probe, inputs[:_ORDER_PROBES])
    spectrum = dict.fromkeys(_ORDER_FIELDS) if orders is None else {
        "orders": list(orders.sizes),
        "mean_order": orders.mean_order,
        "alignment": orders.alignment,
        "order_sum_error": orders.sum_error,
    }  # fmt: skip
    return {
        "log10_growth": growth(probe, inputs),
        "log10_gradient": gradient_growth(probe, inputs, labels),
        **spectrum,
    }
