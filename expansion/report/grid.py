"""Tables as data: a title, headings and rows of text, written in any format.

One table is rendered in the terminal by Rich, and as CSV, Markdown or LaTeX by the functions
below, so that every format shows the same cells.
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rich.box
from rich.console import Console
from rich.table import Table

__all__ = [
    "Grid",
    "csv_text",
    "latex_text",
    "markdown_text",
    "print_grids",
    "print_table",
    "rich_table",
]

_LATEX_SYMBOLS = {
    "^": r"\^{}",
    "{": r"\{",
    "}": r"\}",
    "|": r"$|$",
    ">": r"$>$",
    "√": r"$\surd$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\to$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "·": r"$\cdot$",
    "‖": r"$\|$",
    "−": "$-$",
    "–": "--",
    "²": r"$^2$",
    "½": r"$\frac12$",
    "¼": r"$\frac14$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "δ": r"$\delta$",
    "ε": r"$\varepsilon$",
    "θ": r"$\theta$",
    "λ": r"$\lambda$",
    "ρ": r"$\rho$",
    "τ": r"$\tau$",
    "ℓ": r"$\ell$",
    "𝓛": r"$\mathcal{L}$",
    "\u0304": r"$\bar M$",
}


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of text.

    Parameters
    ----------
    title : str
        What it shows.
    headings : tuple of str
        One per column.
    rows : tuple of tuple of str
        The cells.
    note : str
        What a reader must know to read it, below the table.
    text_columns : int
        How many columns, from the left, hold words rather than numbers.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    text_columns: int = 1


def rich_table(grid: Grid) -> Table:
    """The table for a terminal."""
    table = Table(
        box=rich.box.SIMPLE_HEAD,
    )
    for column, heading in enumerate(grid.headings):
        justify = "left" if column < grid.text_columns else "right"
        table.add_column(heading, justify=justify, no_wrap=column >= grid.text_columns)  # type: ignore[arg-type]
    for row in grid.rows:
        table.add_row(*[cell.replace("[", r"\[") for cell in row])
    return table


def print_table(grid: Grid) -> None:
    """Print a table to stdout; piped output is as wide as the table needs."""
    table = rich_table(grid)
    console = Console()
    if not console.is_terminal:
        console = Console(width=Console(width=10_000).measure(table).maximum)
    print(grid.title)
    console.print(table)
    if grid.note:
        print(textwrap.fill(grid.note, 100 if not console.is_terminal else console.width))
    print()


def print_grids(grids: Sequence[Grid], format: str) -> None:
    """Print tables, with their titles and notes, as text, markdown or latex."""
    for grid in grids:
        if format == "text":
            print_table(grid)
        elif format == "markdown":
            print(f"## {grid.title}\n\n{markdown_text(grid)}\n")
            if grid.note:
                print(f"{grid.note}\n")
        else:
            for line in textwrap.wrap(f"{grid.title}. {grid.note}", 98):
                print(f"% {line}")
            print(f"{latex_text(grid)}\n")


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of machine-readable values as CSV.

    Examples
    --------
    >>> print(csv_text([{"depth": 1, "energy": 2.0}]), end="")
    depth,energy
    1,2.0
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def markdown_text(grid: Grid) -> str:
    """The table in Markdown.

    Examples
    --------
    >>> print(markdown_text(Grid("", ("rule", "n"), (("1/n", "3"),))))
    | rule | n |
    | --- | ---: |
    | 1/n | 3 |
    """
    marks = ["---" if c < grid.text_columns else "---:" for c in range(len(grid.headings))]
    lines = [grid.headings, marks, *grid.rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def latex_text(grid: Grid) -> str:
    r"""The table as a LaTeX tabular.

    Examples
    --------
    >>> print(latex_text(Grid("", ("rule", "n"), (("10^3.00", "±1"),))))
    \begin{tabular}{lr}
    \hline
    rule & n \\
    \hline
    $10^{3.00}$ & $\pm$1 \\
    \hline
    \end{tabular}
    """
    columns = "".join("l" if c < grid.text_columns else "r" for c in range(len(grid.headings)))
    body = [" & ".join(map(_latex_cell, line)) + r" \\" for line in (grid.headings, *grid.rows)]
    rule = r"\hline"
    parts = [rf"\begin{{tabular}}{{{columns}}}", rule, body[0], rule, *body[1:], rule]
    return "\n".join([*parts, r"\end{tabular}"])


def _latex_cell(text: str) -> str:
    if text.startswith("10^"):
        inside = text[3:].strip("()").replace("±", r"\pm")
        return f"$10^{{{inside}}}$"
    whole = text.replace("M\u0304", "\u0304")  # one letter and its bar
    return "".join(f"\\{c}" if c in "#%&_$" else _LATEX_SYMBOLS.get(c, c) for c in whole)
