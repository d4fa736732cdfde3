"""What a grid on Frei, Cao & Gu's network leaves: tables, the terms against depth, a page."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from expansion.bounds.margin import MarginEstimate, margin_estimate
from expansion.report.grid import Grid, markdown_text
from torch_bridge.experiments.cells import Answer, settings_of
from torch_bridge.experiments.datasets import load_data
from torch_bridge.experiments.folder import write_folder
from torch_bridge.experiments.frei import MEASURED, Frei
from torch_bridge.experiments.frei_network import signed_data
from torch_bridge.experiments.frei_statistics import LIMIT, DepthLaw, broken, depth_laws
from torch_bridge.experiments.table import Row

__all__ = ["end_grid", "epoch_rows", "law_grid", "margin_of", "run_rows", "sentences", "write_frei"]

# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKS = "os^Dv"
_CAPTIONS = {
    "terms_against_depth": "Medians and ranges over seeds at the end; diverged runs have none.",
    "along_training": "τ and E_S along training at the largest width, depth by depth.",
}
_MOST_POINTS = 300  # of the margin's linear program


def epoch_rows(cells: Sequence[Frei], answers: Sequence[Answer]) -> list[Row]:
    """A row for every epoch at which a run was measured; names in ``log_`` are natural logs."""
    return [
        settings_of(cell)
        | {"theta": cell.theta, "outcome": answer["outcome"], "epoch": epoch}
        | {name: answer[name][place] for name in MEASURED}
        for cell, answer in zip(cells, answers, strict=True)
        for place, epoch in enumerate(answer["epoch"])
    ]


def run_rows(cells: Sequence[Frei], answers: Sequence[Answer]) -> list[Row]:
    """A row for every run: where it ended, or the last measurement before it diverged."""
    names = ("outcome", "epochs_finite", "samples_used", "predicted_log_growth")
    return [
        settings_of(cell)
        | {"theta": cell.theta}
        | {name: answer[name] for name in names}
        | {f"initial_{name}": answer[name][0] if answer[name] else None for name in MEASURED}
        | {f"last_{name}": answer[name][-1] if answer[name] else None for name in MEASURED}
        for cell, answer in zip(cells, answers, strict=True)
    ]


def law_grid(laws: Sequence[DepthLaw]) -> Grid:
    """Which quantities are free of the depth, by width and quantity, one column per rule."""
    rules = list(dict.fromkeys(law.rule for law in laws))
    table: dict[tuple[int, str], dict[str, DepthLaw]] = {}
    for law in laws:
        place = " at the end" if law.quantity.place and law.quantity.logarithmic else ""
        table.setdefault((law.width, law.quantity.words + place), {})[law.rule] = law
    rows = tuple(
        (str(width), words, *(_law_text(found.get(rule)) for rule in rules))
        for (width, words), found in table.items()
    )
    depths = " and ".join(sorted({f"{a} to {b}" for a, b in (law.depths for law in laws)}))
    note = (
        f"Factor from depth {depths or '–'}, and p ± standard error as in L^p. Depth-free: p + 2 "
        f"errors at most {LIMIT:g}; grows: p − 2 errors above it; fixed before this grid. At the "
        "end of training unless said; the gap terms lack their unknown constants."
    )
    headings = ("m", "quantity", *(f"θ = {rule.replace('n', 'L')}" for rule in rules))
    return Grid("Which of Frei's terms depend on the depth", headings, rows, note, len(headings))


def end_grid(cells: Sequence[Frei], answers: Sequence[Answer]) -> Grid:
    """Every width, rule and depth at the end of training, means over seeds that finished."""
    groups: dict[tuple[int, str, int], list[Answer]] = {}
    for cell, answer in zip(cells, answers, strict=True):
        groups.setdefault((cell.width, cell.rule, cell.depth), []).append(answer)
    rows = []
    for (width, rule, depth), part in groups.items():
        done = [answer for answer in part if answer["outcome"] == "finished"]
        rows.append((
            str(width),
            rule.replace("n", "L"),
            str(depth),
            f"{len(done)}/{len(part)}",
            _power(part[0]["predicted_log_growth"]),
            _power(_mean(part, "log_growth", 0)),
            *(_number(_mean(done, name)) for name in (
                "tau", "complexity_term", "linearisation_term", "train_surrogate", "train_error",
                "test_error", "test_surrogate", "linearisation_error")),
            *(_power(_mean(done, name)) for name in (
                "log_certificate", "log_ball_certificate", "log_interlayer")),
        ))  # fmt: skip
    headings = (
        "m", "θ", "L", "finished", "growth predicted", "at the start", "τ", "τ√(m/n)",
        "τ^{4/3}√(m log m)", "E_S", "training error", "test error", "E of test",
        "linearisation error", "exp(θ Σ‖W_l‖)", "on the τ-ball", "interlayer norm",
    )  # fmt: skip
    note = (
        "Means over seeds, of logarithms where powers of ten are shown. Growth: ‖x_L‖/‖x_1‖, "
        "predicted by claim G6 at infinite width."
    )
    return Grid("Networks at the end of training", headings, tuple(rows), note, text_columns=2)


def margin_of(cell: Frei) -> MarginEstimate:
    """The margin of (at most 300 points of) the training sample, by random features."""
    data = signed_data(load_data(cell.data, cell.samples).data, cell.task)
    points = data.train_inputs[:_MOST_POINTS].numpy()
    return margin_estimate(points, data.train_signs[:_MOST_POINTS].numpy())


def sentences(
    cells: Sequence[Frei], answers: Sequence[Answer], margin: MarginEstimate
) -> list[str]:
    """What was found, whatever it came out to."""
    laws = depth_laws(cells, answers)
    told = []
    for rule in dict.fromkeys(law.rule for law in laws):
        own = [law for law in laws if law.rule == rule]
        words = [
            f"{sum(law.verdict == verdict for law in own)} {verdict}"
            for verdict in ("depth-free", "grows", "undecided", "diverged", "–")
            if any(law.verdict == verdict for law in own)
        ]
        told.append(f"θ = {rule.replace('n', 'L')}: of {len(own)} quantities {', '.join(words)}.")
    count, sandwich, certificate = broken(answers)
    told.append(
        f"In {count} measurements along training, error ≤ 2E ≤ 2 loss fails {sandwich} times, and "
        f"an interlayer norm is above a certificate {certificate} times."
    )
    seen = "is" if margin.separated else "is not"
    told.append(
        f"The margin γ of the training sample is from {margin.lower:.4f} ± "
        f"{margin.lower_error:.4f} to {margin.upper:.4f} ± {margin.upper_error:.4f}: the sample "
        f"{seen} seen to be separated by random features."
    )
    return told


def write_frei(
    folder: Path,
    cells: Sequence[Frei],
    answers: Sequence[Answer],
    kept: Path,
    found: Sequence[str],
) -> None:
    """Write epochs, runs, laws, figures, seconds, and the page with the sentences ``found``."""
    laws = depth_laws(cells, answers)
    page = _page(cells, answers, laws, found)
    write_folder(
        folder,
        tables={
            "epochs": epoch_rows(cells, answers),
            "runs": run_rows(cells, answers),
            "depth_laws": [_law_row(law) for law in laws],
        },
        figures={
            "terms_against_depth": _terms_against_depth(cells, answers),
            "along_training": _along_training(cells, answers),
        },
        page=page,
        cells=cells,
        kept=kept,
    )


def _page(
    cells: Sequence[Frei],
    answers: Sequence[Answer],
    laws: Sequence[DepthLaw],
    found: Sequence[str],
) -> str:
    like = cells[0]
    part = "" if like.samples is None else f", from the first {like.samples} training samples"
    out = io.StringIO()
    out.write("# Over-parameterised residual networks near their start\n\n")
    out.write(
        f"{len(cells)} runs on {like.data}, task {like.task}{part} ({answers[0]['samples_used']} "
        f"used, inputs of norm 1): {like.epochs} steps of full-batch gradient descent on the "
        f"logistic loss with η = {like.rate:g}/m for every depth and θ, on {like.device}. The "
        "network is Frei, Cao & Gu's (2019, arXiv 1910.02934), who report no experiments.\n\n"
    )
    out.writelines(f"- {sentence}\n" for sentence in found)
    out.write("\n")
    for name, caption in _CAPTIONS.items():
        out.write(f"![{caption}]({name}.svg)\n\n")
    for grid in (law_grid(laws), end_grid(cells, answers)):
        if grid.rows:
            out.write(f"## {grid.title}\n\n{markdown_text(grid)}\n\n{grid.note}\n\n")
    out.write(
        "`epochs`, `runs` and `depth_laws`, each as .csv and .parquet, have all numbers; "
        "`seconds.csv` how long each run took.\n"
    )
    return out.getvalue()


_PANELS = (
    ("tau", "τ"),
    ("linearisation_term", "τ^{4/3}√(m log m)"),
    ("linearisation_error", "linearisation error"),
    ("train_surrogate", "E_S"),
    ("log_ball_certificate", "ln of the certificate on the τ-ball"),
    ("log_interlayer", "ln of the interlayer norm"),
)


def _terms_against_depth(cells: Sequence[Frei], answers: Sequence[Answer]) -> Figure:
    rules, widths = (list(dict.fromkeys(getattr(c, name) for c in cells))
                     for name in ("rule", "width"))  # fmt: skip
    figure = Figure(figsize=(12.0, 6.8), layout="constrained")
    for panel, (name, words) in enumerate(_PANELS, 1):
        axes = figure.add_subplot(2, 3, panel)
        if name.startswith("log_"):
            axes.set_yscale("symlog", linthresh=1.0)
        else:
            axes.set_yscale("log")
        for colour, rule in zip(_COLOURS * 9, rules, strict=False):
            for mark, width in zip(_MARKS * 9, widths, strict=False):
                points = _by_depth(cells, answers, rule, width, name)
                middles = [statistics.median(values) for _, values in points]
                pairs = list(zip(middles, points, strict=True))
                axes.errorbar(
                    [depth for depth, _ in points],
                    middles,
                    [[middle - min(values) for middle, (_, values) in pairs],
                     [max(values) - middle for middle, (_, values) in pairs]],
                    marker=mark, ms=4, color=colour, capsize=2, lw=1,
                    label=f"θ = {rule.replace('n', 'L')}, m = {width}",
                )  # fmt: skip
        axes.set(xscale="log", xlabel="depth L", title=words)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _by_depth(
    cells: Sequence[Frei], answers: Sequence[Answer], rule: str, width: int, name: str
) -> list[tuple[int, list[float]]]:
    found: dict[int, list[float]] = {}
    for cell, answer in zip(cells, answers, strict=True):
        wanted = (cell.rule, cell.width, answer["outcome"]) == (rule, width, "finished")
        if wanted and (value := answer[name][-1]) is not None:
            found.setdefault(cell.depth, []).append(value)
    return sorted(found.items())


def _along_training(cells: Sequence[Frei], answers: Sequence[Answer]) -> Figure:
    widest = max(cell.width for cell in cells)
    rules, depths = (list(dict.fromkeys(getattr(c, name) for c in cells))
                     for name in ("rule", "depth"))  # fmt: skip
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    for panel, (name, words) in enumerate((("tau", "τ"), ("train_surrogate", "E_S")), 1):
        axes = figure.add_subplot(1, 2, panel)
        for cell, answer in zip(cells, answers, strict=True):
            if cell.width != widest or cell.seed != 0:
                continue
            axes.plot(
                answer["epoch"][1:], answer[name][1:], lw=1, ms=4,
                marker=_MARKS[depths.index(cell.depth) % len(_MARKS)],
                color=_COLOURS[rules.index(cell.rule) % len(_COLOURS)],
                label=f"θ = {cell.rule.replace('n', 'L')}, L = {cell.depth}",
            )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="epoch", title=f"{words}, m = {widest}")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    return figure


def _law_row(law: DepthLaw) -> Row:
    return {
        "width": law.width,
        "rule": law.rule,
        "quantity": law.quantity.name,
        "when": "end" if law.quantity.place else "start",
        "least_depth": law.depths[0],
        "largest_depth": law.depths[1],
        "log_ratio": law.log_ratio,
        "exponent": law.exponent,
        "error": law.error,
        "verdict": law.verdict,
    }


def _law_text(law: DepthLaw | None) -> str:
    if law is None or law.log_ratio is None or law.exponent is None or law.error is None:
        return "–" if law is None else law.verdict
    decades = law.log_ratio / math.log(10)
    factor = f"× {math.exp(law.log_ratio):.3g}" if abs(decades) < 3 else f"× 10^{decades:.1f}"
    error = "" if math.isnan(law.error) else f" ± {law.error:.2f}"
    return f"{factor}, p = {law.exponent:+.2f}{error}, {law.verdict}"


def _mean(answers: Sequence[Answer], name: str, place: int = -1) -> float | None:
    values = [answer[name][place] for answer in answers if answer[name]]
    kept = [value for value in values if value is not None]
    return statistics.fmean(kept) if kept else None


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _power(log_value: float | None) -> str:
    """A natural logarithm as the number, or as a power of ten where that is long."""
    if log_value is None:
        return "–"
    decades = log_value / math.log(10)
    return f"{math.exp(log_value):.3g}" if abs(decades) < 3 else f"10^{decades:.1f}"
