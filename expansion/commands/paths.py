"""``expansion paths``: the paths of any architecture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from expansion.commands.options import Format
from expansion.console import check_format, print_json
from expansion.errors import InputError

__all__ = ["paths"]


def paths(
    architecture: Annotated[str, typer.Argument(help="A builder's name: residual, unet, ….")],
    parameters: Annotated[
        list[str] | None, typer.Argument(help="Its parameters, such as layers=2.")
    ] = None,
    depth: Annotated[
        list[str] | None, typer.Option(help="Its first parameter: depth, stages, levels.")
    ] = None,
    lesion: Annotated[
        list[str] | None, typer.Option(help="Blocks to remove together, joined by commas.")
    ] = None,
    lesions: Annotated[bool, typer.Option("--lesions", help="Each block removed alone.")] = False,
    output: Annotated[Path | None, typer.Option(help="Also draw it (SVG).")] = None,
    unravel: Annotated[bool, typer.Option("--unravel", help="Draw every path instead.")] = False,
    format: Format = "text",
) -> None:
    """Count an architecture's paths by order, exactly, and what lesions leave of them."""
    from expansion.growth.path_lesions import lesion_shares
    from expansion.growth.path_polynomials import path_polynomial
    from expansion.report.grid import print_table
    from expansion.report.numbers import exact_text
    from expansion.report.path_tables import lesions_grid, paths_dict, paths_grid
    from expansion.towers.architectures.catalogue import build, read_parameters

    check_format(format, ("text", "json"))
    # Commands share --depth, which takes all words up to the next option: parameters among them.
    words = [*(depth or []), *(parameters or [])]
    given = read_parameters([word for word in words if "=" in word or word not in (depth or [])])
    first = ",".join(word for word in depth or [] if "=" not in word) or None
    built = build(architecture, given, first)
    removed = [name for names in lesion or [] for name in names.split(",")]
    whole = path_polynomial(built)
    left = path_polynomial(built, without=removed) if removed else None
    shares = lesion_shares(built) if lesions else {}
    asked = [*([first] if first else []), *(f"{key}={value}" for key, value in given.items())]
    title = f"Paths of {' '.join([architecture, *asked])}"
    if unravel and output is None:
        raise InputError("a file to draw the paths in", "none", "give --output picture.svg")
    if output is not None:
        from expansion.report.drawings import draw_architecture, draw_paths
        from expansion.writing import write_whole

        draw = draw_paths if unravel else draw_architecture
        write_whole(output, draw(built, title=title, without=removed).encode())
        print(f"written: {output}", file=sys.stderr)
    if format == "json":
        settings = {"architecture": architecture, "depth": first, "parameters": given}
        gone = {"lesion": removed} if removed else {}
        each = {"lesions": {b: exact_text(s) for b, s in shares.items()}} if lesions else {}
        print_json({**settings, **paths_dict(whole, left), **gone, **each})
    else:
        print_table(paths_grid(whole, left, title))
        if lesions:
            print_table(lesions_grid(shares))
