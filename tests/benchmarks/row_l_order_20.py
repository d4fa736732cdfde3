"""Row L: all 12,826,228 rooted trees of order 20, streamed in bounded memory (claim C3)."""

from harness import Row, Side


def start_ours(size):
    """Chunks of level sequences; the last one is returned with the count."""
    from expansion.trees.streams import level_chunks

    return lambda: sum(len(rows) for rows in level_chunks(size["order"]))


def gate(size, ours, theirs):
    """A000081."""
    known = {20: 12826228, 10: 719}[size["order"]]
    return None if ours == theirs == known else f"{theirs} trees instead of {known}"


ROW = Row(
    id="L",
    title="all rooted trees of order 20 as level sequences, streamed",
    sizes={"K=20": {"order": 20}},
    quick={"K=10": {"order": 10}},
    sides=(Side("ours", start_ours, int),),
    gate=gate,
)
