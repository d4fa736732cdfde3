"""One module for each command that takes a model of the user's."""
