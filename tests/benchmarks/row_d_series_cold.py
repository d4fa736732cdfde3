"""Row D: the first λ-series of a process, importing and compiling included (claim E5)."""

from _towers import gate, start_jax_scan, start_jet_array, start_ours_first, summary
from harness import Row, Side

ROW = Row(
    id="D",
    title="lambda-series of a tanh MLP tower, first answer of a process",
    sizes={"n=64 d=256 K=6": {"depth": 64, "width": 256, "order": 6}},
    quick={"n=3 d=8 K=3": {"depth": 3, "width": 8, "order": 3}},
    sides=(
        Side("ours", start_ours_first, summary),
        Side(
            "jet-array in scan",
            start_jet_array,
            summary,
            needs=("jet_array",),
            bar=10,
            bar_on="cold",
        ),
        Side("jax jet in scan", start_jax_scan, summary, needs=("jax",), bar=10, bar_on="cold"),
    ),
    gate=gate,
    notes="see first and cold; the weights are made outside the clock",
)
