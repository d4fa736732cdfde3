"""Bounds that are bounds: certified truncation, capacity, generalisation (claims B1 to B4)."""
