"""Presentation: text, tables, plots and the page. Nothing here computes."""
