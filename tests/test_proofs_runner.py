"""Every claim passes, every saboteur is refuted, every counterexample can be pasted back."""

import json
import os

import pytest
from hypothesis import given, settings

from expansion import composed_orders, expand
from expansion.series.expansion import Expansion
from expansion.towers.arrays import as_array
from proofs_check import runner
from proofs_check.check import Check, Effort
from proofs_check.evidence import Evidence, Verdict
from proofs_check.growth import energy
from proofs_check.runner import CHECKS, checks_of, run, verdicts
from proofs_check.series.identity import composed_halves
from proofs_check.strategies import points, polynomial_towers

SAMPLED = {
    *("E1", "E2", "E4", "E5", "E6", "E7", "E7b", "E8"),
    "C4",
    *("G5", "G6", "G7", "G8"),
    *("B1", "B2", "B3", "B4"),
}
PROVED = {
    *("E1", "E2", "E3", "E4", "E6", "C1", "C2", "C4", "G1", "G2", "G3", "G4", "G6", "G8"),
    *("B2", "B3", "B4"),
}


def pasted(text):
    names = {}
    exec(compile(text, "counterexample", "exec"), names)
    return names


@pytest.fixture(scope="module")
def report():
    return run()


def test_everything_passes(report):
    failed = [(r.claim, r.check, r.evidence) for r in report.results if not r.evidence.passed]
    assert failed == []
    assert report.passed


def test_every_saboteur_is_refuted(report):
    fates = {
        (r.claim, r.check, one.description): one.evidence.verdict
        for r in report.results
        for one in r.saboteurs
    }
    assert set(fates.values()) == {Verdict.REFUTED}
    assert len(fates) == sum(len(check.saboteurs) for check in CHECKS)


def test_strength(report):
    by_verdict = {
        verdict: {r.claim for r in report.results if r.evidence.verdict is verdict}
        for verdict in Verdict
    }
    assert by_verdict[Verdict.PROVED] == PROVED
    assert by_verdict[Verdict.SAMPLED] == SAMPLED
    assert by_verdict[Verdict.EXHAUSTED] >= {
        "E4",
        "C3",
        "C4",
        "G1",
        "G2",
        "G3",
        "G5",
        "G6",
        "G7",
        "G8",
    }
    for result in report.results:
        if result.evidence.verdict is Verdict.SAMPLED:
            assert result.evidence.seed == 0
            assert result.evidence.excluded_rate < 0.1


def test_counterexamples_are_python_and_show_a_difference(report):
    for result in report.results:
        for one in result.saboteurs:
            names = pasted(one.evidence.counterexample)
            assert names["claimed"] != names["true"], (result.claim, one.description)


def test_counterexamples_reproduce(report):
    seen = 0
    for check, result in zip(CHECKS, report.results, strict=True):
        if check.name not in ("terms against direct composition", "jets against terms"):
            continue
        for one in result.saboteurs:
            names = pasted(one.evidence.counterexample)
            tower, order = names["tower"], names["order"]
            point = as_array(names["point"], "the point")
            wrong = check.saboteurs[one.description]
            if check.claim == "E1":
                claimed = Expansion(wrong(tower, order), order, tower).orders(point)
            else:
                claimed = wrong(tower, point, order)
            assert (claimed == as_array(names["claimed"], "the claim")).all()
            true = composed_orders(tower, point, order)
            assert (true == as_array(names["true"], "the truth")).all()
            seen += 1
    assert seen == 6


def test_the_same_seed_gives_the_same_report(report):
    again = run()
    assert again == report  # equality leaves the seconds out
    plain, plain_again = (
        [{**r, "seconds": 0} for r in one.to_dict()["results"]] for one in (report, again)
    )
    assert plain == plain_again


def test_a_claim_alone_is_checked_on_the_same_cases(report):
    alone = run(["E5"])
    assert alone.results == tuple(r for r in report.results if r.claim == "E5")


def test_another_seed_draws_other_cases(report):
    def counterexamples(results):
        return [one.evidence.counterexample for r in results for one in r.saboteurs]

    other = run(["E7"], Effort(seed=1))
    assert other.passed
    assert counterexamples(other.results) != counterexamples(
        r for r in report.results if r.claim == "E7"
    )


def test_saboteurs_shrink_to_the_smallest_tower():
    (check,) = (c for c in checks_of(["E1"]) if "composition" in c.name)
    evidence = check.procedure(check.saboteurs["1/σ dropped"], Effort())
    names = pasted(evidence.counterexample)
    tower = names["tower"]
    # The smallest tree with σ = 2 is 2[1,1]: two blocks, order 3, the second one quadratic.
    assert (tower.depth, names["order"]) == (2, 3)
    assert sum(formula != 0 for branch in tower.branches for formula in branch.formulas) == 2
    assert tower.scales == (1, 1)


def test_the_report_as_json(report):
    value = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert value["passed"] is True
    assert (value["seed"], value["deep"]) == (0, False)
    assert set(value["versions"]) >= {"python", "hypothesis", "python-flint", "sympy"}
    wanted = {"id", "check", "verdict", "reach", "cases", "saboteur", "seconds", "passed"}
    for result in value["results"]:
        assert wanted <= set(result)
        assert result["saboteur"] == "refuted"
        assert result["cases"] > 0
        assert all(one["counterexample"] for one in result["saboteurs"])


def test_verdicts_tell_how_far_they_are(monkeypatch):
    monkeypatch.setattr(runner, "CHECKS", tuple(checks_of(["C1"])))
    opened, steps = [], []

    def progress(description, total):
        opened.append((description, total))
        return steps.append

    assert verdicts(progress).passed
    assert opened == [("checks", 2)]
    assert steps == ["checks, C1"] * 2
    assert verdicts().passed


def test_nothing_is_left_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["E5"]).passed
    assert os.listdir(tmp_path) == []


def checks_with(subject, saboteur, procedure):
    return (Check("E1", "test", procedure, subject, {"wrong": saboteur}),)


def equal_to_two(subject, effort):
    if subject == 2:
        return Evidence(Verdict.EXHAUSTED, "one number", 1)
    if subject is None:
        return Evidence(Verdict.INCONCLUSIVE, "no number", 0)
    return Evidence(Verdict.REFUTED, "one number", 1, counterexample=f"n = {subject}")


@pytest.mark.parametrize(
    ("subject", "saboteur", "passed"),
    [(2, 3, True), (2, 2, False), (2, None, False), (3, 3, False), (None, 3, False)],
)
def test_what_makes_a_claim_fail(monkeypatch, subject, saboteur, passed):
    monkeypatch.setattr(runner, "CHECKS", checks_with(subject, saboteur, equal_to_two))
    report = run()
    assert report.passed is passed
    assert report.to_dict()["results"][0]["saboteur"] == (
        "refuted" if saboteur == 3 else "survived"
    )


@pytest.mark.parametrize(
    "patterns",
    [
        energy.SIGN_PATTERNS[:-1],  # not symmetric in sign
        [(u, (3 * v[0], v[1])) for u, v in energy.SIGN_PATTERNS],  # energy not preserved
    ],
)
def test_one_block_needs_the_hypotheses(monkeypatch, patterns):
    assert run(["G1"]).passed
    monkeypatch.setattr(energy, "SIGN_PATTERNS", tuple(patterns))
    by_check = {result.check: result.evidence for result in run(["G1"]).results}
    assert by_check["energy block by block"].verdict is Verdict.REFUTED


@settings(max_examples=10)
@given(polynomial_towers(depths=(2, 3), ends=True), points(2))
def test_halves_with_ends_compose(tower, point):
    whole = expand(tower, 2).orders(point)
    assert composed_halves(tower, 1, point, 2).tolist() == whole.tolist()
