"""Row G: paths by length, exactly, of a residual tower (claims C1, C4)."""

from _paths import gate, start_ours, start_ours_whole, start_recurrence, summary
from harness import Row, Side

ROW = Row(
    id="G",
    title="paths by length, exact, all lengths of a residual tower",
    sizes={"n=1024": {"graph": "tower", "depth": 1024}},
    quick={"n=10": {"graph": "tower", "depth": 10}},
    sides=(
        Side("ours", start_ours, summary),
        Side("DP on networkx", start_recurrence, summary, needs=("networkx",), bar=50),
        Side("ours, graph built anew", start_ours_whole, summary),
    ),
    gate=gate,
    notes="DP: lists of Python's integers along networkx's topological order",
)
