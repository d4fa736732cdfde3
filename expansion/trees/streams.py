r"""Level sequences of all rooted trees of an order, streamed in chunks of bounded memory.

The successor rule of Beyer and Hedetniemi (SIAM J. Comput. 9, 1980) compiled: constant amortised
time per tree, no tree is ever looked at twice. Order 20 has 12,826,228 trees; they pass through
one chunk. Numbers of trees are exact (OEIS A000081): a chunk's rows are counted, never the stream.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from expansion.checking import check_count
from expansion.compiling import compiled
from expansion.errors import InputError

__all__ = ["level_chunks", "next_levels"]

_LARGEST = 127  # a level must fit into a byte


@compiled()
def next_levels(levels: NDArray[np.int8], rows: NDArray[np.int8]) -> tuple[int, bool]:
    """Write the next level sequences into ``rows``, the first being ``levels`` itself.

    Parameters
    ----------
    levels : array of int8, shape (order,)
        Where the stream stands; moved on.
    rows : array of int8, shape (chunk, order)
        Overwritten.

    Returns
    -------
    count : int
        How many rows were written.
    more : bool
        Whether ``levels`` is a tree that was not written yet.

    Notes
    -----
    The last vertex p that is not a child of the root is lowered to its parent's level: the part
    of the sequence from the parent q up to p is repeated to the end.
    """
    order = levels.size
    for count in range(len(rows)):
        for vertex in range(order):
            rows[count, vertex] = levels[vertex]
        last = order - 1
        while last > 0 and levels[last] == 1:
            last -= 1
        if last <= 0:
            return count + 1, False
        parent = last - 1
        while levels[parent] != levels[last] - 1:
            parent -= 1
        for vertex in range(last, order):
            levels[vertex] = levels[vertex - last + parent]
    return len(rows), True


def level_chunks(order: int, chunk: int = 1 << 16) -> Iterator[NDArray[np.int8]]:
    """All canonical level sequences of an order, in chunks.

    Parameters
    ----------
    order : int
        Number of vertices, 1 to 127.
    chunk : int
        Largest number of rows of a chunk; memory is ``chunk * order`` bytes.

    Yields
    ------
    array of int8, shape (rows, order)
        In the order of :func:`expansion.trees.generate.level_sequences`. The chunk's memory is
        used again for the next one: copy what is to be kept.

    Examples
    --------
    >>> [rows.tolist() for rows in level_chunks(4, chunk=3)]
    [[[0, 1, 2, 3], [0, 1, 2, 2], [0, 1, 2, 1]], [[0, 1, 1, 1]]]
    >>> sum(len(rows) for rows in level_chunks(15))
    87811
    """
    order = check_count(order, "order", least=1)
    chunk = check_count(chunk, "chunk", least=1)
    if order > _LARGEST:
        raise InputError(f"an order up to {_LARGEST}", order, "its trees could not be listed")
    levels = np.arange(order, dtype=np.int8)
    rows = np.empty((chunk, order), np.int8)
    more = True
    while more:
        count, more = next_levels(levels, rows)
        yield rows[:count]
