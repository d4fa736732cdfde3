"""Rooted trees, labelled trees, their generation and their numbers; imports nothing above."""
