"""Towers that are smooth in depth: their generalisation gap, and claim B3's bound beside it."""
