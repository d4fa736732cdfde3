"""Run the checks and their saboteurs, and collect what they found.

The same seed gives the same report, except for the seconds. Each check draws from the seed and
its own name, so that a claim alone is checked on the same cases as all claims together.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any

from expansion.errors import InputError
from proofs_check import (
    algebra,
    aligned,
    architectures,
    counting,
    flow,
    gates,
    growth,
    identity,
    induction,
    paths,
    rules,
    subnetworks,
    worst_case,
)
from proofs_check.check import Check, Effort, examine
from proofs_check.claims import CLAIMS, claim_ids
from proofs_check.evidence import Evidence, Verdict
from proofs_check.sampling import nothing_left_behind

__all__ = ["CHECKS", "Report", "Result", "Sabotage", "checks_of", "run", "verdicts"]

_FAMILIES = (
    induction,
    identity,
    algebra,
    flow,
    paths,
    gates,
    subnetworks,
    counting,
    architectures,
    growth,
    aligned,
    rules,
    worst_case,
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
_LIBRARIES = ("residual-expansion", "hypothesis", "numpy", "python-flint", "sympy")


@dataclass(frozen=True, slots=True)
class Sabotage:
    """What became of a saboteur.

    Parameters
    ----------
    description : str
        Its mistake.
    evidence : Evidence
        What the check found; anything but a refutation means that it survived.
    """

    description: str
    evidence: Evidence

    @property
    def refuted(self) -> bool:
        """Whether the check saw through it."""
        return self.evidence.verdict is Verdict.REFUTED


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found.

    Parameters
    ----------
    claim, check : str
        The claim's id and the check's name.
    evidence : Evidence
        About the implementation.
    saboteurs : tuple of Sabotage
        About the wrong ones; at least one.
    seconds : float
        Wall time; not part of equality.
    """

    claim: str
    check: str
    evidence: Evidence
    saboteurs: tuple[Sabotage, ...]
    seconds: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        if not self.saboteurs:
            raise InputError("a result with saboteurs", self.check, "run them too")

    @property
    def passed(self) -> bool:
        """Whether the claim stands and every saboteur fell."""
        return self.evidence.passed and all(one.refuted for one in self.saboteurs)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "id": self.claim,
            "check": self.check,
            "passed": self.passed,
            "verdict": self.evidence.verdict.name,
            "reach": self.evidence.reach,
            "cases": self.evidence.cases,
            "seed": self.evidence.seed,
            "excluded_rate": self.evidence.excluded_rate,
            "counterexample": self.evidence.counterexample,
            "saboteur": "refuted" if all(one.refuted for one in self.saboteurs) else "survived",
            "saboteurs": [
                {
                    "description": one.description,
                    "refuted": one.refuted,
                    "verdict": one.evidence.verdict.name,
                    "counterexample": one.evidence.counterexample,
                }
                for one in self.saboteurs
            ],
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a run.

    Parameters
    ----------
    results : tuple of Result
        One for each check, by claim; at least one.
    effort : Effort
        The seed, and how hard the checks looked.

    Raises
    ------
    InputError
        For a report about nothing.
    """

    results: tuple[Result, ...]
    effort: Effort

    def __post_init__(self) -> None:
        if not self.results:
            raise InputError("results to report", "none", "run at least one check")

    @property
    def passed(self) -> bool:
        """Whether every check passed and every saboteur was refuted."""
        return all(result.passed for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, with the versions that the verdicts depend on."""
        return {
            "passed": self.passed,
            "seed": self.effort.seed,
            "deep": self.effort.deep,
            "versions": _versions(),
            "results": [result.to_dict() for result in self.results],
        }


def checks_of(claims: Iterable[str] | None = None) -> list[Check[Any]]:
    """The checks of the given claims; of all of them by default.

    Raises
    ------
    InputError
        For an id that is not in the catalogue.

    Examples
    --------
    >>> [check.name for check in checks_of(["E5"])]
    ['jets against terms']
    """
    wanted = set(claim_ids(claims))
    return [check for check in CHECKS if check.claim in wanted]


def run(
    claims: Iterable[str] | None = None,
    effort: Effort | None = None,
    *,
    shrink_saboteurs: bool = False,
    on_result: Callable[[Result], None] | None = None,
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
    results = []
    with nothing_left_behind():
        for check in checks_of(claims):
            results.append(_result(check, chosen, against))
            if on_result is not None:
                on_result(results[-1])
    return Report(tuple(results), chosen)


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

    return run(on_result=on_result)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # run from a checkout that is not installed
            found[library] = "not installed"
    return found
