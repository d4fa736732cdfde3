"""Checks of bounds: claims B1–B4."""
