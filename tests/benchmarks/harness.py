"""Measure this project beside its peers: one core, one thread, the same answer first.

A *row* is one job at several sizes, done by several *sides* (ours first). Each side runs in a
process of its own (:mod:`worker`). Its first answer goes through the row's gate before anything
else is timed: a side whose answer is wrong gets no times and no ratio. Warm rounds of all sides
are taken in turns, so that a busy machine is busy for all of them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
SLOW = 30.0  # seconds; a first answer slower than this is not asked for in a second process
_ONE = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in _ONE} | {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "PYTHONHASHSEED": "0",
}
_left_out = [0.0]


@contextmanager
def untimed() -> Iterator[None]:
    """What a side does in here, such as making its input, is left out of its first answer."""
    begin = time.perf_counter()
    yield
    _left_out[0] += time.perf_counter() - begin


def left_out() -> float:
    """Seconds spent under :func:`untimed` in this process."""
    return _left_out[0]


@dataclass(frozen=True)
class Side:
    """One participant of a row.

    Parameters
    ----------
    name : str
        As printed.
    start : callable
        ``start(size)`` imports what the side needs, prepares, and returns the job: a function
        without arguments that does the work once and returns its answer.
    summary : callable
        ``summary(answer)`` is what the gate compares, as JSON.
    needs : sequence of str
        Modules that must be importable; without them the side is missing.
    bar : float, optional
        For a peer: how many times faster ours must be, ...
    bar_on : {"warm", "cold"}
        ... in which of the two times ...
    bar_at : sequence of str
        ... and at which sizes, if not at all.
    """

    name: str
    start: Callable[[Any], Callable[[], Any]]
    summary: Callable[[Any], Any]
    needs: Sequence[str] = ()
    bar: float | None = None
    bar_on: str = "warm"
    bar_at: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """One job beside its peers.

    Parameters
    ----------
    id, title : str
        The letter in the table, and what the work is.
    sizes, quick : mapping
        Name of a size to the size itself (JSON); ``quick`` is for trying the harness out.
    sides : sequence of Side
        Ours first.
    gate : callable
        ``gate(size, ours, theirs)`` compares two summaries, and ours with what is known (it is
        also called with ours twice): None if they agree, otherwise what differs.
    notes : str
        What has to be said beside the numbers.
    compared : bool
        Whether ratios make sense: not for a row that shows how our own jobs grow.
    """

    id: str
    title: str
    sizes: Mapping[str, Any]
    quick: Mapping[str, Any]
    sides: Sequence[Side]
    gate: Callable[[Any, Any, Any], str | None]
    notes: str = ""
    compared: bool = True
    file: str = field(default="", compare=False)


def load_row(path: Path) -> Row:
    """The row that a file defines as ``ROW``."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    row: Row = module.ROW
    object.__setattr__(row, "file", str(path))
    return row


def find_rows() -> dict[str, Path]:
    """Letter to file, for every ``row_<letter>_<what>.py`` beside this one."""
    return {path.stem.split("_")[1].upper(): path for path in sorted(FOLDER.glob("row_*.py"))}


class Worker:
    """A side in its own process; every request is one line, every reply one line of JSON."""

    def __init__(self, row: Row, side: Side, size: Any, python: str, cache: str) -> None:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | ONE_THREAD | {"NUMBA_CACHE_DIR": cache}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        command = [python, str(FOLDER / "worker.py"), row.file, side.name, json.dumps(size)]
        # A file, not a pipe: nobody reads while a side answers, and a full pipe would stop it.
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed in close()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
        )

    def reply(self, request: str = "") -> dict[str, Any]:
        """Send one request (none for the first answer) and wait for the reply."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if request:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            lines = self.errors.read().strip().splitlines()
            return {"failed": lines[-1] if lines else "the process ended"}
        return dict(json.loads(line))

    def close(self) -> None:
        """Let the process end; it does when its input does."""
        self.process.communicate()
        self.errors.close()


def measure(
    row: Row, size: Any, *, pythons: Sequence[str] = (), rounds: int = 7, seconds: float = 60.0
) -> list[dict[str, Any]]:
    """All sides of a row at one size.

    Returns
    -------
    list of dict
        For each side: ``name``, ``status`` (measured, missing, failed, gate), and if measured
        ``first`` (first answer with empty caches), ``cold`` (first answer of a later process),
        ``warm`` (median of the rounds), all in seconds, ``peak`` in bytes, ``versions``.
    """
    with tempfile.TemporaryDirectory() as cache:
        results: list[dict[str, Any]] = []
        alive: list[tuple[dict[str, Any], Worker]] = []
        ours: Any = None
        for number, side in enumerate(row.sides):
            at_all = not side.bar_at or size in (row.sizes.get(name) for name in side.bar_at)
            result: dict[str, Any] = {"name": side.name, "bar": side.bar if at_all else None}
            result["bar_on"] = side.bar_on
            results.append(result)
            python = _python_for(side, pythons)
            if python is None:
                result["status"] = "missing"
                continue
            worker = Worker(row, side, size, python, cache)
            first = worker.reply()
            if first.get("failed"):
                result |= {"status": "failed", "why": first["failed"]}
                worker.close()
                continue
            ours = first["summary"] if number == 0 else ours
            wrong = row.gate(size, ours, first["summary"])
            if number and results[0]["status"] != "measured":
                wrong = "ours has no answer to compare with"
            if wrong:
                result |= {"status": "gate", "why": wrong}
                worker.close()
                continue
            result |= {"status": "measured", "first": first["seconds"], "cold": first["seconds"]}
            result["versions"] = first["versions"]
            if first["seconds"] < SLOW:
                again = Worker(row, side, size, python, cache)
                result["cold"] = again.reply().get("seconds", first["seconds"])
                again.close()
            alive.append((result | {"times": []}, worker))
            result["times"] = alive[-1][0]["times"]
        _warm(alive, rounds, seconds)
        for result in results:
            if result["status"] == "measured":
                result["warm"] = statistics.median(result.pop("times"))
        for taken, worker in alive:
            result = next(r for r in results if r["name"] == taken["name"])
            result["peak"] = worker.reply("peak")["peak"]
            worker.close()
    return results


def _warm(alive: list[tuple[dict[str, Any], Worker]], rounds: int, seconds: float) -> None:
    """Rounds in turns; a side leaves when its seconds are spent."""
    for _ in range(rounds):
        for result, worker in alive:
            times = result["times"]
            if not times or (len(times) + 1) * max(times) < seconds:
                times.append(worker.reply("run")["seconds"])


def _python_for(side: Side, pythons: Sequence[str]) -> str | None:
    """The first interpreter that can import all that a side needs."""
    look = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    for python in (sys.executable, *pythons):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [python, "-c", look, *side.needs]
        if subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
            continue
        return python
    return None


def ratios(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For every measured peer: how many times faster ours is, and whether the bar is met."""
    found = []
    mine = results[0]
    for peer in results[1:]:
        if mine["status"] == peer["status"] == "measured":
            ratio = {kind: peer[kind] / mine[kind] for kind in ("warm", "cold", "first", "peak")}
            met = None if peer["bar"] is None else ratio[peer["bar_on"]] >= peer["bar"]
            found.append({"peer": peer["name"], "met": met} | ratio)
    return found


def machine() -> dict[str, Any]:
    """What the numbers were measured on, without names of hosts or folders."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        )
        if Path("/proc/cpuinfo").exists()
        else (),
        platform.processor(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "pinned": hasattr(os, "sched_setaffinity"),
        "threads": 1,
    }
