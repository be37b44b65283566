"""Metrics of the trained network on the test split, and the gate that they have to pass."""
