"""What the three commands share: one-line errors, formats, a progress bar on stderr.

Exit codes: 0 for success, 1 when a check fails, 2 with one line on bad input, 130 when
interrupted. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from expansion.errors import InputError

__all__ = ["check_format", "print_json", "progress_bar", "run", "spread_options"]

_INTERRUPTED = 130


def run(app: typer.Typer, arguments: Sequence[str], several: Sequence[str] = ()) -> int:
    """Run a command line; return its exit code. Bad input is one line on stderr, never a trace.

    Parameters
    ----------
    app : typer.Typer
        The commands.
    arguments : sequence of str
        Without the program's name.
    several : sequence of str
        Options that take several values in a row: ``--depth 1 10 100``.
    """
    try:
        _check_stdout()
        code = app(spread_options(arguments, several), standalone_mode=False)
        sys.stdout.flush()
    except InputError as error:
        message = str(error)
    except typer.TyperException as error:
        message = " ".join(error.format_message().split()).rstrip(".") + "; try --help"
    except MemoryError as error:
        message = _too_large(error)
    except BrokenPipeError:
        # The reader of a pipe went away, as `| head` does; nobody is left to write to.
        sys.stdout = None
        return 0
    except SystemExit as stop:
        # The parser's own answer to such a reader, while the command was still writing.
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        sys.stdout = None
        return 0
    except OSError as error:
        sys.stdout = None  # or the interpreter would try to write the rest when it ends
        came = error.strerror or type(error).__name__
        message = str(InputError("an output that can be written", came, "write elsewhere"))
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted()
    except RuntimeError as error:  # after Abort, which is one
        if "allocate" not in str(error):  # as PyTorch's allocators say it
            raise
        message = _too_large(error)
    else:
        # The parser turns an interruption into its exit code.
        return _interrupted() if code == _INTERRUPTED else int(code or 0)
    print(f"error: {message}", file=sys.stderr)
    return 2


def _check_stdout() -> None:
    """See that results can be written at all, in whatever encoding the terminal has."""
    if sys.stdout is None:
        raise InputError("a standard output", "a closed one", "leave it open")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _too_large(error: Exception) -> str:
    needed = str(error) or "one that needs more"
    return str(InputError("a request that fits into memory", needed, "lower its sizes"))


def _interrupted() -> int:
    print("interrupted; nothing was left half-written", file=sys.stderr)
    return _INTERRUPTED


def spread_options(arguments: Sequence[str], several: Sequence[str]) -> list[str]:
    """Repeat an option before each of its values.

    Examples
    --------
    >>> spread_options(["growth", "--depth", "1", "10", "--rule", "1/n,1"], ["--depth", "--rule"])
    ['growth', '--depth', '1', '--depth', '10', '--rule', '1/n', '--rule', '1']
    """
    spread: list[str] = []
    option: str | None = None  # what the values now coming belong to
    waiting = False  # whether it has none yet
    for argument in arguments:
        name, equals, value = argument.partition("=")
        starts = argument.startswith("--")
        if starts and waiting and option is not None:
            spread.append(option)  # without a value: the parser says so
        if starts:
            option, waiting = (name, True) if name in several else (None, False)
            if option is not None and not equals:
                continue
            argument = value if option is not None else argument
        if option is None:
            spread.append(argument)
            continue
        waiting = False
        for word in argument.split(","):
            spread += [option, word]
    return [*spread, option] if waiting and option is not None else spread


def check_format(chosen: str, allowed: Sequence[str]) -> str:
    """The chosen output format, or an error that names the allowed ones."""
    if chosen not in allowed:
        raise InputError(f"a format among {', '.join(allowed)}", chosen, "choose one of these")
    return chosen


def print_json(value: Any) -> None:
    """Write JSON to stdout; exact numbers become strings, infinities are refused."""
    print(json.dumps(value, default=str, ensure_ascii=False, allow_nan=False, indent=2))


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Any]:
    """A bar on stderr that goes away when done; yields ``advance(text)``.

    Shown only in a terminal; piped output stays clean.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(description, total=total)

        def advance(text: str = description) -> None:
            bar.update(task, advance=1, description=text)

        yield advance
