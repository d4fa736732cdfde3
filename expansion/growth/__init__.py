"""Why scaling is needed: signal energy, order spectrum, worst case and simulation by depth."""
