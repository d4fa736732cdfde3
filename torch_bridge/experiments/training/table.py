"""From the answers of a training grid to one tidy table, and to one line for every network.

The table has a row for every run: its settings, what was predicted and what was found. It holds no
time of day and no durations, so that it is the same byte for byte whenever the same grid is run on
the same machine; what every run took in seconds is a table of its own.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch_bridge.experiments.grids.cells import Answer, finite, settings_of
from torch_bridge.experiments.grids.datasets import load_data
from torch_bridge.experiments.grids.rows import Row
from torch_bridge.experiments.training.descent import steps_of
from torch_bridge.experiments.training.predicted import predict
from torch_bridge.experiments.training.schemes import Scheme
from torch_bridge.experiments.training.trial import Trial

__all__ = ["Line", "lines_of", "rows_of"]


def rows_of(trials: Sequence[Trial], answers: Sequence[Answer]) -> list[Row]:
    """The tidy table: settings, ``predicted_…`` and measured columns, lists as JSON text."""
    swept: dict[tuple[Any, ...], list[Trial]] = {}
    for trial in trials:
        swept.setdefault(_group(trial), []).append(trial)
    predictions = {
        group: _predicted(same[0], sorted({trial.rate for trial in same}))
        for group, same in swept.items()
    }
    rows = []
    for trial, found in zip(trials, answers, strict=True):
        row = settings_of(trial) | predictions[_group(trial)] | found
        rows.append({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()})
    return rows


@dataclass(frozen=True, slots=True)
class Line:
    """One network of the grid at its best learning rate: means and deviations over seeds.

    The best rate is the one at which most seeds trained, and among these the one of the lowest
    mean training loss: the test part has no say. A network is found to train if more than half
    of the seeds do at that rate.

    Parameters
    ----------
    network, scheme, depth
        Which.
    outcome : str
        What was found; ``predicted`` what was predicted.
    rate : float
        The best of the sweep.
    trained, seeds : int
        How many of how many seeds trained at that rate.
    training_rates : tuple of float
        All rates at which more than half of the seeds trained.
    values : mapping from str to (mean, deviation) or None
        Of every measured number, over seeds at the best rate.
    first : mapping
        The row of the first seed at that rate: predictions, and one spectrum to look at.
    """

    network: str
    scheme: str
    depth: int
    predicted: str
    outcome: str
    rate: float
    trained: int
    seeds: int
    training_rates: tuple[float, ...]
    values: Mapping[str, tuple[float, float] | None]
    first: Row

    @property
    def agrees(self) -> bool:
        """Whether prediction and finding say the same about training."""
        return (self.predicted == "trained") == (self.outcome == "trained")


def lines_of(rows: Sequence[Row]) -> list[Line]:
    """The rows network by network, in the order of the table."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = (row["network"], row["scheme"], row["depth"], row["width"])
        groups.setdefault(key, []).append(row)
    return [_line(group) for group in groups.values()]


def _line(group: list[Row]) -> Line:
    by_rate: dict[float, list[Row]] = {}
    for row in group:
        by_rate.setdefault(row["rate"], []).append(row)

    def trained(rows: list[Row]) -> int:
        return sum(row["outcome"] == "trained" for row in rows)

    def badness(rows: list[Row]) -> float:
        losses = [math.inf if r["train_loss"] is None else r["train_loss"] for r in rows]
        return sum(losses) / len(losses)

    best = max(by_rate, key=lambda rate: (trained(by_rate[rate]), -badness(by_rate[rate]), -rate))
    rows = by_rate[best]
    most = statistics.mode(row["outcome"] for row in rows)
    others = [row["outcome"] for row in rows if row["outcome"] != "trained"]
    found = "trained" if 2 * trained(rows) > len(rows) else statistics.mode(others or [most])
    names = [name for name, value in rows[0].items() if name not in _WORDS]
    return Line(
        network=rows[0]["network"],
        scheme=rows[0]["scheme"],
        depth=rows[0]["depth"],
        predicted=rows[0]["predicted_outcome"],
        outcome=found,
        rate=best,
        trained=trained(rows),
        seeds=len(rows),
        training_rates=tuple(r for r, part in by_rate.items() if 2 * trained(part) > len(part)),
        values={name: _spread([row[name] for row in rows]) for name in names},
        first=rows[0],
    )


_WORDS = ("network", "scheme", "data", "fingerprint", "device", "outcome", "predicted_outcome",
          "predicted_reason", "losses", "complexity", "initial_orders", "final_orders",
          "samples")  # fmt: skip


def _spread(values: Sequence[float | None]) -> tuple[float, float] | None:
    """Mean and standard deviation; None where there are no numbers."""
    numbers = [float(value) for value in values if value is not None]
    if not numbers:
        return None
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else 0.0
    return statistics.fmean(numbers), deviation


def _group(trial: Trial) -> tuple[Any, ...]:
    """What all runs of one sweep of rates have in common, whatever their seed."""
    settings = settings_of(trial)
    return tuple(value for name, value in settings.items() if name not in ("rate", "seed"))


def _predicted(trial: Trial, rates: Sequence[float]) -> Row:
    """The prediction for a network and a sweep, as columns."""
    images = load_data(trial.data, trial.samples)
    prediction = predict(
        trial.network,
        Scheme.parse(trial.scheme),
        depth=trial.depth,
        width=trial.width,
        shape=images.shape,
        classes=images.data.classes,
        steps=steps_of(len(images.data.train_labels), trial.batch, trial.epochs),
        rates=rates,
        patch=trial.patch,
    )
    return {f"predicted_{name}": value for name, value in finite(asdict(prediction)).items()}
