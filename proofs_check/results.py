"""Results as data: what each check found, what became of its saboteurs, and the whole report.

A report says what its verdicts depend on: the seed, how hard the checks looked, and the versions
of the libraries. Equality leaves the seconds out.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from expansion.errors import InputError
from proofs_check.check import Effort
from proofs_check.evidence import Evidence, Verdict

__all__ = ["Report", "Result", "Sabotage", "versions"]

_LIBRARIES = ("residual-expansion", "hypothesis", "lark", "numpy", "python-flint", "sympy")


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
            "versions": versions(),
            "results": [result.to_dict() for result in self.results],
        }


def versions() -> dict[str, str]:
    """Of Python and the libraries that verdicts depend on.

    Examples
    --------
    >>> "python-flint" in versions()
    True
    """
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # run from a checkout that is not installed
            found[library] = "not installed"
    return found
