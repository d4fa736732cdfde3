"""The proofs-check command as its users and their scripts meet it."""

import json
import subprocess
import sys

import pytest

from expansion.trees import labelled
from proofs_check import cli, runner
from proofs_check.claims import CLAIMS


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*arguments):
        if "formula" not in arguments and "--jobs" not in arguments:
            arguments = ("--jobs", 1, *arguments)  # in this process, where patches are seen
        monkeypatch.setattr(sys, "argv", ["proofs-check", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return call


def ids(out):
    return {result["id"] for result in json.loads(out)["results"]}


def test_claims_are_chosen(command):
    for chosen in (["--claim", "C1", "C3"], ["--claim", "c1,C3"], ["--claim=C3", "--claim", "C1"]):
        code, out, err = command(*chosen, "--format", "json")
        assert (code, err) == (0, "")
        assert ids(out) == {"C1", "C3"}


def test_two_processes_give_the_same_report(command):
    reports = []
    for jobs in (1, 2):
        code, out, _ = command("--claim", "C1", "C3", "G1", "--jobs", jobs, "--format", "json")
        assert code == 0
        found = json.loads(out)
        for result in found["results"]:
            del result["seconds"]
        reports.append(found)
    assert reports[0] == reports[1]


def test_without_arguments_everything_is_checked(command, monkeypatch):
    monkeypatch.setattr(runner, "CHECKS", tuple(runner.checks_of(["C1", "C2"])))
    code, out, err = command()
    assert (code, err) == (0, "")
    assert "7 checks of 2 claims pass, 21 saboteurs are refuted." in out
    assert "Seed 0, quick" in out


def test_text(command):
    code, out, _ = command("--claim", "E1", "--seed", 5)
    assert code == 0
    assert "PROVED" in out
    assert "SAMPLED" in out
    assert "6 of 6 refuted" in out
    assert "Seed 5" in out
    assert "claimed = " not in out  # counterexamples only on request


def test_saboteurs_are_listed_with_their_counterexamples(command):
    code, out, _ = command("--claim", "C3", "--saboteurs")
    assert code == 0
    assert "C3, Ω° as counted, by brute force: refuted: labels ≤ instead of <" in out
    assert "    tree = Tree.parse('[[]]')\n    depth = 1\n    claimed = 1\n    true = 0" in out


def test_markdown(command):
    code, out, _ = command("--claim", "C1", "G1", "--saboteurs", "--format", "markdown")
    assert code == 0
    assert out.startswith("# Checks\n")
    assert "| C1 | Pascal's identity in n | PROVED |" in out
    assert "```python\n" in out
    assert CLAIMS["G1"].statement in out
    assert CLAIMS["E1"].statement not in out


def test_a_claim_that_fails_is_exit_code_one(command, monkeypatch):
    monkeypatch.setattr(labelled, "symmetry_of", lambda children: 1)
    code, out, err = command("--claim", "C2")
    assert (code, err) == (1, "")
    assert "FAILED: C2" in out
    assert "claimed = " in out
    code, out, _ = command("--claim", "C2", "--format", "json")
    assert code == 1
    assert json.loads(out)["passed"] is False
    assert "REFUTED" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--claim", "E99"], f"claims among {', '.join(CLAIMS)}; got E99"),
        (["--claim", "E1,,C1"], "claims among"),
        (["--claim"], "requires an argument"),
        (["--seed", "-1"], "seed must be a whole number of at least 0; got -1"),
        (["--seed", "one"], "got one"),
        (["--seed", "nan"], "got nan"),
        (["--format", "xml"], "a format among text, json, markdown; got xml"),
        (["--unknown"], "No such option"),
        (["E1"], "No such command 'E1'"),
    ],
)
def test_bad_input_is_one_line(command, arguments, message):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert message in err


def test_help_answers_at_once(command):
    code, out, _ = command("--help")
    assert code == 0
    for option in ("--claim", "--deep", "--seed", "--format", "--saboteurs", "--state", "formula"):
        assert option in out


def test_as_a_module():
    call = [sys.executable, "-m", "proofs_check", "--claim", "E0"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: claims among")


def test_help_does_not_wait_for_the_checks():
    code = "import sys, proofs_check.cli; print('hypothesis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
