"""Grids: killed and resumed is uninterrupted byte for byte; parallel and Dask change nothing."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from expansion import InputError  # noqa: E402
from expansion.parallel import joined_cluster  # noqa: E402
from torch_bridge.experiments.grids import grid as grid_module  # noqa: E402
from torch_bridge.experiments.grids.cells import (  # noqa: E402
    cell_file,
    finite,
    identity,
    read_answer,
    seed_of,
)
from torch_bridge.experiments.grids.grid import run_grid, seconds_taken  # noqa: E402
from torch_bridge.experiments.grids.presets import combinations  # noqa: E402
from torch_bridge.experiments.training.trial import Trial, answer  # noqa: E402

torch.set_num_threads(1)
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Sum:
    first: int
    second: float = 0.5
    words: tuple[str, ...] = ("a",)


def added(cell):
    return {"sum": cell.first + cell.second, "bad": [float("nan"), float("inf")], "words": "x"}


def some_trials():
    like = Trial("dense", "1", 1, width=4, epochs=1, samples=64, batch=32)
    return combinations(like, scheme=["1", "1/n"], depth=[2, 60], rate=[0.1, 0.01], seed=[0])


def test_a_grid_answers_every_cell_in_order_and_keeps_it(tmp_path):
    cells, told = [Sum(3), Sum(1), Sum(3), Sum(2, 1.5)], []
    found = run_grid(cells, added, folder=tmp_path, on_cell=told.append)
    assert [one["sum"] for one in found] == [3.5, 1.5, 3.5, 3.5]
    assert found[0]["bad"] == [None, None]  # JSON has no numbers that are not finite
    assert told == [Sum(3), Sum(1), Sum(2, 1.5)]
    assert len(list(tmp_path.iterdir())) == 3
    assert all(seconds_taken(tmp_path, cell) >= 0 for cell in cells)


def test_what_is_found_on_disk_is_not_answered_again(tmp_path):
    cells = [Sum(1), Sum(2)]
    first = run_grid(cells, added, folder=tmp_path)
    assert run_grid(cells, lambda cell: pytest.fail("asked"), folder=tmp_path, resume=True) == first
    with pytest.raises(InputError, match="add --resume"):
        run_grid(cells, added, folder=tmp_path)
    with pytest.raises(pytest.fail.Exception):
        run_grid([Sum(1, 0.25)], lambda cell: pytest.fail("asked"), folder=tmp_path, resume=True)


def test_a_worker_without_the_folder_sends_its_answer(tmp_path, monkeypatch):
    elsewhere = tmp_path / "of another machine"
    sent = grid_module._kept
    monkeypatch.setattr(
        grid_module, "_kept", lambda answer, folder, cell: sent(answer, elsewhere, cell)
    )
    found = run_grid([Sum(1), Sum(2)], added, folder=tmp_path / "here")
    assert not elsewhere.exists()
    assert [one["sum"] for one in found] == [1.5, 2.5]
    assert read_answer(tmp_path / "here", Sum(2)) == found[1]


def test_identity_and_seeds_tell_questions_apart():
    asked = [Sum(1), Sum(2), Sum(1, 0.25), Sum(1, words=("b",)), Trial("mlp", "1", 1)]
    assert len({identity(cell) for cell in asked}) == len(asked)
    assert identity(Sum(1)) == identity(Sum(1))
    assert seed_of("weights", 1) != seed_of("weights", 2)
    assert 0 <= seed_of("x") < 2**63
    with pytest.raises(InputError, match="plain"):
        identity(Sum(1, float("nan")))
    with pytest.raises(InputError, match="dataclass"):
        identity("a word")


def test_a_damaged_or_foreign_cell_is_named(tmp_path):
    run_grid([Sum(1)], added, folder=tmp_path)
    path = cell_file(tmp_path, Sum(1))
    whole = json.loads(path.read_text())
    other = json.dumps(whole | {"cell": {"first": 9}})
    changed = json.dumps(whole | {"answer": whole["answer"] | {"sum": 7.0}})
    for damaged in ("{", "[]", '{"cell": 1}', other, changed, "[" * 10**5):
        path.write_text(damaged)
        with pytest.raises(InputError, match="delete that file"):
            read_answer(tmp_path, Sum(1))


def test_bad_folders_and_jobs_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder"):
        run_grid([Sum(1)], added, folder=tmp_path / "file")
    with pytest.raises(InputError, match="jobs"):
        run_grid([Sum(1)], added, folder=tmp_path, jobs=0)


def test_grids_and_networks_that_are_too_large_are_refused_at_once():
    with pytest.raises(InputError, match="at most 100,000 runs; got 4,000,000,000"):
        combinations(Trial("mlp", "1", 1), depth=[1, 2, 3, 4], seed=range(10**9))
    for size in ({"depth": 10**6}, {"depth": 10, "width": 10**5}):
        with pytest.raises(InputError, match="at most"):
            Trial("mlp", "1", **{"depth": 1, **size})


def test_finite_leaves_everything_else():
    assert finite({"a": (1, 2.0, True, None, "x")}) == {"a": [1, 2.0, True, None, "x"]}


def without_seconds(folder):
    kept = {}
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        kept[path.name] = (record["cell"], record["answer"])
    return kept


def test_any_number_of_workers_trains_the_same_networks(tmp_path):
    one = run_grid(some_trials(), answer, folder=tmp_path / "one")
    two = run_grid(some_trials(), answer, folder=tmp_path / "two", jobs=2)
    assert one == two
    assert without_seconds(tmp_path / "one") == without_seconds(tmp_path / "two")
    assert {found["outcome"] for found in one} >= {"diverged", "stuck"}


# The command itself, killed in the middle of its sixth cell or later: whoever waits from outside
# for a number of files misses the moment on a busy machine. A cell has at most 16 steps.
KILLED = """
import os, signal, torch
from torch_bridge.cli import main

steps, step = 0, torch.optim.SGD.step

def counted(self, *args, **kwargs):
    global steps
    steps += 1
    if steps == 5 * 16 + 8:
        os.killpg(0, signal.SIGKILL)  # its own group: workers are killed with it
    return step(self, *args, **kwargs)

torch.optim.SGD.step = counted
main()
"""
GRID = ["train", "--preset", "tiny", "--network", "dense", "mlp", "--depth", "3", "9",
        "--rule", "1", "1/n", "half", "--rate", "0.1", "0.01", "--seeds", "1", "--epochs", "1",
        "--device", "cpu"]  # fmt: skip
CELLS = 2 * 2 * 3 * 2
SAME = ("table.csv", "table.parquet", "README.md", "map.svg", "spectrum.svg", "growth.svg")


def train(folder, *more, program=("-m", "torch_bridge")):
    command = [sys.executable, *program, *GRID, "--output", str(folder), *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, cwd=folder.parent,
    )  # fmt: skip


def test_a_killed_grid_resumes_to_the_table_of_an_uninterrupted_one(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = train(killed, program=("-c", KILLED))
    told = process.communicate()
    assert process.returncode == -signal.SIGKILL, told
    kept = {path: path.read_bytes() for path in killed.glob("cells/*.json")}
    assert 3 <= len(kept) < CELLS
    assert not (killed / "table.csv").exists()
    resumed = train(killed, "--resume")
    told = resumed.communicate()
    assert (resumed.returncode, told[1]) == (0, b"")
    for path, content in kept.items():
        assert path.read_bytes() == content  # not answered again
    straight = train(whole)
    assert (straight.communicate()[1], straight.returncode) == (b"", 0)
    for name in SAME:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert without_seconds(killed / "cells") == without_seconds(whole / "cells")
    assert (killed / "table.csv").read_text().count("\n") == CELLS + 1


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # distributed's own, on interpreters newer than it
def test_a_dask_cluster_of_two_workers_trains_the_same_networks(tmp_path, dask_cluster):
    told = []
    with joined_cluster(dask_cluster.scheduler_address):
        found = run_grid(some_trials(), answer, folder=tmp_path / "spread", on_cell=told.append)
    assert found == run_grid(some_trials(), answer, folder=tmp_path / "here")
    assert sorted(map(identity, told)) == sorted(map(identity, some_trials()))
