"""What a grid on Frei, Cao & Gu's network leaves: tables, the terms against depth, a page."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from expansion.bounds.margin import MarginEstimate, margin_estimate
from expansion.report.grid import Grid
from torch_bridge.experiments.frei.cell import MEASURED, Frei
from torch_bridge.experiments.frei.drawings import FIGURES
from torch_bridge.experiments.frei.statistics import LIMIT, DepthLaw, broken, depth_laws
from torch_bridge.experiments.frei.task import signed_data
from torch_bridge.experiments.grids.cells import Answer, settings_of
from torch_bridge.experiments.grids.datasets import load_data
from torch_bridge.experiments.grids.folder import write_folder
from torch_bridge.experiments.grids.page import page_text
from torch_bridge.experiments.grids.rows import Row

__all__ = [
    "end_grid",
    "epoch_rows",
    "law_grid",
    "margin_of",
    "run_rows",
    "sentences",
    "write_results",
]

_CAPTIONS = {
    "terms_against_depth": "Medians and ranges over seeds at the end; diverged runs have none.",
    "along_training": "τ and E_S along training at the largest width, depth by depth, the "
    "first seed of each; diverged runs end where they did.",
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
        "Means over seeds; of logarithms, then exponentiated, for growth, certificates and the "
        "interlayer norm. Growth: ‖x_L‖/‖x_1‖, predicted by claim G6 at infinite width."
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


def write_results(
    folder: Path,
    cells: Sequence[Frei],
    answers: Sequence[Answer],
    kept: Path,
    found: Sequence[str],
) -> None:
    """Write epochs, runs, laws, figures, seconds and the page.

    Parameters
    ----------
    folder : path
        Where to; made if missing.
    cells, answers
        The grid and what came of it.
    kept : path
        The folder of finished cells, for their seconds.
    found : sequence of str
        The :func:`sentences`, for the page.
    """
    laws = depth_laws(cells, answers)
    write_folder(
        folder,
        tables={
            "epochs": epoch_rows(cells, answers),
            "runs": run_rows(cells, answers),
            "depth_laws": [_law_row(law) for law in laws],
        },
        figures={name: draw(cells, answers) for name, draw in FIGURES.items()},
        page=_page(cells, answers, laws, found),
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
    return page_text(
        title="Over-parameterised residual networks near their start",
        opening=f"{len(cells)} runs on {like.data}, task {like.task}{part} "
        f"({answers[0]['samples_used']} used, inputs of norm 1): {like.epochs} steps of "
        f"full-batch gradient descent on the logistic loss with η = {like.rate:g}/m for every "
        f"depth and θ, on {like.device}. The network is Frei, Cao & Gu's (2019, arXiv "
        "1910.02934), who report no experiments.",
        found=found,
        captions=_CAPTIONS,
        grids=[law_grid(laws), end_grid(cells, answers)],
        closing="`epochs`, `runs` and `depth_laws`, each as .csv and .parquet, have all numbers; "
        "`seconds.csv` how long each run took.",
    )


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
