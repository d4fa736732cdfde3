"""Checks of counts: claims C1–C4."""
