"""The two errors a user meets: a request that cannot be understood, and one that is too large."""

from __future__ import annotations

import math

__all__ = ["InputError", "TooManyTermsError"]


class InputError(ValueError):
    """Bad input, told in one line: what was required, what came, how to mend it.

    Parameters
    ----------
    required : str
        What the caller has to give.
    came : object
        What was given instead.
    mend : str
        What to do about it.

    Examples
    --------
    >>> raise InputError("depth must be a positive integer", 0, "give --depth 1 or more")
    Traceback (most recent call last):
    expansion.errors.InputError: depth must be a positive integer; got 0; give --depth 1 or more
    """

    def __init__(self, required: str, came: object, mend: str) -> None:
        super().__init__(required, came, mend)
        self.required = required
        self.came = came
        self.mend = mend

    def __str__(self) -> str:
        try:
            came = " ".join(str(self.came).split())
        except ValueError:  # Python writes no more than 4300 digits
            came = "a number of thousands of digits"
        shown = came if len(came) <= 120 else came[:117] + "..."
        return " ".join(f"{self.required}; got {shown or 'nothing'}; {self.mend}".split())


class TooManyTermsError(InputError):
    """A request whose size is known in advance to be over the budget.

    Parameters
    ----------
    terms : int
        How many terms the answer would have (exact, claim C2).
    budget : int
        How many are allowed.
    instead : str
        How to get the answer without enumeration.
    at_least : bool
        Whether ``terms`` is only a part of them, counted until it was enough to refuse.
    """

    def __init__(self, terms: int, budget: int, instead: str, at_least: bool = False) -> None:
        came = ("at least " if at_least else "") + _size_text(terms)
        super().__init__(f"a request of at most {budget:,} terms", came, instead)
        self.args = (terms, budget, instead, at_least)
        self.terms = terms
        self.budget = budget


def _size_text(terms: int) -> str:
    if terms < 10**15:
        return f"{terms:,} terms"
    if terms < 10**4000:  # Python writes no more than 4300 digits
        return f"about 10^{len(str(terms)) - 1} ({terms}) terms"
    return f"about 10^{math.floor(math.log10(terms))} terms"
