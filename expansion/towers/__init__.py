"""What is expanded: scaling rules, branches, towers, and the files they are kept in."""
