"""The honesty: every statement of the theory as a claim, with checks that can fail."""
