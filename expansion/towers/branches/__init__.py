"""The kinds of branch, and the protocol that they share."""
