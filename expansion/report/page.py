"""The report as one self-contained page: no scripts, nothing loaded from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
from markupsafe import Markup, escape

from expansion.report.grid import Grid

__all__ = ["Section", "page_html"]


@dataclass(frozen=True, slots=True)
class Section:
    """A table with what goes with it.

    Parameters
    ----------
    grid : Grid
        The table; its title heads the section.
    sentence : str
        What the table says, in words.
    figure : str
        SVG markup.
    mood : {"", "passed", "failed"}
        How the sentence is coloured.
    """

    grid: Grid
    sentence: str = ""
    figure: str = ""
    mood: str = ""


def page_html(version: str, terms: Sequence[str], sections: Sequence[Section]) -> str:
    """Fill the page's template; every text is escaped, only the figures are markup.

    Parameters
    ----------
    version : str
        What made the page.
    terms : sequence of str
        The expansion, a line for each order.
    sections : sequence of Section
        In reading order.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("expansion.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["with_subscripts"] = _with_subscripts
    template = environment.get_template("page.html")
    return template.render(version=version, terms=terms, sections=sections)


def _with_subscripts(text: str) -> Markup:
    """Escaped text in which ``Σ_{i<j}`` has its condition below the line."""
    return Markup(re.sub(r"_\{(.*?)\}", r"<sub>\1</sub>", str(escape(text))))
