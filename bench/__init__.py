"""Measurements of the training, against the loop that a tutorial would write: `make bench`."""
