"""``expansion report``: the main job, in the terminal and as a page."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from expansion.commands.options import Format
from expansion.console import check_format, print_json, progress_bar
from expansion.errors import InputError

__all__ = ["report"]


def report(
    weights: Annotated[
        Path | None, typer.Option(help="A tower with inputs (safetensors); by default digits.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Also write one page of HTML.")] = None,
    format: Format = "text",
) -> int:
    """Show everything: terms, counts, growth, a network's spectrum, and the checks."""
    from expansion.main_job import run_main_job
    from expansion.report.grid import print_table

    check_format(format, ("text", "json"))
    if output is not None and not output.parent.is_dir():
        raise InputError("a folder that exists for the page", output.parent, "make it first")
    with _bars() as progress:
        job = run_main_job(weights, progress)
    if output is not None:
        from expansion.writing import write_whole

        write_whole(output, job.to_html().encode())
        print(f"written: {output}", file=sys.stderr)
    if format == "json":
        print_json(job.to_dict())
    else:
        print("\n".join(job.terms), end="\n\n")
        for section in job.sections():
            print_table(section.grid)
            if section.sentence:
                print(textwrap.fill(section.sentence, 100), end="\n\n")
    return 0 if job.passed else 1


@contextmanager
def _bars() -> Iterator[Callable[[str, int], Callable[..., None]]]:
    """Progress bars one after the other, each closed when the next opens."""
    with ExitStack() as stack:

        def open_next(description: str, total: int) -> Callable[..., None]:
            stack.close()
            advance: Callable[..., None] = stack.enter_context(progress_bar(description, total))
            return advance

        yield open_next
