"""The signal-growth table: depth × rule, predicted and simulated side by side."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from expansion.checking import check_count
from expansion.growth.energy import energy, log_coherent_amplitude, log_energy, mean_order
from expansion.growth.simulate import Simulation, check_branch, simulate
from expansion.towers.scaling import ScalingRule

__all__ = ["DEFAULT_DEPTHS", "DEFAULT_RULES", "GrowthRow", "GrowthTable", "growth_table"]

DEFAULT_DEPTHS = (1, 10, 100, 1000)
DEFAULT_RULES = ("1", "1/sqrt(n)", "1/n", "batchnorm", "skipinit")
_LARGEST_LOG = math.log(1e300)


@dataclass(frozen=True, slots=True)
class GrowthRow:
    """One depth under one rule.

    Parameters
    ----------
    depth : int
        n.
    rule : ScalingRule
        The scales.
    energy : float
        q_n, predicted; infinite where a float cannot hold it.
    log_energy : float
        ln q_n.
    mean_order : float
        Mean number of branches that the energy went through.
    log_worst_case : float
        ln Π(1 + |λ_l|): the largest ‖H_n(x)‖/‖x‖ of branches with f(0) = 0 and Lipschitz
        constant 1, attained by aligned ones (G3, G8).
    simulated : Simulation, optional
        The measured twin.
    """

    depth: int
    rule: ScalingRule
    energy: float
    log_energy: float
    mean_order: float
    log_worst_case: float
    simulated: Simulation | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-ready values; a float that would overflow is null beside its log10."""
        row: dict[str, Any] = {
            "depth": self.depth,
            "rule": self.rule.text,
            "energy": self.energy if self.energy < math.inf else None,
            "log10_energy": self.log_energy / math.log(10),
            "mean_order": self.mean_order,
            "worst_case_log10": self.log_worst_case / math.log(10),
        }
        if self.simulated is not None:
            simulated = _float(self.simulated.log_energy)
            error = self.simulated.standard_error
            row |= {
                "simulated_energy": simulated,
                "simulated_standard_error": None if simulated is None else simulated * error,
                "simulated_log10_energy": self.simulated.log_energy / math.log(10),
                "simulated_log10_standard_error": error / math.log(10),
                "trials": self.simulated.trials,
            }
        return row


@dataclass(frozen=True, slots=True)
class GrowthTable:
    """Rows of signal growth, rule by rule.

    Parameters
    ----------
    rows : tuple of GrowthRow
        In the order asked for.
    branch : str
        The branch that was simulated; predictions hold for every energy-preserving one.
    """

    rows: tuple[GrowthRow, ...]
    branch: str = "relu"

    def __iter__(self) -> Iterator[GrowthRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as JSON-ready dictionaries."""
        return [row.to_dict() for row in self.rows]


def growth_table(
    depths: Iterable[int] = DEFAULT_DEPTHS,
    rules: Iterable[ScalingRule | str] = DEFAULT_RULES,
    *,
    branch: str = "relu",
    trials: int | None = None,
    seed: int = 0,
    on_row: Callable[[GrowthRow], None] | None = None,
) -> GrowthTable:
    """Predict, and on request simulate, the growth of the signal.

    Parameters
    ----------
    depths : iterable of int
        Depths n ≥ 1.
    rules : iterable of ScalingRule or str
        Scaling rules.
    branch : {"relu", "linear"}
        The energy-preserving branch to simulate.
    trials : int, optional
        Draws to simulate; none by default.
    seed : int
        Of the simulation.
    on_row : callable, optional
        Called with every finished row.

    Examples
    --------
    >>> [round(row.to_dict()["energy"], 3) for row in growth_table([1, 100], ["1/sqrt(n)", "1/n"])]
    [2.0, 2.705, 2.0, 1.01]
    """
    check_branch(branch)
    check_count(seed, "seed", least=0)
    chosen = [ScalingRule.of(rule) for rule in rules]
    rows = []
    for rule in chosen:
        for depth in depths:
            predicted = energy(rule, depth), log_energy(rule, depth)
            worst = log_coherent_amplitude(rule, depth)
            twin = None
            if trials is not None:
                # A seed of its own for every cell, or neighbouring cells would err together.
                cell = [seed, depth, zlib.crc32(rule.text.encode())]
                twin = simulate(rule, depth, branch=branch, trials=trials, seed=cell)
            rows.append(GrowthRow(depth, rule, *predicted, mean_order(rule, depth), worst, twin))
            if on_row is not None:
                on_row(rows[-1])
    return GrowthTable(tuple(rows), branch)


def _float(log_value: float) -> float | None:
    return math.exp(log_value) if log_value < _LARGEST_LOG else None
