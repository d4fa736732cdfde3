"""The trained network that ships with ``expansion``: how its file is made.

``python -m torch_bridge.networks.digits`` trains it again and writes
``expansion/data/digits.safetensors``; ``torch-bridge digits --output FILE`` writes another file.
On one machine with one version of PyTorch it is the same byte for byte.

The weight decay acts on the branches alone. It keeps them small beside the skip connection, so
that the λ-series converges at the network's own scales; without it the same network reaches
a similar accuracy and its series diverges at λ = 1/√n.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.resources import as_file, files

from expansion.towers.files import SavedTower, save_tower
from torch_bridge.networks.architecture import Architecture
from torch_bridge.networks.data import load_digits
from torch_bridge.networks.export import to_tower
from torch_bridge.networks.models import build
from torch_bridge.networks.training import TrainingPlan, TrainingResult, train

__all__ = ["ARCHITECTURE", "PLAN", "SEED", "train_digits", "write_digits"]

ARCHITECTURE = Architecture(
    "mlp", depth=8, dimension=16, width=16, activation="tanh", inputs=64, classes=10
)
PLAN = TrainingPlan(epochs=40, batch=64, learning_rate=1e-2, weight_decay=1.0, seed=0)
SEED = 0
_SHOWN = 64  # held-out digits in the file


def train_digits(
    plan: TrainingPlan = PLAN, progress: Callable[[int, float], None] | None = None
) -> tuple[SavedTower, TrainingResult]:
    """Train the network of :data:`ARCHITECTURE` on the digits.

    Parameters
    ----------
    plan : TrainingPlan
        Another one for experiments; the shipped file is made by :data:`PLAN`.
    progress : callable, optional
        Called with the number and the loss of every finished epoch.

    Returns
    -------
    saved : SavedTower
        With the first 64 digits of the test part, which the training never saw.
    result : TrainingResult
        Losses and accuracies.

    Examples
    --------
    >>> saved, result = train_digits(TrainingPlan(epochs=1))
    >>> saved.tower.depth, saved.inputs.shape, len(result.losses)
    (8, (64, 64), 1)
    """
    data = load_digits()
    network = build(ARCHITECTURE, seed=SEED)
    result = train(network, data, plan, progress, decayed=network.branches.parameters())
    built = ARCHITECTURE
    description = (
        f"Residual network x + λ(V {built.activation}(Ux + b) + c) of depth {built.depth}, "
        f"dimension {built.dimension} and width {built.hidden}, trained on the 8×8 "
        "handwritten digits of the UCI repository as shipped by scikit-learn "
        f"({len(data.train_labels)} to train, {len(data.test_labels)} to test, pixels/16): AdamW, "
        f"{plan.epochs} epochs, batches of {plan.batch}, learning rate {plan.learning_rate:g} "
        f"falling to 0, weight decay {plan.weight_decay:g} on the branches, seed {SEED}; "
        f"test accuracy {result.test.accuracy:.1%}."
    )
    shown = data.test_inputs[:_SHOWN], data.test_labels[:_SHOWN]
    return to_tower(network.eval(), *shown, description), result


def write_digits(
    path: str | os.PathLike[str], progress: Callable[[int, float], None] | None = None
) -> TrainingResult:
    """Train by :data:`PLAN` and write the file, whole or not at all.

    Raises
    ------
    InputError
        When the file cannot be written or scikit-learn is missing.
    """
    saved, result = train_digits(progress=progress)
    save_tower(path, saved)
    return result


if __name__ == "__main__":
    with as_file(files("expansion") / "data" / "digits.safetensors") as target:
        outcome = write_digits(target)
    print(f"{target}: test accuracy {outcome.test.accuracy:.1%}", file=sys.stderr)
