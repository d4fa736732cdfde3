"""The synthesis as tables: what scale each quantity asks for, and how it grows under each rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from expansion.report.grid import Grid

__all__ = ["demands_grid", "growth_laws_grid"]


def demands_grid(table: Mapping[str, Any]) -> Grid:
    """The largest scale that keeps each quantity bounded, in closed form and measured.

    Parameters
    ----------
    table : mapping
        JSON-ready values of the synthesis.
    """
    rows = tuple(
        (
            row["quantity"],
            row["claim"],
            row["asked_by"],
            row["largest_scale"],
            f"{row['critical_exponent']:g}",
            f"{row['measured_critical_exponent']:.3f}",
        )
        for row in table["quantities"]
    )
    headings = ("quantity", "claim", "asked by", "largest scale", "β", "β, measured")
    note = (
        "β: with λ = n^−β the quantity stays bounded from this exponent on. Measured: the slope "
        "of −ln λ against ln n, λ being the scale at which the computed value reaches a fixed "
        "level at each of two depths."
    )
    return Grid("What scale does which bound ask for", headings, rows, note, text_columns=4)


def growth_laws_grid(table: Mapping[str, Any]) -> Grid:
    """How each quantity grows with depth, rule by rule: closed form, then measured."""
    rows = []
    for row in table["quantities"]:
        for name, key in ((row["quantity"], "closed_form"), ("  measured", "measured")):
            rows.append((name, *(cell[key]["text"] for cell in row["growth"])))
    first = table["quantities"][0]["growth"] if table["quantities"] else ()
    headings = ("growth with depth", *(cell["rule"] for cell in first))
    note = (
        "→: the limit where bounded. Closed forms are leading terms; measured: fitted to values "
        "that the bounds' own code gives at depths that double. batchnorm: as the scales 1/√l."
    )
    return Grid("Growth of each bound with depth", headings, tuple(rows), note)
