"""The orders of any captured model: λ-series, frozen gates, sub-networks (THEORY E5, E7b, E8)."""
