"""Finished checks on disk, so that a long run that was stopped goes on where it was.

One JSON file for each check, written whole as soon as the check is finished. Its name carries a
digest of all that its result depends on: the effort and the seed, the versions of the libraries,
and the source of ``expansion`` and ``proofs_check``. After a change to any of them the check is
run again; files that are not wanted are left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from expansion.errors import InputError
from expansion.writing import write_whole
from proofs_check.check import Effort
from proofs_check.evidence import Evidence, Verdict
from proofs_check.results import Result, Sabotage, versions

__all__ = ["State"]


class State:
    """A folder of finished checks.

    Parameters
    ----------
    folder : path
        Made if it is missing; its parent must exist.
    effort : Effort
        How hard the checks look.
    shrink_saboteurs : bool
        Whether saboteurs' counterexamples are shrunk.

    Raises
    ------
    InputError
        When the folder cannot be made.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     State(folder, Effort(), False).load("C1", "Pascal's identity in n") is None
    True
    """

    def __init__(
        self, folder: str | os.PathLike[str], effort: Effort, shrink_saboteurs: bool
    ) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            came = f"{folder} ({error.strerror})"
            raise InputError("a folder for finished checks", came, "check the path") from None
        self._circumstances = json.dumps(
            [asdict(effort), shrink_saboteurs, versions(), _source_digest()], sort_keys=True
        )

    def load(self, claim: str, check: str) -> Result | None:
        """The result of a finished check, or None."""
        try:
            stored = json.loads(self._file(claim, check).read_text("utf-8"))
            if (stored["claim"], stored["check"]) != (claim, check):
                return None
            saboteurs = tuple(
                Sabotage(one["description"], _evidence(one["evidence"]))
                for one in stored["saboteurs"]
            )
            evidence = _evidence(stored["evidence"])
            return Result(claim, check, evidence, saboteurs, float(stored["seconds"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):  # InputError too
            return None

    def save(self, result: Result) -> None:
        """Put a finished check on disk."""
        stored = {
            "claim": result.claim,
            "check": result.check,
            "evidence": _as_dict(result.evidence),
            "saboteurs": [
                {"description": one.description, "evidence": _as_dict(one.evidence)}
                for one in result.saboteurs
            ],
            "seconds": result.seconds,
        }
        text = json.dumps(stored, ensure_ascii=False, indent=1)
        write_whole(self._file(result.claim, result.check), text.encode())

    def _file(self, claim: str, check: str) -> Path:
        whole = json.dumps([claim, check, self._circumstances])
        digest = hashlib.sha256(whole.encode()).hexdigest()
        return self.folder / f"{claim}-{digest[:24]}.json"


def _as_dict(evidence: Evidence) -> dict[str, Any]:
    return {**asdict(evidence), "verdict": evidence.verdict.name}


def _evidence(stored: Mapping[str, Any]) -> Evidence:
    return Evidence(**{**stored, "verdict": Verdict[stored["verdict"]]})


@lru_cache(maxsize=1)
def _source_digest() -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for package in (here, here.parent / "expansion"):
        for path in sorted(package.rglob("*")):
            if path.suffix in (".py", ".lark"):
                digest.update(str(path.relative_to(here.parent)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()
