"""Checks of the expansion: claims E1–E8."""
