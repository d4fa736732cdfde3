"""The theorem: the expansion, and the other routes to the same numbers."""
