"""A run that is killed goes on where it was, and gives the report of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from expansion import InputError
from proofs_check import runner
from proofs_check.check import Effort
from proofs_check.evidence import Verdict
from proofs_check.runner import checks_of, run
from proofs_check.state import State

CLAIMS = ["C1", "C3", "G1", "G2"]


def timeless(report):
    value = report.to_dict()
    return {**value, "results": [{**one, "seconds": 0} for one in value["results"]]}


def refuse(*_):
    raise AssertionError("a finished check was run again")


def test_a_second_run_computes_nothing_and_says_the_same(tmp_path, monkeypatch):
    first = run(CLAIMS, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == len(first.results) == len(checks_of(CLAIMS))
    monkeypatch.setattr(runner, "_result", refuse)
    again = run(CLAIMS, folder=tmp_path)
    assert again.to_dict() == first.to_dict()  # the seconds too: nothing was run
    with pytest.raises(AssertionError, match="run again"):
        run(CLAIMS, Effort(seed=1), folder=tmp_path)
    with pytest.raises(AssertionError, match="run again"):
        run(CLAIMS, Effort(deep=True), folder=tmp_path)


def test_finished_checks_do_not_change_the_report(tmp_path):
    whole = run(CLAIMS)
    run(CLAIMS[:2], folder=tmp_path)
    assert timeless(run(CLAIMS, folder=tmp_path)) == timeless(whole)


def test_every_finished_check_is_on_disk_before_the_next_starts(tmp_path, monkeypatch):
    right = runner._result
    seen = []

    def counted(*given):
        seen.append(len(list(tmp_path.iterdir())))
        return right(*given)

    monkeypatch.setattr(runner, "_result", counted)
    run(["C1", "C2"], folder=tmp_path)
    assert seen == list(range(len(checks_of(["C1", "C2"]))))


def test_killed_and_started_again(tmp_path):
    call = [sys.executable, "-m", "proofs_check", "--claim", "C1", "C3", "E5", "--format", "json"]
    call += ["--state", str(tmp_path)]
    running = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("C*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("C*.json")}
    assert len(kept) >= 2
    finished = subprocess.run(call, capture_output=True, text=True, check=True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    value = json.loads(finished.stdout)
    alone = timeless(run(["C1", "C3", "E5"]))
    assert {**value, "results": [{**one, "seconds": 0} for one in value["results"]]} == alone


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"claim": "C1"}'])
def test_damaged_files_are_run_again(tmp_path, damage):
    first = run(["C1"], folder=tmp_path)
    for path in tmp_path.iterdir():
        path.write_text(damage)
    assert run(["C1"], folder=tmp_path) == first
    assert all(json.loads(path.read_text()) for path in tmp_path.iterdir())


def test_evidence_that_would_claim_too_much_is_not_read_back(tmp_path):
    state = State(tmp_path, Effort(), False)
    result = run(["E5"]).results[0]
    state.save(result)
    assert state.load("E5", result.check) == result
    assert result.evidence.verdict is Verdict.SAMPLED
    (path,) = tmp_path.iterdir()
    stored = json.loads(path.read_text())
    for change in ({"cases": 0}, {"seed": None}, {"verdict": "REFUTED"}, {"reach": " "}):
        path.write_text(json.dumps({**stored, "evidence": {**stored["evidence"], **change}}))
        assert state.load("E5", result.check) is None


def test_saboteurs_that_survived_survive_on_disk(tmp_path):
    state = State(tmp_path, Effort(), False)
    result = run(["E5"]).results[0]
    survived = replace(result.saboteurs[0], evidence=result.evidence)
    state.save(replace(result, saboteurs=(survived,)))
    loaded = state.load(result.claim, result.check)
    assert not loaded.passed


def test_the_folder_must_be_possible(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, tmp_path / "missing" / "deeper"):
        with pytest.raises(InputError, match="a folder for finished checks"):
            run(["C1"], folder=folder)
