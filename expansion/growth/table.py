"""The signal-growth table: depth × rule × setting, predicted and simulated side by side."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from expansion.checking import check_count
from expansion.growth.drawn import gradient_and_order
from expansion.growth.energy import energy, log_coherent_amplitude, log_energy
from expansion.growth.mean_field import mean_field
from expansion.growth.setting import Setting
from expansion.growth.simulate import Simulation, simulate
from expansion.towers.scaling import ScalingRule

__all__ = [
    "DEEPEST",
    "DEFAULT_DEPTHS",
    "DEFAULT_RULES",
    "Cell",
    "GrowthRow",
    "GrowthTable",
    "grid",
    "growth_row",
    "growth_table",
]

DEEPEST = 10**7  # of a table: a gigabyte, some seconds
DEFAULT_DEPTHS = (1, 10, 100, 1000)
DEFAULT_RULES = ("1", "1/sqrt(n)", "1/n", "batchnorm", "skipinit")
_LARGEST_LOG = math.log(1e300)


@dataclass(frozen=True, slots=True)
class Cell:
    """One question of a growth table.

    Parameters
    ----------
    depth : int
        n.
    rule : ScalingRule
        The scales.
    setting : Setting
        What a block is.
    width : int
        Of the signal and of the hidden layers.
    correlation : float, optional
        c_0 of two inputs, to follow their correlation too.
    trials : int, optional
        Draws to simulate.
    seed : int
        Of the simulation.
    matrices : bool
        Whether to simulate gradient and mean order too, which takes whole matrices.
    """

    depth: int
    rule: ScalingRule
    setting: Setting = field(default_factory=Setting)
    width: int = 64
    correlation: float | None = None
    trials: int | None = None
    seed: int = 0
    matrices: bool = False


@dataclass(frozen=True, slots=True)
class GrowthRow:
    """One depth under one rule in one setting.

    Parameters
    ----------
    depth : int
        n.
    rule : ScalingRule
        The scales.
    energy : float
        q_n/q_0, predicted; infinite where a float cannot hold it.
    log_energy : float
        ln q_n/q_0.
    mean_order : float
        Mean number of branches that the energy went through.
    log_worst_case : float
        ln Π(1 + |λ_l|): the largest ‖H_n(x)‖/‖x‖ of branches with f(0) = 0 and Lipschitz
        constant 1, attained by aligned ones (G3, G8).
    simulated : Simulation, optional
        The measured twin.
    setting : Setting
        What a block is.
    width : int
        Of the simulated twin and of the fluctuation.
    log_gradient : float
        ln E‖g_0‖²/E‖g_n‖² of the gradients at input and output.
    correlation : float, optional
        c_n, if asked for.
    log_deviation : float, optional
        Standard deviation of ln ‖x_n‖² over draws at this width.
    """

    depth: int
    rule: ScalingRule
    energy: float
    log_energy: float
    mean_order: float
    log_worst_case: float
    simulated: Simulation | None = None
    setting: Setting = field(default_factory=Setting)
    width: int = 64
    log_gradient: float = 0.0
    correlation: float | None = None
    log_deviation: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-ready values; a float that would overflow is null beside its log10."""
        exact = self.setting.exact_at_every_width
        row: dict[str, Any] = {
            "depth": self.depth,
            "rule": self.rule.text,
            "energy": self.energy if self.energy < math.inf else None,
            "log10_energy": self.log_energy / math.log(10),
            "mean_order": self.mean_order,
            "worst_case_log10": self.log_worst_case / math.log(10),
            "branch": self.setting.branch,
            "block": self.setting.block,
            "width": self.width,
            "energy_is": "exact at every width" if exact else "the limit of infinite width",
            "gradient_log10": self.log_gradient / math.log(10),
            "correlation": self.correlation,
            "log_energy_deviation": self.log_deviation,
        }
        if self.simulated is not None:
            simulated = _float(self.simulated.log_energy)
            error = self.simulated.standard_error
            row |= {
                "simulated_energy": simulated,
                "simulated_standard_error": None if simulated is None else simulated * error,
                "simulated_log10_energy": self.simulated.log_energy / math.log(10),
                "simulated_log10_standard_error": error / math.log(10),
                "simulated_correlation": self.simulated.correlation,
                "simulated_correlation_standard_error": self.simulated.correlation_error,
                "simulated_log_energy_deviation": self.simulated.log_deviation,
                "simulated_gradient_log10": _log10(self.simulated.log_gradient),
                "simulated_gradient_log10_standard_error": _log10(
                    self.simulated.log_gradient_error
                ),
                "simulated_mean_order": self.simulated.mean_order,
                "simulated_mean_order_standard_error": self.simulated.mean_order_error,
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


def grid(
    depths: Iterable[int],
    rules: Iterable[ScalingRule | str],
    *,
    settings: Iterable[Setting] | None = None,
    widths: Iterable[int] = (64,),
    correlation: float | None = None,
    trials: int | None = None,
    seed: int = 0,
    matrices: bool = False,
) -> tuple[Cell, ...]:
    """Every combination as a cell: setting by setting, then width, rule and depth.

    Examples
    --------
    >>> [(cell.rule.text, cell.depth) for cell in grid([1, 10], ["1", "1/n"])]
    [('1', 1), ('1', 10), ('1/n', 1), ('1/n', 10)]
    """
    check_count(seed, "seed", least=0)
    numbers = [check_count(depth, "depth", least=1, most=DEEPEST) for depth in depths]
    sizes = [check_count(width, "width", least=4) for width in widths]
    chosen = [ScalingRule.of(rule) for rule in rules]
    blocks = [Setting()] if settings is None else list(settings)
    return tuple(
        Cell(depth, rule, setting, width, correlation, trials, seed, matrices)
        for setting in blocks
        for width in sizes
        for rule in chosen
        for depth in numbers
    )


def growth_row(cell: Cell) -> GrowthRow:
    """Answer one cell: the prediction, and its simulated twin where trials are asked for.

    Examples
    --------
    >>> growth_row(Cell(10, ScalingRule.parse("1"))).energy
    1024.0
    """
    rule, depth, setting = cell.rule, cell.depth, cell.setting
    found = mean_field(setting, rule, depth, correlation=cell.correlation, width=cell.width)
    if setting.preserves_energy:
        # The product itself: no rounding where it is a power of two.
        predicted = energy(rule, depth), log_energy(rule, depth)
    else:
        predicted = _float(found.log_energy) or math.inf, found.log_energy
    twin = None
    if cell.trials is not None:
        # A seed of its own for every cell, or neighbouring cells would err together.
        words = [zlib.crc32(text.encode()) for text in (rule.text, repr(setting))]
        source = [cell.seed, depth, cell.width, *words]
        twin = simulate(
            rule,
            depth,
            setting=setting,
            correlation=cell.correlation,
            dimension=cell.width,
            width=cell.width,
            trials=cell.trials,
            seed=source,
        )
        if cell.matrices:
            size = {"width": cell.width, "trials": cell.trials}
            more = gradient_and_order(setting, rule, depth, **size, seed=source)
            twin = replace(twin, **more)
    return GrowthRow(
        depth,
        rule,
        *predicted,
        found.mean_order,
        log_coherent_amplitude(rule, depth),
        twin,
        setting,
        cell.width,
        found.log_gradient,
        found.correlation,
        found.log_deviation,
    )


def growth_table(
    depths: Iterable[int] = DEFAULT_DEPTHS,
    rules: Iterable[ScalingRule | str] = DEFAULT_RULES,
    *,
    branch: str = "relu",
    setting: Setting | None = None,
    width: int = 64,
    correlation: float | None = None,
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
    branch : str
        The activation, in the default setting: linear, relu, leaky-relu, tanh, erf, sin, gelu
        or silu.
    setting : Setting, optional
        What a block is, instead of ``branch``.
    width : int
        Of the simulated twins and of the fluctuation.
    correlation : float, optional
        c_0 of two inputs, to follow their correlation too.
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
    block = Setting(branch) if setting is None else setting
    cells = grid(
        depths,
        rules,
        settings=[block],
        widths=[width],
        correlation=correlation,
        trials=trials,
        seed=seed,
    )
    rows = []
    for cell in cells:
        rows.append(growth_row(cell))
        if on_row is not None:
            on_row(rows[-1])
    return GrowthTable(tuple(rows), block.branch)


def _log10(value: float | None) -> float | None:
    return None if value is None else value / math.log(10)


def _float(log_value: float) -> float | None:
    return math.exp(log_value) if log_value < _LARGEST_LOG else None
