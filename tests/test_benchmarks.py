"""The benchmark harness: gates, missing peers, every row's quick size. No time is asserted."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture(scope="module")
def harness():
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("harness", FOLDER / "harness.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["harness"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(FOLDER))
        sys.modules.pop("harness", None)


ROW = """
from harness import Row, Side

def start(value):
    return lambda size: lambda: value

def fails(size):
    raise RuntimeError("no such thing")

ROW = Row(
    id="T", title="a tiny row", sizes={"full": 1}, quick={"small": 0},
    sides=(
        Side("ours", start(OURS), int),
        Side("right", start(7), int, bar=1e-9),
        Side("wrong", start(8), int, bar=1e-9),
        Side("absent", start(7), int, needs=("no_such_module_anywhere",), bar=1e-9),
        Side("broken", fails, int),
    ),
    gate=lambda size, ours, theirs: None if ours == theirs == 7 else "not 7",
)
"""


def measured(harness, folder, ours):
    path = folder / "row_t_tiny.py"
    path.write_text(ROW.replace("OURS", str(ours)))
    return harness.measure(harness.load_row(path), 1, rounds=1)


def test_a_right_answer_is_timed_and_a_wrong_one_is_not(harness, tmp_path):
    results = {result["name"]: result for result in measured(harness, tmp_path, 7)}
    statuses = {name: result["status"] for name, result in results.items()}
    assert statuses == {
        "ours": "measured",
        "right": "measured",
        "wrong": "gate",
        "absent": "missing",
        "broken": "failed",
    }
    for name in ("wrong", "absent", "broken"):
        assert not {"first", "cold", "warm"} & results[name].keys()
    assert results["wrong"]["why"] == "not 7"
    assert "no such thing" in results["broken"]["why"]
    for name in ("ours", "right"):
        assert all(results[name][kind] > 0 for kind in ("first", "cold", "warm", "peak"))
    compared = harness.ratios(list(results.values()))
    assert [ratio["peer"] for ratio in compared] == ["right"]
    assert compared[0]["met"] is True


def test_a_wrong_answer_of_ours_leaves_no_ratio(harness, tmp_path):
    results = measured(harness, tmp_path, 8)
    assert not any(result["status"] == "measured" for result in results)
    assert harness.ratios(results) == []


def test_machine_without_names(harness):
    described = harness.machine()
    assert described.keys() == {"processor", "cores", "system", "python", "pinned", "threads"}
    assert "/" not in json.dumps(described)


def test_rows_say_what_they_are(harness):
    rows = {letter: harness.load_row(path) for letter, path in harness.find_rows().items()}
    assert {"A", "B", "C", "D", "E", "E2", "F", "I"} <= rows.keys()
    for letter, row in rows.items():
        assert row.id == letter
        assert row.sizes
        assert row.quick
        assert row.sides[0].bar is None
        assert len({side.name for side in row.sides}) == len(row.sides)


WITHOUT_TORCH = importlib.util.find_spec("torch") is None
OF_TORCH = [pytest.mark.slow, pytest.mark.skipif(WITHOUT_TORCH, reason="needs PyTorch")]


@pytest.mark.parametrize(
    "letters", ["A,B,C,F", "D,E", pytest.param("E2,I", marks=OF_TORCH), "K,L,N"]
)
def test_quick_sizes_pass_their_gates(letters, tmp_path):
    output = tmp_path / "results.json"
    command = [sys.executable, str(FOLDER), "--quick", "--rows", letters, "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(output.read_text(encoding="utf-8"))
    assert [row["id"] for row in report["rows"]] == letters.split(",")
    for row in report["rows"]:
        for size in row["sizes"].values():
            assert size["sides"][0]["status"] == "measured"
            assert all(side["status"] in ("measured", "missing") for side in size["sides"])
