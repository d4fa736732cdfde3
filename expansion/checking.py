"""Validation of the small values that every room takes: depths, orders and finite numbers."""

from __future__ import annotations

import math
from numbers import Integral

from expansion.errors import InputError

__all__ = ["check_count", "check_finite", "check_jobs"]

_LARGEST_TEXT = 10**18 - 1


def check_count(value: object, name: str, *, least: int, most: int | None = None) -> int:
    """Return ``value`` as an int of at least ``least``, or say what was wrong.

    Parameters
    ----------
    value : object
        The number, or the text a user typed.
    name : str
        What it counts, as the user knows it (``"depth"``, ``"order"``).
    least, most : int
        The smallest and the largest value allowed; text is never taken beyond 18 digits.

    Raises
    ------
    InputError
        When ``value`` is not a whole number, or not between them.

    Examples
    --------
    >>> check_count("12", "depth", least=1)
    12
    >>> check_count(-1, "order", least=0)
    Traceback (most recent call last):
    expansion.errors.InputError: order must be a whole number of at least 0; got -1; give 0 or more
    """
    number: int | None = None
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
    elif isinstance(value, str):
        text = value.strip()
        if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 4000:
            number = int(text)
    if number is None or number < least:
        required = f"{name} must be a whole number of at least {least}"
        raise InputError(required, value, f"give {least} or more")
    limit = _LARGEST_TEXT if most is None and isinstance(value, str) else most
    if limit is not None and number > limit:
        raise InputError(f"{name} must be at most {limit}", value, "lower it")
    return number


def check_finite(value: float, name: str) -> float:
    """Return ``value``, or say that a finite number was needed.

    Raises
    ------
    InputError
        When ``value`` is infinite or not a number.

    Examples
    --------
    >>> check_finite(0.5, "scale")
    0.5
    """
    if not math.isfinite(value):
        raise InputError(f"{name} must be a finite number", value, "give a number such as 0.1")
    return value


def check_jobs(jobs: object) -> int:
    """A number of processes, or −1 for one per core.

    Examples
    --------
    >>> check_jobs("-1"), check_jobs(2)
    (-1, 2)
    """
    return -1 if str(jobs).strip() == "-1" else check_count(jobs, "jobs", least=1, most=1024)
