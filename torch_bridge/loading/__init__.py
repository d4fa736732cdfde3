"""The user's own model, its inputs and its weights."""
