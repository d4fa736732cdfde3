"""Work handed to other processes: of this machine, or of a Dask cluster that was joined.

Answers come as they are finished, one question at a time: a worker is never handed its next
question before it has finished the one before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib

from expansion.errors import InputError

__all__ = ["as_finished", "joined_cluster"]

Q = TypeVar("Q")
A = TypeVar("A")


def as_finished(
    answer: Callable[[Q], A], questions: Sequence[Q], *, jobs: int | None = None
) -> Iterator[tuple[int, A]]:
    """Every question's place and answer, whichever is finished first.

    Parameters
    ----------
    answer : callable
        From a question to its answer; a function of a module, so that other processes find it,
        or a ``functools.partial`` of one.
    questions : sequence
        The questions.
    jobs : int, optional
        Processes, −1 for one per core; by default joblib's own choice: one, or the cluster of
        :func:`joined_cluster`.

    Examples
    --------
    >>> sorted(as_finished(abs, [-3, 2]))
    [(0, 3), (1, 2)]
    """
    # joblib replaces a worker that has grown by 300 MB, and warns. Where warnings are errors, that
    # one is raised in the thread that would start the new worker: everybody waits for ever.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    pool = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
    tasks = (joblib.delayed(_numbered)(answer, *numbered) for numbered in enumerate(questions))
    yield from pool(tasks) if questions else ()


def _numbered(answer: Callable[[Any], Any], number: int, question: Any) -> tuple[int, Any]:
    return number, answer(question)


@contextmanager
def joined_cluster(address: str | None) -> Iterator[None]:
    """Send what is answered inside to the Dask scheduler at ``address``; without one, nothing.

    Raises
    ------
    InputError
        When Dask is not installed or nothing answers at the address.
    """
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError:
        mend = "pip install 'residual-expansion[cluster]'"
        raise InputError("Dask, for a cluster", "no module distributed", mend) from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        came = f"{address} ({type(error).__name__})"
        raise InputError("the address of a Dask scheduler", came, "give tcp://host:port") from None
    with client, joblib.parallel_config(backend="dask"):
        yield
