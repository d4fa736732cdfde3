"""The files that a training grid leaves: tables, plots and a page that says what they show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expansion.report.grid import Grid
from torch_bridge.experiments.grids.folder import write_folder
from torch_bridge.experiments.grids.page import page_text
from torch_bridge.experiments.grids.rows import Row
from torch_bridge.experiments.training.descent import BELOW_CHANCE
from torch_bridge.experiments.training.drawings import FIGURES
from torch_bridge.experiments.training.table import Line, lines_of
from torch_bridge.experiments.training.trial import Trial

__all__ = ["exceptions_of", "summary_grid", "write_results"]

_CAPTIONS = {
    "map": "Which networks train. Square: found. Disc: predicted.",
    "growth": "Growth at initialisation, predicted and measured.",
    "spectrum": "Order spectra before (dashed) and after training (solid).",
    "complexity": "Geometric complexity against the scale, before and after training.",
    "gap": "Generalisation gap against the scale.",
}


def summary_grid(lines: Sequence[Line]) -> Grid:
    """One line per network at its best learning rate, as text."""
    headings = (
        "network", "scheme", "depth", "predicted", "found", "seeds", "rate", "η* predicted",
        "test accuracy", "log10 q_n predicted", "measured", "mean order predicted", "before",
        "after", "complexity before", "after",
    )  # fmt: skip
    rows = tuple(_summary_row(line) for line in lines)
    note = (
        "Trained: finite losses throughout and a final training loss below "
        f"{BELOW_CHANCE:g}·ln(classes); stuck: finite, but not below; diverged: not finite. Rate: "
        "that at which most seeds train, of these the one with the lowest mean training loss. "
        "Mean ± deviation over seeds at that rate; log10 q_n is that of a typical draw at this "
        "width."
    )
    return Grid("Networks that train, predicted and found", headings, rows, note, text_columns=2)


def exceptions_of(lines: Sequence[Line]) -> list[str]:
    """Where prediction and finding differ, in a sentence each."""
    return [
        f"{line.network}, {line.scheme}, depth {line.depth}: predicted {line.predicted} "
        f"({line.first['predicted_reason']}; η* = {line.first['predicted_largest_rate']:.2g}), "
        f"found {line.outcome} ({line.trained} of {line.seeds} seeds at rate {line.rate:g})"
        for line in lines
        if not line.agrees
    ]


def write_results(folder: Path, trials: Sequence[Trial], rows: Sequence[Row], cells: Path) -> str:
    """Write table.csv, table.parquet, seconds.csv, the plots and README.md; return the page.

    Parameters
    ----------
    folder : path
        Where to; made if missing.
    trials, rows
        The grid and its tidy table.
    cells : path
        The folder of finished cells, for their seconds.

    Notes
    -----
    All but seconds.csv are the same byte for byte for the same grid on the same machine.
    """
    lines = lines_of(rows)
    page = _page(lines, trials)
    write_folder(
        folder,
        tables={"table": rows},
        figures={name: draw(lines) for name, draw in FIGURES.items()},
        page=page,
        cells=trials,
        kept=cells,
    )
    return page


def _page(lines: Sequence[Line], trials: Sequence[Trial]) -> str:
    grid, exceptions = summary_grid(lines), exceptions_of(lines)
    agree = sum(line.agrees for line in lines)
    alike = sum(line.outcome == line.predicted for line in lines)
    like = trials[0]
    part = "" if like.samples is None else f", the first {like.samples} training samples"
    rates = ", ".join(f"{rate:g}" for rate in sorted({t.rate for t in trials}, reverse=True))
    return page_text(
        title=grid.title,
        opening=f"{len(trials)} runs on {like.data}{part}: {like.epochs} epochs in batches of "
        f"{like.batch}, momentum 0.9, learning rates {rates}, on {like.device}. Predictions use "
        "growth and mean order alone; the rule is in "
        "`torch_bridge/experiments/training/predicted.py`. Prediction and finding agree on whether "
        f"a network trains for {agree} of {len(lines)} networks (and on how it fails, for {alike})"
        + ("; the exceptions are" if exceptions else "."),
        found=exceptions,
        captions=_CAPTIONS,
        grids=[grid],
        closing="`table.csv` and `table.parquet` have every run with all its numbers, "
        "`seconds.csv` how long each took.",
    )


def _summary_row(line: Line) -> tuple[str, ...]:
    first = line.first
    return (
        line.network,
        line.scheme,
        str(line.depth),
        line.predicted,
        line.outcome if line.agrees else f"**{line.outcome}**",
        f"{line.trained}/{line.seeds}",
        f"{line.rate:g}",
        f"{first['predicted_largest_rate']:.2g}",
        "–" if line.outcome == "diverged" else _with_deviation(line, "test_accuracy", "{:.3f}"),
        f"{first['predicted_log10_typical_growth']:.2f}",
        _with_deviation(line, "initial_log10_growth", "{:.2f}"),
        f"{first['predicted_mean_order']:.2f}",
        _with_deviation(line, "initial_mean_order", "{:.2f}"),
        _with_deviation(line, "final_mean_order", "{:.2f}"),
        _with_deviation(line, "initial_complexity", "{:.3g}"),
        _with_deviation(line, "final_complexity", "{:.3g}"),
    )


def _with_deviation(line: Line, name: str, form: str) -> str:
    value = line.values[name]
    if value is None:
        return "–"
    mean, deviation = (form.format(part) for part in value)
    return mean if line.seeds == 1 else f"{mean} ± {deviation}"
