"""What a real network does with its signal: measured, predicted, and rescaled (THEORY M2, M4)."""
