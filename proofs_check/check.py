"""A check: a procedure, the implementation it examines, and the saboteurs it must refute.

The procedure knows what holds and asks the *subject* what it says. A saboteur is a wrong subject,
a natural mistake; a procedure that lets one pass has shown nothing about the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Generic, TypeVar

from expansion.checking import check_count
from expansion.errors import InputError
from proofs_check.claims import claim_ids
from proofs_check.evidence import Evidence, Verdict

__all__ = ["Check", "Effort", "examine"]

Value = TypeVar("Value")
Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to look.

    Parameters
    ----------
    deep : bool
        Ten times the samples, and larger orders and ranges.
    seed : int
        Of everything drawn, at least 0.
    patience : int
        Factor on the number of samples.
    shrink : bool
        Whether to look for the smallest counterexample, or to take the first.

    Examples
    --------
    >>> Effort(deep=True).pick(quick=5, deep=7), Effort().samples(40)
    (7, 40)
    """

    deep: bool = False
    seed: int = 0
    patience: int = 1
    shrink: bool = True

    def __post_init__(self) -> None:
        check_count(self.patience, "patience", least=1)
        object.__setattr__(self, "seed", check_count(self.seed, "seed", least=0))

    def pick(self, quick: Value, deep: Value) -> Value:
        """The value for this effort."""
        return deep if self.deep else quick

    def samples(self, quick: int) -> int:
        """How many cases to draw."""
        return self.patience * self.pick(quick, 10 * quick)

    def random(self, name: str) -> Random:
        """A generator that belongs to the seed and the name, whatever was drawn before."""
        return Random(f"{self.seed} {name}")


@dataclass(frozen=True, slots=True)
class Check(Generic[Subject]):
    """A way to find a claim wrong.

    Parameters
    ----------
    claim : str
        The id of the claim.
    name : str
        What is compared, in a few words.
    procedure : callable
        (subject, effort) to :class:`~proofs_check.evidence.Evidence`.
    subject : object
        The implementation under test.
    saboteurs : mapping
        Description of a mistake to a subject that makes it; at least one.

    Raises
    ------
    InputError
        For an unknown claim, or no saboteur.
    """

    claim: str
    name: str
    procedure: Callable[[Subject, Effort], Evidence]
    subject: Subject
    saboteurs: Mapping[str, Subject]

    def __post_init__(self) -> None:
        object.__setattr__(self, "claim", claim_ids(self.claim)[0])
        if not self.saboteurs:
            mend = "add a wrong subject that the procedure must refute"
            raise InputError("at least one saboteur for every check", self.name, mend)
        object.__setattr__(self, "saboteurs", MappingProxyType(dict(self.saboteurs)))


def examine(
    procedure: Callable[[Subject, Effort], Evidence], subject: Subject, effort: Effort
) -> Evidence:
    """Run a procedure; one that breaks down is inconclusive, which is never a pass.

    Examples
    --------
    >>> examine(lambda subject, effort: subject(), lambda: 1 / 0, Effort()).reach
    'broke down: ZeroDivisionError: division by zero'
    """
    try:
        return procedure(subject, effort)
    except Exception as error:
        reach = f"broke down: {type(error).__name__}: {error}"
        return Evidence(Verdict.INCONCLUSIVE, " ".join(reach.split()), 0)
