"""Evidence: what a check found, how far it reaches, and what it would take to believe otherwise.

A verdict is honest by construction: a pass without a case, a refutation without a
counterexample, or a sample without a seed cannot be built, and what is inconclusive never passes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from expansion.checking import check_count
from expansion.errors import InputError
from proofs_check.pasteable import program

__all__ = ["CONFIDENCE", "Evidence", "Verdict", "difference", "exhaust"]

CONFIDENCE = 0.99


class Verdict(Enum):
    """What a check found.

    Examples
    --------
    >>> [verdict.name for verdict in Verdict if verdict.passes]
    ['PROVED', 'EXHAUSTED', 'SAMPLED']
    """

    PROVED = "holds for every depth and parameter named, at the stated orders, by exact identities"
    EXHAUSTED = "holds in every case of the stated range"
    SAMPLED = "holds in every case drawn"
    INCONCLUSIVE = "could not be decided"
    REFUTED = "a counterexample was found"

    @property
    def passes(self) -> bool:
        """Whether the claim may be believed on this ground."""
        return self in (Verdict.PROVED, Verdict.EXHAUSTED, Verdict.SAMPLED)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The outcome of a check.

    Parameters
    ----------
    verdict : Verdict
        What was found.
    reach : str
        What the verdict covers: orders, depths, parameters.
    cases : int
        How many cases were compared, at least 1 for a pass.
    seed : int, optional
        Where a sample came from; required if sampled.
    counterexample : str, optional
        Python text that builds the counterexample; required if refuted, and only then given.

    Raises
    ------
    InputError
        For evidence that would claim more than was seen.

    Examples
    --------
    >>> Evidence(Verdict.SAMPLED, "depths ≤ 4", 100, seed=0).excluded_rate
    0.046
    >>> Evidence(Verdict.PROVED, "every depth", 0)
    Traceback (most recent call last):
    expansion.errors.InputError: cases must be a whole number of at least 1; got 0; give 1 or more
    """

    verdict: Verdict
    reach: str
    cases: int
    seed: int | None = None
    counterexample: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.verdict, Verdict):
            names = ", ".join(verdict.name for verdict in Verdict)
            raise InputError(f"a verdict among {names}", self.verdict, "choose one of these")
        if not isinstance(self.reach, str) or not self.reach.strip():
            raise InputError("what the verdict covers", repr(self.reach), "say it in words")
        undecided = self.verdict is Verdict.INCONCLUSIVE
        check_count(self.cases, "cases", least=0 if undecided else 1)
        if self.seed is not None:
            check_count(self.seed, "seed", least=0)
        elif self.verdict is Verdict.SAMPLED:
            raise InputError("the seed of a sample", "none", "give seed=")
        shown = bool(self.counterexample and self.counterexample.strip())
        if shown != (self.verdict is Verdict.REFUTED):
            came = f"{self.verdict.name} {'with' if shown else 'without'} one"
            mend = "give counterexample= exactly when refuted"
            raise InputError("a counterexample with a refutation", came, mend)

    @property
    def passed(self) -> bool:
        """Whether the verdict is a pass."""
        return self.verdict.passes

    @property
    def excluded_rate(self) -> float | None:
        """The failure rate that a sample rules out at 99 %, rounded up; None if not sampled.

        N passes would come about with probability (1 − p)^N if a share p of such cases failed, so
        any p above 1 − 0.01^(1/N) is ruled out. Cases count as independent draws from the
        distribution of the strategy; Hypothesis prefers small and unusual ones.
        """
        if self.verdict is not Verdict.SAMPLED:
            return None
        return float(np.ceil(1000 * (1 - (1 - CONFIDENCE) ** (1 / self.cases))) / 1000)


def difference(claimed: Any, true: Any, **given: Any) -> str | None:
    """None if the two are equal, otherwise the counterexample as Python.

    Parameters
    ----------
    claimed, true : number, array, list, mapping or polynomial
        What the implementation says, and what holds.
    **given
        The case: what ``claimed`` was computed from.

    Examples
    --------
    >>> difference(2, 2, depth=3) is None
    True
    >>> print(difference(2, 3, depth=3))
    depth = 3
    claimed = 2
    true = 3
    """
    if isinstance(claimed, np.ndarray) or isinstance(true, np.ndarray):
        equal = np.shape(claimed) == np.shape(true) and bool(np.all(claimed == true))
    else:
        equal = bool(claimed == true)
    return None if equal else program({**given, "claimed": claimed, "true": true})


def exhaust(cases: Iterable[str | None], verdict: Verdict, reach: str) -> Evidence:
    """Evidence from cases that are gone through one by one, up to the first counterexample.

    Parameters
    ----------
    cases : iterable
        For each case None, or its counterexample (see :func:`difference`).
    verdict : Verdict
        What going through all of them amounts to.
    reach : str
        What they cover.

    Examples
    --------
    >>> exhaust([None, None], Verdict.EXHAUSTED, "both").cases
    2
    >>> exhaust([], Verdict.EXHAUSTED, "nothing").verdict.name
    'INCONCLUSIVE'
    """
    count = 0
    for count, counterexample in enumerate(cases, 1):
        if counterexample is not None:
            return Evidence(Verdict.REFUTED, reach, count, counterexample=counterexample)
    return Evidence(verdict if count else Verdict.INCONCLUSIVE, reach, count)
