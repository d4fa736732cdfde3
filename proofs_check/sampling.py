"""Sampled evidence: cases drawn by Hypothesis, counterexamples shrunk to the smallest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, find, settings
from hypothesis.configuration import set_hypothesis_home_dir, storage_directory
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from proofs_check.check import Effort
from proofs_check.evidence import Evidence, Verdict

__all__ = ["nothing_left_behind", "sample"]

Case = TypeVar("Case")


def sample(
    cases: SearchStrategy[Case],
    counterexample: Callable[[Case], str | None],
    effort: Effort,
    *,
    name: str,
    number: int,
    reach: str,
) -> Evidence:
    """Draw cases until one fails, and shrink it to the smallest that does if that is wanted.

    Parameters
    ----------
    cases : SearchStrategy
        What to draw.
    counterexample : callable
        None for a case that holds, otherwise the counterexample as Python.
    effort : Effort
        The seed, and whether to draw ten times as many.
    name : str
        Of the check: with the seed it decides what is drawn.
    number : int
        How many cases a quick run draws.
    reach : str
        What the cases cover.

    Examples
    --------
    >>> from hypothesis import strategies as st
    >>> from proofs_check.evidence import difference
    >>> def at_most_nine(n):
    ...     return difference(min(n, 9), n, n=n)
    >>> evidence = sample(
    ...     st.integers(0, 99), at_most_nine, Effort(), name="doc", number=20, reach="n < 100"
    ... )
    >>> print(evidence.counterexample)
    n = 10
    claimed = 9
    true = 10
    """
    seen = 0

    def fails(case: Case) -> bool:
        nonlocal seen
        seen += 1
        return counterexample(case) is not None

    chosen = settings(
        max_examples=effort.samples(number),
        phases=(Phase.generate, Phase.shrink) if effort.shrink else (Phase.generate,),
        database=None,
        deadline=None,
        derandomize=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    try:
        smallest = find(cases, fails, settings=chosen, random=effort.random(name))
    except NoSuchExample:
        verdict = Verdict.SAMPLED if seen else Verdict.INCONCLUSIVE
        return Evidence(verdict, reach, seen, effort.seed)
    return Evidence(Verdict.REFUTED, reach, seen, effort.seed, counterexample(smallest))


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Let Hypothesis keep its notes in a temporary folder, not in the user's.

    It reads the constants of local modules and caches them under ``.hypothesis`` in the working
    folder even without a database.
    """
    before = storage_directory(intent_to_write=False).home_directory
    with TemporaryDirectory() as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(before)
