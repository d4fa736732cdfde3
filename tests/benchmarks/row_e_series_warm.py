"""Row E: λ-series again and again, beside jax's compiled jet (claim E5)."""

from _towers import (
    gate,
    start_jax_scan,
    start_ours,
    start_plain,
    start_read,
    summary,
)
from harness import Row, Side

ROW = Row(
    id="E",
    title="lambda-series of a tanh MLP tower, warm",
    sizes={
        "n=16 d=64 K=4": {"depth": 16, "width": 64, "order": 4},
        "n=64 d=256 K=6": {"depth": 64, "width": 256, "order": 6},
        "n=256 d=512 K=10": {"depth": 256, "width": 512, "order": 10},
        "n=64 d=256 K=6 batch 64": {"depth": 64, "width": 256, "order": 6, "batch": 64},
    },
    quick={"n=3 d=8 K=3": {"depth": 3, "width": 8, "order": 3}},
    sides=(
        Side("ours", start_ours, summary),
        Side("jax jet in scan", start_jax_scan, summary, needs=("jax",), bar=1),
        Side("ours, plain NumPy", start_plain, summary),
        Side(
            "reading every weight once",
            start_read,
            lambda _: None,
            bar=0.5,
            bar_at=["n=256 d=512 K=10"],
        ),
    ),
    gate=gate,
    notes="kernels loaded and functions jitted beforehand; for jet-array see row D",
)
