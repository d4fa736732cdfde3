"""Compile with Numba, keeping the result on disk where a folder can be written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["compiled"]


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` with a cache; the plain function stays at hand as ``.py_func``.

    Compiled bodies hold floats, small indices and machine words, never counts: a compiled
    integer would overflow without a word.

    Examples
    --------
    >>> @compiled()
    ... def double(x):
    ...     return 2.0 * x
    >>> double(1.5), double.py_func(1.5)
    (3.0, 3.0)
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no folder for the cache: compile anew in every process
            return numba.njit(**options)(function)

    return decorate
