"""Row G1: the same beside listing every path (claim C4)."""

from _paths import gate, start_enumeration, start_ours, summary
from harness import Row, Side

ROW = Row(
    id="G1",
    title="paths by length, exact, beside the list of all paths",
    sizes={"n=18": {"graph": "tower", "depth": 18}},
    quick={"n=8": {"graph": "tower", "depth": 8}},
    sides=(
        Side("ours", start_ours, summary),
        Side("networkx, every path", start_enumeration, summary, needs=("networkx",), bar=50),
    ),
    gate=gate,
)
