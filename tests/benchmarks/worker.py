"""One side of one row in a process of its own: the first answer, then times on request.

Started by :mod:`harness` as ``worker.py ROW_FILE SIDE SIZE``. Writes the first answer's time and
summary as one line of JSON, then answers ``run`` (one warm time) and ``peak`` until its input
ends. The clock of the first answer starts before the side's own imports.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import left_out, load_row

AT_LEAST = 0.05  # seconds of work behind every warm time: short jobs are repeated


def main(file: str, name: str, size: str) -> None:
    """Answer requests until the input ends."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    # Whatever a library prints must not get between the replies.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    row = load_row(Path(file))
    side = next(side for side in row.sides if side.name == name)
    begin = time.perf_counter()
    job = side.start(json.loads(size))
    answer = job()
    seconds = time.perf_counter() - begin - left_out()
    first = {"seconds": seconds, "summary": side.summary(answer), "versions": versions(side.needs)}
    replies.write(json.dumps(first) + "\n")
    del answer
    for line in sys.stdin:
        reply = {"peak": peak()} if line.strip() == "peak" else {"seconds": timed(job)}
        replies.write(json.dumps(reply) + "\n")


def timed(job: Any) -> float:
    """Seconds for one job, its repetitions counted so that the clock's grain does not matter."""
    repetitions = 1
    while True:
        begin = time.perf_counter()
        for _ in range(repetitions):
            job()
        spent = time.perf_counter() - begin
        if spent >= AT_LEAST:
            return spent / repetitions
        repetitions = max(2 * repetitions, int(1.2 * AT_LEAST / max(spent, 1e-7) * repetitions))


def peak() -> int:
    """Largest resident memory of this process, in bytes."""
    try:
        # VmHWM starts anew with the process; getrusage can remember the parent that forked it.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        import resource

        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def versions(modules: Any) -> dict[str, str]:
    """Version of the distribution behind each module, and of the numerical ones in use."""
    owners = importlib.metadata.packages_distributions()
    found = {}
    for module in (*modules, "numpy", "numba", "flint", "jaxlib"):
        names = owners.get(module, [])
        if names and (module in sys.modules or module in modules):
            found[names[0]] = importlib.metadata.version(names[0])
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
