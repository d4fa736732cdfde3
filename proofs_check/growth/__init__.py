"""Checks of signal growth: claims G1–G8."""
