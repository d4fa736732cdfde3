"""Row G2: paths by length of a graph that no reduction makes smaller (claim C4)."""

from _paths import gate, start_ours, start_recurrence, summary
from harness import Row, Side

ROW = Row(
    id="G2",
    title="paths by length, exact, where nothing is in series or parallel",
    sizes={"n=1024": {"graph": "ladder", "depth": 1024}},
    quick={"n=10": {"graph": "ladder", "depth": 10}},
    sides=(
        Side("ours", start_ours, summary),
        Side("DP on networkx", start_recurrence, summary, needs=("networkx",)),
    ),
    gate=gate,
    notes="the ladder h_n = f_n(h_{n-1}) + h_{n-2}; our recurrence runs in long integers",
)
