"""Evidence that would claim more than was seen cannot be built."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion import InputError
from proofs_check.check import Check, Effort, examine
from proofs_check.claims import Claim
from proofs_check.evidence import Evidence, Verdict, difference, exhaust
from proofs_check.runner import Report, Result
from proofs_check.sampling import sample

PASSING = [verdict for verdict in Verdict if verdict.passes]


def passing(verdict, cases):
    return Evidence(verdict, "somewhere", cases, seed=0)


@pytest.mark.parametrize("verdict", PASSING)
def test_a_pass_has_cases(verdict):
    assert passing(verdict, 1).passed
    for cases in (0, -1, 1.5, None, True):
        with pytest.raises(InputError, match="cases must be"):
            passing(verdict, cases)


def test_only_three_verdicts_pass():
    assert [v.name for v in PASSING] == ["PROVED", "EXHAUSTED", "SAMPLED"]
    assert not Evidence(Verdict.INCONCLUSIVE, "nowhere", 0).passed
    assert not Evidence(Verdict.REFUTED, "somewhere", 1, counterexample="n = 1").passed


@pytest.mark.parametrize(
    ("verdict", "given_parts", "message"),
    [
        (Verdict.REFUTED, {}, "a counterexample"),
        (Verdict.REFUTED, {"counterexample": "  \n"}, "a counterexample"),
        (Verdict.PROVED, {"counterexample": "n = 1"}, "a counterexample"),
        (Verdict.INCONCLUSIVE, {"counterexample": "n = 1"}, "a counterexample"),
        (Verdict.SAMPLED, {}, "seed"),
        (Verdict.SAMPLED, {"seed": -1}, "seed"),
        (Verdict.PROVED, {"reach": " "}, "what the verdict covers"),
        ("PROVED", {}, "a verdict"),
    ],
)
def test_evidence_that_lacks_something_is_refused(verdict, given_parts, message):
    with pytest.raises(InputError, match=message):
        Evidence(**{"verdict": verdict, "reach": "somewhere", "cases": 3, **given_parts})


@given(st.integers(1, 10**6))
def test_the_excluded_rate_is_excluded(cases):
    rate = passing(Verdict.SAMPLED, cases).excluded_rate
    assert (1 - rate) ** cases <= 0.01 + 1e-12
    assert rate == 1 or (1 - (rate - 0.001)) ** cases > 0.01 - 1e-12
    assert passing(Verdict.EXHAUSTED, cases).excluded_rate is None


def test_evidence_is_immutable():
    with pytest.raises(AttributeError):
        passing(Verdict.PROVED, 1).cases = 2


def test_exhausting_stops_at_the_first_counterexample():
    evidence = exhaust(iter([None, "n = 2", "n = 3"]), Verdict.PROVED, "three")
    assert (evidence.verdict, evidence.cases) == (Verdict.REFUTED, 2)
    assert evidence.counterexample == "n = 2"
    assert exhaust(iter([None] * 3), Verdict.PROVED, "three").cases == 3
    assert exhaust(iter([]), Verdict.PROVED, "none").verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("claimed", "true"),
    [
        (1, 2),
        ([1, 2], [1, 3]),
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([1, 2]), np.array([1, 2, 3])),
        (np.array([[1, 2]]), np.array([1, 2])),
        ({1: 2}, {1: 3}),
    ],
)
def test_differences_are_seen(claimed, true):
    assert difference(claimed, claimed, n=1) is None
    assert difference(claimed, true, n=1).startswith("n = 1")


def test_sampling_shrinks_and_counts():
    def below(limit):
        return lambda n: difference(n < limit, True, n=n)

    every = {"name": "test", "number": 50, "reach": "n ≤ 1000"}
    refuted = sample(st.integers(0, 1000), below(17), Effort(seed=3), **every)
    assert refuted.verdict is Verdict.REFUTED
    assert "n = 17\n" in refuted.counterexample
    sampled = sample(st.integers(0, 1000), below(2000), Effort(seed=3), **every)
    assert (sampled.verdict, sampled.cases, sampled.seed) == (Verdict.SAMPLED, 50, 3)
    deep = sample(st.integers(0, 1000), below(2000), Effort(deep=True), **every)
    assert deep.cases == 500
    first = sample(st.integers(0, 1000), below(17), Effort(seed=3, shrink=False), **every)
    assert first.verdict is Verdict.REFUTED
    assert first.cases <= refuted.cases


def test_a_check_that_breaks_down_is_inconclusive():
    evidence = examine(lambda subject, effort: subject[0], {}, Effort())
    assert evidence.verdict is Verdict.INCONCLUSIVE
    assert "KeyError" in evidence.reach


def test_values_that_are_not_what_they_should_be():
    def procedure(subject, effort):
        return passing(Verdict.PROVED, 1)

    with pytest.raises(InputError, match="saboteur"):
        Check("E1", "without saboteurs", procedure, None, {})
    with pytest.raises(InputError, match="claims among E1"):
        Check("E99", "of no claim", procedure, None, {"wrong": None})
    with pytest.raises(InputError, match="saboteurs"):
        Result("E1", "without saboteurs", passing(Verdict.PROVED, 1), ())
    with pytest.raises(InputError, match="results"):
        Report((), Effort())
    with pytest.raises(InputError, match="seed"):
        Effort(seed=-1)
    with pytest.raises(InputError, match="source"):
        Claim("E1", "all is well", "1 = 1", "none", "")


def test_effort():
    quick, deep = Effort(), Effort(deep=True, patience=2)
    assert (quick.pick(1, 2), deep.pick(1, 2)) == (1, 2)
    assert (quick.samples(5), deep.samples(5)) == (5, 100)
    assert quick.random("a").random() == Effort().random("a").random()
    assert quick.random("a").random() != quick.random("b").random()
    assert quick.random("a").random() != Effort(seed=1).random("a").random()
