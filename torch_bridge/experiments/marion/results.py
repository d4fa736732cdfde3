"""What a Marion grid leaves: tables, plots, and a page that says what was found."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from expansion.report.grid import Grid
from torch_bridge.experiments.grids.cells import Answer, settings_of
from torch_bridge.experiments.grids.folder import write_folder
from torch_bridge.experiments.grids.page import page_text
from torch_bridge.experiments.grids.rows import Row
from torch_bridge.experiments.marion.cell import EPOCH_FIELDS, Marion
from torch_bridge.experiments.marion.drawings import FIGURES
from torch_bridge.experiments.marion.statistics import (
    Group,
    association,
    groups_of,
    ordering,
)

__all__ = ["bound_grid", "epoch_rows", "gap_grid", "run_rows", "sentences", "write_results"]

_CAPTIONS = {
    "gap_against_step": "Gap against sup‖ΔW‖ at μ = 0: every epoch of every seed, ends large.",
    "gap_by_penalty": "Gap at the end by penalty: every seed, its box, and the mean.",
    "bound": "The bound at the end against R (discs), beside the measured gap (crosses, where "
    "it is positive).",
}


def epoch_rows(cells: Sequence[Marion], answers: Sequence[Answer]) -> list[Row]:
    """A row for every epoch of every run, epoch 0 before training; μ = ∞ for tied towers."""
    return [
        _settings(cell)
        | {"outcome": answer["outcome"], "epoch": epoch}
        | {name: answer[name][epoch] for name in EPOCH_FIELDS}
        for cell, answer in zip(cells, answers, strict=True)
        for epoch in range(answer["epochs"] + 1)
    ]


def run_rows(cells: Sequence[Marion], answers: Sequence[Answer]) -> list[Row]:
    """A row for every run: the last epoch, and the bound's constants and terms."""
    return [
        _settings(cell)
        | {"outcome": answer["outcome"]}
        | {name: answer[name][-1] for name in EPOCH_FIELDS}
        | {name: value for name, value in answer.items() if name.startswith("bound_")}
        for cell, answer in zip(cells, answers, strict=True)
    ]


def gap_grid(groups: Sequence[Group]) -> Grid:
    """The gap by penalty, with its uncertainty."""
    rows = []
    for group in groups:
        found = ordering(group.runs)
        gaps = {} if found is None else {one.penalty: one for one in found.penalties}
        for penalty in dict.fromkeys(cell.penalty for cell, _ in group.runs):
            runs, one = group.with_penalty(penalty), gaps.get(penalty)
            lowest = one is None or found is None or one is found.penalties[0]
            rows.append((
                group.name,
                runs[0][0].penalty_text,
                str(len(runs)),
                _spread([answer["train_loss"][-1] for _, answer in runs]),
                _spread([answer["gap"][-1] for _, answer in runs]),
                "–" if lowest or one is None else _error("{:+.4f}", one.lower_by, one.lower_error),
                "–" if lowest or one is None or found is None else f"{one.lower_in}/{found.seeds}",
                _spread([answer["sup_step"][-1] for _, answer in runs]),
                _spread([answer["norm"][-1] for _, answer in runs], "{:.1f}"),
                _spread([answer["test_accuracy"][-1] for _, answer in runs], "{:.3f}"),
            ))  # fmt: skip
    headings = ("towers", "μ", "seeds", "training loss", "gap", "lower than at least μ by", "in",
                "sup‖ΔW‖", "‖W‖₁,₁,∞", "test accuracy")  # fmt: skip
    note = (
        "At the last epoch, mean ± standard error over seeds. Gap: mean test loss − mean training "
        "loss, penalty left out. Differences are taken seed by seed. The test part is the same "
        "for all, so that its own sampling error is common to them and not in these numbers."
    )
    return Grid("Generalisation gap by penalty", headings, tuple(rows), note, text_columns=2)


def bound_grid(groups: Sequence[Group]) -> Grid:
    """Claim B3's bound beside the measured gap, seed 0 of every penalty."""
    rows = []
    for group in groups:
        for penalty in dict.fromkeys(cell.penalty for cell, _ in group.runs):
            cell, answer = group.with_penalty(penalty)[0]
            if answer["bound_log10_gap"] is None:
                continue
            rows.append((
                group.name,
                cell.penalty_text,
                f"{answer['gap'][-1]:.4f}",
                f"10^{answer['bound_log10_gap']:.1f}",
                f"10^{answer['bound_log10_approximation']:.1f}",
                f"10^{answer['bound_log10_deviation']:.1f}",
                f"10^{answer['bound_log10_trivial']:.1f}",
                "vacuous" if answer["bound_vacuous"] else "below M̄",
                _power(answer["bound_log10_smallest_sample"]),
                _power(answer["bound_log10_clipped_gap"]),
                _power(answer["bound_log10_clipped_sample"]),
                f"{answer['bound_radius']:.1f}",
                f"{answer['bound_slope']:.2f}",
                f"{answer['bound_published_parameters']:.2f}, "
                f"{answer['bound_published_variation']:.1f}, "
                f"{answer['bound_published_confidence']:.3f}",
            ))  # fmt: skip
    headings = ("towers", "μ", "measured gap", "bound", "2K_ℓK_Fε", "deviation", "M̄", "verdict",
                "n for less than M̄", "bound, clipped", "n for less than ln classes", "R", "K",
                "published terms ÷ C")  # fmt: skip
    note = (
        "Claim B3 at δ = 0.05 for the class of the trained weights, valid at every depth, the "
        "first seed of each; that no input is larger than those of the data is assumed. M̄: the "
        "largest loss of the class, itself exponential in R. Clipped: the loss is cut at ln "
        "classes, what a network that predicts nothing has. With trained A and B there is no such "
        "bound: they depend on the sample. The published terms lack a constant C that is "
        "exponential in R and could not be checked."
    )
    return Grid("The bound beside the gap", headings, tuple(rows), note, text_columns=2)


def sentences(groups: Sequence[Group]) -> list[str]:
    """What was found, group by group, whatever it came out to."""
    told = []
    for group in groups:
        if group.diverged:
            told.append(f"{group.name}: {group.diverged} runs diverged and are left out.")
        told += [*_about_association(group), *_about_the_bound(group), *_about_ordering(group)]
    return told


def _about_association(group: Group) -> list[str]:
    """Whether the gap goes with sup‖ΔW‖: without a penalty, and over all penalties."""
    told = []
    free, everything = association(group.with_penalty(0.0)), association(group.runs)
    if free.pooled is not None:
        told.append(
            f"{group.name}, μ = 0: rank correlation of gap and sup‖ΔW‖ {free.pooled:+.2f} "
            f"over {free.points} points (nominal p {_p(free.pooled_p)}; the epochs of a "
            f"run are not independent), {_rho(free.within)} within a run on average over "
            f"{free.runs} runs (p {_p(free.within_p)}), {_rho(free.ends)} between runs "
            f"at the end (p {_p(free.ends_p)})."
        )
    if len({cell.penalty for cell, _ in group.runs}) > 1 and everything.ends is not None:
        told.append(
            f"{group.name}, all penalties: rank correlation at the end {everything.ends:+.2f} "
            f"over {everything.runs} runs (p {_p(everything.ends_p)})."
        )
    return told


def _about_the_bound(group: Group) -> list[str]:
    """In how many runs it says anything."""
    bounded = [answer for _, answer in group.runs if answer["bound_log10_gap"] is not None]
    if not bounded:
        return []
    vacuous = sum(answer["bound_vacuous"] for answer in bounded)
    useless = sum(
        answer["bound_log10_clipped_gap"] >= math.log10(answer["bound_loss_at_target"])
        for answer in bounded
    )
    return [
        f"{group.name}: claim B3's bound is vacuous in {vacuous} of {len(bounded)} runs, "
        f"and for the loss clipped at ln classes in {useless}."
    ]


def _about_ordering(group: Group) -> list[str]:
    """Whether larger penalties have smaller gaps."""
    order = ordering(group.runs)
    if order is None:
        return []
    names = ["∞" if one.penalty is None else f"{one.penalty:g}" for one in order.penalties]
    chain = ", ".join(
        f"{name}: {_error('{:.4f}', one.mean, one.error)}"
        for name, one in zip(names, order.penalties, strict=True)
    )
    steps = ", ".join(
        f"{before} to {after} {step.word} ({_error('{:+.4f}', -step.fall, step.error)})"
        for (before, after), step in zip(pairwise(names), order.steps, strict=True)
    )
    page = "" if order.page_p is None else f" (Page's test p {_p(order.page_p)})"
    means = "falls with every step" if order.descending else "does not fall at every step"
    told = "it falls with μ" if order.falling else "it does not fall with μ throughout"
    return [
        f"{group.name}: mean gap by μ over {order.seeds} seeds {chain}; it {means}{page}. Of what "
        f"can be told from noise, {told}: {steps}."
    ]


def write_results(
    folder: Path, cells: Sequence[Marion], answers: Sequence[Answer], kept: Path
) -> None:
    """Write epochs, runs, figures, seconds and the page.

    Parameters
    ----------
    folder : path
        Where to; made if missing.
    cells, answers
        The grid and what came of it.
    kept : path
        The folder of finished cells, for their seconds.
    """
    groups = groups_of(cells, answers)
    write_folder(
        folder,
        tables={"epochs": epoch_rows(cells, answers), "runs": run_rows(cells, answers)},
        figures={name: draw(groups) for name, draw in FIGURES.items()},
        page=_page(groups, cells),
        cells=cells,
        kept=kept,
        settings=_settings,
    )


def _page(groups: Sequence[Group], cells: Sequence[Marion]) -> str:
    like = cells[0]
    data = " and ".join(dict.fromkeys(cell.data for cell in cells))
    part = "" if like.samples is None else f", the first {like.samples} training samples"
    return page_text(
        title="Gaps of towers that are smooth in depth",
        opening=f"{len(cells)} runs on {data}{part}: Adam at rate {like.rate:g}, batches of "
        f"{like.batch}, {', '.join(sorted({str(cell.epochs) for cell in cells}))} epochs, weights "
        f"from a Gaussian process in depth of bandwidth {like.bandwidth:g}, on {like.device}. The "
        "question is Marion's (2023, arXiv 2305.06648); data, sizes and so numbers are not.",
        found=sentences(groups),
        captions=_CAPTIONS,
        grids=[gap_grid(groups), bound_grid(groups)],
        closing="`epochs.csv` and `epochs.parquet` have every epoch of every run, `runs.csv` and "
        "`runs.parquet` the end of every run with all of the bound, `seconds.csv` how long each "
        "took.",
    )


def _settings(cell: Marion) -> Row:
    return settings_of(cell) | {"penalty": math.inf if cell.penalty is None else cell.penalty}


def _spread(values: Sequence[float], form: str = "{:.4f}") -> str:
    mean = form.format(statistics.fmean(values))
    if len(values) < 2:
        return mean
    return f"{mean} ± {form.format(statistics.stdev(values) / math.sqrt(len(values)))}"


def _error(form: str, value: float, error: float) -> str:
    """A mean and its standard error, where there is one."""
    return form.format(value) + ("" if math.isnan(error) else f" ± {error:.4f}")


def _power(log10: float | None) -> str:
    return "above 10^300" if log10 is None else f"10^{log10:.1f}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "below 1e-12" if value < 1e-12 else f"{value:.2g}"


def _rho(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"
