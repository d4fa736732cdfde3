"""Sweeps: parallel is serial, killed and resumed is uninterrupted, a cluster changes nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import pytest

from expansion import InputError
from expansion.growth import sweep as sweep_module
from expansion.growth.setting import Setting
from expansion.growth.sweep import cell_path, sweep
from expansion.growth.table import grid, growth_row, growth_table
from expansion.parallel import joined_cluster

ROOT = Path(__file__).parent.parent


def questions(trials=20):
    blocks = [Setting("relu"), Setting("tanh", bias_variance=0.1)]
    return grid(
        [2, 9], ["1", "1/n"], settings=blocks, widths=[8, 16], trials=trials, correlation=0.2
    )


def test_a_sweep_is_the_table_cell_by_cell(tmp_path):
    told = []
    swept = sweep(grid([1, 10], ["1", "1/n"], trials=10), folder=tmp_path, on_cell=told.append)
    assert swept == growth_table([1, 10], ["1", "1/n"], trials=10)
    assert told == [1, 2, 3, 4]
    assert len(list(tmp_path.iterdir())) == 4


def test_what_is_found_on_disk_is_not_computed_again(tmp_path, monkeypatch):
    first = sweep(questions(), folder=tmp_path)
    monkeypatch.setattr("expansion.growth.sweep.growth_row", lambda cell: pytest.fail("computed"))
    told = []
    assert sweep(questions(), folder=tmp_path, on_cell=told.append) == first
    assert told == list(range(1, 17))
    with pytest.raises(pytest.fail.Exception):
        sweep(questions(trials=21), folder=tmp_path)  # another question


def test_any_number_of_workers_gives_the_same_table(tmp_path):
    assert sweep(questions(), jobs=2, folder=tmp_path) == sweep(questions(), jobs=1)


def test_a_repeated_cell_is_computed_once(tmp_path):
    cells = grid([3, 3], ["1"])
    told = []
    assert len(sweep(cells, folder=tmp_path, on_cell=told.append)) == 2
    assert told == [1]


def test_a_worker_without_the_folder_sends_its_answer(tmp_path, monkeypatch):
    (cell,) = cells = grid([5], ["1/n"])
    elsewhere = tmp_path / "of another machine"
    assert sweep_module._answer(cell, elsewhere) == growth_row(cell)
    assert not elsewhere.exists()
    sent = sweep_module._answer
    monkeypatch.setattr(sweep_module, "_answer", lambda cell, folder: sent(cell, elsewhere))
    here = sweep(cells, folder=tmp_path / "here")
    monkeypatch.undo()
    assert sweep(cells, folder=tmp_path / "there") == here
    files = [cell_path(tmp_path / name, cell).read_bytes() for name in ("here", "there")]
    assert files[0] == files[1]


PROGRAM = """
import sys
from pathlib import Path
from expansion.growth.setting import Setting
from expansion.growth.sweep import sweep
from expansion.growth.table import grid
if __name__ == "__main__":
    cells = grid([100, 101, 102], ["1", "1/n", "1/sqrt(n)"], settings=[Setting("gelu")],
                 trials=100, widths=[64, 65])
    sweep(cells, folder=Path(sys.argv[1]), jobs=2)
"""


@pytest.mark.slow
def test_a_killed_sweep_resumes_without_losing_or_repeating_a_cell(tmp_path):
    folder, script = tmp_path / "cells", tmp_path / "run.py"
    script.write_text(PROGRAM)
    command = [sys.executable, str(script), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # Its own process group, so that the workers are killed with it.
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        if folder.is_dir() and len(list(folder.glob("*.json"))) >= 3:
            break
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("*.json")}
    assert 3 <= len(kept) < 18
    assert all(json.loads(content) for _, content in kept.values())
    subprocess.run(command, env=environment, check=True, timeout=300)
    for path, (moment, content) in kept.items():
        assert (path.stat().st_mtime_ns, path.read_bytes()) == (moment, content)
    cells = grid(
        [100, 101, 102],
        ["1", "1/n", "1/sqrt(n)"],
        settings=[Setting("gelu")],
        trials=100,
        widths=[64, 65],
    )
    assert {cell_path(folder, cell) for cell in cells} == set(folder.glob("*.json"))
    uninterrupted = tmp_path / "uninterrupted"
    assert sweep(cells, folder=uninterrupted) == sweep(cells, folder=folder)
    for cell in cells:
        one, other = (cell_path(place, cell).read_bytes() for place in (folder, uninterrupted))
        assert one == other


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # distributed's own, on interpreters newer than it
def test_a_dask_cluster_of_two_workers_gives_the_same_table(tmp_path, dask_cluster):
    told = []
    with joined_cluster(dask_cluster.scheduler_address):
        found = sweep(questions(), folder=tmp_path / "cells", on_cell=told.append)
    with dask_cluster.get_client() as client:
        assert len(client.scheduler_info()["workers"]) == 2
        with joblib.parallel_config(backend="dask"):
            again = sweep(questions())  # without a folder: nothing is shared
    assert found == again == sweep(questions())
    assert told == list(range(1, 17))


def test_nobody_at_the_address_is_one_error():
    pytest.importorskip("distributed", reason="pip install '.[cluster]'")
    with pytest.raises(InputError, match="Dask scheduler"), joined_cluster("nonsense://x"):
        pass


def test_a_damaged_cell_is_named(tmp_path):
    (cell,) = grid([1], ["1"])
    sweep([cell], folder=tmp_path)
    for damaged in (b"{", b"[]", b'{"depth": 1}'):
        cell_path(tmp_path, cell).write_bytes(damaged)
        with pytest.raises(InputError, match="delete that file"):
            sweep([cell], folder=tmp_path)


def test_bad_folders_and_jobs_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder"):
        sweep(grid([1], ["1"]), folder=tmp_path / "file")
    for jobs in (0, -2, "many"):
        with pytest.raises(InputError, match="jobs"):
            sweep(grid([1], ["1"]), jobs=jobs)
