"""``expansion critical``: the scale of blocks that are correlated in depth."""

from __future__ import annotations

from typing import Annotated

import typer

from expansion.checking import check_count
from expansion.commands.options import Format
from expansion.console import check_format, print_json

__all__ = ["critical"]


def critical(
    depth: Annotated[str, typer.Option(help="The larger of two depths, n/2 and n.")] = "1024",
    hurst: Annotated[
        list[float] | None, typer.Option(help="Hurst indices of fractional noise, several allowed.")
    ] = None,
    format: Format = "text",
) -> None:
    """Find the exponent of n that keeps blocks correlated in depth bounded."""
    from dataclasses import asdict

    from expansion.growth.correlated import critical_exponents
    from expansion.report.grid import print_table
    from expansion.report.tables import critical_grid

    check_format(format, ("text", "json"))
    most = check_count(depth, "depth", least=16, most=8192)
    hursts = (0.1, 0.3, 0.5, 0.7, 0.9) if hurst is None else tuple(hurst)
    lines = critical_exponents(hursts=hursts, depths=(most // 2, most))
    if format == "json":
        print_json({"depths": [most // 2, most], "rows": [asdict(line) for line in lines]})
    else:
        print_table(critical_grid(lines))
