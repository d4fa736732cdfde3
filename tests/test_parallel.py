"""Work in other processes: every answer with its place, also where a worker is replaced."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from expansion.parallel import as_finished

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("jobs", [None, 1, 2])
def test_every_answer_has_the_place_of_its_question(jobs):
    found = dict(as_finished(partial(pow, 2), [5, 3, 9], jobs=jobs))
    assert found == {0: 32, 1: 8, 2: 512}


def test_no_question_needs_no_answer():
    assert list(as_finished(pytest.fail, [])) == []


def test_what_a_worker_raises_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        list(as_finished(partial(divmod, 1), [1, 0], jobs=2))


# A worker that has grown by 300 MB since its first task, seen at most once a second, is replaced.
GROWING = """
import sys, time
from expansion.parallel import as_finished

def grow(megabytes):
    sys.kept = [*getattr(sys, "kept", []), b"x" * (megabytes << 20)]
    time.sleep(1.1)
    return megabytes

if __name__ == "__main__":
    print(sorted(as_finished(grow, [1, 1, 400, 400, 3, 3, 3], jobs=2)))
"""


@pytest.mark.slow
def test_a_worker_is_replaced_where_warnings_are_errors(tmp_path):
    """Without the filter of :func:`as_finished` this waits for ever."""
    script = tmp_path / "growing.py"
    script.write_text(GROWING)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        timeout=120, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{list(enumerate([1, 1, 400, 400, 3, 3, 3]))}\n"
