"""The papers' experiments on networks that train: predictions beside results (THEORY M5)."""
