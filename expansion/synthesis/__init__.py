"""The four papers side by side: which scale each of their quantities asks for."""
