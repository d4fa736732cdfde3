"""Figures: signal growth by depth, and the order spectrum of a network. Drawn without a screen."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from expansion.growth.table import GrowthRow, GrowthTable
from expansion.series.ensembles import Ensemble

__all__ = ["draw_growth", "growth_figure", "spectrum_figure", "svg_text"]

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_TOP = 8  # decades of energy shown: what explodes leaves the picture


def growth_figure(curves: GrowthTable, points: GrowthTable) -> Figure:
    """Predicted energy by depth as lines, simulated energies as points with error bars.

    Parameters
    ----------
    curves : GrowthTable
        Predictions on a fine grid of depths.
    points : GrowthTable
        Rows with simulations.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    draw_growth(figure.add_subplot(), curves, points)
    return figure


def draw_growth(axes: Axes, curves: GrowthTable, points: GrowthTable) -> None:
    """The same on given axes; what leaves the picture at the top explodes."""
    measured = _by_rule(points)
    for colour, (rule, rows) in zip(_COLOURS, _by_rule(curves).items(), strict=False):
        depths = [row.depth for row in rows]
        axes.plot(depths, [_decades(row.log_energy) for row in rows], color=colour, label=rule)
        twins = [(row.depth, row.simulated) for row in measured.get(rule, []) if row.simulated]
        axes.errorbar(
            [depth for depth, _ in twins],
            [_decades(twin.log_energy) for _, twin in twins],
            [2 * _decades(twin.standard_error) for _, twin in twins],
            fmt="o",
            color=colour,
            markersize=4,
            capsize=3,
        )
    axes.set(xscale="log", xlabel="depth n", ylabel="log₁₀ of the energy", ylim=(-0.4, _TOP))
    axes.set_title("Signal energy: predicted (lines), simulated ± 2 s.e. (points)")
    _finish(axes)


def spectrum_figure(frozen: Ensemble, series: Ensemble) -> Figure:
    """Sizes of a network's orders, and the error of its partial sums, for both ensembles."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for colour, ensemble in zip(_COLOURS, (frozen, series), strict=False):
        orders = range(len(ensemble.sizes))
        floor = 1e-17  # an exact zero has no place on a logarithmic axis
        left.plot(orders, ensemble.sizes.clip(floor), "o-", color=colour, label=ensemble.name)
        right.plot(orders, ensemble.errors.clip(floor), "o-", color=colour, label=ensemble.name)
    left.set(yscale="log", xlabel="order k", title="size of order k")
    right.set(yscale="log", xlabel="order k", title="output minus orders 0..k")
    for axes in (left, right):
        _finish(axes)
    return figure


def svg_text(figure: Figure) -> str:
    """The figure as SVG markup, the same on every run."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "residual-expansion", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _by_rule(table: GrowthTable) -> dict[str, Sequence[GrowthRow]]:
    groups: dict[str, list[GrowthRow]] = {}
    for row in table:
        groups.setdefault(row.rule.text, []).append(row)
    return dict(groups)


def _decades(log_value: float) -> float:
    return log_value / math.log(10)


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
