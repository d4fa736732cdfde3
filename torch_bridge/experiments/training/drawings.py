"""Plots of a training grid: growth, spectra, the trainability map, complexity and gap."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from expansion.towers.scaling import ScalingRule
from torch_bridge.experiments.grids.pictures import COLOURS, MARKS, panels
from torch_bridge.experiments.training.schemes import Scheme
from torch_bridge.experiments.training.table import Line

__all__ = ["FIGURES"]

_OUTCOMES = {"trained": "#009E73", "stuck": "#E69F00", "diverged": "#D55E00"}
_LEAST = 1e-6  # smaller parts of a spectrum leave the picture


def growth_figure(lines: Sequence[Line]) -> Figure:
    """Measured against predicted growth at initialisation, of a typical draw at this width."""
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for colour, (network, part) in zip(COLOURS, _by_network(lines).items(), strict=False):
        points = [
            (line.first["predicted_log10_typical_growth"], value)
            for line in part
            if (value := line.values["initial_log10_growth"]) is not None
        ]
        axes.errorbar(
            [x for x, _ in points],
            [y[0] for _, y in points],
            yerr=[y[1] for _, y in points],
            fmt="o", ms=4, color=colour, label=network, capsize=2,
        )  # fmt: skip
    ends = [-1.0, 1.0, *axes.get_xlim()]
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color="#888888", lw=1)
    axes.set_xscale("symlog")
    axes.set_yscale("symlog")
    axes.set_xlabel("predicted: log10 of ‖x_n‖²/‖x_0‖², typical draw")
    axes.set_ylabel("measured at initialisation")
    axes.legend(frameon=False)
    return figure


def spectrum_figure(lines: Sequence[Line]) -> Figure:
    """Relative size of every order before (dashed) and after training (solid), trained ones."""
    trained = [line for line in lines if line.outcome == "trained" and line.first["final_orders"]]
    networks = _by_network(trained)
    figure, shown = panels(len(networks), (4.2 * max(1, len(networks)), 3.8))
    for axes, (network, part) in zip(shown, networks.items(), strict=True):
        deepest = max(line.depth for line in part)
        deep = [line for line in part if line.depth == deepest]
        for colour, line in zip(COLOURS * 3, deep, strict=False):
            for name, style in (("initial_orders", "--"), ("final_orders", "-")):
                sizes = json.loads(line.first[name])
                axes.plot(range(len(sizes)), sizes, style, color=colour, lw=1.2,
                          label=line.scheme if style == "-" else None)  # fmt: skip
        axes.set_yscale("log")
        axes.set_ylim(bottom=_LEAST)
        axes.set_title(f"{network}, depth {deepest}", fontsize=10)
        axes.set_xlabel("order k")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=7)
    if networks:
        figure.axes[0].set_ylabel("‖P_k‖²/‖x_n‖²")
    return figure


def map_figure(lines: Sequence[Line]) -> Figure:
    """Which networks train: the square is what was found, its inner disc what was predicted."""
    networks = _by_network(lines)
    tallest = max(len({line.scheme for line in part}) for part in networks.values())
    size = (2.6 * len(networks) + 1, 0.42 * tallest + 1.4)
    figure, shown = panels(len(networks), size)
    for axes, (network, part) in zip(shown, networks.items(), strict=True):
        schemes = list(dict.fromkeys(line.scheme for line in part))[::-1]
        depths = sorted({line.depth for line in part})
        for line in part:
            x, y = depths.index(line.depth), schemes.index(line.scheme)
            axes.plot(x, y, "s", ms=17, color=_OUTCOMES[line.outcome])
            axes.plot(x, y, "o", ms=8, color=_OUTCOMES[line.predicted], mec="white", mew=1.2)
        axes.set_xticks(range(len(depths)), [str(depth) for depth in depths])
        axes.set_yticks(range(len(schemes)), schemes, fontsize=8)
        axes.set_xlim(-0.6, len(depths) - 0.4)
        axes.set_ylim(-0.6, len(schemes) - 0.4)
        axes.set_title(network, fontsize=10)
        axes.set_xlabel("depth")
    for word, colour in _OUTCOMES.items():
        figure.axes[0].plot([], [], "s", color=colour, label=word)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def complexity_figure(lines: Sequence[Line]) -> Figure:
    """Geometric complexity before and after training against the scale, fixed scales alone."""
    return _against_scale(
        lines,
        "geometric complexity",
        {
            "before": lambda line: _mean(line, "initial_complexity"),
            "after": lambda line: _mean(line, "final_complexity"),
        },
        log=True,
    )


def gap_figure(lines: Sequence[Line]) -> Figure:
    """Test minus training loss against the scale, fixed scales alone."""
    return _against_scale(
        lines,
        "test loss − training loss",
        {"gap": lambda line: _mean(line, "gap")},
    )


FIGURES: dict[str, Callable[[Sequence[Line]], Figure]] = {
    "map": map_figure,
    "growth": growth_figure,
    "spectrum": spectrum_figure,
    "complexity": complexity_figure,
    "gap": gap_figure,
}


def _against_scale(
    lines: Sequence[Line],
    what: str,
    values: dict[str, Callable[[Line], float]],
    *,
    log: bool = False,
) -> Figure:
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    curves: dict[tuple[str, int], list[tuple[float, Line]]] = {}
    for line in lines:
        scale = _common_scale(line)
        if scale is not None and line.outcome == "trained":
            curves.setdefault((line.network, line.depth), []).append((scale, line))
    networks = list(dict.fromkeys(network for network, _ in curves))
    for (network, depth), points in curves.items():
        points.sort(key=lambda point: point[0])
        depths = [other for name, other in curves if name == network]
        colour = COLOURS[networks.index(network) % len(COLOURS)]
        mark = MARKS[depths.index(depth) % len(MARKS)]
        for style, (word, value) in zip(("-", "--"), list(values.items())[::-1], strict=False):
            axes.plot([x for x, _ in points], [value(line) for _, line in points], style, ms=4,
                      color=colour, marker=mark,
                      label=f"{network}, depth {depth}, {word}")  # fmt: skip
    _log_axes(axes, log)
    axes.set_xlabel("scale λ of every block")
    axes.set_ylabel(what)
    if curves:
        figure.legend(loc="outside right upper", frameon=False, fontsize=7, handlelength=4)
    return figure


def _mean(line: Line, name: str) -> float:
    value = line.values[name]
    return math.nan if value is None else value[0]


def _log_axes(axes: Axes, both: bool) -> None:
    axes.set_xscale("log")
    if both:
        axes.set_yscale("log")


def _common_scale(line: Line) -> float | None:
    """The λ that all blocks share, where it is fixed and nothing else is done to them."""
    scheme = Scheme.parse(line.scheme)
    plain = not (scheme.learned or scheme.normalisation)
    if not plain or scheme.rule.block_factor_squared != 1 or not _constant(scheme.rule, line.depth):
        return None
    scale = abs(float(scheme.rule.floats(line.depth)[0]))
    return scale if scale > 0 and math.isfinite(scale) else None


def _constant(rule: ScalingRule, depth: int) -> bool:
    scales = rule.floats(depth)
    return bool((scales == scales[0]).all())


def _by_network(lines: Sequence[Line]) -> dict[str, list[Line]]:
    networks: dict[str, list[Line]] = {}
    for line in lines:
        networks.setdefault(line.network, []).append(line)
    return networks
