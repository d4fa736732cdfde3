"""The answer to a user's formula: proved, refuted with a counterexample, or inconclusive."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from expansion.errors import InputError
from proofs_check.evidence import Evidence, Verdict
from proofs_check.formula.candidate import Candidate, read_candidate
from proofs_check.formula.growth import judge_law
from proofs_check.formula.terms import judge_terms
from proofs_check.formula.values import judge_values

__all__ = ["Judgement", "judge", "judge_file"]

_ANSWERS = {
    Verdict.PROVED: "proved",
    Verdict.REFUTED: "refuted",
    Verdict.INCONCLUSIVE: "inconclusive",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of each claim of a file.

    Parameters
    ----------
    evidence : mapping
        Name of the claim (``expansion``, or a law of growth) to what was found.

    Raises
    ------
    InputError
        For a judgement of nothing.
    """

    evidence: Mapping[str, Evidence]

    def __post_init__(self) -> None:
        if not self.evidence:
            raise InputError("a claim to judge", "none", "give one")
        object.__setattr__(self, "evidence", MappingProxyType(dict(self.evidence)))

    @property
    def proved(self) -> bool:
        """Whether every claim is."""
        return all(one.verdict is Verdict.PROVED for one in self.evidence.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "proved": self.proved,
            "claims": [
                {
                    "claim": name,
                    "verdict": _ANSWERS[one.verdict],
                    "reach": one.reach,
                    "cases": one.cases,
                    "counterexample": one.counterexample,
                }
                for name, one in self.evidence.items()
            ],
        }

    def text(self) -> str:
        """A line for each claim, and below it the counterexample."""
        lines = []
        for name, one in self.evidence.items():
            lines.append(f"{name}: {_ANSWERS[one.verdict]} ({one.reach}; cases: {one.cases})")
            for line in (one.counterexample or "").splitlines():
                lines.append(f"    {line}".rstrip())
        return "\n".join(lines)


def judge(candidate: Candidate) -> Judgement:
    """Judge a candidate.

    Examples
    --------
    >>> from proofs_check.formula.candidate import candidate_of
    >>> print(judge(candidate_of({"growth": {"energy": "(1 + λ)^n"}})).text())
    energy: refuted (every depth n, every scale; cases: 2)
        rule = '2'
        depth = 1
        claimed = 3
        true = 5
    """
    if candidate.laws:
        return Judgement({name: judge_law(candidate, name) for name in candidate.laws})
    found = judge_values(candidate) if candidate.tower.branches else judge_terms(candidate)
    return Judgement({"expansion": found})


def judge_file(path: str | os.PathLike[str]) -> Judgement:
    """Read a TOML file and judge what it claims.

    Raises
    ------
    InputError
        For a file that cannot be read or understood.
    """
    return judge(read_candidate(path))
