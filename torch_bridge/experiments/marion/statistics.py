"""What Marion's two figures ask: does the gap grow with sup‖ΔW‖, and do penalties lower it?

**Association.** Spearman's rank correlation of the gap and sup‖W_{k+1} − W_k‖, in three ways, for
the points of one run are not independent of each other:

* *pooled*: every epoch of every run is a point, as in the paper's figure. Its p-value takes
  dependent points for independent ones, and is nominal;
* *within*: one correlation for every run, over its epochs, and a Wilcoxon signed-rank test over the
  runs that their median is 0. Both quantities change with training time, which alone correlates;
* *ends*: the last epoch of every run, the seeds independent.

p-values of up to 30 points are by permutation (all of them up to seven points, else 9999).

**Ordering.** The gap at the end by penalty, over the seeds that every penalty has. All penalties
start from the same draw of a seed and see the same batches, so differences are taken in pairs; the
test part is common to all, and the standard errors are over seeds alone. Page's test has the
ordered alternative: the larger μ, the smaller the gap. Each step from one μ to the next is judged
by itself: it falls or rises if its mean is two standard errors or more from 0.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from torch_bridge.experiments.grids.cells import Answer
from torch_bridge.experiments.marion.cell import Marion

__all__ = [
    "Association",
    "Group",
    "Ordering",
    "PenaltyGap",
    "Step",
    "association",
    "groups_of",
    "ordering",
]

Run = tuple[Marion, Answer]
_FEW = 30  # points; for more, the p-value's approximation is good enough


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The finished runs of one kind of tower, and how many diverged.

    Parameters
    ----------
    data : str
        Spec of the data.
    depth, width : int
        L and d.
    trained_ends : bool
        Whether A and B were trained.
    runs : tuple of (Marion, answer)
        Those that finished.
    diverged : int
        How many did not.
    """

    data: str
    depth: int
    width: int
    trained_ends: bool
    runs: tuple[Run, ...]
    diverged: int

    @property
    def name(self) -> str:
        """In words."""
        ends = "trained" if self.trained_ends else "random"
        data = self.data.rpartition("/")[2]
        return f"{data}, L = {self.depth}, d = {self.width}, {ends} A and B"

    def with_penalty(self, penalty: float | None) -> tuple[Run, ...]:
        """The runs at one μ."""
        return tuple(run for run in self.runs if run[0].penalty == penalty)


@dataclass(frozen=True, slots=True)
class Association:
    """Rank correlations of the gap with sup‖ΔW‖; None where there are too few points.

    Parameters
    ----------
    pooled, within, ends : float, optional
        Spearman's ρ over all points, its mean over runs, and that of the last epochs.
    pooled_p, within_p, ends_p : float, optional
        p-values, two-sided.
    points, runs : int
        How many.
    """

    pooled: float | None
    pooled_p: float | None
    within: float | None
    within_p: float | None
    ends: float | None
    ends_p: float | None
    points: int
    runs: int


@dataclass(frozen=True, slots=True)
class PenaltyGap:
    """The gap at one penalty.

    Parameters
    ----------
    penalty : float, optional
        μ; None for ∞.
    gaps : tuple of float
        At the last epoch, seed by seed.
    mean, error : float
        Mean over seeds and its standard error.
    lower_by, lower_error : float
        Mean of gap(smallest μ) − gap(this μ), in pairs, and its standard error.
    lower_in : int
        In how many pairs that is above 0.
    """

    penalty: float | None
    gaps: tuple[float, ...]
    mean: float
    error: float
    lower_by: float
    lower_error: float
    lower_in: int


@dataclass(frozen=True, slots=True)
class Step:
    """By how much the gap falls from one penalty to the next, in pairs.

    Parameters
    ----------
    fall, error : float
        Its mean over seeds and its standard error, nan for one seed.
    """

    fall: float
    error: float

    @property
    def word(self) -> str:
        """``falls``, ``rises``, or ``level`` where it cannot be told from noise."""
        if not self.fall or not abs(self.fall) >= 2 * self.error:
            return "level"
        return "falls" if self.fall > 0 else "rises"


@dataclass(frozen=True, slots=True)
class Ordering:
    """The gaps from the smallest to the largest penalty, step by step, and Page's test.

    Parameters
    ----------
    penalties : tuple of PenaltyGap
        In the order of μ.
    steps : tuple of Step
        Between neighbours.
    seeds : int
        Those that all penalties have.
    page_p : float, optional
        One-sided; None for fewer than three penalties or two seeds.
    """

    penalties: tuple[PenaltyGap, ...]
    steps: tuple[Step, ...]
    seeds: int
    page_p: float | None

    @property
    def descending(self) -> bool:
        """Whether the mean gap falls with every step of μ."""
        return all(step.fall > 0 for step in self.steps)

    @property
    def falling(self) -> bool:
        """Whether a step of μ lowers the gap and none raises it, as far as can be told."""
        words = {step.word for step in self.steps}
        return "falls" in words and "rises" not in words


def groups_of(cells: Sequence[Marion], answers: Sequence[Answer]) -> list[Group]:
    """The runs by data, depth, width and ends, in the order of the cells."""
    found: dict[tuple[str, int, int, bool], list[Run]] = {}
    for cell, answer in zip(cells, answers, strict=True):
        key = cell.data, cell.depth, cell.width, cell.trained_ends
        found.setdefault(key, []).append((cell, answer))
    groups = []
    for key, runs in found.items():
        finished = tuple(run for run in runs if run[1]["outcome"] == "finished")
        groups.append(Group(*key, finished, len(runs) - len(finished)))
    return groups


def association(runs: Sequence[Run]) -> Association:
    """The correlations over runs; the state before training is left out."""
    pairs = [(answer["sup_step"][1:], answer["gap"][1:]) for _, answer in runs]
    pooled = _spearman(*([x for pair in pairs for x in pair[place]] for place in (0, 1)))
    each = [rho for rho, _ in (_spearman(*pair) for pair in pairs) if rho is not None]
    ends = _spearman(*([pair[place][-1] for pair in pairs if pair[0]] for place in (0, 1)))
    tested = len(each) > 1 and any(each)
    return Association(
        *pooled,
        statistics.fmean(each) if each else None,
        float(stats.wilcoxon(each).pvalue) if tested else None,
        *ends,
        sum(len(pair[0]) for pair in pairs),
        len(pairs),
    )


def ordering(runs: Sequence[Run]) -> Ordering | None:
    """The gaps by penalty; None for fewer than two penalties or no seed that all have."""
    ends: dict[float, dict[int, float]] = {}
    for cell, answer in runs:
        ends.setdefault(_size(cell.penalty), {})[cell.seed] = answer["gap"][-1]
    sizes = sorted(ends)
    seeds = sorted(set.intersection(*(set(ends[size]) for size in sizes))) if sizes else []
    if len(sizes) < 2 or not seeds:
        return None
    table = np.array([[ends[size][seed] for size in sizes] for seed in seeds])
    page_p = None
    if len(sizes) > 2 and len(seeds) > 1:
        page_p = float(stats.page_trend_test(table[:, ::-1]).pvalue)
    gaps = tuple(
        PenaltyGap(
            None if math.isinf(size) else size,
            tuple(column.tolist()),
            *_mean_and_error(column),
            *_mean_and_error(table[:, 0] - column),
            int((column < table[:, 0]).sum()),
        )
        for size, column in zip(sizes, table.T, strict=True)
    )
    steps = tuple(Step(*_mean_and_error(one - other)) for one, other in pairwise(table.T))
    return Ordering(gaps, steps, len(seeds), page_p)


def _spearman(x: Sequence[float], y: Sequence[float]) -> tuple[float | None, float | None]:
    """ρ and its p-value; None for fewer than three points, or where one side never varies."""
    if len(x) < 3 or len(set(x)) == 1 or len(set(y)) == 1:
        return None, None
    found = stats.spearmanr(x, y)
    rho, p = float(found.statistic), float(found.pvalue)
    if len(x) <= _FEW:
        ranks = stats.rankdata(y) - (len(y) + 1) / 2
        permuted = stats.permutation_test(
            (stats.rankdata(x),),
            lambda shuffled, axis: (shuffled * ranks).sum(axis=axis),
            permutation_type="pairings",
            vectorized=True,
            rng=np.random.default_rng(0),
        )
        p = float(permuted.pvalue)
    return rho, p


def _mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    if len(values) < 2:
        return float(values.mean()), math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def _size(penalty: float | None) -> float:
    return math.inf if penalty is None else penalty
