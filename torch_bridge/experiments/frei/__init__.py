"""Frei, Cao & Gu's network near its start: which terms of claim B4 see the depth."""
