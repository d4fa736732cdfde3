"""The catalogue, the checks and the ids in the code are one and the same set."""

import re
from pathlib import Path

import pytest

import expansion
import proofs_check
from expansion import InputError
from proofs_check.claims import CLAIMS, claim_ids
from proofs_check.runner import CHECKS, checks_of

ID = re.compile(r"\b[ECGBM]\d+b?\b")
PAPERS = {
    "2510.03470": {"E1"},
    "2002.10444": {"G1", "G4", "G5"},
    "2209.13083": {"B2"},
    "2305.06648": {"B3"},
    "1910.02934": {"B4"},
}
IDS = [
    *("E1", "E2", "E3", "E4", "E5", "E6", "E7", "E7b", "E8"),
    *("C1", "C2", "C3", "C4"),
    *("G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8"),
    *("B1", "B2", "B3", "B4"),
]


def ids_in(package, *, but=""):
    files = [f for f in Path(package.__file__).parent.rglob("*.py") if f.stem != but]
    assert files
    return {found for file in files for found in ID.findall(file.read_text("utf-8"))}


def test_every_claim_has_a_check_and_every_check_a_claim():
    assert {check.claim for check in CHECKS} == set(CLAIMS)


def test_the_catalogue_is_complete():
    assert list(CLAIMS) == IDS


def test_ids_in_the_code_are_in_the_catalogue():
    # Strategies serve the whole project's tests, also of claims that are not checked here yet.
    written = ids_in(proofs_check, but="strategies")
    assert written >= set(CLAIMS)
    assert written - set(CLAIMS) == set()


def test_every_claim_is_named_where_it_is_implemented():
    assert set(CLAIMS) <= ids_in(expansion)


def test_the_detector_would_notice():
    assert ID.findall("claims E99 and E7b, not A000081 or E1x") == ["E99", "E7b"]


def test_names_are_unique():
    names = [(check.claim, check.name) for check in CHECKS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.claim} {check.name}")
def test_every_check_has_several_saboteurs(check):
    assert len(check.saboteurs) >= 2


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=list(CLAIMS))
def test_papers_are_cited_only_for_what_they_state(claim):
    assert claim.id == next(one for one in CLAIMS if CLAIMS[one] is claim)
    cited = set(re.findall(r"arXiv (\d{4}\.\d{5})", claim.source))
    assert cited == {paper for paper, stated in PAPERS.items() if claim.id in stated}
    assert cited or "derived" in claim.source or "classical" in claim.source


def test_ids_as_users_give_them():
    assert claim_ids() == list(CLAIMS)
    assert claim_ids("e1") == claim_ids([" E1 ", "E1"]) == ["E1"]
    assert claim_ids(["G2", "E1"]) == ["E1", "G2"]
    assert claim_ids(["e7B", "E7"]) == ["E7", "E7b"]
    assert {check.claim for check in checks_of(["G2", "E1"])} == {"E1", "G2"}
    with pytest.raises(InputError, match=r"claims among E1, .*; got E99, X; choose"):
        claim_ids(["E1", "X", "E99"])
