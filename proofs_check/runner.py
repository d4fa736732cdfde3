"""Run the checks and their saboteurs, and collect what they found.

The same seed gives the same report, except for the seconds. Each check draws from the seed and
its own name, so that a claim alone is checked on the same cases as all claims together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from expansion.parallel import as_finished
from proofs_check.bounds import (
    capacity,
    class_bounds,
    classifiers,
    complexity,
    generalization,
    near_start,
    remainder,
    slopes,
)
from proofs_check.check import Check, Effort, examine
from proofs_check.claims import CLAIMS, claim_ids
from proofs_check.counting import architectures, path_laws, terms
from proofs_check.growth import (
    aligned,
    correlated,
    energy,
    frozen,
    mean_field,
    positive,
    printed,
    rules,
    worst_case,
)
from proofs_check.results import Report, Result, Sabotage
from proofs_check.sampling import nothing_left_behind
from proofs_check.series import (
    algebra,
    floats,
    flow,
    gates,
    identity,
    induction,
    one_dimension,
    paths,
    subnetworks,
    tables,
)
from proofs_check.state import State

__all__ = ["CHECKS", "Report", "Result", "Sabotage", "checks_of", "run", "verdicts"]

_FAMILIES = (
    induction,
    identity,
    one_dimension,
    floats,
    algebra,
    flow,
    tables,
    paths,
    gates,
    subnetworks,
    terms,
    architectures,
    path_laws,
    energy,
    printed,
    aligned,
    correlated,
    rules,
    positive,
    mean_field,
    frozen,
    worst_case,
    remainder,
    capacity,
    slopes,
    complexity,
    generalization,
    class_bounds,
    near_start,
    classifiers,
)
_ORDER = list(CLAIMS)
CHECKS: tuple[Check[Any], ...] = tuple(
    sorted(
        (check for family in _FAMILIES for check in family.CHECKS),
        key=lambda check: _ORDER.index(check.claim),
    )
)
"""Every check, by claim."""

_PATIENCE = 10


def checks_of(claims: Iterable[str] | None = None) -> list[Check[Any]]:
    """The checks of the given claims; of all of them by default.

    Raises
    ------
    InputError
        For an id that is not in the catalogue.

    Examples
    --------
    >>> [check.name for check in checks_of(["C1"])]
    ["Pascal's identity in n", 'weights multiplied out']
    """
    wanted = set(claim_ids(claims))
    return [check for check in CHECKS if check.claim in wanted]


def run(
    claims: Iterable[str] | None = None,
    effort: Effort | None = None,
    *,
    shrink_saboteurs: bool = False,
    on_result: Callable[[Result], None] | None = None,
    folder: str | os.PathLike[str] | None = None,
    jobs: int = 1,
) -> Report:
    """Check claims.

    Parameters
    ----------
    claims : iterable of str, optional
        Their ids; all by default.
    effort : Effort, optional
        Quick with seed 0 by default.
    shrink_saboteurs : bool
        Whether the counterexamples of sampled saboteurs are shrunk as well: nicer to read, and
        most of the time of a run. Counterexamples of the claims always are.
    on_result : callable, optional
        Called with every result as soon as it is known.
    folder : path, optional
        Where finished checks are kept: a run that was stopped goes on there, and gives the same
        report as one that was not.
    jobs : int
        Processes; −1 for one per core. The report does not depend on it, except for the seconds.

    Returns
    -------
    Report

    Examples
    --------
    >>> report = run(["C1"])
    >>> report.passed, [result.evidence.verdict.name for result in report.results]
    (True, ['PROVED', 'EXHAUSTED'])
    """
    chosen = effort or Effort()
    # A saboteur gets more draws: an unlucky seed must not let it survive.
    against = replace(chosen, patience=_PATIENCE * chosen.patience, shrink=shrink_saboteurs)
    chosen_checks = checks_of(claims)
    state = None if folder is None else State(folder, chosen, shrink_saboteurs)
    finish = partial(_finished, effort=chosen, against=against, state=state)
    names = [(check.claim, check.name) for check in chosen_checks]
    results: dict[int, Result] = {}
    for place, result in as_finished(finish, names, jobs=jobs):
        results[place] = result
        if on_result is not None:
            on_result(result)
    return Report(tuple(results[place] for place in sorted(results)), chosen)


def _finished(
    name: tuple[str, str], effort: Effort, against: Effort, state: State | None
) -> Result:
    """A result, from disk if it is there, and on disk afterwards; other processes know names."""
    (check,) = (one for one in CHECKS if (one.claim, one.name) == name)
    found = None if state is None else state.load(check.claim, check.name)
    if found is None:
        with nothing_left_behind():
            found = _result(check, effort, against)
        if state is not None:
            state.save(found)
    return found


def _result(check: Check[Any], effort: Effort, against: Effort) -> Result:
    start = perf_counter()
    evidence = examine(check.procedure, check.subject, effort)
    saboteurs = tuple(
        Sabotage(description, examine(check.procedure, wrong, against))
        for description, wrong in check.saboteurs.items()
    )
    return Result(check.claim, check.name, evidence, saboteurs, perf_counter() - start)


def verdicts(progress: Callable[[str, int], Callable[..., None]] | None = None) -> Report:
    """A quick run of everything: what ``expansion report`` shows.

    Parameters
    ----------
    progress : callable, optional
        Given a description and a number of steps, returns what to call after each step.
    """
    advance = progress("checks", len(CHECKS)) if progress is not None else None

    def on_result(result: Result) -> None:
        if advance is not None:
            advance(f"checks, {result.claim}")

    return run(on_result=on_result, jobs=-1)
