"""Predictions of one network, held against its real forward passes."""
