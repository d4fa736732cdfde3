"""Any PyTorch model as a tower: its graph, and the residual additions in it (THEORY M1)."""
