"""What the commands show of a real model: tables for people, dictionaries for scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from expansion.report.grid import Grid
from expansion.report.numbers import number_text
from torch_bridge.measuring.measure import Measurement
from torch_bridge.measuring.prediction import TOLERANCE, Prediction, parting
from torch_bridge.measuring.recommend import Recommendation

__all__ = [
    "blocks_dict",
    "blocks_grid",
    "counted",
    "growth_text",
    "json_float",
    "orders_grid",
    "verdict_lines",
]


def json_float(value: float | None) -> float | None:
    """A float as JSON has it: null for what is not finite.

    Examples
    --------
    >>> json_float(math.inf), json_float(0.5)
    (None, 0.5)
    """
    return value if value is not None and math.isfinite(value) else None


def counted(number: int, word: str, words: str = "") -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "block"), counted(2, "batch", "batches")
    ('1 block', '2 batches')
    """
    return f"{number} {word if number == 1 else words or word + 's'}"


def growth_text(value: float, error: float = math.nan) -> str:
    """A growth factor, with its standard error where there is one.

    Examples
    --------
    >>> growth_text(17.083, 0.391), growth_text(4375.2, 161.0), growth_text(2.5)
    ('17.08 ± 0.39', '4375 ± 161', '2.5')
    """
    if not (math.isfinite(error) and error > 0):
        return number_text(value)
    if value >= 1e6:
        return f"{value:.3g} ± {error:.2g}"
    decimals = min(6, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def blocks_dict(
    measured: Measurement, predicted: Prediction, recommended: Recommendation
) -> dict[str, Any]:
    """Blocks, growth and recommendation as JSON-ready values."""
    blocks = [
        {
            "name": block.name,
            "skip_energy": json_float(block.skip_energy),
            "branch_energy": json_float(block.branch_energy),
            "sum_energy": json_float(block.sum_energy),
            "predicted_energy": json_float(ours.sum_energy),
            "share": block.share,
            "cosine": block.cosine,
            "gradient_energy": json_float(block.gradient_energy),
            "skip_energy_error": json_float(block.skip_energy_error),
            "branch_energy_error": json_float(block.branch_energy_error),
            "sum_energy_error": json_float(block.sum_energy_error),
            "cosine_error": json_float(block.cosine_error),
        }
        for block, ours in zip(measured.blocks, predicted.blocks, strict=True)
    ]
    return {
        "depth": measured.depth,
        "samples": measured.samples,
        "batches": measured.batches,
        "probe": measured.probe,
        "blocks": blocks,
        "measured_growth": json_float(measured.growth),
        "measured_growth_error": json_float(measured.growth_error),
        "predicted_growth": json_float(predicted.growth),
        "incoherent_growth": json_float(predicted.incoherent_growth),
        "law": predicted.law,
        "degree": predicted.degree,
        "branch_cosine": measured.coherence.cosine,
        "first_order_cosine": predicted.coherence.cosine,
        "parts_at": parting(measured, predicted),
        "tolerance": TOLERANCE,
        "recommended_rule": recommended.rule,
        "reason": recommended.reason,
        "growth_with_rule": json_float(recommended.growth_after),
    }


def blocks_grid(measured: Measurement, predicted: Prediction, title: str) -> Grid:
    """One row for each block: energies, share, cosine, gradient."""
    gradients = [block.gradient_energy for block in measured.blocks]
    shown = all(value is not None for value in gradients)
    headings = ["block", "skip", "branch", "sum", "predicted", "share", "cosine"]
    rows = []
    for block, ours in zip(measured.blocks, predicted.blocks, strict=True):
        energies = (block.skip_energy, block.branch_energy, block.sum_energy, ours.sum_energy)
        cells = [block.name, *map(number_text, energies)]
        cells += [f"{block.share:.1%}", f"{block.cosine:+.3f}"]
        if shown and block.gradient_energy is not None:
            cells.append(number_text(block.gradient_energy))
        rows.append(tuple(cells))
    if shown:
        headings.append("gradient")
    note = (
        "skip, branch, sum: mean ‖·‖² of a sample; predicted: of the sum, from what each branch "
        "makes of the input's own direction; share: branch/(skip + branch); cosine: between skip "
        "and branch"
    )
    if shown:
        note += f"; gradient: mean ‖·‖² of that of {measured.probe} with respect to the sum"
    return Grid(title, tuple(headings), tuple(rows), note + ".")


def verdict_lines(
    measured: Measurement, predicted: Prediction, recommended: Recommendation
) -> list[str]:
    """Growth measured and predicted, where they part, and what to do, in sentences."""
    growth = growth_text(measured.growth, measured.growth_error)
    lines = [
        f"Growth over {counted(measured.depth, 'block')}: {growth} measured, "
        f"{number_text(predicted.growth)} predicted ({predicted.law}; "
        f"{number_text(predicted.incoherent_growth)} if no two branches were correlated)."
    ]
    place = parting(measured, predicted)
    if place is None:
        lines.append(f"Measured and predicted energies agree to {TOLERANCE:.0%} in every block.")
    else:
        lines.append(
            f"They part by more than {TOLERANCE:.0%} first in block {place}: from there on it "
            "matters what branches make of one another's output, which the prediction leaves out."
        )
    told = "keep the model as it is" if recommended.rule == "1" else f"λ = {recommended.rule}"
    lines.append(f"Recommended: {told}. {recommended.reason}")
    if recommended.rule != "1":
        after = number_text(recommended.growth_after)
        lines.append(f"With it the growth is predicted to be {after}.")
    return lines


def orders_grid(
    title: str,
    energies: Sequence[float],
    errors: Sequence[float],
    note: str,
    extra: Mapping[str, Sequence[str]] | None = None,
) -> Grid:
    """The energy of every order, its size beside the output, and the partial sums' errors."""
    more = extra or {}
    headings = ("order", "energy", *more, "error of partial sum")
    rows = tuple(
        (str(k), number_text(energy), *(column[k] for column in more.values()), f"{error:.2e}")
        for k, (energy, error) in enumerate(zip(energies, errors, strict=True))
    )
    return Grid(title, headings, rows, note, text_columns=0)
