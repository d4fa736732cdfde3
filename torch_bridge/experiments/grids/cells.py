r"""Cells: one question of an experiment each, with an identity and random numbers of its own.

A *cell* is a frozen dataclass of settings, all of them plain values (numbers, text, booleans,
None, tuples of these): everything that its answer depends on. Its *identity* is a digest of the
class's name, the settings and the version of this package; a finished cell's file is named by it,
so that a changed question is never answered by an old file. Its *seeds* are digests of settings
too, so that an answer is the same on any worker, in any order, resumed or not.

An *answer* is a dictionary of JSON values. Numbers that are not finite are written as null: JSON
has none, and what became of such a run is told in words (``outcome``).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from expansion import __version__
from expansion.errors import InputError

__all__ = [
    "Answer",
    "cell_file",
    "check_network",
    "digest",
    "finite",
    "identity",
    "read_answer",
    "seed_of",
    "settings_of",
]

Answer = dict[str, Any]
_MOST_BLOCKS = 20_000
_MOST_WEIGHTS = 10**9  # of square matrices, one a block


def settings_of(cell: Any) -> dict[str, Any]:
    """The settings of a cell by name, tuples as lists.

    Raises
    ------
    InputError
        When the cell is not a dataclass of plain values.

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> settings_of(make_dataclass("Cell", [("depth", int)], frozen=True)(3))
    {'depth': 3}
    """
    if not is_dataclass(cell) or isinstance(cell, type):
        raise InputError("a cell that is a dataclass", type(cell).__name__, "give settings by name")
    values = {field.name: getattr(cell, field.name) for field in fields(cell)}
    try:
        return dict(json.loads(json.dumps(values, allow_nan=False)))
    except (TypeError, ValueError):
        mend = "use numbers, text and tuples of these"
        raise InputError("a cell of plain, finite values", cell, mend) from None


def identity(cell: Any) -> str:
    """32 hexadecimal digits that no other cell has.

    Examples
    --------
    >>> from dataclasses import make_dataclass
    >>> Cell = make_dataclass("Cell", [("depth", int)], frozen=True)
    >>> len(identity(Cell(3))), identity(Cell(3)) == identity(Cell(4))
    (32, False)
    """
    question = [__version__, type(cell).__qualname__, settings_of(cell)]
    return digest(question)[:32]


def seed_of(*words: object) -> int:
    """A seed in 0..2^63 − 1 from words and numbers: the same for the same words only.

    Examples
    --------
    >>> seed_of("weights", 3) == seed_of("weights", 3), seed_of("weights", 3) == seed_of("order", 3)
    (True, False)
    """
    return int(digest([str(word) for word in words])[:16], 16) >> 1


def cell_file(folder: Path, cell: Any) -> Path:
    """Where a cell's answer is kept."""
    return folder / f"{identity(cell)}.json"


def read_answer(folder: Path, cell: Any) -> Answer | None:
    """A finished cell's answer; None where there is none yet.

    Raises
    ------
    InputError
        When the file is not what was written there.
    """
    path = cell_file(folder, cell)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["cell"] != settings_of(cell) or record["digest"] != digest(record["answer"]):
            raise ValueError
        return dict(record["answer"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise InputError("a cell as a grid wrote it", path, "delete that file") from None


def check_network(depth: int, width: int) -> None:
    """Refuse a network that is too large for a grid, before anything is made.

    Raises
    ------
    InputError
        For more than 20,000 blocks, or 10^9 weights.

    Examples
    --------
    >>> check_network(1000, 64)
    """
    if depth > _MOST_BLOCKS:
        raise InputError(f"a depth of at most {_MOST_BLOCKS:,}", depth, "train fewer blocks")
    if (weights := depth * width**2) > _MOST_WEIGHTS:
        came = f"about {weights:,} (depth {depth}, width {width})"
        raise InputError(f"a network of at most {_MOST_WEIGHTS:,} weights", came, "lower the width")


def finite(value: Any) -> Any:
    """``value`` with every number that is not finite replaced by None, in lists and mappings too.

    Examples
    --------
    >>> finite({"loss": float("nan"), "losses": [1.0, float("inf")]})
    {'loss': None, 'losses': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def digest(value: Any) -> str:
    """A fingerprint of JSON values."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
