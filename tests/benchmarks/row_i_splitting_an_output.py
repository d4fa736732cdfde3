"""Row I: splitting one network's output into orders, n = 8, d = 64, λ = 1/n (claim E5).

JetExpansions, the peer of this row, has no licence and is on no index: it is said to be missing.
Its aim differs: it splits by paths through chosen blocks and leaves a remainder.
"""

from _towers import start_ours as start_compiled
from _towers import summary
from harness import Row, Side
from row_e2_series_in_pytorch import start_ours as start_bridge
from row_e2_series_in_pytorch import torch_summary


def start_jet_expansions(size):
    """Whoever has it installed would measure it here; its answer is not an order's."""
    import jet_expansions

    return lambda: jet_expansions


def gate(size, ours, theirs):
    """Both splits agree, and their sum is within 2e-4 of the network's output."""
    import numpy as np
    from _towers import weights

    inner, outer, x = weights(size)
    for u, v in zip(inner, outer, strict=True):
        x = x + v @ np.tanh(u @ x) / size["depth"]
    for split in (ours, theirs):
        error = np.linalg.norm(np.sum(split, axis=0) - x) / np.linalg.norm(x)
        if not error < size["error"]:
            return f"the orders miss {error:.1e} of the output"
    return None


ROW = Row(
    id="I",
    title="splitting one network's output, to an error of 2e-4",
    sizes={"n=8 d=64 K=5": {"depth": 8, "width": 64, "order": 5, "error": 2e-4}},
    quick={"n=3 d=8 K=5": {"depth": 3, "width": 8, "order": 5, "error": 2e-3}},
    sides=(
        Side("ours", start_compiled, summary),
        Side("ours, any PyTorch model", start_bridge, torch_summary, needs=("torch",)),
        Side("JetExpansions", start_jet_expansions, summary, needs=("jet_expansions",)),
    ),
    gate=gate,
    notes="the bar is 1 ms; JetExpansions aims at paths and leaves a remainder",
)
