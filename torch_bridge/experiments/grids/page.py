"""The page of an experiment, in Markdown: what was run, what was found, plots and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expansion.report.grid import Grid, markdown_text

__all__ = ["page_text"]


def page_text(
    *,
    title: str,
    opening: str,
    found: Sequence[str],
    captions: Mapping[str, str],
    grids: Sequence[Grid],
    closing: str,
) -> str:
    """The page.

    Parameters
    ----------
    title : str
        Of the page; a grid of the same title gets no heading of its own.
    opening : str
        What was run.
    found : sequence of str
        Sentences, as a list.
    captions : mapping from name to str
        Of the plots NAME.svg.
    grids : sequence of Grid
        Tables, each with its note below; empty ones are left out.
    closing : str
        Which file has what.

    Examples
    --------
    >>> page = page_text(
    ...     title="Gaps", opening="2 runs.", found=["They close."], captions={"gap": "By depth."},
    ...     grids=[], closing="`runs.csv` has all.",
    ... )
    >>> [line for line in page.splitlines() if line]
    ['# Gaps', '2 runs.', '- They close.', '![By depth.](gap.svg)', '`runs.csv` has all.']
    """
    parts = [f"# {title}", opening]
    if found:
        parts.append("\n".join(f"- {sentence}" for sentence in found))
    parts += [f"![{caption}]({name}.svg)" for name, caption in captions.items()]
    for grid in grids:
        if grid.rows:
            heading = [] if grid.title == title else [f"## {grid.title}"]
            parts += [*heading, markdown_text(grid), grid.note]
    return "\n\n".join([*parts, closing]) + "\n"
